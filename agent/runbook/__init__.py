"""What a skill is, and which one fits an alert."""
