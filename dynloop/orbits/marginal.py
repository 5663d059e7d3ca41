"""Solved orbits whose spectral radius is not told from 1: powers that vanish all the same, continua of solutions."""

from __future__ import annotations

import numpy as np

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.solvers.polish import polish
from dynloop.result import Status

__all__ = ["is_continuum", "powers_vanish"]

_SQUARINGS = 20  # DF^(p·2^20) at most is asked whether it vanishes
_DENSE = 512  # most coordinates of which all multipliers are asked
_EPS = float(np.finfo(np.float64).eps)


def powers_vanish(m: LoopMap, point: Array, period: int) -> bool:
    """Say whether some power of DF^p has a norm below one half, so that its spectral radius is below 1.

    It decides where eigenvalues are known too badly, as those of a large Jordan block are: rounding moves a power by no
    more than n·u times the square of the largest norm met on the way, which must be small too.
    """
    if m.dimension > _DENSE:
        return False
    power = dense_jacobian(m.power(period), point)
    largest = 1.0
    for _ in range(_SQUARINGS):
        size = float(np.linalg.norm(power))
        largest = max(largest, size)
        if not m.dimension * _EPS * largest**2 < 0.1:
            return False
        if size < 0.5:
            return True
        power = power @ power
    return False


def is_continuum(m: LoopMap, point: Array, period: int, largest: float) -> bool:
    """Say whether the neutral directions at a solution lead to other solutions; no beyond some hundred dimensions.

    A shift of 1 % along a null direction of DF^p − I, polished, must stay where it was shifted to. At an isolated
    marginal point it does not: it falls back, or leaves a residual.
    """
    if m.dimension > _DENSE:
        return False
    A = dense_jacobian(m.power(period), point) - np.eye(m.dimension)
    _, sizes, rows = np.linalg.svd(A)
    values = np.linalg.eigvals(A) + 1
    null = rows[sizes <= 1e-6 * max(1.0, sizes[0])]
    if len(null) == 0 or len(null) < np.sum(np.abs(values) >= 1 - 1e-6):
        return False
    size = 1e-2 * max(largest, float(np.linalg.norm(point)), 1e-300)
    for direction in (null[0], null.sum(axis=0) / np.sqrt(len(null)), -null[-1]):
        shifted = point + size * direction.reshape(m.state_shape)
        again = polish(m, shifted, period=period, largest=largest, steps=6)
        moved = row_norms(m, m.displacement(again.point, point)[None]).max()
        if again.status is not Status.SOLVED or moved < 0.5 * size:
            return False
    return True
