"""Slips by what they concern: layers and loops, numbers, verdicts."""
