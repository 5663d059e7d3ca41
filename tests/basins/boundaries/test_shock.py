import math

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.result import Status


@pytest.fixture(scope="module")
def square():
    """z ← z²: 0 attracts the disc, and what is outside it diverges."""

    def step(x, params, out):
        out[0], out[1] = x[0] * x[0] - x[1] * x[1], 2 * x[0] * x[1]

    return dl.KernelMap(step, 2, name="square")


def disc(starts):
    return np.where((np.array(starts) ** 2).sum(axis=1) < 1, 1, -1)


@pytest.mark.parametrize("state", [(0.0, 0.0), (0.5, 0.0), (0.3, -0.7), (0.0, -0.999)])
def test_the_distance_to_a_circle(square, state):
    found = dl.minimal_critical_shock(square, state, mapper=disc)
    exact = 1 - math.hypot(*state)
    assert exact - 1e-12 <= found.size <= exact * (1 + 1e-5)
    assert np.linalg.norm(found.shock) == found.size
    assert (found.label_before, found.label_after, found.status) == (1, -1, Status.CONVERGED)
    assert disc((np.array(state) + found.shock)[None]) == -1  # it was tried
    assert (found.safe[:, 0] < found.size).all()


@pytest.mark.slow
def test_without_a_mapper(square):
    found = dl.minimal_critical_shock(square, [0.5, 0.0])
    assert found.size == pytest.approx(0.5, rel=1e-4)


def test_fifty_dimensions():
    m = dl.TorchMap([lambda x: x * x], (5, 10))
    first = lambda starts: np.where(m.numpy(starts)[:, 0, 0] < 1, 1, -1)
    found = dl.minimal_critical_shock(m, np.zeros((5, 10)), mapper=first)
    assert 1 <= found.size < 1.01
    assert found.shock.shape == (5, 10)


def test_the_shock_of_henon_is_no_longer_than_what_rays_find():
    m = dl.zoo.henon()
    fixed = np.array([0.6313544770895, 0.1894063431269])

    def bounded(starts):
        x = np.array(starts, dtype=float)
        with np.errstate(all="ignore"):
            for _ in range(200):
                x = m(x)
        return np.where(np.isfinite(x).all(axis=1) & (abs(x) < 10).all(axis=1), 1, -1)

    found = dl.minimal_critical_shock(m, fixed, mapper=bounded)
    angles = np.linspace(0, 2 * np.pi, 721)
    lengths = np.linspace(0.3, 0.5, 201)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None] * lengths[:, None]
    escaped = (bounded((fixed + rays).reshape(-1, 2)) == -1).reshape(721, 201)
    by_rays = lengths[escaped.any(axis=0).argmax()]
    assert by_rays - 0.002 < found.size < by_rays + 1e-4


def test_unknown_labels_are_no_change(square):
    fog = lambda starts: np.where(disc(starts) == 1, 1, -2)
    found = dl.minimal_critical_shock(square, [0.0, 0.0], mapper=fog, largest=3.0, directions=16)
    assert found.size == math.inf
    assert found.label_after == 0
    assert np.isnan(found.shock).all()
    assert found.status is Status.NOT_CONVERGED
    assert found.safe[-1].tolist() == [3.0, 1.0]


def test_a_budget_is_kept(square):
    found = dl.minimal_critical_shock(square, [0.0, 0.0], mapper=disc, budget=500, directions=64)
    assert found.status is Status.OUT_OF_LOOPS
    assert found.evaluations <= 502


def test_a_mapper_that_changes_its_mind_is_not_believed(square):
    calls = []

    def fickle(starts):
        calls.append(len(starts))
        return disc(starts) if len(calls) < 120 else np.ones(len(starts), dtype=int)

    found = dl.minimal_critical_shock(square, [0.0, 0.0], mapper=fickle, directions=8)
    assert len(calls) > 120
    assert (found.size, found.status) == (math.inf, Status.NOT_CONVERGED)


def test_errors(square):
    with pytest.raises(InvalidArgumentError, match="no known destination"):
        dl.minimal_critical_shock(square, [0.0, 0.0], mapper=lambda starts: np.full(len(starts), -2))
    with pytest.raises(ShapeError, match="one state of shape"):
        dl.minimal_critical_shock(square, [[0.0, 0.0]], mapper=disc)
    for options, words in (
        ({"largest": -1.0}, "largest must be a positive"),
        ({"directions": 1}, "directions must be an int of at least 2; got 1. Leave it out for 256"),
        ({"budget": 0}, "budget must be a positive int; got 0"),
        ({"tolerance": 2.0}, "tolerance must be a relative size"),
        ({"mapper": 3}, "mapper must be callable"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            dl.minimal_critical_shock(square, [0.0, 0.0], **{"mapper": disc} | options)
