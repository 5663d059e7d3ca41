"""Switching: the first solution of the branch that begins at a flip or crosses at a branch point."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

from dynloop.maps.base import Array
from dynloop.orbits.branches.bordered import DENSE_SOLVES
from dynloop.orbits.branches.corrector import correct
from dynloop.orbits.branches.system import System

__all__ = ["crossing_direction", "first_solution", "flip_direction"]

_NULL = 1e-5  # singular values of [A b] below this share of the largest belong to its null space
_APART = 0.05  # a solution of the doubled orbit is at least so many steps away from being one of half the period

_NEAREST = 1e-4  # nearer to a bifurcation its branches are one within the tolerance of the corrector
_FAR = 5.0  # largest correction, in lengths: a branch that crosses does so at an angle that is not known


def flip_direction(half: System, z: Array) -> Array | None:
    """Return the direction of the doubled orbit at a flip: the eigenvector of −1, the parameter at rest."""
    q = _eigenvector(half, z, -1.0)
    return None if q is None else np.append(q, 0.0)


def crossing_direction(system: System, z: Array, along: Array) -> Array | None:
    """Return the direction in the null space of [A b] across the branch that has the direction `along`."""
    lin = system.linearise(z)
    if lin.matrix is not None:
        _, sizes, rows = np.linalg.svd(np.column_stack([lin.matrix, lin.b]))
        sizes = np.append(sizes, np.zeros(len(rows) - len(sizes)))
        null = rows[sizes <= _NULL * max(float(sizes[0]), 1.0)]
        if len(null) != 2:
            return None
        candidates = list(null)
    else:
        q = _eigenvector(system, z, 1.0)
        if q is None:
            return None
        candidates = [np.append(q, 0.0)]
    across = [v - (v @ along) * along for v in candidates]
    best = max(across, key=lambda v: float(np.linalg.norm(v)))
    size = float(np.linalg.norm(best))
    return best / size if size > 1e-3 else None


def first_solution(system: System, z: Array, across: Array, length: float, *, doubled: bool) -> Array | None:
    """Return a solution a little way off z along `across`, on the branch that leaves there; None if none is found."""
    half = system.period // 2
    while length > _NEAREST:
        found = correct(system, z + length * across, across)
        if found.z is not None and np.linalg.norm(found.z - z - length * across) <= _FAR * length:
            if not doubled:
                return found.z
            orbit = system.orbit(found.z)
            gap = system.map_at(found.z).displacement(orbit[half], orbit[0])
            if np.linalg.norm(gap) / system.x_unit > _APART * length:
                return found.z
        length /= 3
    return None


def _eigenvector(system: System, z: Array, target: float) -> Array | None:
    """Return the real unit eigenvector of DF^p whose multiplier is nearest to a target; None if it is not near."""
    lin = system.linearise(z)
    if system.n <= DENSE_SOLVES and lin.matrix is not None:
        values, vectors = np.linalg.eig(lin.matrix + np.eye(system.n))
    else:
        operator = LinearOperator((system.n, system.n), matvec=lambda v: lin.product(v) + v, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(system.n)
        try:
            values, vectors = eigs(operator, k=min(12, system.n - 2), v0=start, tol=1e-10)
        except (ArpackNoConvergence, ArpackError):
            return None
    index = int(np.argmin(np.abs(values - target)))
    if abs(values[index] - target) > 1e-3:
        return None
    q = vectors[:, index].real
    return np.asarray(q / np.linalg.norm(q))
