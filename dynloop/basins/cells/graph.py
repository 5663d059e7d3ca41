"""`cell_graph`: the digraph that a map makes of the cells of a grid, its recurrent sets and its Morse graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.cells.morse import Recurrence
from dynloop.basins.cells.partition import Partition
from dynloop.basins.cells.refined import holds_nothing
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.maps.kernel import KernelMap
from dynloop.result import Result

__all__ = ["CellGraph", "cell_graph"]

_AT_ONCE = 1_000_000  # points that are mapped together
_DIMENSIONS = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class CellGraph(Result):
    """A map on the cells of a grid.

    Attributes
    ----------
    recurrent_sets : tuple of ndarray of int
        Strongly connected components that recur: more than one cell, or a cell that leads to itself. Cells are numbered
        in C order of the grid; `where` gives the middles.
    attracting : ndarray of bool, (sets,)
        Whether no edge leaves a set. Where `rigorous`, this is proof that its cells together are mapped into
        themselves, so that an attractor is in them.
    morse_edges : ndarray of int, (k, 2)
        Pairs of sets: the second is reached from the first, and not only by way of a third.
    edges : ndarray of int64, (k, 2)
        From cell, to cell. −1 is outside the grid; −2 stands for every cell and −1: the image is not known.
    rigorous : bool
        Whether every cell that meets the image of a cell is among its successors: if so, each orbit that stays in the
        grid for all time, past included, is in the recurrent sets, or goes from one to another along the Morse graph.
    undecided : ndarray of int
        Cells whose image is not known (see −2).
    grid : tuple of 1-D arrays
        The middles of the cells.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.cell_graph(dl.zoo.logistic(2.5), (np.linspace(-0.005, 1.005, 200),), outer="interval")
    >>> found.rigorous, found.shape, bool(abs(found.where(1) - 0.6).max() < 0.01)
    (True, (200,), True)
    """

    recurrent_sets: tuple[Array, ...]
    attracting: Array
    morse_edges: Array
    edges: Array
    rigorous: bool
    undecided: Array
    grid: tuple[Array, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells an axis."""
        return tuple(len(axis) for axis in self.grid)

    @property
    def graph(self) -> nx.DiGraph:
        """The digraph, made anew: a node a cell, −1 and −2 where they occur."""
        found = nx.DiGraph()
        found.add_nodes_from(range(int(np.prod(self.shape))))
        found.add_edges_from(self.edges.tolist())
        return found

    @property
    def morse_graph(self) -> nx.DiGraph:
        """The Morse graph, made anew: a node a recurrent set, with ``cells`` (how many) and ``attracting``."""
        found = nx.DiGraph()
        for i, cells in enumerate(self.recurrent_sets):
            found.add_node(i, cells=len(cells), attracting=bool(self.attracting[i]))
        found.add_edges_from(self.morse_edges.tolist())
        return found

    @property
    def sets(self) -> Array:
        """Which recurrent set each cell is in, from 0, in the shape of the grid; −1 in none."""
        found = np.full(int(np.prod(self.shape)), -1)
        for i, cells in enumerate(self.recurrent_sets):
            found[cells] = i
        return found.reshape(self.shape)

    def where(self, i: int) -> Array:
        """Return the middles of the cells of recurrent set `i`, counted from 0, ``(cells, n)``."""
        index = np.unravel_index(self.recurrent_sets[i], self.shape)
        return np.stack([axis[k] for axis, k in zip(self.grid, index, strict=True)], axis=1)

    def __repr__(self) -> str:
        n, kind = len(self.recurrent_sets), "rigorous" if self.rigorous else "sampled, no proof"
        lines = [
            f"CellGraph of {self.settings.get('map', 'a map')}: {int(np.prod(self.shape))} cells, {len(self.edges)} "
            f"edges ({kind}); {n} recurrent set{'' if n == 1 else 's'}"
        ]
        for i in range(min(n, 8)):
            below = [int(b) for a, b in self.morse_edges if a == i]
            said = "attracting" if self.attracting[i] else f"leads to {', '.join(map(str, below)) or 'the outside'}"
            count = len(self.recurrent_sets[i])
            lines.append(f"  {i}: {count} cell{'' if count == 1 else 's'} around {_near(self.where(i))}, {said}")
        if n > 8:
            lines.append(f"  … and {n - 8} more")
        return "\n".join(lines)


