"""Real checkpoints, turned into maps."""
