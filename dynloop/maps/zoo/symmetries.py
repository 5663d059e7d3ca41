"""Symmetries of zoo maps: S on states ``(batch, dim)`` with F(S(x)) = S(F(x))."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dynloop.maps.base import Array

__all__ = ["CONJUGATION", "FLIP", "MIRROR", "SWAP", "turn"]

Symmetries = Mapping[str, Callable[[Array], Array]]
MIRROR: Symmetries = {"x → −x": np.negative}
FLIP: Symmetries = {"x → 1 − x": lambda x: 1 - x}
SWAP: Symmetries = {"x ↔ y": lambda x: x[:, ::-1]}
CONJUGATION: Symmetries = {"z → z̄": lambda x: x * np.array([1.0, -1.0])}


def turn(angle: float) -> Symmetries:
    """Return the rotation of the plane by an angle."""
    cos, sin = math.cos(angle), math.sin(angle)
    return {f"z → e^({angle:.4g} i) z": lambda x: x @ np.array([[cos, sin], [-sin, cos]])}
