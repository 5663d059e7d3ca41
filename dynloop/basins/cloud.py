"""Attractors that are no cycles: samples of an orbit, whether two are one set, whether it attracts, and its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dynloop.maps.base import Array, LoopMap

__all__ = ["Cells", "attracts", "cells_of", "joined_cells", "same", "sample", "stationary", "typical_gap"]

SAMPLE = 8192  # states of an orbit that are kept
_SIDES = (128, 64, 32, 16)  # cells along a side that are tried
_LARGEST = 2**22  # cells of one set
_ALIKE = 3.0  # how much farther the states of another orbit may lie than those of the same, in the median
_PUSHED = 64
_PUSH = 10.0  # gaps by which states are pushed
_RETURN = 4096  # loops in which they come back


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of sets, as `maps.compiled.captures.capture_loop` takes them.

    Attributes
    ----------
    low, inverse : ndarray, (sets, n)
        Corner of the cells, inverse of their sides.
    counts : ndarray of int64, (sets, n)
        How many there are.
    offset : ndarray of int64, (sets,)
        Where the bits of a set begin.
    bits : ndarray of uint8
        1 where a cell, or one beside it, was visited.
    labels : ndarray of int64, (sets,)
        Whose they are.
    """

    low: Array
    inverse: Array
    counts: Array
    offset: Array
    bits: Array
    labels: Array


def _tree(m: LoopMap, points: Array) -> cKDTree:
    return cKDTree(_turned(m, points), boxsize=_box(m))


def _box(m: LoopMap) -> Array | None:
    return None if m.periods is None else np.nan_to_num(m.periods.reshape(-1), nan=0.0)


def _turned(m: LoopMap, points: Array) -> Array:
    """Return flat states with angles in [0, period), as the tree wants them."""
    box = _box(m)
    if box is None:
        return points
    length = np.where(box > 0, box, 1.0)
    turned = points - np.floor(points / length) * length
    turned = np.where(turned >= length, 0.0, turned)
    return np.asarray(np.where(box > 0, turned, points))


def _gap(m: LoopMap, points: Array, of: Array) -> float:
    """Return the median distance from points to the nearest of others."""
    return float(np.median(_tree(m, of).query(_turned(m, points))[0]))


def typical_gap(m: LoopMap, points: Array) -> float:
    """Return the median distance from a state of one half of a sample to the nearest of the other."""
    return _gap(m, *_halves(points))


def _halves(points: Array) -> tuple[Array, Array]:
    """Split a sample in two by lot: every second state would be one band of a set that orbits visit in turn."""
    order = np.random.default_rng(0).permutation(len(points))
    half = len(points) // 2
    return points[order[:half]], points[order[half : 2 * half]]


def stationary(m: LoopMap, points: Array) -> bool:
    """Say whether the second half of a sample lies where the first does: an orbit that still drifts leaves it."""
    half = len(points) // 2
    first, second = points[:half], points[half:]
    inside = max(typical_gap(m, first), typical_gap(m, second))
    return max(_gap(m, second, first), _gap(m, first, second)) <= _ALIKE * inside + _rounding(m, points)


def same(m: LoopMap, points: Array, others: Array) -> bool:
    """Say whether two samples lie on one set: as near to each other as each to itself."""
    few = min(len(points), len(others))
    (a, rest), (b, left) = _halves(points[:few]), _halves(others[:few])
    inside = max(_gap(m, a, rest), _gap(m, b, left))
    return max(_gap(m, a, left), _gap(m, b, rest)) <= _ALIKE * inside + _rounding(m, points)


def attracts(m: LoopMap, points: Array, scale: Array) -> bool:
    """Say whether states pushed off a set come back to it: nine tenths of them, to within three gaps."""
    gap = max(typical_gap(m, points), _rounding(m, points))
    rng = np.random.default_rng(0)
    chosen = points[np.linspace(0, len(points) - 1, _PUSHED).astype(int)]
    drawn = rng.standard_normal(chosen.shape) * scale
    pushed = chosen + _PUSH * gap * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        states = m.native(pushed.reshape(-1, *m.state_shape))
        ends = m.numpy(m.watch(states, _RETURN, states).states).reshape(len(pushed), -1)
    finite = np.isfinite(ends).all(axis=1)
    if finite.mean() < 0.9:
        return False
    gaps = _tree(m, points).query(_turned(m, ends[finite]))[0]
    return float(np.median(gaps)) <= _ALIKE * gap and float(np.quantile(gaps, 0.9)) <= _PUSH * gap