def cell_graph(
    m: LoopMap,
    grid: Any,
    *,
    points: int | None = None,
    outer: Any = False,
    refine: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> CellGraph:
    """Map the cells of a grid: which cell leads to which, what recurs, and in which order.

    Parameters
    ----------
    m : LoopMap
        A map of up to three coordinates; for ``outer="interval"`` a `KernelMap`.
    grid : tuple of 1-D arrays
        The middles of the cells, one array a coordinate; borders are halfway between, and the first and the last cell
        reach as far outward as inward. Angles wrap.
    points : int, optional
        Points mapped of each cell, along each side: 16, 4 or 3 in one, two or three dimensions if left out. Only where
        `outer` is False.
    outer : False or "interval"
        Whether images of cells are sampled, or bounded by interval arithmetic; the latter needs python-flint.
    refine : int
        With intervals: how often the cells of a small set that leads elsewhere are halved, to see whether anything in
        them recurs; a set in which nothing does is no recurrent set.
    progress : callable, optional
        ``progress(cells done, cells)``.

    Returns
    -------
    CellGraph
        The graph, recurrent sets, and their order.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, the map has more coordinates, or, with intervals, a step does what has no
        rigorous form.
    ShapeError
        If the grid has another number of axes.
    MissingPackageError
        With intervals, without python-flint.

    Notes
    -----
    Hsu, *Cell-to-Cell Mapping* (1987); Dellnitz and Junge, SIAM J. Numer. Anal. 36 (1999) 491; the outer approximation
    and its Morse graph as in Arai, Kalies, Kokubu, Mischaikow, Oka and Pilarczyk, SIAM J. Appl. Dyn. Syst. 8 (2009)
    757. A sampled image misses cells: what it calls attracting may leak, and a set may be missed. An outer
    approximation errs to the other side: a recurrent set need not hold a recurrent orbit, but none is missed. What is
    proved is of the map's real arithmetic, as in `certify`.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.cell_graph(dl.zoo.logistic(3.2), (np.linspace(-0.005, 1.005, 1000),), outer="interval")
    >>> found.morse_graph.number_of_nodes(), found.morse_edges.tolist(), found.attracting.tolist()
    (3, [[0, 2], [2, 1]], [False, True, False])
    """
    if as_map(m).dimension > _DIMENSIONS:
        raise InvalidArgumentError(
            f"cells are made of up to {_DIMENSIONS} coordinates; {m.name} has {m.dimension}. For a block, label starts "
            "on a plane with basins"
        )
    if outer not in (False, "interval"):
        raise InvalidArgumentError(f'outer must be False or "interval"; got {outer!r}')
    refine = checked_int(refine, "refine", 0, meaning="the most halvings of a cell", remedy="Leave it out for 6")
    P = Partition(m, grid)
    lost = np.empty(0, dtype=np.int64)
    if outer:
        E = _enclosure(P, points)
        edges, lost = E.edges(progress)
    else:
        edges = _sampled(P, points_a_side(points, P.m.dimension, (16, 4, 3)), progress)
    found = Recurrence(edges, P.count)
    if outer:
        found.drop([i for i, cells in enumerate(found.sets) if not found.attracting[i] and _empty(E, cells, refine)])
    return CellGraph(
        recurrent_sets=tuple(found.sets), attracting=found.attracting, morse_edges=found.order(), edges=edges,
        rigorous=bool(outer), undecided=lost, grid=P.axes,
        settings={"map": m.name, "outer": outer, "points": points, "refine": refine},
    )  # fmt: skip


def points_a_side(points: int | None, n: int, default: tuple[int, ...]) -> int:
    """Return how many points are mapped along each side of a cell."""
    if points is None:
        return default[n - 1]
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or not 1 <= points**n <= _AT_ONCE:
        raise InvalidArgumentError(
            f"points must be a positive int, the points of a cell along each side, {_AT_ONCE} in all at most; got "
            f"{points!r}"
        )
    return int(points)


def _enclosure(P: Partition, points: Any) -> Any:
    if points is not None:
        raise InvalidArgumentError('points are of sampled images; leave them out with outer="interval"')
    if not isinstance(P.m, KernelMap):
        raise InvalidArgumentError(
            f'outer="interval" takes a KernelMap; {P.m.name} is a {type(P.m).__name__}: sample it, with outer=False'
        )
    from dynloop.basins.cells.enclosed import Enclosure

    return Enclosure(P)


def _empty(E: Any, cells: Array, halvings: int) -> bool:
    return holds_nothing(E.bound, E.low[cells], E.high[cells], E.P.turns, halvings)


def _sampled(P: Partition, points: int, progress: Callable[[int, int], None] | None) -> Array:
    found = []
    for cells, images in P.images(points, _AT_ONCE):
        images = np.sort(images, axis=1)
        fresh = np.ones(images.shape, dtype=bool)
        fresh[:, 1:] = images[:, 1:] != images[:, :-1]
        row, column = np.nonzero(fresh)
        found.append(np.stack([cells[row], images[row, column]], axis=1))
        if progress is not None:
            progress(int(cells[-1]) + 1, P.count)
    return np.concatenate(found)


def _near(points: Array) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in points.mean(axis=0)) + ")"
