"""What is compiled by numba: the loops of maps given as steps in plain Python."""

from __future__ import annotations

from dynloop.maps.compiled.jit import dot, jit

__all__ = ["dot", "jit"]
