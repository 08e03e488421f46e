"""One rule a file: what it forbids, why, and the safe way to do the same."""
