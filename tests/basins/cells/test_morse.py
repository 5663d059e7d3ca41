import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dynloop.basins.cells.morse import Recurrence

EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(-2, 7)), max_size=20)


@given(EDGES)
def test_sets_and_their_order_are_those_of_networkx(edges):
    """−2 stands for every cell and −1: here those edges are written out."""
    count = 8
    table = np.array(sorted(set(edges)), dtype=np.int64).reshape(-1, 2)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(-1, count))
    for a, b in table.tolist():
        graph.add_edges_from([(a, b)] if b != -2 else [(a, c) for c in range(-1, count)])
    found = Recurrence(table, count)
    strong = [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1 or graph.has_edge(*list(c) * 2)]
    assert [cells.tolist() for cells in found.sets] == sorted(strong)
    below = nx.transitive_closure(graph)
    closure = nx.DiGraph()
    closure.add_nodes_from(range(len(strong)))
    for i, a in enumerate(found.sets):
        leaves = any(t not in a for c in a.tolist() for t in graph.successors(c))
        assert found.attracting[i] == (not leaves)
        closure.add_edges_from(
            (i, j) for j, b in enumerate(found.sets) if i != j and below.has_edge(int(a[0]), int(b[0]))
        )
    assert set(map(tuple, found.order().tolist())) == set(nx.transitive_reduction(closure).edges)


def test_dropped_sets_are_passed_through():
    chain = np.array([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2]])
    found = Recurrence(chain, 3)
    assert found.order().tolist() == [[0, 1], [1, 2]]
    found.drop([1])
    assert [cells.tolist() for cells in found.sets] == [[0], [2]]
    assert found.order().tolist() == [[0, 1]]
    assert found.attracting.tolist() == [False, True]


def test_no_edges():
    found = Recurrence(np.empty((0, 2), dtype=np.int64), 4)
    assert found.sets == []
    assert found.order().shape == (0, 2)
