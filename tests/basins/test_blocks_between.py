"""Measures of basins on a block with two attractors by construction, with the mapper that blocks get."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.result import Status
from tests.basins.blocks import bistable


@pytest.fixture(scope="module")
def block():
    m, _, _ = bistable()
    fractions = dl.basin_fractions(m, lambda rng, n: rng.standard_normal((n, 4, 8)), samples=200)
    return m, fractions


def test_fractions_of_a_block(block):
    _, found = block
    assert len(found.attractors) == 2
    assert found.fractions.sum() == pytest.approx(1)
    assert (found.fractions > 0.3).all()


@pytest.mark.slow
def test_the_edge_between_two_attractors_of_a_block_is_a_saddle(block):
    m, found = block
    one, other = (a.points[0] for a in found.attractors)
    edge = dl.track_edge(m, one, other)
    assert (edge.status, edge.period, edge.labels) == (Status.CONVERGED, 1, (1, 2))
    [saddle] = dl.find_fixed_points(m, edge.states[-1:]).points[:, 0]
    assert np.linalg.norm(saddle - edge.states[-1]) < 1e-4
    moduli = abs(dl.multipliers(m, saddle).values)
    assert moduli[0] > 1.5 > 1 > moduli[1]


def test_pushes_come_back_up_to_the_boundary(block):
    m, found = block
    edge = dl.track_edge(m, *(a.points[0] for a in found.attractors))
    far = np.linalg.norm(found.attractors[0].points[0] - edge.states[-1])
    stable = dl.basin_stability(m, found.attractors[0], [0.5 * far, 20 * far], samples=100)
    assert stable.stability[0] == 1
    assert 0.2 < stable.stability[1] < 0.95


@pytest.mark.slow
def test_the_critical_shock_is_no_longer_than_the_way_across_the_edge(block):
    m, found = block
    one, other = (a.points[0] for a in found.attractors)
    edge = dl.track_edge(m, one, other)
    shock = dl.minimal_critical_shock(m, one, directions=64)
    assert (shock.label_before, shock.label_after) == (1, 2)
    assert shock.size < np.linalg.norm(edge.states[0] - one) + 1e-6
    assert shock.size < np.linalg.norm(edge.states[-1] - one) + 1e-6
