"""Which solved orbits are one orbit: cyclic shifts, copies within error, and orbits of a shorter period."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dynloop.maps.base import Array
from dynloop.orbits.recurrence import divides
from dynloop.orbits.solvers.shooting import Shooting

__all__ = ["distinct", "prime_periods"]


def distinct(system: Shooting, orbits: Array, errors: Array) -> tuple[Array, Array]:
    """Merge orbits that are the same within their errors, whichever point they begin with.

    Parameters
    ----------
    system : Shooting
        What the orbits solve; it knows the angles.
    orbits : ndarray, (batch, p, n)
        Solved orbits.
    errors : ndarray, (batch,)
        How far a point of each may be off.

    Returns
    -------
    first : ndarray of int, (rows,)
        Index of the most accurate copy of every orbit.
    row : ndarray of int, (batch,)
        Which of them every orbit is.
    """
    batch = len(orbits)
    order = np.argsort(errors, kind="stable")
    row = np.full(batch, -1)
    first: list[int] = []
    if batch == 0:
        return np.array(first, dtype=int), row
    tree = _Tree(system, orbits[:, 0])
    for one in order:
        if row[one] >= 0:
            continue
        for shift, point in enumerate(orbits[one]):
            near = tree.near(point, errors[one] + errors[order[-1]])
            near = near[row[near] < 0]
            whole = system.displacement(orbits[near], np.roll(orbits[one], -shift, axis=0)[None])
            gap = np.linalg.norm(whole, axis=2).max(axis=1, initial=0.0)
            row[near[gap <= errors[one] + errors[near]]] = len(first)
        row[one] = len(first)
        first.append(int(one))
    return np.array(first, dtype=int), row


class _Tree:
    """Points by their neighbourhood, angles wrapped."""

    def __init__(self, system: Shooting, points: Array) -> None:
        lengths = system.m.periods
        box = None
        if lengths is not None:
            box = np.nan_to_num(np.broadcast_to(lengths, system.m.state_shape).reshape(-1), nan=0.0)
        self._tree = cKDTree(points, boxsize=box)

    def near(self, point: Array, radius: float) -> Array:
        return np.array(sorted(self._tree.query_ball_point(point, radius)), dtype=int)


def prime_periods(system: Shooting, orbits: Array, errors: Array) -> Array:
    """Return the least q for which every orbit returns after q points within its error, ``(batch,)``."""
    found = np.full(len(orbits), system.period)
    for q in sorted(divides(system.period), reverse=True):
        if q < system.period:
            gap = np.linalg.norm(system.displacement(np.roll(orbits, -q, axis=1), orbits), axis=2).max(axis=1)
            found[gap <= 2 * errors] = q
    return found
