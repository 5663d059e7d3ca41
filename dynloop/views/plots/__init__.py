"""One picture a file: each takes a result and matplotlib Axes, returns the Axes, and computes no dynamics."""