def _rounding(m: LoopMap, points: Array) -> float:
    return 64 * m.precision * float(np.abs(points).max(initial=0.0))


def sample(m: LoopMap, states: Array, loops: int = SAMPLE) -> Array:
    """Return `loops` states of each orbit, ``(batch, loops, n)``; nan from where one is lost."""
    record = getattr(m, "record", None)
    if record is not None:
        return np.asarray(record(m.native(states), loops, 0))
    found = np.empty((len(states), loops, m.dimension))
    now = m.native(states.reshape(-1, *m.state_shape))
    for t in range(loops):
        now = m.watch(now, 1, now).states
        found[:, t] = m.numpy(now).reshape(len(states), -1)
    return found


def cells_of(m: LoopMap, points: Array, others: Array, label: int = 0) -> Cells | None:
    """Return the cells of a set, as fine as the sample can tell; None where it fills none well.

    The sides are the finest for which every state of the second half lies in a cell of the first half or beside one.
    Cells that hold states `others` ``(states, n)`` of another attractor, or lie beside one that does, are left out.
    """
    n = points.shape[1]
    half = len(points) // 2
    for sides in _SIDES:
        if (sides + 2) ** n > _LARGEST:
            continue
        low, inverse, counts = _corner(m, points, sides)
        first = _filled(_places(m, points[:half], low, inverse), counts, _angles(m))
        inside = first[tuple(np.minimum(_places(m, points[half:], low, inverse), counts - 1).T)]
        if inside.all():
            bits = _filled(_places(m, points, low, inverse), counts, _angles(m))
            foreign = _places(m, others, low, inverse)
            foreign = foreign[((foreign >= 0) & (foreign < counts)).all(axis=1)]
            bits[_filled(foreign, counts, _angles(m)) > 0] = 0
            one = np.array([label], dtype=np.int64)
            return Cells(low[None], inverse[None], counts[None], np.zeros(1, dtype=np.int64), bits.ravel(), one)
    return None


def joined_cells(parts: Sequence[Cells], n: int) -> Cells:
    """Return the cells of several sets as one; of none, no cells in n coordinates."""
    whole = np.empty(0, dtype=np.int64)
    empty = Cells(
        np.empty((0, n)), np.empty((0, n)), np.empty((0, n), dtype=np.int64), whole, np.zeros(0, dtype=np.uint8), whole
    )
    parts = [empty, *parts]
    found = {name: np.concatenate([getattr(one, name) for one in parts]) for name in Cells.__slots__}
    begin = np.cumsum([0, *(len(one.bits) for one in parts[1:])])[:-1]
    return Cells(**{**found, "offset": begin.astype(np.int64)})


def _angles(m: LoopMap) -> Array:
    box = _box(m)
    return np.zeros(m.dimension, dtype=bool) if box is None else box > 0


def _corner(m: LoopMap, points: Array, sides: int) -> tuple[Array, Array, Array]:
    """Return corner, inverse sides and counts of cells about a set; of an angle, all the way round."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(high - low, 1e-9 * np.abs(points).max() + 1e-300)
    inverse = sides / extent
    low = low - 1 / inverse  # a ring of cells about it
    counts = np.full(len(low), sides + 3, dtype=np.int64)
    angles, box = _angles(m), _box(m)
    if box is not None:
        low, inverse = np.where(angles, 0.0, low), np.where(angles, sides / np.where(angles, box, 1.0), inverse)
        counts = np.where(angles, sides, counts)
    return low, inverse, counts


def _places(m: LoopMap, points: Array, low: Array, inverse: Array) -> Array:
    return np.asarray(np.floor((_turned(m, points) - low) * inverse).astype(np.int64))


def _filled(places: Array, counts: Array, angles: Array) -> Array:
    """Return bits of the cells visited, and of those beside them."""
    bits = np.zeros(tuple(counts), dtype=np.uint8)
    bits[tuple(np.minimum(places, counts - 1).T)] = 1
    for axis in range(bits.ndim):
        before, after = np.roll(bits, 1, axis), np.roll(bits, -1, axis)
        if not angles[axis]:
            before[(slice(None),) * axis + (0,)] = 0
            after[(slice(None),) * axis + (-1,)] = 0
        bits |= before | after
    return bits
