"""`basins`: the label of every start of a grid, and how long it took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynloop.basins.agreement import checked_mapper, probes
from dynloop.basins.attractors import DIVERGED, UNDECIDED, UNMATCHED, Attractor, Mapper, Progress
from dynloop.basins.finding import sizes, some_of
from dynloop.basins.kept import Kept
from dynloop.basins.mappers import default_mapper
from dynloop.basins.recurrence import checked_loops
from dynloop.basins.slices import Axes, Grid, Slice, grid_of
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.result import Result

__all__ = ["Basins", "basins"]

_FEW = 64  # starts that are looked at for attractors first
_ROUNDS = 8  # in which those that no attractor captured are looked at
_PIECE = 2**16  # starts that are held at a time, of two coordinates
_NUMBERS = 2**24  # coordinates that are held at a time


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Basins(Result):
    """Where every start of a grid goes.

    Attributes
    ----------
    labels : ndarray of int64, the shape of the grid
        Attractors from 1; −1 diverged, −2 undecided within the budget, −3 settled on something else (see `Mapper`).
        ``labels[i, j]`` belongs to ``(axes[0][i], axes[1][j])``.
    attractors : tuple of Attractor
        ``attractors[i].label`` is i + 1.
    fractions : ndarray, (attractors,)
        Share of the grid of each basin; with `diverged`, `undecided` and `unmatched` they sum to 1.
    loops : ndarray of int64, the shape of the grid
        Loops until the orbit was captured, or diverged; those spent where it did neither.
    diverged, undecided, unmatched : float
        Shares of the labels −1, −2 and −3.
    axes : tuple of ndarray
        The values along every axis of the grid.
    plane : Slice or None
        The plane, where the grid is one: labels belong to its states.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.basins(dl.zoo.newton(), (np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    >>> found.labels.shape, found.fractions.shape, round(float(found.fractions.sum()) + found.undecided, 12)
    ((60, 60), (3,), 1.0)
    """

    labels: Array
    attractors: tuple[Attractor, ...]
    fractions: Array
    loops: Array
    diverged: float
    undecided: float
    unmatched: float
    axes: tuple[Array, ...]
    plane: Slice | None
    settings: dict[str, Any]

    def summary(self) -> str:
        """Say in one line which share of the grid goes where."""
        parts = [f"{share:.2%} to {label}" for label, share in enumerate(self.fractions, 1)]
        for name in ("diverged", "undecided", "unmatched"):
            if getattr(self, name):
                parts.append(f"{getattr(self, name):.2%} {name}")
        count = len(self.attractors)
        return f"{count} attractor{'' if count == 1 else 's'}; {', '.join(parts)}"

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.labels.shape))
        lines = [f"Basins of {self.settings.get('map', 'a map')} on {shape} starts: {self.summary()}"]
        lines += [f"  {one!r}" for one in self.attractors[:8]]
        if len(self.attractors) > 8:
            lines.append(f"  … and {len(self.attractors) - 8} more")
        return "\n".join(lines)


def basins(
    m: LoopMap,
    grid: Any,
    *,
    mapper: Mapper | None = None,
    loops: int | None = None,
    keep: Any = None,
    progress: Progress | None = None,
) -> Basins:
    """Label every start of a grid by the attractor that it goes to.

    Parameters
    ----------
    m : LoopMap
        The map.
    grid : tuple of 1-D arrays, or Slice
        One axis a coordinate; or `plane`, `box` and their like, a slice of a large state space.
    mapper : Mapper, optional
        What labels starts. Left out, attractors are found: by recurrence for compiled maps of up to 16 coordinates
        (`by_recurrence`), else by `classify` (`by_classification`).
    loops : int, optional
        Budget of loops of each start, 4096 if left out; not with a mapper, which has its own.
    keep : path-like, optional
        A folder where finished pieces are kept. If the computation is interrupted, the same call goes on from there.
    progress : callable, optional
        Called as ``progress(starts done, starts)``.

    Returns
    -------
    Basins
        Labels, attractors, fractions, loops.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, `mapper` is one of another map, or `keep` holds another computation.
    ShapeError
        If the grid does not fit the map.

    Notes
    -----
    Some of the starts are followed to find attractors; all are labelled by those; and where some settle on nothing
    known, or stay undecided, some of them are followed in turn, in up to eight rounds. So an attractor is missed only
    if none of those looked at of the starts that no other captured leads to it, and these starts are −2 or −3, not
    another's. Neither the order of the axes' values nor threads change a label. Memory is 24 bytes a start, and some
    megabytes.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> found = dl.basins(dl.zoo.newton(), (np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    >>> len(found.attractors), found.labels.shape
    (3, (60, 60))
    """
    m = as_map(m)
    if mapper is not None and not isinstance(mapper, Mapper):
        raise InvalidArgumentError(
            f"mapper must be a mapper of {m.name}, made by by_recurrence or its like; got {type(mapper).__name__}. "
            "Leave it out for one that is made"
        )
    if mapper is not None and loops is not None:
        raise InvalidArgumentError("loops and mapper were both given; a mapper has its own budget: give it that one")
    if loops is not None:
        loops = checked_loops(loops)
    on = grid_of(m, grid)
    count = math.prod(on.shape)
    if mapper is not None:
        checked_mapper(m, mapper, probes(m, on))
    store = None if keep is None else Kept(Path(keep), m, on, loops, mapper)
    if mapper is None:
        mapper = default_mapper(m, _few(on), _scale(on), loops)
    labels, taken = np.full((2, count), UNDECIDED, dtype=np.int64)
    piece = int(min(_PIECE, max(64, _NUMBERS // m.dimension)))
    for first in range(0, count, piece):
        rows = np.arange(first, min(first + piece, count))
        done = None if store is None else store.read(first, len(rows), mapper.attractors)
        if done is None:
            done = mapper.label(on.states(rows))
            if store is not None:
                store.write(first, *done, mapper.attractors)
        labels[rows], taken[rows] = done
        if progress is not None:
            progress(int(rows[-1]) + 1, count)
    mapper = _rest(mapper, on, labels, taken, piece)
    shares = np.bincount(labels - UNMATCHED, minlength=4 + len(mapper.attractors)) / count
    return Basins(
        labels=labels.reshape(on.shape), attractors=mapper.attractors, fractions=shares[1 - UNMATCHED :],
        loops=taken.reshape(on.shape), diverged=float(shares[DIVERGED - UNMATCHED]),
        undecided=float(shares[UNDECIDED - UNMATCHED]), unmatched=float(shares[0]), axes=on.axes,
        plane=on if isinstance(on, Slice) else None,
        settings={"map": m.name, "layers": m.layer_names, "dtype": m.dtype_name, "loops": loops,
                  "mapper": type(mapper).__name__},
    )  # fmt: skip


def _rest(mapper: Mapper, on: Grid, labels: Array, taken: Array, piece: int) -> Mapper:
    """Look among the starts that no attractor captured for more attractors; label them, in place, by those."""
    for _ in range(_ROUNDS):
        left = np.flatnonzero((labels == UNMATCHED) | (labels == UNDECIDED))
        if not len(left):
            break
        larger = mapper.extended(on.states(_spread(on, left, _FEW)))
        if larger is mapper:
            break
        again = np.arange(len(labels)) if _taken(mapper, larger) else left
        if len(again) < len(labels):
            _rename(labels, mapper.attractors, larger.attractors)
        mapper = larger
        for first in range(0, len(again), piece):
            rows = again[first : first + piece]
            labels[rows], taken[rows] = mapper.label(on.states(rows))
    return mapper


def _taken(mapper: Mapper, larger: Mapper) -> bool:
    """Say whether a new attractor lies where an earlier one captures, so that starts may be labelled wrongly."""
    old = [one.points for one in mapper.attractors]
    new = [one for one in larger.attractors if not any(np.array_equal(one.points, points) for points in old)]
    if len(new) + len(old) != len(larger.attractors):
        return True  # an earlier one was lost
    return any((mapper(one.points[:64]) > 0).any() for one in new)


def _rename(labels: Array, old: tuple[Attractor, ...], new: tuple[Attractor, ...]) -> None:
    names = np.arange(UNMATCHED, len(old) + 1)
    for one in old:
        names[one.label - UNMATCHED] = next(b.label for b in new if np.array_equal(b.points, one.points))
    labels[:] = names[labels - UNMATCHED]


def _few(on: Grid) -> Array:
    """Return some states of a grid; which ones does not depend on the order of the values of its axes."""
    return on.states(_spread(on, np.arange(math.prod(on.shape)), _FEW))


def _spread(on: Grid, flat: Array, most: int) -> Array:
    """Return up to `most` of some flat indices, in an order and a choice that do not depend on that of the axes."""
    if all(np.all(axis[1:] > axis[:-1]) for axis in on.axes):
        ordered = flat  # they are in order
    else:
        index = np.unravel_index(flat, on.shape)
        ordered = flat[np.lexsort([axis[i] for axis, i in zip(on.axes, index, strict=True)][::-1])]
    return some_of(ordered, most)


def _scale(on: Grid) -> Array:
    """Return the sizes of the coordinates of the region of a grid."""
    widths = np.array([float(np.ptp(axis)) for axis in on.axes])
    if isinstance(on, Axes):
        return sizes(widths, max(float(np.abs(axis).max()) for axis in on.axes))
    sides = (np.abs(on.directions.reshape(len(widths), -1)) * widths[:, None]).sum(axis=0)
    return sizes(sides, float(np.abs(on.origin).max()))
