"""The piece of a branch between two places, by its length along the direction at the first."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.branches.corrector import Corrected, correct, place_at
from dynloop.orbits.branches.place import Place
from dynloop.orbits.branches.system import System

__all__ = ["Segment"]


class Segment:
    """Solutions between two places, found anew wherever they are asked for.

    Parameters
    ----------
    system : System
        The equations.
    left, right : Place
        Its ends.
    k : int
        Leading multipliers at a place of high dimension.
    """

    def __init__(self, system: System, left: Place, right: Place, k: int) -> None:
        self.system, self.left, self.right, self.k = system, left, right, k
        self.row = left.direction
        self.length = float(self.row @ (right.z - left.z))
        self._far = right.direction / float(self.row @ right.direction)

    def guess(self, s: float) -> Array:
        """Return the cubic of Hermite through both ends and along their directions, at length s."""
        t, h = s / self.length, self.length
        a, b = self.left.z, self.right.z
        ends = (1 + 2 * t) * (1 - t) ** 2 * a + t * t * (3 - 2 * t) * b
        found: Array = ends + h * (t * (1 - t) ** 2 * self.left.direction - t * t * (1 - t) * self._far)
        return found

    def solution(self, s: float) -> Corrected:
        """Return the solution at length s, which may lie a little outside the ends."""
        return correct(self.system, self.guess(s), self.row, float(self.row @ self.left.z) + s)

    def place(self, s: float) -> Place | None:
        """Return the place at length s; None where it was not found."""
        if s in (0.0, self.length):
            return self.right if s else self.left
        found = self.solution(s)
        if found.z is None or np.linalg.norm(found.z - self.guess(s)) > abs(self.length):
            return None
        return place_at(self.system, found.z, self.row, self.k, found.linear)

    def at_value(self, value: float, a: float, b: float) -> Place | None:
        """Return the solution of a value of the parameter that is passed once between lengths a and b."""
        target = self.system.scaled(value)
        low, high = (a, b) if self.guess(a)[-1] < self.guess(b)[-1] else (b, a)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.guess(middle)[-1] < target else (low, middle)
        row = np.zeros(self.system.n + 1)
        row[-1] = 1.0
        found = correct(self.system, self.guess((low + high) / 2), row, target)
        if found.z is None:
            return None
        s = float(self.row @ (found.z - self.left.z))
        slack = 1e-6 * self.length
        if not min(a, b) - slack <= s <= max(a, b) + slack:
            return None
        return place_at(self.system, found.z, self.row, self.k, found.linear)
