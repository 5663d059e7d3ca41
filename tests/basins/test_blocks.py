"""Basins of blocks: two attractors by construction, early leaving, T5, and what must not be told as certain."""

import numpy as np
import pytest
import torch

import dynloop as dl
from tests.basins.blocks import bistable


@pytest.fixture(scope="module")
def block():
    return bistable(tokens=3, width=4, heads=1)


def along(m, v, seed=0, n=24, extent=2.0):
    """A plane along v at every token and a drawn direction: one axis crosses from one basin to the other."""
    u = np.broadcast_to(v.numpy(), m.state_shape)
    w = np.random.default_rng(seed).standard_normal(m.state_shape)
    return dl.plane(np.zeros(m.state_shape), u, w, extent, n)


def ends(m, states, loops=400):
    x = m.native(states)
    with torch.no_grad():
        for _ in range(loops):
            x = m(x)
    return m.numpy(x)


def test_a_bistable_block_has_its_two_basins(block):
    m, v, _ = block
    plane = along(m, v)
    found = dl.basins(m, plane)
    assert len(found.attractors) == 2
    assert found.fractions.sum() == pytest.approx(1)
    assert 0.2 < found.fractions[0] < 0.8
    states = plane.states(np.arange(found.labels.size))
    limits = ends(m, states)
    points = np.stack([one.points[0] for one in found.attractors])
    nearest = np.linalg.norm((limits[:, None] - points).reshape(len(limits), 2, -1), axis=2).argmin(axis=1) + 1
    assert np.array_equal(found.labels.ravel(), nearest)
    assert found.loops.max() < 60  # they leave long before the budget of 4096


def test_the_labels_of_a_block_are_constant_along_orbits_and_carried_by_layers(block):
    m, v, _ = block
    states = along(m, v, n=9).states(np.arange(81))
    mapper = dl.by_classification(m, states)
    labels = mapper(states)
    assert set(labels) == {1, 2}
    assert np.array_equal(mapper(m(m.native(states))), labels)
    sections = m.sections(m.native(states))
    for l in range(1, m.layer_count):
        rotated = dl.by_classification(m.rotate(l), sections[l].detach())
        carried = {
            one.label: int(rotated(m.sections(m.native(one.points[:1]))[l].detach())[0]) for one in mapper.attractors
        }
        assert sorted(carried.values()) == [1, 2]
        assert rotated(sections[l].detach()).tolist() == [carried[label] for label in labels.tolist()]


def test_the_order_of_starts_changes_nothing(block):
    m, v, _ = block
    states = along(m, v, n=9).states(np.arange(81))
    order = np.random.default_rng(0).permutation(81)
    one, other = dl.by_classification(m, states), dl.by_classification(m, states[order])
    labels = one(states)
    assert np.array_equal(other(states[order]), labels[order])
    assert np.array_equal(one(states[order]), labels[order])


def test_float32_gives_the_same_basins(block):
    m, v, _ = block
    low, _, _ = bistable(tokens=3, width=4, heads=1, dtype=torch.float32)
    plane = along(m, v, n=12)
    fine, coarse = dl.basins(m, plane), dl.basins(low, plane)
    assert len(coarse.attractors) == 2
    assert np.array_equal(coarse.labels, fine.labels)


def tanh_pair(dtype=torch.float64):
    return dl.TorchMap([lambda x: (2 * x).tanh()], (2,), dtype=dtype)


def test_a_saddle_of_a_block_is_unmatched():
    m = tanh_pair()
    starts = np.array([[0.0, 0.0], [0.3, 0.0], [0.3, 0.2], [-0.3, 0.2], [0.3, -0.2], [-0.3, -0.2]])
    mapper = dl.by_classification(m, starts)
    assert len(mapper.attractors) == 4
    assert mapper(starts).tolist() == [-3, -3, 4, 2, 3, 1]


def test_starts_next_to_a_boundary_go_where_their_side_goes():
    starts = np.stack([np.array([1e-14, -1e-14, 1e-9, -1e-9]), np.full(4, 0.5)], axis=1)
    m = tanh_pair()
    mapper = dl.by_classification(m, np.concatenate([starts, -starts]))
    assert mapper(starts).tolist() == [4, 2, 4, 2]


@pytest.mark.slow
def test_labels_of_a_block_that_diverges_drifts_or_turns():
    def layer(x):
        s, c = x[:, 0], x[:, 1:]
        turned = torch.stack([0.6 * c[:, 0] - 0.8 * c[:, 1], 0.8 * c[:, 0] + 0.6 * c[:, 1]], dim=1)
        return torch.cat([(s * 1.5)[:, None], turned], dim=1)

    m = dl.TorchMap([layer], (3,), dtype=torch.float64)
    labels = dl.by_classification(m, np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0.5]]), loops=4096)(
        np.array([[1.0, 0.0, 0.0], [-1.0, 2.0, 0.0]])
    )
    assert labels.tolist() == [-1, -1]


@pytest.mark.slow
def test_a_chaotic_block_is_one_attractor():
    m = dl.TorchMap([lambda x: 3.9 * x * (1 - x)], (1,), dtype=torch.float64)
    mapper = dl.by_classification(m, np.linspace(0.1, 0.9, 6)[:, None], loops=1024)
    assert [one.regime.name for one in mapper.attractors] == ["CHAOTIC"]
    assert mapper(np.array([[0.37], [0.61], [1.5]])).tolist() == [1, 1, -1]


def test_a_budget_that_does_not_suffice_is_undecided():
    m = dl.TorchMap([lambda x: x + 1e-3 * x * (1 - x * x)], (1,), dtype=torch.float64)
    mapper = dl.by_classification(m, np.array([[-0.5], [0.5]]), loops=16)
    assert mapper(np.array([[1e-3], [-1e-3]])).tolist() == [-2, -2]


def test_a_periodic_block():
    m = dl.TorchMap([lambda x: 3.2 * x * (1 - x)], (1,), dtype=torch.float64)
    mapper = dl.by_classification(m, np.linspace(0.1, 0.9, 5)[:, None])
    (one,) = mapper.attractors
    assert one.period == 2
    assert one.spectral_radius == pytest.approx(0.16, abs=1e-9)
    assert (mapper(np.linspace(0.05, 0.95, 7)[:, None]) == 1).all()


def test_a_contraction_to_the_origin_is_one_attractor():
    m = dl.TorchMap([lambda x: 0.3 * x / (1 + x * x)], (2,), dtype=torch.float64)
    starts = np.random.default_rng(0).standard_normal((20, 2))
    mapper = dl.by_classification(m, starts)
    assert len(mapper.attractors) == 1
    assert (mapper(starts) == 1).all()


def test_a_small_basin_inside_the_reach_of_a_large_one_is_not_taken():
    """0 attracts all but a small basin about 3, which none of the starts that are classified first lies in."""

    def layer(x):
        return torch.where((x - 3).abs() < 0.05, 3 + 0.5 * (x - 3), 0.5 * x)

    m = dl.TorchMap([layer], (1,), dtype=torch.float64)
    mapper = dl.by_classification(m, np.linspace(-4, 2.9, 30)[:, None])
    assert len(mapper.attractors) == 1
    starts = np.array([[2.98], [3.02], [0.5], [3.2]])
    assert mapper(starts).tolist() == [-3, -3, 1, 1]
    assert mapper.extended(starts)(starts).tolist() == [2, 2, 1, 1]
