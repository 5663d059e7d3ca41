"""Stabilising transformations: a search in few dimensions that reaches unstable orbits from far away.

With g(x) = F^p(x) − x, the iteration x ← x + (β‖g‖ Cᵀ − Dg)⁻¹ g follows the flow ẋ = C g far from a solution and is
Newton's near it. Among the matrices C of one entry ±1 in each row and column there is one that makes a given solution
attracting, so a search with all of them meets solutions that Newton's method alone jumps past.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from dynloop.calculus.jacobian import jacobians
from dynloop.maps.base import Array, LoopMap

__all__ = ["MOST_COORDINATES", "stabilised", "switches"]

MOST_COORDINATES = 3  # n! 2ⁿ matrices C: 2, 8, 48
_STIFFNESS = (3.0, 0.3)  # β‖g‖ at the start in units of ‖Dg‖: runs that stay in a basin, and runs that get far


def switches(n: int) -> Array:
    """Return all matrices of one entry ±1 in each row and column, ``(2ⁿ n!, n, n)``.

    Notes
    -----
    Schmelcher & Diakonos, Phys. Rev. Lett. 78 (1997) 4733.
    """
    found = []
    for order in permutations(range(n)):
        for signs in product((1.0, -1.0), repeat=n):
            C = np.zeros((n, n))
            C[np.arange(n), order] = signs
            found.append(C)
    return np.stack(found)


def stabilised(orbit: LoopMap, states: Array, *, steps: int = 60) -> Array:
    """Follow the stabilised iteration from every start with every matrix C.

    Parameters
    ----------
    orbit : LoopMap
        F^p, on vectors of at most three coordinates.
    states : ndarray, (batch, *state_shape)
        Where to begin.
    steps : int
        Steps at most.

    Returns
    -------
    ndarray, (found, *state_shape)
        States where the iteration settled, many of them the same; to be polished.

    Notes
    -----
    Davidchack & Lai, Phys. Rev. E 60 (1999) 6172.
    """
    n, count = orbit.dimension, len(_STIFFNESS)
    C = switches(n)
    x = np.tile(np.repeat(states.reshape(-1, n), len(C), axis=0), (count, 1))
    turn = np.tile(C.transpose(0, 2, 1), (count * len(states), 1, 1))
    stiffness = np.repeat(_STIFFNESS, len(states) * len(C))
    bound, arrived = 1e3 * (1 + np.abs(states).max()), []
    g, J = _linearised(orbit, x)
    with np.errstate(all="ignore"):
        beta = stiffness * np.linalg.norm(J, axis=(1, 2)) / np.linalg.norm(g, axis=1)
        for _ in range(steps):
            size = np.linalg.norm(g, axis=1)
            settled = size <= 1e-10 * np.linalg.norm(x, axis=1)
            arrived.append(x[settled])
            A = (beta * size)[:, None, None] * turn - J
            usable = ~settled & np.isfinite(A).all(axis=(1, 2)) & np.isfinite(g).all(axis=1)
            usable[usable] &= np.abs(np.linalg.det(A[usable])) > 0
            x, turn, beta, g, A = (a[usable] for a in (x, turn, beta, g, A))
            x = x + np.linalg.solve(A, g[..., None])[..., 0]
            inside = np.abs(x).max(axis=1) < bound
            x, turn, beta = x[inside], turn[inside], beta[inside]
            if len(x) == 0:
                break
            g, J = _linearised(orbit, x)
    return np.concatenate(arrived).reshape(-1, *orbit.state_shape)


def _linearised(orbit: LoopMap, x: Array) -> tuple[Array, Array]:
    """Return F^p(x) − x and its derivative at vectors ``(batch, n)``."""
    states = x.reshape(-1, *orbit.state_shape)
    with np.errstate(all="ignore"):
        new, J = jacobians(orbit, orbit.native(states))
        g = orbit.displacement(orbit.numpy(new), states).reshape(x.shape)
        return g, J - np.eye(orbit.dimension)
