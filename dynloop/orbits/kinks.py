"""Whether a solved orbit that its multipliers call stable repels states on one side, the map having a kink there."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["repels_beside_a_kink"]

_BESIDE = 1e-7  # distance of the states that are tried, relative to every row
_SMOOTH = 1e-3  # largest ratio of even to odd part that a smooth map may show at that distance
_ROUNDS = (64, 256, 1024)  # after which it is asked where the states are; between, those that neither came nor left
_AWAY = 10.0  # a state has left if it is so many times as far


def repels_beside_a_kink(m: LoopMap, point: Array, period: int, groups: int) -> bool:
    """Compare both sides of a solution in two directions; where they differ, see whether a state on one side leaves.

    The derivative at a kink is that of one side. An orbit that rounding put on the edge of a clamp may so be solved to
    a point that is stable outwards and unstable inwards.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    point : ndarray, state_shape
        A solution of ``F^period(x) = x``.
    period, groups : int
        Its period, and how many leading tokens are solved for (of a causal map).

    Notes
    -----
    A side that repels by less than about 1.002 a round is not seen to.
    """
    beside = _displacements(m, point, groups)
    states = np.concatenate([point[None], point + beside, point - beside])
    at, *sides = np.split(_after(m, states, period), [1, 3])
    plus, minus = (m.displacement(side, at[0]) for side in sides)
    odd, even = row_norms(m, plus - minus), row_norms(m, plus + minus)
    moved = row_norms(m, beside)
    kinked = even > _SMOOTH * np.maximum(odd, moved)
    if np.all(np.isfinite(odd + even)) and not np.any(kinked[:, :groups] if m.causal else kinked):
        return False
    states, done = states[1:], 0
    first = np.concatenate([moved, moved])
    first = first[:, :groups] if m.causal else first
    for rounds in _ROUNDS:
        states, done = _after(m, states, (rounds - done) * period), rounds
        far = row_norms(m, m.displacement(states, at[0]))
        far = far[:, :groups] if m.causal else far
        if not np.all(far <= _AWAY * first):  # nan has left too
            return True
        if np.all(far <= first):
            return False
    return False


def _after(m: LoopMap, states: Array, loops: int) -> Array:
    start = m.native(states)
    return np.asarray(m.numpy(m.watch(start, loops, start).states))


def _displacements(m: LoopMap, point: Array, groups: int) -> Array:
    """Return two small displacements ``(2, *state_shape)``, of the leading tokens alone where only these are solved."""
    drawn = np.random.default_rng(0).standard_normal((2, *point.shape))
    if m.causal:
        drawn[:, groups:] = 0
    sizes = row_norms(m, m.displacement(point, np.zeros_like(point))[None])[0]
    wanted = _BESIDE * np.maximum(sizes, max(1e-3 * float(sizes.max()), np.finfo(float).tiny / _BESIDE))
    own = row_norms(m, drawn)
    scale = np.divide(wanted, own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(drawn * (scale.reshape(2, *m.state_shape[:-1], 1) if len(m.state_shape) > 1 else scale))
