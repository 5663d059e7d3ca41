import networkx as nx
import numpy as np
import pytest

import dynloop as dl
from dynloop.basins.cells.partition import Partition
from dynloop.errors import InvalidArgumentError, ShapeError

pytest.importorskip("flint")


def rotation(x, params, out):
    out[0] = (x[0] + params[0]) % 1.0


def rotate(angle):
    return dl.KernelMap(rotation, 1, params=(angle,), periods=[1.0], name="rotation")


@pytest.fixture(scope="module")
def logistic():
    return dl.cell_graph(dl.zoo.logistic(3.2), (np.linspace(-0.005, 1.005, 500),), outer="interval")


@pytest.fixture(scope="module")
def henon():
    axis = np.linspace(-2, 2, 60)
    return dl.cell_graph(dl.zoo.henon(), (axis, axis), outer="interval")


def holds(found, m, point):
    """Whether a point is in a recurrent set."""
    cell = Partition(m, found.grid).cell_of(np.array([point], dtype=float))[0]
    return found.sets.ravel()[cell] >= 0


def test_the_morse_graph_of_the_logistic_map(logistic):
    """0 leads to the unstable fixed point, that to the cycle."""
    m, found = dl.zoo.logistic(3.2), logistic
    assert found.rigorous
    [zero], [fixed], [cycle] = (
        {int(s) for s in found.sets[[Partition(m, found.grid).cell_of(np.array([[x]]))[0] for x in points]]}
        for points in ([0.0], [1 - 1 / 3.2], [0.5130445095, 0.7994554905])
    )
    assert {(zero, fixed), (fixed, cycle)} == set(map(tuple, found.morse_edges.tolist()))
    assert found.attracting.tolist() == [i == cycle for i in range(3)]
    graph = found.morse_graph
    assert graph.nodes[cycle] == {"cells": len(found.recurrent_sets[cycle]), "attracting": True}


@pytest.mark.parametrize("seed", range(3))
def test_an_outer_approximation_holds_every_image(logistic, henon, seed):
    for m, found in ((dl.zoo.logistic(3.2), logistic), (dl.zoo.henon(), henon)):
        P = Partition(m, found.grid)
        edges = set(map(tuple, found.edges.tolist()))
        low = [b[0] for b in P.borders]
        high = [b[-1] for b in P.borders]
        x = np.random.default_rng(seed).uniform(low, high, (500, m.dimension))
        for a, b in zip(P.cell_of(x).tolist(), P.cell_of(m(x)).tolist(), strict=True):
            assert (a, b) in edges


def test_cycles_of_henon_are_in_recurrent_sets(henon):
    m = dl.zoo.henon()
    for period in (1, 2, 4, 6):
        cycles = dl.find_fixed_points(m, period=period)
        assert len(cycles)
        for point in cycles.points.reshape(-1, 2):
            assert holds(henon, m, point)


def test_sampled_edges_are_a_part_of_the_rigorous_ones(henon):
    sampled = dl.cell_graph(dl.zoo.henon(), henon.grid)
    assert not sampled.rigorous
    assert set(map(tuple, sampled.edges.tolist())) <= set(map(tuple, henon.edges.tolist()))


def test_newton_has_three_attracting_sets_and_cells_that_are_not_decided():
    axis = np.linspace(-1.5, 1.5, 51)
    m = dl.zoo.newton()
    found = dl.cell_graph(m, (axis, axis), outer="interval")
    assert found.undecided.tolist() == [25 * 51 + 25]  # the cell of 0, where P′ is 0
    assert (found.edges[found.edges[:, 0] == found.undecided[0], 1] == -2).all()
    assert found.attracting.sum() == 3
    for z in np.exp(2j * np.pi * np.arange(3) / 3):
        assert holds(found, m, (z.real, z.imag))
        cell = Partition(m, found.grid).cell_of(np.array([[z.real, z.imag]]))[0]
        assert found.attracting[found.sets.ravel()[cell]]
    [julia] = np.flatnonzero(~found.attracting)
    assert sorted(map(tuple, found.morse_edges.tolist())) == [(julia, i) for i in range(4) if i != julia]


