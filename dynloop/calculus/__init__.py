"""How a map stretches: tangents, Jacobians, multipliers, exponents."""
