"""What recurs in a digraph of cells, and which recurrent set is reached from which: the Morse graph."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dynloop.basins.cells.partition import ANYWHERE, OUTSIDE
from dynloop.maps.base import Array

__all__ = ["Recurrence"]


class Recurrence:
    """The recurrent sets of a graph of `count` cells.

    Parameters
    ----------
    edges : ndarray of int, (k, 2)
        From, to; −1 is outside, −2 stands for every cell and −1.
    count : int
        Cells.

    Attributes
    ----------
    sets : list of ndarray
        Strongly connected components with more than one cell, or one that leads to itself, in the order of their first
        cells.
    attracting : ndarray of bool
        Whether no edge leaves a set.
    """

    def __init__(self, edges: Array, count: int) -> None:
        source, target = _with_anywhere(edges, count)
        graph = coo_matrix((np.ones(len(source), dtype=np.int8), (source, target)), shape=(count + 2, count + 2))
        self._parts, part = connected_components(graph.tocsr(), directed=True, connection="strong")
        cells = np.bincount(part[:count], minlength=self._parts)
        recurs = cells > 1
        recurs[part[source[source == target]]] = True
        recurs[part[edges[edges[:, 1] == ANYWHERE, 0]]] = True
        recurs &= cells > 0
        inside = np.flatnonzero(recurs[part[:count]])
        inside = inside[np.argsort(part[inside], kind="stable")]
        numbers, begins = np.unique(part[inside], return_index=True)
        sets = np.split(inside, begins[1:]) if len(numbers) else []
        ranked = sorted(range(len(sets)), key=lambda i: sets[i][0])
        self.sets, self._numbers = [sets[i] for i in ranked], numbers[np.array(ranked, dtype=int)]
        crossing = part[source] != part[target]
        self._crossing = np.unique(np.stack([part[source[crossing]], part[target[crossing]]], axis=1), axis=0)
        self.attracting = ~np.isin(self._numbers, self._crossing[:, 0])

    def drop(self, which: list[int]) -> None:
        """Take sets off the list; paths through them stay."""
        keep = np.setdiff1d(np.arange(len(self.sets)), which)
        self.sets = [self.sets[i] for i in keep]
        self._numbers, self.attracting = self._numbers[keep], self.attracting[keep]

    def order(self) -> Array:
        """Return the Morse graph: pairs of sets ``(k, 2)``, the second reached from the first, not by way of others."""
        return _order(self._crossing, self._numbers, self._parts)


def _with_anywhere(edges: Array, count: int) -> tuple[Array, Array]:
    """Return sources and targets, −1 and −2 as nodes behind the cells, and the edges that −2 stands for."""
    outside, anywhere = count, count + 1
    source = edges[:, 0]
    target = np.where(edges[:, 1] == OUTSIDE, outside, np.where(edges[:, 1] == ANYWHERE, anywhere, edges[:, 1]))
    if (edges[:, 1] == ANYWHERE).any():
        source = np.concatenate([source, np.full(count + 1, anywhere)])
        target = np.concatenate([target, np.arange(count + 1)])
    return source, target


def _order(pairs: Array, sets: Array, count: int) -> Array:
    """Return the transitive reduction of reachability between sets, given edges between components."""
    if len(pairs) and (pairs[:, 0] < pairs[:, 1]).all():  # components come in topological order, this way or that
        pairs = pairs[::-1]
    elif len(pairs) and not (pairs[:, 0] > pairs[:, 1]).all():
        rank = np.empty(count, dtype=np.int64)
        rank[list(nx.topological_sort(_digraph(range(count), pairs)))] = np.arange(count)[::-1]
        pairs = pairs[np.argsort(rank[pairs[:, 0]], kind="stable")]
    number = {int(part): i for i, part in enumerate(sets)}
    reach: dict[int, int] = {}  # of a component: the sets it leads to, as bits, itself among them

    def reached(part: int) -> int:
        return reach.get(part, 1 << number[part] if part in number else 0)

    for one, other in pairs.tolist():  # sources in an order in which what they lead to is complete
        reach[one] = reached(one) | reached(other)
    closure = _digraph(range(len(sets)), [])
    for part, i in number.items():
        bits = reached(part) & ~(1 << i)
        while bits:
            j = bits.bit_length() - 1
            closure.add_edge(i, j)
            bits ^= 1 << j
    found = sorted(nx.transitive_reduction(closure).edges)
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _digraph(nodes: range, edges: Array | list[tuple[int, int]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges.tolist() if isinstance(edges, np.ndarray) else edges)
    return graph
