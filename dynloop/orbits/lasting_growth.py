"""Growth far out, followed with the size taken out: it lasts, or is a transient that many coordinates pass on.

Norms of a contracting linear map grow while a disturbance is handed from one coordinate to the next. With n coordinates
and a growth of γ per loop (natural log) that may go on for some n (1 + 1/γ) loops at a constant factor, and after that
at one that falls to its limit like 1/t (a Jordan block). A linear map does the same at every scale, so scales tell
nothing of it.
"""

from __future__ import annotations

import numpy as np

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.calculus.weighted_birkhoff import weighted_birkhoff
from dynloop.errors import DerivativeError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.leading_multiplier import leading_multiplier

__all__ = ["lasting_growth"]

_SIZE = 1e120  # to which states are brought; its square does not overflow
_FIRST, _LEAST = 128, 512  # loops of the first look; loops that are always allowed
_SURE = 8  # times n (1 + 1/γ) loops of growth rule out a transient
_DENSE = 512  # most coordinates of which all multipliers are asked


def lasting_growth(m: LoopMap, state: Array, select: Array, growing: Array, loops: int, *, tangents: bool) -> bool:
    """Say whether growth far out settles at a factor above 1 that lasts.

    The factor must have settled: what it fell by from the third quarter of the window to the last, four times over, is
    less than what is left of it. And it must last: either the window is long beside any transient of n coordinates, or
    the derivative far out has a well-conditioned eigenvalue of that modulus, which no transient gives it.

    Parameters
    ----------
    m : LoopMap
        The map, in float64, homogeneous of degree one far out in the selected coordinates.
    state : ndarray, state_shape
        Where to begin.
    select : ndarray of bool, state_shape
        Coordinates that are scaled.
    growing : ndarray of bool, (rows,)
        Rows that must grow.
    loops : int
        At most twice as many are spent (at least 512).
    tangents : bool
        Whether the derivative may be used.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import dynloop as dl
    >>> from dynloop.orbits.lasting_growth import lasting_growth
    >>> A = 0.5 * torch.eye(30, dtype=torch.float64) + torch.diag(torch.ones(29, dtype=torch.float64), 1)
    >>> every, one = np.ones(30, dtype=bool), np.ones(1, dtype=bool)
    >>> lasting_growth(dl.TorchMap([lambda x: x @ A.T], (30,)), np.ones(30), every, one, 64, tangents=True)
    False
    >>> lasting_growth(dl.TorchMap([lambda x: 1.1 * x], (30,)), np.ones(30), every, one, 64, tangents=True)
    True
    """
    x, length = _sized(state, select), _FIRST
    logs: list[Array] = []
    while length <= max(_LEAST, 2 * loops):
        while len(logs) < length:
            with np.errstate(all="ignore"):
                later = m.numpy(m(m.native(x[None])))[0]
                logs.append(np.log(row_norms(m, later[None])[0][growing] / row_norms(m, x[None])[0][growing]))
                x = _sized(later, select)
            if not (np.isfinite(x).all() and np.isfinite(logs[-1]).all()):
                return False
        before, last = (weighted_birkhoff(part).value for part in np.array_split(np.stack(logs), 4)[2:])
        left = 4 * np.abs(before - last)
        if np.any(last + left <= 0):
            return False
        if np.all(last > left):
            if length >= _SURE * m.dimension * (1 + 1 / last.min()):
                return True
            if tangents and m.dimension <= _DENSE and _has_multiplier(m, x, select, last, left):
                return True
        length *= 2
    return False


def _sized(x: Array, select: Array) -> Array:
    """Bring the selected coordinates to the size at which the map is followed."""
    return np.where(select, x * (_SIZE / np.abs(x[select]).max()), x)


def _has_multiplier(m: LoopMap, x: Array, select: Array, growth: Array, error: Array) -> bool:
    """Say whether the derivative far out has a well-conditioned eigenvalue that explains the growth of every row.

    Only where one derivative rules: it is the same one loop later, or the direction of the state rests, whose
    derivative has the state itself as an eigenvector (Euler's theorem).
    """
    later = _sized(m.numpy(m(m.native(x[None])))[0], select)
    free = np.flatnonzero(select)
    try:
        J, K = (dense_jacobian(m, y)[np.ix_(free, free)] for y in (x, later))
    except DerivativeError:
        return False
    size = float(np.linalg.norm(J, 2)) if np.isfinite(J).all() else np.nan
    rests = np.abs(later - x)[select].max() <= 1e-9 * _SIZE
    if not size > 0 or not (rests or np.linalg.norm(K - J) <= 1e-9 * size):
        return False
    top = leading_multiplier(J)
    if not top.doubt < 0.1 * (top.modulus - 1):
        return False
    allowed = np.minimum(np.maximum(error, 1e-6), 0.1 * np.log(top.modulus))
    return bool(np.all(np.abs(np.log(top.modulus) - growth) <= allowed))
