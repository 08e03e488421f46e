"""The deterministic brain: beliefs over causes, and which check to make next."""
