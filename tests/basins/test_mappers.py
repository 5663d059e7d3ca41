"""Mappers of given attractors and of features, beside the one by recurrence."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.basins.attractors import numbered


@pytest.fixture(scope="module")
def newton():
    m = dl.zoo.newton()
    starts = m.start(5, 300)
    return m, starts, dl.by_recurrence(m, m.start(0, 64))(starts)


def test_proximity_to_known_roots(newton):
    m, starts, labels = newton
    mapper = dl.by_proximity(m, np.array(m.facts["attractors"]))
    assert np.array_equal(mapper(starts), labels)
    records = dl.by_proximity(m, mapper.attractors)
    assert np.array_equal(records(starts), labels)


def test_what_is_not_given_is_unmatched_and_stays_so(newton):
    m, starts, labels = newton
    mapper = dl.by_proximity(m, [[1.0, 0.0]])
    assert np.array_equal(mapper(starts), np.where(labels == 3, 1, -3))
    assert mapper.extended(starts) is mapper
    found = dl.basins(m, (np.linspace(-1, 1, 20), np.linspace(-1, 1, 20)), mapper=mapper)
    assert found.unmatched + found.fractions[0] == pytest.approx(1)
    assert found.unmatched > 0.5


def test_a_saddle_is_no_attractor_to_be_near():
    m = dl.zoo.henon()
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"attractors\[0\] leads to no attractor"):
        dl.by_proximity(dl.zoo.newton(), [[0.0, 0.0]])
    with pytest.raises(dl.errors.ShapeError):
        dl.by_proximity(m, [[0.0, 0.0, 0.0]])
    with pytest.raises(dl.errors.InvalidArgumentError, match="attractors is empty"):
        dl.by_proximity(m, [])


def test_features_agree_with_recurrence(newton):
    m, starts, labels = newton
    mapper = dl.by_features(m, m.start(0, 200))
    assert np.array_equal(mapper(starts), labels)
    assert np.array_equal(mapper(starts[::-1]), labels[::-1])


def test_features_on_the_seam_of_an_angle():
    m = dl.zoo.grebogi()
    mapper = dl.by_features(m, m.start(0, 200))
    starts = m.start(1, 300)
    assert len(mapper.attractors) == 2
    assert np.array_equal(mapper(starts), dl.by_recurrence(m, m.start(0, 64))(starts))


def test_features_of_one_chaotic_attractor_and_of_escape():
    m = dl.zoo.henon()
    starts = np.random.default_rng(0).uniform(-2, 2, (300, 2))
    mapper = dl.by_features(m, starts, loops=1024)
    assert [one.period for one in mapper.attractors] == [-1]
    labels = mapper(starts)
    wanted = dl.by_recurrence(m, starts)(starts)
    assert np.array_equal(labels == -1, wanted == -1)
    assert np.mean(labels[wanted == 1] == 1) > 0.9  # far in the tail of a feature they are unmatched
    assert set(labels) <= {1, -1, -3}


def test_features_of_the_user_are_used_and_checked(newton):
    m, starts, labels = newton
    mapper = dl.by_features(m, m.start(0, 200), lambda orbits: orbits[:, -1, 1:])
    assert np.array_equal(mapper(starts), labels)
    with pytest.raises(dl.errors.ShapeError, match="features must return shape"):
        dl.by_features(m, m.start(0, 20), lambda orbits: orbits[:, -1, 0])
    with pytest.raises(dl.errors.InvalidArgumentError, match="transient must be a positive int"):
        dl.by_features(m, m.start(0, 20), transient=0)


def near_roots(counts):
    rng = np.random.default_rng(0)
    roots = np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
    return np.concatenate([root + 0.05 * rng.standard_normal((n, 2)) for root, n in zip(roots, counts, strict=True)])


@pytest.mark.parametrize(
    ("counts", "labels"),
    [((3, 3, 3), [-3, -3, -3]), ((5, 4, 0), [1, -3, -3]), ((6, 6, 4), [2, 1, -3]), ((9, 0, 0), [1, -3, -3])],
)
def test_starts_too_few_for_a_cluster_are_unmatched_and_belong_to_no_other(counts, labels):
    mapper = dl.by_features(dl.zoo.newton(), near_roots(counts))
    assert mapper(near_roots((1, 1, 1))).tolist() == labels
    assert len(mapper.attractors) == max([*labels, 0])


def test_fewer_starts_than_make_a_cluster_are_refused():
    with pytest.raises(dl.errors.InvalidArgumentError, match="starts must be 5 or more, since a cluster is of so many"):
        dl.by_features(dl.zoo.newton(), near_roots((4, 0, 0)))


def test_a_feature_that_is_not_finite_is_undecided_and_no_divergence():
    m = dl.zoo.henon()
    mapper = dl.by_features(m, m.start(0, 20), lambda orbits: np.full((len(orbits), 1), np.nan))
    assert mapper.attractors == ()
    assert mapper([[0.1, 0.1], [0.2, 0.1], [5.0, 5.0]]).tolist() == [-2, -2, -1]
    right = dl.by_features(
        dl.zoo.newton(), near_roots((9, 9, 9)), lambda o: np.where(o[:, -1] > 0, o[:, -1], np.nan)[:, :1]
    )
    assert right(near_roots((2, 2, 2))).tolist() == [1, 1, -2, -2, -2, -2]


def test_clusters_on_one_cycle_are_one_attractor():
    """Told apart by their phase, orbits on a cycle of two make two clusters."""
    m = dl.zoo.logistic(3.2)
    starts = np.linspace(0.05, 0.95, 60)[:, None]
    mapper = dl.by_features(m, starts, lambda orbits: orbits[:, -1])
    assert [one.period for one in mapper.attractors] == [2]
    assert (mapper(starts) == 1).all()


@pytest.mark.parametrize("far", [600.0, 1e6])
def test_an_attractor_far_away_joins_no_others(far):
    """Fixed points ±0.19, nearer to each other than a thousandth of the spread, and a third far away."""
    m = dl.TorchMap([lambda x: torch.where(x > 100, far + 0.5 * (x - far), 0.2 * (10 * x).tanh())], (1,), name="far")
    starts = np.r_[np.linspace(-2, 2, 60) + 0.001, np.linspace(200, 1000, 60)][:, None]
    mapper = dl.by_features(m, starts)
    assert [round(float(one.points[0, 0]), 3) for one in mapper.attractors] == [-0.192, 0.192, far]
    assert mapper(np.array([[-1.0], [-0.5], [0.5], [1.0], [500.0]])).tolist() == [1, 1, 2, 2, 3]
    few = dl.by_features(m, np.r_[starts[:30], starts[31:34], starts[60:]])
    assert few(np.array([[-1.0], [0.5], [500.0]])).tolist() == [1, -3, 2]


def test_attractors_on_which_features_are_equal_are_one():
    wells = dl.TorchMap([lambda x: (2 * x).tanh()], (1,))
    starts = np.linspace(-2, 2, 40)[:, None]
    assert set(dl.by_features(wells, starts, lambda o: np.abs(o[:, -1]))(starts)) == {1}


@pytest.mark.slow
def test_chaotic_sets_that_a_line_parts_are_two_by_features():
    def layer(x):
        c, y = torch.clamp(1 - 1.9 * x[:, :1] ** 2, -1, 1), 1e-3 * torch.tanh(2e3 * x[:, 1:])
        return torch.where(x > 100, 600 + 0.5 * (x - 600), torch.cat([c, y], dim=1))

    m, rng = dl.TorchMap([layer], (2,)), np.random.default_rng(0)
    starts = np.r_[rng.uniform(-0.9, 0.9, (60, 2)), rng.uniform(300, 900, (20, 2))]
    labels = dl.by_features(m, starts, lambda o: o.mean(axis=1)[:, 1:])(starts)
    low, high = labels[:60].min(), labels[:60].max()
    assert np.array_equal(labels, np.select([starts[:, 1] > 100, starts[:, 1] > 0], [3, high], low))
    assert len(set(labels)) == 3


def test_recurrence_is_for_compiled_maps_of_few_coordinates():
    with pytest.raises(dl.errors.InvalidArgumentError, match="Use by_classification"):
        dl.by_recurrence(dl.zoo.tanh_network(20), np.zeros((2, 20)))


def test_numbers_follow_positions(newton):
    m, _, _ = newton
    some = dl.by_recurrence(m, m.start(0, 64)).attractors
    assert [one.label for one in some] == [1, 2, 3]
    for order in ([2, 0, 1], [1, 2, 0]):
        again = numbered(m, [some[i] for i in order])
        assert [one.points.tolist() for one in again] == [one.points.tolist() for one in some]
    assert numbered(m, []) == ()


def test_a_table_of_parameters_is_not_one_map():
    m = dl.zoo.logistic().with_table([[3.2], [3.5]])
    with pytest.raises(dl.errors.InvalidArgumentError, match="is not one map"):
        dl.basins(m, (np.linspace(0.1, 0.9, 5),))
