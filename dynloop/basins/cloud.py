"""Attractors that are no cycles: samples of an orbit, whether two are one set, and whether it attracts."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dynloop.basins.attractors import wrapped
from dynloop.basins.separation import clear
from dynloop.maps.base import Array, LoopMap

__all__ = [
    "alike",
    "attracts",
    "box",
    "invariant",
    "same",
    "sample",
    "stationary",
    "to_nearest",
    "turned",
    "typical_gap",
]

SAMPLE = 8192  # states of an orbit that are kept
_DENSER = 3.0  # how much thinner a set may seem among the states of another orbit than among those of its own
_TREES = 16  # coordinates up to which a tree finds neighbours sooner than all products do
_PAIRS = 2**22  # of states, held at once
_PUSHED = 64
_PUSH = 3.5  # times as far off the set as what passes for a state on it
_RETURN = 4096  # loops in which they come back


def box(m: LoopMap) -> Array | None:
    """Return the lengths of the angles of a flat state, 0 where a coordinate is none; None without angles."""
    return None if m.periods is None else np.nan_to_num(m.periods.reshape(-1), nan=0.0)


def turned(m: LoopMap, points: Array) -> Array:
    """Return flat states with angles in [0, period), as the tree wants them."""
    lengths = box(m)
    if lengths is None:
        return points
    length = np.where(lengths > 0, lengths, 1.0)
    found = points - np.floor(points / length) * length
    found = np.where(found >= length, 0.0, found)
    return np.asarray(np.where(lengths > 0, found, points))


def to_nearest(m: LoopMap, points: Array, of: Array) -> Array:
    """Return the distance of each of some flat states to the nearest of others, ``(points,)``."""
    if m.periods is not None or m.dimension <= _TREES:
        return np.asarray(cKDTree(turned(m, of), boxsize=box(m)).query(turned(m, points))[0])
    middle, found = of.mean(axis=0), np.empty(len(points))
    centred = of - middle
    square, piece = np.square(centred).sum(axis=1), max(1, _PAIRS // len(of))
    for first in range(0, len(points), piece):
        some = points[first : first + piece]
        nearest = (square - 2 * (some - middle) @ centred.T).argmin(axis=1)
        found[first : first + piece] = np.linalg.norm(some - of[nearest], axis=1)
    return found


def _gap(m: LoopMap, points: Array, of: Array) -> float:
    """Return the median distance from points to the nearest of others."""
    return float(np.median(to_nearest(m, points, of)))


def typical_gap(m: LoopMap, points: Array) -> float:
    """Return the median distance from a state of one half of a sample to the nearest of the other."""
    return _gap(m, *_halves(points))


def _halves(points: Array) -> tuple[Array, Array]:
    """Split a sample in two by lot: every second state would be one band of a set that orbits visit in turn."""
    order = np.random.default_rng(0).permutation(len(points))
    half = len(points) // 2
    return points[order[:half]], points[order[half : 2 * half]]


def alike(m: LoopMap, points: Array) -> float:
    """Return by what factor distances to a sample may be larger and still be those of states on its set.

    It is that of a set three times as thin, 3^{1/D}. D is how the set fills space, by how much farther the nearest
    of a quarter as many states is: in many dimensions all distances are nearly the same, and a little more is off.
    """
    some, of = _halves(points)
    near, far = _gap(m, some, of), _gap(m, some, of[: len(of) // 4])
    if not far > near > 0:
        return float(_DENSER ** (1 / m.dimension))
    return float(_DENSER ** (1 / np.clip(np.log(4) / np.log(far / near), 1, m.dimension)))


def stationary(m: LoopMap, points: Array) -> bool:
    """Say whether the second half of a sample lies where the first does: an orbit that still drifts leaves it."""
    half = len(points) // 2
    first, second = points[:half], points[half:]
    inside = alike(m, points) * max(typical_gap(m, first), typical_gap(m, second))
    return max(_gap(m, second, first), _gap(m, first, second)) <= inside + _rounding(m, points)


def same(m: LoopMap, points: Array, others: Array) -> bool:
    """Say whether two samples lie on one set: as near to each other as each to itself, and not clear along a line."""
    few = min(len(points), len(others))
    (a, rest), (b, left) = _halves(points[:few]), _halves(others[:few])
    factor = min(alike(m, points[:few]), alike(m, others[:few]))
    inside = factor * max(_gap(m, a, rest), _gap(m, b, left))
    if max(_gap(m, a, left), _gap(m, b, rest)) > inside + _rounding(m, points):
        return False
    return not clear(m, points, others)


def invariant(m: LoopMap, points: Array) -> bool:
    """Say whether a map takes the states of a sample to states that pass for ones of its set."""
    with np.errstate(all="ignore"):
        states = m.native(points.reshape(-1, *m.state_shape))
        ends = m.numpy(m.watch(states, 1, states).states).reshape(points.shape)
    if not np.isfinite(ends).all():
        return False
    inside = alike(m, points) * typical_gap(m, points)
    return _gap(m, ends, points) <= inside + _rounding(m, points)


def attracts(m: LoopMap, points: Array, scale: Array) -> bool:
    """Say whether states pushed off a set in drawn directions come back to it.

    They are pushed 3.5 times as far as would pass for a state on it: ten gaps of a curve, part of one in many
    dimensions. After 4096 loops half must be as near as states on the set, and nine tenths nearer than they were
    pushed. A direction that was not drawn, or a basin that ends nearer than that push, is not seen.
    """
    gap, factor = max(typical_gap(m, points), _rounding(m, points)), alike(m, points)
    rng = np.random.default_rng(0)
    chosen = points[np.linspace(0, len(points) - 1, _PUSHED).astype(int)]
    drawn = rng.standard_normal(chosen.shape) * scale
    push = _PUSH * gap * np.sqrt(factor**2 - 1)
    pushed = chosen + push * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        states = m.native(pushed.reshape(-1, *m.state_shape))
        ends = m.numpy(m.watch(states, _RETURN, states).states).reshape(len(pushed), -1)
    finite = np.isfinite(ends).all(axis=1)
    if finite.mean() < 0.9:
        return False
    back = to_nearest(m, ends[finite], points)
    return float(np.median(back)) <= factor * gap and float(np.quantile(back, 0.9)) <= float(np.hypot(gap, push))


def _rounding(m: LoopMap, points: Array) -> float:
    return 64 * m.precision * float(np.abs(points).max(initial=0.0))


def sample(m: LoopMap, states: Array, loops: int = SAMPLE) -> Array:
    """Return `loops` states of each orbit, angles in [0, period), ``(batch, loops, n)``; nan from where one is lost."""
    record = getattr(m, "record", None)
    if record is not None:
        return _reduced(m, np.asarray(record(m.native(states), loops, 0)))
    found = np.empty((len(states), loops, m.dimension))
    now = m.native(states.reshape(-1, *m.state_shape))
    for t in range(loops):
        now = m.watch(now, 1, now).states
        found[:, t] = m.numpy(now).reshape(len(states), -1)
    return _reduced(m, found)


def _reduced(m: LoopMap, orbits: Array) -> Array:
    if m.periods is None:
        return orbits
    with np.errstate(invalid="ignore"):
        return wrapped(m, orbits.reshape(*orbits.shape[:2], *m.state_shape)).reshape(orbits.shape)
