"""Sets that are thin in a direction in which another lies beside them, nearer than their states are to each other."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.basins.cloud import same, sample
from dynloop.basins.separation import box_of, clear

AT = 0.0957504  # the fixed point of 0.1 tanh(20 y)


def thin(turn, last):
    """Chaos in five coordinates, `last` in the sixth, in coordinates turned by Q; returns the map and Q."""
    Q = np.linalg.qr(np.random.default_rng(5).standard_normal((6, 6)))[0] if turn else np.eye(6)
    q = torch.tensor(Q)

    def layer(x):
        x = x @ q
        c, y = x[:, :5], x[:, 5:]
        return torch.cat([torch.clamp(1 - 1.99 * c * c, -1, 1), last(y)], dim=1) @ q.T

    return dl.TorchMap([layer], (6,)), Q


def two(y):
    return 0.1 * torch.tanh(20 * y)


def starts(n, y, seed=0):
    return np.c_[np.random.default_rng(seed).uniform(-0.9, 0.9, (n, 5)), np.broadcast_to(y, n)]


@pytest.mark.parametrize("turn", [False, True])
def test_sets_nearer_than_their_states_are_to_each_other_are_two(turn):
    m, Q = thin(turn, two)
    one, again, other = sample(m, starts(3, [AT, AT, -AT]) @ Q.T, 1024)
    assert same(m, one, again)
    assert not same(m, one, other)
    assert not clear(m, one, again)


def test_two_orbits_that_still_come_to_one_set_are_one():
    """They come from two sides, so their ranges are disjoint along the sixth coordinate."""
    m, _ = thin(False, lambda y: 0.9997 * y)
    one, other = sample(m, starts(2, [0.1, -0.1]), 2048)
    assert one[:, 5].min() > other[:, 5].max()
    assert same(m, one, other)
    m, _ = thin(False, lambda y: y)
    assert not same(m, *sample(m, starts(2, [0.1, -0.1]), 1024))


@pytest.mark.parametrize("turn", [False, True])
def test_a_start_in_the_basin_of_the_set_beside_is_not_taken(turn):
    m, Q = thin(turn, two)
    records = [
        dl.Attractor(
            label=1, period=-1, points=points, regime=dl.Regime.CHAOTIC, spectral_radius=math.nan, error=0.5
        )
        for points in sample(m, starts(2, [-AT, AT], 1) @ Q.T, 2048)
    ]  # fmt: skip
    y = np.repeat([-0.9, -0.02, 0.02, 0.9], 4)
    some = starts(16, y, 2) @ Q.T
    labels = dl.by_proximity(m, records[1:], loops=256)(some)
    assert labels.tolist() == np.where(y > 0, 1, -2).tolist()
    both = dl.by_proximity(m, records, loops=256)
    high = 1 + int((both.attractors[1].points @ Q)[:, 5].mean() > 0)
    assert both(some).tolist() == np.where(y > 0, high, 3 - high).tolist()


def test_bounds_leave_angles_out_and_are_no_less_than_rounding():
    m = dl.TorchMap([lambda x: x], (3,), periods=(2 * math.pi, None, None))
    points = np.array([[0.1, 1.0, 4.0], [3.0, 2.0, 4.0]])
    box = box_of(m, points, np.eye(3), 0.0)
    np.testing.assert_array_equal(box.lines, np.eye(3)[1:])
    np.testing.assert_allclose([box.low, box.high], [[0.5, 4.0], [2.5, 4.0]])
    assert box.low[1] < 4.0 < box.high[1]
    assert box.holds(np.array([[9.0, 0.6, 4.0], [0.1, 0.4, 4.0], [0.1, 1.0, 4.001]])).tolist() == [True, False, False]
