"""What changes along a family of maps: orbits, exponents, periods and regimes against a parameter."""
