"""`by_recurrence`: a mapper of a compiled map whose attractors are found by recurrence on a sparse grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.attractors import UNDECIDED, UNMATCHED, Attractor, Mapper, Progress, numbered, one_map
from dynloop.basins.balls import Balls, balls, joined
from dynloop.basins.finding import chosen, extents, find_attractors
from dynloop.basins.occupied import Cells, cells_of, joined_cells
from dynloop.basins.ranges import Range
from dynloop.basins.set_ranges import set_range
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap

__all__ = ["LOOPS", "MOST", "CompiledMapper", "by_recurrence"]

MOST = 16  # coordinates up to which neighbourhoods are ellipsoids
LOOPS = 4096
_STAY = 64  # states in a row in the cells of a set
_PIECE = 65536  # starts between two calls of progress
_LONGEST, _TOLERANCE = 64, 1e-12  # of a return: as good as rounding allows, or the orbit may still be leaving


class CompiledMapper(Mapper):
    """A mapper of a compiled map: an orbit belongs to the attractor whose neighbourhood captures it.

    Parameters
    ----------
    m : KernelMap
        The map.
    attractors : iterable of Attractor
        Numbered anew; cycles without a neighbourhood that F was seen to shrink are left out.
    scale : ndarray, (n,)
        Sizes of the coordinates; no neighbourhood is wider.
    loops : int
        Budget of loops of each start.
    finds : bool
        Whether `extended` looks for more attractors.
    """

    def __init__(
        self, m: KernelMap, attractors: Iterable[Attractor], scale: Array, loops: int, *, finds: bool = True
    ) -> None:
        self.map: KernelMap = m
        one_map(m)
        self.loops, self.scale, self.finds = loops, scale, finds
        given = numbered(m, attractors)
        kept: list[Attractor] = []
        around: list[Balls] = []
        within: list[Cells] = []
        self._ranges: list[Range] = []
        for one in given:
            label = len(kept) + 1
            rest = [other.points for other in given if other is not one]
            others = np.concatenate([np.empty((0, m.dimension)), *rest])
            if one.period > 0:
                ball = balls(m, one.points, others, scale, label)
                if ball is None:
                    continue
                around.append(ball)
            else:
                cells = cells_of(m, one.points, others, label)
                if cells is not None:
                    within.append(cells)
                else:
                    self._ranges.append(set_range(m, replace(one, label=label), others, one.points[:0]))
            kept.append(replace(one, label=label))
        self.attractors = tuple(kept)
        self._balls, self._cells = joined(around, m.dimension), joined_cells(within, m.dimension)

    def label(self, starts: Any, *, progress: Progress | None = None) -> tuple[Array, Array]:
        """Label starts, and say how long each took: see `Mapper.label`."""
        states = self.map.native(starts, "starts")
        labels, loops = np.empty((2, len(states)), dtype=np.int64)
        balls, cells = self._balls, self._cells
        near = (balls.centres, balls.half, balls.metrics, balls.labels)
        held = (cells.low, cells.inverse, cells.counts, cells.offset, cells.bits, cells.labels)
        for first in range(0, len(states), _PIECE):
            rows = slice(first, first + _PIECE)
            labels[rows], loops[rows], ends = self.map.capture(states[rows], self.loops, _STAY, *near, *held)
            left = np.flatnonzero(labels[rows] == UNDECIDED)
            if len(left):
                settled = self.map.find_periods(ends[left], 0, _LONGEST, _TOLERANCE) > 0
                labels[first + left[settled]] = UNMATCHED
                self._near_sets(states, labels, loops, first + left[~settled])
            if progress is not None:
                progress(min(first + _PIECE, len(states)), len(states))
        return labels, loops

    def _near_sets(self, states: Array, labels: Array, loops: Array, rows: Array) -> None:
        """Label rows, in place, by the sets that have no cells, if they stay as near to one as its own states."""
        if len(rows) and any(one.radius > 0 for one in self._ranges):
            from dynloop.basins.batches import capture  # imports torch

            labels[rows], loops[rows] = capture(self.map, states[rows], self._ranges, self.loops)

    def settings(self) -> tuple[Any, ...]:
        """Return what decides labels: see `Mapper.settings`."""
        return self.loops, self.finds, self.scale

    def extended(self, starts: Any) -> CompiledMapper:
        """Return a mapper that also knows the attractors which up to 64 of these starts lead to."""
        if not self.finds:
            return self
        few = chosen(self.map.native(starts, "starts"))
        new = find_attractors(self.map, few, self.attractors, self.scale)
        if not new:
            return self
        larger = CompiledMapper(self.map, (*self.attractors, *new), self.scale, self.loops)
        return larger if len(larger.attractors) > len(self.attractors) else self


def by_recurrence(m: KernelMap, starts: Any, *, loops: int = LOOPS) -> Mapper:
    """Make a mapper whose attractors are found by recurrence on a sparse grid, from a few of the starts.

    Parameters
    ----------
    m : KernelMap
        A compiled map of up to 16 coordinates.
    starts : array, (batch, n)
        The region: 64 of them are followed to find attractors; its sides are the sizes of the coordinates.
    loops : int
        Budget of loops of each start that is labelled.

    Returns
    -------
    Mapper
        ``mapper(starts)`` labels any starts of the map; ``mapper.extended(starts)`` learns more attractors.

    Raises
    ------
    InvalidArgumentError
        If the map is not compiled or has more coordinates, or a start is not finite.
    ShapeError
        If `starts` does not fit the map.

    Notes
    -----
    See `find_attractors` for how attractors are found. A start is labelled by the first neighbourhood that captures
    its orbit: about the points of a cycle, an ellipsoid that F^p was seen to shrink at thousands of points
    (`basins.balls`); of another set, 64 states in a row in the cells that it fills, or beside them; where these are too
    many, above five coordinates, means of its distance to a sample (`basins.set_ranges`) as small as those of states
    on the set, and −2 where the sample is too thin to tell. All of it is evidence by sampling. A start on the stable
    set of a saddle is −3.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.zoo.grebogi()
    >>> mapper = dl.by_recurrence(m, m.start(0, 100))
    >>> [one.points[0].round(3).tolist() for one in mapper.attractors]
    [[0.0, -0.3], [3.142, 0.3]]
    >>> mapper([[0.3, -0.2], [3.0, 0.3]])
    array([1, 2])
    """
    if not isinstance(m, KernelMap) or m.dimension > MOST:
        raise InvalidArgumentError(
            f"by_recurrence takes a KernelMap of up to {MOST} coordinates; got {m!r}. Use by_classification."
        )
    states, _ = m.batch(starts)
    return CompiledMapper(m, (), extents(states), checked_loops(loops)).extended(states)


def checked_loops(loops: Any) -> int:
    """Return a budget of loops if it is one; raise otherwise."""
    return checked_int(loops, "loops", 8, meaning="the budget per start", remedy="Leave it out to have one chosen")
