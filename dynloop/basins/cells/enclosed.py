"""Edges of an outer approximation: every cell that the image of a cell meets, by interval arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from dynloop.basins.cells.partition import ANYWHERE, OUTSIDE, Partition
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["Enclosure"]

Boxes = list[tuple[list[float], list[float]]]  # low and high borders
_BITS = 64
_SPLITS = 3  # times that a cell is halved along every side, where a branch is not decided on it
_MOST = 50_000_000  # edges
_ROUNDING = 8 * float(np.finfo(float).eps)
_REPORT = 256  # cells between two reports


class Enclosure:
    """Interval images of the cells of a partition.

    Parameters
    ----------
    P : Partition
        The cells, of a `KernelMap`.
    """

    def __init__(self, P: Partition) -> None:
        from dynloop.orbits.certificates.backend import workprec
        from dynloop.orbits.certificates.enclosure import BallMap

        m: Any = P.m
        self.P, self._B = P, BallMap(m)
        self.low, self.high = P.boxes(np.arange(P.count))
        for j in np.flatnonzero(P.whole):  # the cells of a circle leave no gap at the seam
            last = self.high[:, j] == P.borders[j][-1]
            self.high[last, j] = np.maximum(self.high[last, j], _seam(P, int(j)))
        rng = np.random.default_rng(0)
        some = rng.integers(0, P.count, 4)
        with workprec(_BITS):
            self._B.check_word(m, rng.uniform(self.low[some], self.high[some]))

    def bound(self, low: Array, high: Array) -> Boxes | None:
        """Return boxes of doubles that hold the image of a box; None where it could not be bounded."""
        from dynloop.orbits.certificates.backend import workprec

        with workprec(_BITS):
            return _image(self._B, low, high, _SPLITS)

    def edges(self, progress: Callable[[int, int], None] | None) -> tuple[Array, Array]:
        """Return edges ``(k, 2)`` from each closed cell to all that its image meets, and the cells not decided.

        A cell whose image reaches beyond the grid has an edge to −1; one on which a branch of the step is not decided,
        or a value not finite, has one to −2, which stands for every cell and −1.
        """
        P, sources, lows, highs, lost = self.P, [], [], [], []
        for cell in range(P.count):
            parts = self.bound(self.low[cell], self.high[cell])
            if parts is None:
                lost.append(cell)
            else:
                for a, b in parts:
                    sources.append(cell)
                    lows.append(a)
                    highs.append(b)
            if progress is not None and ((cell + 1) % _REPORT == 0 or cell + 1 == P.count):
                progress(cell + 1, P.count)
        n, nowhere = P.m.dimension, np.array(lost, dtype=np.int64)
        edges = _met(P, np.array(sources, dtype=np.int64), np.reshape(lows, (-1, n)), np.reshape(highs, (-1, n)))
        return np.concatenate([edges, np.stack([nowhere, np.full(len(lost), ANYWHERE)], axis=1)]), nowhere


def _seam(P: Partition, j: int) -> float:
    """Return a double beyond the end of the turn that begins at the first border."""
    end = P.borders[j][0] + P.turns[j]
    return float(end + _ROUNDING * (abs(end) + P.turns[j]))


def _image(B: Any, low: Array, high: Array, splits: int) -> Boxes | None:
    """Return boxes of doubles that hold the image of a box; None where it could not be bounded."""
    from dynloop.orbits.certificates.backend import above, below, exact, hull
    from dynloop.orbits.certificates.trace import UndecidedError

    balls = [hull(a, b) for a, b in zip(low, high, strict=True)]
    middle = (low + high) / 2
    try:
        image, _ = B.centred(balls, [exact(float(c)) for c in middle], 1)
        return [([below(v) for v in image.values], [above(v) for v in image.values])]
    except UndecidedError:
        if splits == 0:
            return None
    found = []
    for corner in product((0, 1), repeat=len(low)):
        upper = np.array(corner, dtype=bool)
        part = _image(B, np.where(upper, middle, low), np.where(upper, high, middle), splits - 1)
        if part is None:
            return None
        found += part
    return found


def _met(P: Partition, sources: Array, low: Array, high: Array) -> Array:
    """Return edges from sources to every closed cell that a box meets, and to −1 where it may leave the grid."""
    ranges, leaves = [], np.zeros(len(sources), dtype=bool)
    for j in range(low.shape[1]):
        found, out = _ranges(P, j, low[:, j], high[:, j])
        ranges.append(found)
        leaves |= out
    edges = [np.stack([sources[leaves], np.full(leaves.sum(), OUTSIDE)], axis=1)]
    for choice in product(*ranges):
        first = np.stack([c[0] for c in choice], axis=1)
        count = np.stack([np.maximum(c[1] - c[0] + 1, 0) for c in choice], axis=1)
        edges.append(_expanded(P, sources, first, count))
    return np.unique(np.concatenate(edges), axis=0)


def _ranges(P: Partition, j: int, low: Array, high: Array) -> tuple[list[tuple[Array, Array]], Array]:
    """Return, for each sheet of an angle, the first and last cell that [low, high] meets; and where it may leave."""
    border, turn = P.borders[j], P.turns[j]
    if not np.isfinite(turn):
        return [_span(border, low, high)], (low < border[0]) | (high > border[-1])
    if P.whole[j]:
        border = border.copy()
        border[-1] = max(border[-1], _seam(P, j))
    spans, inside = [], np.zeros(len(low), dtype=bool)
    with np.errstate(invalid="ignore"):
        first = np.floor((border[0] - low) / turn)
    for sheet in range(int(np.ceil((border[-1] - border[0]) / turn)) + 2):  # from the last that begins before the grid
        moved = (first + sheet) * turn
        slack = _ROUNDING * (np.abs(low) + np.abs(high) + np.abs(moved))
        a, b = low + moved - slack, high + moved + slack
        inside |= (a >= border[0]) & (b <= border[-1])
        spans.append(_span(border, a, b))
    used = [(first, last) for first, last in spans if (first <= last).any()]
    return used, np.zeros_like(inside) if P.whole[j] else ~inside


def _span(border: Array, low: Array, high: Array) -> tuple[Array, Array]:
    return np.searchsorted(border[1:], low, "left"), np.searchsorted(border[:-1], high, "right") - 1


def _expanded(P: Partition, sources: Array, first: Array, count: Array) -> Array:
    """Return an edge for each cell of the box of `count` cells from `first` on, ``(boxes, n)`` each."""
    total = count.prod(axis=1)
    if total.sum() > _MOST:
        raise InvalidArgumentError(
            f"the images of cells meet {int(total.sum())} cells in all, and {_MOST} edges are kept; take a finer or a "
            "smaller grid"
        )
    rows = np.repeat(np.arange(len(sources)), total)
    rest = np.arange(len(rows)) - np.repeat(np.cumsum(total) - total, total)
    target = np.zeros(len(rows), dtype=np.int64)
    place = 1
    for j in range(first.shape[1] - 1, -1, -1):
        own = count[rows, j]
        target += (first[rows, j] + rest % own) * place
        rest //= own
        place *= P.shape[j]
    return np.stack([sources[rows], target], axis=1)
