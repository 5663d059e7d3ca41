"""The cells of a grid that a set fills, in few coordinates: an orbit that stays in them belongs to the set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynloop.basins.cloud import box, turned
from dynloop.maps.base import Array, LoopMap

__all__ = ["Cells", "cells_of", "joined_cells"]

_SIDES = (128, 64, 32, 16)  # cells along a side that are tried
_LARGEST = 2**22  # cells of one set


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
    lengths = box(m)
    return np.zeros(m.dimension, dtype=bool) if lengths is None else lengths > 0


def _corner(m: LoopMap, points: Array, sides: int) -> tuple[Array, Array, Array]:
    """Return corner, inverse sides and counts of cells about a set; of an angle, all the way round."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = np.maximum(high - low, 1e-9 * np.abs(points).max() + 1e-300)
    inverse = sides / extent
    low = low - 1 / inverse  # a ring of cells about it
    counts = np.full(len(low), sides + 3, dtype=np.int64)
    angles, lengths = _angles(m), box(m)
    if lengths is not None:
        low, inverse = np.where(angles, 0.0, low), np.where(angles, sides / np.where(angles, lengths, 1.0), inverse)
        counts = np.where(angles, sides, counts)
    return low, inverse, counts


def _places(m: LoopMap, points: Array, low: Array, inverse: Array) -> Array:
    return np.asarray(np.floor((turned(m, points) - low) * inverse).astype(np.int64))


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
