"""What the loop computes: attention over loops, stages of inference, and which blocks settle."""