def test_a_rotation_recurs_everywhere():
    middles = (np.arange(40) + 0.5) / 40
    for outer in (False, "interval"):
        found = dl.cell_graph(rotate(0.6180339887498949), (middles,), outer=outer)
        assert [len(cells) for cells in found.recurrent_sets] == [40]
        assert found.attracting.tolist() == [True]
        assert not (found.edges < 0).any()
        assert found.morse_edges.shape == (0, 2)


def test_grebogi_round_the_seam_of_its_circle():
    m = dl.zoo.grebogi()
    grid = (np.linspace(0, 2 * np.pi, 30, endpoint=False), np.linspace(-0.5, 0.5, 31))
    found = dl.cell_graph(m, grid, outer="interval")
    assert found.attracting.sum() == 2
    saddles = dl.find_fixed_points(m).points[:, 0]
    for point in [*m.facts["fixed_points"], *(np.mod(x, [2 * np.pi, 10]) - [0, 10 * (x[1] < 0)] for x in saddles)]:
        assert holds(found, m, point)


def test_halving_takes_out_sets_without_an_orbit():
    m, grid = dl.zoo.logistic(3.2), (np.linspace(-0.005, 1.005, 500),)
    coarse = dl.cell_graph(m, grid, outer="interval", refine=0)
    fine = dl.cell_graph(m, grid, outer="interval")
    kept = {tuple(cells) for cells in fine.recurrent_sets}
    assert kept < {tuple(cells) for cells in coarse.recurrent_sets}
    assert len(coarse.recurrent_sets) > 3
    assert (coarse.edges == fine.edges).all()


def test_the_graph_agrees_with_networkx(henon):
    graph = henon.graph
    assert set(map(tuple, henon.edges.tolist())) == set(graph.edges)
    strong = [c for c in nx.strongly_connected_components(graph) if len(c) > 1 or graph.has_edge(*list(c) * 2)]
    assert {frozenset(map(int, cells)) for cells in henon.recurrent_sets} <= {frozenset(c) for c in strong}
    for i, cells in enumerate(henon.recurrent_sets):
        leaves = any(t not in set(cells.tolist()) for c in cells for t in graph.successors(int(c)))
        assert henon.attracting[i] == (not leaves)


def test_a_map_that_leaves_has_edges_outside():
    def step(x, params, out):
        out[0] = x[0] + 10

    found = dl.cell_graph(dl.KernelMap(step, 1), (np.linspace(0, 1, 5),))
    assert found.edges.tolist() == [[i, -1] for i in range(5)]
    assert found.recurrent_sets == ()
    assert found.graph.number_of_nodes() == 6


def test_it_is_saved_and_read_back(logistic, tmp_path):
    again = dl.load(logistic.save(tmp_path / "graph"))
    assert (again.edges == logistic.edges).all()
    assert repr(again) == repr(logistic)


def test_a_torch_map_is_sampled():
    m = dl.TorchMap([lambda x: 0.2 * x], (1, 2))
    axis = np.linspace(-1, 1, 11)
    found = dl.cell_graph(m, (axis, axis))
    assert [cells.tolist() for cells in found.recurrent_sets] == [[60]]  # the cell of 0
    with pytest.raises(InvalidArgumentError, match="takes a KernelMap"):
        dl.cell_graph(m, (axis, axis), outer="interval")


def test_errors():
    m, axis = dl.zoo.henon(), np.linspace(-1, 1, 5)
    for grid, options, error, words in (
        ((axis,), {}, ShapeError, "grid has 1 axes"),
        ((axis, axis[::-1]), {}, InvalidArgumentError, "increasing"),
        (axis, {}, InvalidArgumentError, "tuple of 1-D arrays"),
        ((axis, axis), {"outer": True}, InvalidArgumentError, "outer must be False or"),
        ((axis, axis), {"points": 0}, InvalidArgumentError, "points must be a positive int"),
        ((axis, axis), {"outer": "interval", "points": 3}, InvalidArgumentError, "points are of sampled images"),
        ((axis, axis), {"refine": -1}, InvalidArgumentError, "refine must be an int"),
        ((np.arange(3000.0), np.arange(3000.0)), {}, InvalidArgumentError, "9000000 cells"),
    ):
        with pytest.raises(error, match=words):
            dl.cell_graph(m, grid, **options)
    with pytest.raises(InvalidArgumentError, match="up to 3 coordinates"):
        dl.cell_graph(dl.TorchMap([lambda x: x], (4,)), (axis,) * 4)
