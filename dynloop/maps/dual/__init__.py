"""Dual numbers: one forward pass that carries k tangents, J·V without a graph and without a Jacobian."""
