"""What is iterated: maps that are products of layers."""
