"""A map on cells instead of points: the digraph of cells, what recurs in it, how it is ordered, and Ulam's matrix."""
