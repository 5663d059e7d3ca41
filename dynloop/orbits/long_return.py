"""Whether a bounded orbit without a sign of attraction comes back after many loops: neutral cycles of long period."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap

__all__ = ["first_returns"]

_RETURN = 1e-9  # a relative distance that counts as a return: rounding of some thousand loops, a shear included
_AT_ONCE = 1024  # loops watched before asking whether every group has returned


def first_returns(m: LoopMap, state: Array, bound: int) -> tuple[Array, Array]:
    """Iterate up to `bound` loops from a state and say when each group first comes back to it.

    An orbit that turns by an irrational angle comes back within d after about 1/d loops, so in some thousand loops not
    to within rounding; one that turns by p/q does at q, in all its coordinates.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    state : ndarray, state_shape
        A state on the attractor.
    bound : int
        Most loops.

    Returns
    -------
    period : ndarray of int, (groups,)
        The first loop after which the group is back; 0 if it never is.
    gap : ndarray, (groups,)
        The distance then, relative to the largest norm; the least distance of all loops if it is never back.

    Examples
    --------
    >>> import numpy as np
    >>> import dynloop as dl
    >>> from dynloop.orbits.long_return import first_returns
    >>> period, gap = first_returns(dl.zoo.circle(0.3, 0.0), np.array([0.1]), 100)
    >>> int(period[0]), bool(gap[0] < 1e-12)
    (10, True)
    """
    groups = m.rows if m.causal else 1
    reference = m.native(state[None])
    now, done = reference, 0
    period, gap = np.zeros(groups, dtype=np.int64), np.full(groups, np.inf)
    size = np.full(m.rows, np.finfo(float).tiny)
    while done < bound and not period.all():
        window = m.watch(now, min(_AT_ONCE, bound - done), reference)
        size = np.fmax(size, window.norms[:, 0].max(axis=0))
        away = window.returns[:, 0] / size
        away = away if m.causal else away.max(axis=1, keepdims=True)
        for g in np.flatnonzero(period == 0):
            back = np.flatnonzero(away[:, g] <= _RETURN)
            if len(back):
                period[g], gap[g] = done + back[0] + 1, away[back[0], g]
            else:
                gap[g] = np.fmin(gap[g], away[:, g].min())
        now, done = window.states, done + len(away)
    return period, gap
