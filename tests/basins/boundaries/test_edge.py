import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.result import Status


@pytest.mark.slow
def test_the_edge_of_henon_is_its_other_fixed_point():
    found = dl.track_edge(dl.zoo.henon(), [0.0, 0.0], [-2.0, 0.0])
    assert (found.status, found.period, found.labels) == (Status.CONVERGED, 1, (1, -1))
    assert np.allclose(found.states[-1], (-1.1313544770895, -0.3394063431269), atol=1e-5)
    solved = dl.find_fixed_points(dl.zoo.henon(), found.states[-1:])
    assert solved.stability.tolist() == ["saddle"]
    assert np.allclose(solved.points[0, 0], (-1.1313544770895, -0.3394063431269), atol=1e-9)


@pytest.mark.slow
def test_states_of_the_orbit_follow_the_map_to_within_the_gap():
    m = dl.zoo.henon()
    found = dl.track_edge(m, [0.0, 0.0], [-2.0, 0.0])
    off = np.linalg.norm(m(found.states[:-1]) - found.states[1:], axis=1)
    assert (off < 10 * np.maximum(found.gap[:-1], found.gap[1:]) + 2e-6).all()
    assert (found.gap < 1e-5).all()


@pytest.mark.parametrize("shape", [(2,), (3, 4)])
def test_a_block_with_two_wells(shape):
    """The first coordinate is bistable, its boundary 0.1; the others contract to its square."""
    import torch

    def layer(x):
        flat = x.reshape(len(x), -1)
        first = flat[:, :1] - 0.1
        rest = 0.5 * flat[:, 1:] + first**2
        return torch.cat([0.1 + first + 0.25 * first * (1 - first**2), rest], dim=1).reshape(x.shape)

    m = dl.TorchMap([layer], shape)
    sides = lambda starts: np.where(m.numpy(starts).reshape(len(starts), -1)[:, 0] > 0.1, 1, 2)
    one, other = np.full(shape, 0.7), np.full(shape, -1.1)
    found = dl.track_edge(m, one, other, mapper=sides)
    assert (found.status, found.period) == (Status.CONVERGED, 1)
    assert found.states.shape == (len(found.gap), *shape)
    assert found.states[-1].reshape(-1)[0] == pytest.approx(0.1, abs=1e-6)
    assert abs(found.states[-1].reshape(-1)[1:]).max() < 1e-5


def test_in_float32_it_is_as_narrow_as_float32_allows():
    import torch

    m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    found = dl.track_edge(m, torch.tensor([0.7]), torch.tensor([-1.1]), mapper=sides)
    assert found.status is Status.CONVERGED
    assert abs(found.states[-1, 0]) < 1e-3


def test_a_cycle_on_the_edge_has_its_period():
    """The first coordinate is bistable and changes sign each loop; the second is a logistic map of period 2."""

    def step(x, params, out):
        out[0] = x[0] + 0.25 * x[0] * (1 - x[0] * x[0])
        out[1] = 3.2 * x[1] * (1 - x[1])

    m = dl.KernelMap(step, 2)
    sides = lambda starts: np.where(np.array(starts)[:, 0] > 0, 1, 2)
    found = dl.track_edge(m, [0.7, 0.3], [-1.1, 0.4], mapper=sides)
    assert (found.status, found.period) == (Status.CONVERGED, 2)
    assert sorted(found.states[-2:, 1]) == pytest.approx([0.5130445, 0.7994555], abs=1e-5)


def test_an_angle_is_cut_the_short_way_round():
    def step(x, params, out):
        out[0] = (x[0] - 0.1 * np.sin(2 * x[0])) % (2 * np.pi)

    m = dl.KernelMap(step, 1, periods=[2 * np.pi])
    near = lambda starts: np.where(np.cos(np.array(starts)[:, 0]) > 0, 1, 2)
    found = dl.track_edge(m, [6.0], [4.0], mapper=near)
    assert found.states[-1, 0] == pytest.approx(1.5 * np.pi, abs=1e-5)


@pytest.mark.slow
def test_chaos_on_the_edge_does_not_settle():
    found = dl.track_edge(dl.zoo.newton(), [1.0, 0.0], [-0.5, 0.8], loops=60)
    assert (found.status, found.period) == (Status.OUT_OF_LOOPS, -1)
    assert found.residual > 1e-4


def test_states_without_a_destination_in_the_way_end_it():
    m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))

    def fog(starts):
        x = m.numpy(starts)[:, 0]
        return np.where(abs(x) < 0.1, -2, np.where(x > 0, 1, 2))

    found = dl.track_edge(m, [0.7], [-1.1], mapper=fog)
    assert found.status is Status.NOT_CONVERGED
    assert found.gap[0] > 0.1


def test_errors():
    m = dl.zoo.henon()
    same = lambda starts: np.ones(len(starts), dtype=int)
    with pytest.raises(InvalidArgumentError, match="both starts go to 1"):
        dl.track_edge(m, [0.0, 0.0], [0.1, 0.0], mapper=same)
    with pytest.raises(InvalidArgumentError, match="one has no known destination"):
        dl.track_edge(m, [0.0, 0.0], [0.1, 0.0], mapper=lambda starts: -2 * same(starts))
    with pytest.raises(ShapeError, match="other must be one state"):
        dl.track_edge(m, [0.0, 0.0], [[0.1, 0.0]], mapper=same)
    for options, words in (
        ({"loops": 0}, "loops must be a positive int"),
        ({"narrow": 1e-3, "wide": 1e-4}, "narrow must be less than wide"),
        ({"wide": 2.0}, "wide must be a relative distance"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            dl.track_edge(m, [0.0, 0.0], [-2.0, 0.0], mapper=same, **options)
