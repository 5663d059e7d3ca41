"""Corrector: Newton's method back to the branch, within a plane across it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.branches.place import Place, multipliers_at
from dynloop.orbits.branches.system import Linear, System

__all__ = ["Corrected", "correct", "direction_at", "place_at"]

_ITERATIONS = 12
_SETTLED = 1e-9  # of a Newton step: what is left behind it is its square
_ROUNDING = 1e-7  # a step below it that no longer shrinks is rounding
_SOLVED = 1e-10  # largest scaled gap of a solution


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """A solution in a plane, or why there is none.

    Attributes
    ----------
    z : ndarray, (n + 1,), or None
        The solution.
    iterations : int
        Newton steps.
    reason : str
        Empty where it was found.
    linear : Linear, or None
        The equations linearised at the solution.
    """

    z: Array | None
    iterations: int
    reason: str = ""
    linear: Linear | None = None


def correct(system: System, guess: Array, row: Array, last: float | None = None) -> Corrected:
    """Solve the equations in the plane ``row·z = last``, that of the guess if left out.

    Parameters
    ----------
    system : System
        The equations.
    guess : ndarray, (n + 1,)
        Where to begin.
    row : ndarray, (n + 1,)
        The normal of the plane.
    last : float, optional
        Where the plane cuts its normal.
    """
    last = float(row @ guess) if last is None else last
    z, before = guess, np.inf
    for iteration in range(1, _ITERATIONS + 1):
        if not system.inside(z):
            return Corrected(None, iteration, "Newton's method left the window of the parameter or became infinite")
        lin = system.linearise(z)
        if not np.isfinite(lin.gap).all():
            return Corrected(None, iteration, "a state stopped being finite")
        step = lin.solve(row, -lin.gap, last - float(row @ z))
        if step is None:
            return Corrected(None, iteration, "the linear system of Newton's method is singular or was not solved")
        z = z + step
        size = float(np.linalg.norm(step)) / (1 + float(np.linalg.norm(z)))
        if size <= _SETTLED or (size <= _ROUNDING and size > 0.3 * before):
            return _checked(system, z, iteration)
        if size > 10 * before:
            break
        before = size
    return Corrected(None, iteration, "Newton's method did not converge")


def _checked(system: System, z: Array, iteration: int) -> Corrected:
    if not system.inside(z):
        return Corrected(None, iteration, "Newton's method left the window of the parameter or became infinite")
    lin = system.linearise(z)
    gap = float(np.linalg.norm(lin.gap))
    if not gap <= _SOLVED * (1 + float(np.linalg.norm(z[:-1]))):
        return Corrected(None, iteration, f"the residual stalled at {gap:.1e}")
    return Corrected(z, iteration, linear=lin)


def direction_at(lin: Linear, along: Array) -> Array | None:
    """Return the unit tangent of the branch at a solution, the way that `along` points; None if there is none."""
    found = lin.solve(along, np.zeros(len(lin.b)), 1.0)
    return None if found is None else found / np.linalg.norm(found)


def place_at(system: System, z: Array, along: Array, k: int, lin: Linear | None = None) -> Place | None:
    """Return the place of a solution; None where the branch has no direction there."""
    lin = system.linearise(z) if lin is None else lin
    direction = direction_at(lin, along)
    if direction is None:
        return None
    found, known = multipliers_at(system, z, k, lin)
    return Place(z=z, direction=direction, multipliers=found, known=known, gap=float(np.linalg.norm(lin.gap)))
