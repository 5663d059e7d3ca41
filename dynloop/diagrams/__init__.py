"""What changes along a family of maps: orbits, exponents and periods against a parameter."""
