"""`Partition`: the cells around the points of a grid, their borders, and which cell a state lies in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dynloop.basins.sampling import checked_axes
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["ANYWHERE", "OUTSIDE", "Partition"]

OUTSIDE, ANYWHERE = -1, -2  # nodes of a graph of cells that are no cells
_MOST = 4_000_000  # cells
_WHOLE = 1e-9  # of a turn, by which the borders of a grid of all of a circle may be off


class Partition:
    """The cells of a grid.

    Parameters
    ----------
    m : LoopMap
        The map; it knows the angles.
    grid : tuple of 1-D arrays
        The middles of the cells, one array a coordinate. Borders are halfway between neighbours; the first and the last
        cell reach as far outward as inward.
    """

    def __init__(self, m: LoopMap, grid: Any) -> None:
        self.m, self.axes = m, checked_axes(m, grid)
        self.shape = tuple(len(axis) for axis in self.axes)
        self.count = math.prod(self.shape)
        if self.count > _MOST:
            raise InvalidArgumentError(f"grid has {self.count} cells; up to {_MOST} are mapped: take fewer an axis")
        self.borders = [_borders(axis) for axis in self.axes]
        lengths = np.full(m.dimension, np.nan) if m.periods is None else np.ravel(m.periods)
        self.turns = lengths  # nan where a coordinate is no angle
        self.whole = np.array([b[-1] - b[0] >= t * (1 - _WHOLE) for b, t in zip(self.borders, lengths, strict=True)])

    def boxes(self, cells: Array) -> tuple[Array, Array]:
        """Return the lower and the upper borders of cells, ``(cells, n)`` each."""
        index = np.unravel_index(cells, self.shape)
        low = np.stack([b[i] for b, i in zip(self.borders, index, strict=True)], axis=1)
        high = np.stack([b[i + 1] for b, i in zip(self.borders, index, strict=True)], axis=1)
        return low, high

    def volumes(self) -> Array:
        """Return the share of the grid's volume that every cell has, flat."""
        found = np.ones(1)
        for border in self.borders:
            found = np.multiply.outer(found, np.diff(border) / (border[-1] - border[0]))
        return found.ravel()

    def cell_of(self, states: Array) -> Array:
        """Return the cell of every state ``(batch, n)``, flat; −1 outside, or where a state is not finite."""
        found, inside = np.zeros(len(states), dtype=np.int64), np.asarray(np.isfinite(states).all(axis=1))
        states = np.where(inside[:, None], states, 0.0)
        for j, border in enumerate(self.borders):
            x, turn = states[:, j], self.turns[j]
            if np.isfinite(turn):
                x = x - np.floor((x - border[0]) / turn) * turn
            n = self.shape[j]
            i = np.searchsorted(border, x, "right") - 1
            i = np.where((i == n) & ((x == border[-1]) | self.whole[j]), n - 1, i)
            inside &= (i >= 0) & (i < n)
            found = found * n + np.clip(i, 0, n - 1)
        return np.where(inside, found, OUTSIDE)

    def images(self, points: int, at_once: int) -> Iterator[tuple[Array, Array]]:
        """Yield cells ``(k,)`` and the cells of the images of the points in each, ``(k, points^n)``.

        The points are the middles of `points` equal parts of every side.
        """
        n, each = self.m.dimension, points**self.m.dimension
        parts = (np.stack(np.unravel_index(np.arange(each), (points,) * n), axis=1) + 0.5) / points
        step = max(1, at_once // each)
        for first in range(0, self.count, step):
            cells = np.arange(first, min(first + step, self.count))
            low, high = self.boxes(cells)
            x = low[:, None] + parts * (high - low)[:, None]
            states = self.m.native(x.reshape(-1, *self.m.state_shape))
            with np.errstate(all="ignore"):
                moved = self.m.numpy(self.m(states)).reshape(-1, n)
            yield cells, self.cell_of(moved).reshape(len(cells), each)


def _borders(axis: Array) -> Array:
    middles = (axis[1:] + axis[:-1]) / 2
    return np.concatenate([[2 * axis[0] - middles[0]], middles, [2 * axis[-1] - middles[-1]]])
