import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError


@pytest.fixture(scope="module")
def disc():
    """z ← z²: 0 attracts the disc."""

    def step(x, params, out):
        out[0], out[1] = x[0] * x[0] - x[1] * x[1], 2 * x[0] * x[1]

    return dl.KernelMap(step, 2, name="square")


@pytest.mark.slow
def test_shares_of_a_disc(disc):
    found = dl.basin_stability(disc, [0.0, 0.0], [0.5, 0.99, 2.0, 4.0], samples=4000)
    assert found.stability[:2].tolist() == [1, 1]
    assert (abs(found.stability[2:] - [1 / 4, 1 / 16]) < 4 * found.standard_error[2:]).all()
    assert (found.standard_error > 0).all()
    on = dl.basin_stability(disc, [0.0, 0.0], [0.99, 1.01], samples=200, within="sphere")
    assert on.stability.tolist() == [1, 0]


def test_states_of_a_cycle_are_drawn_from():
    cycle = np.array([[0.5130445], [0.7994555]])
    found = dl.basin_stability(dl.zoo.logistic(3.2), cycle, 0.1)
    assert found.stability.tolist() == [1]
    assert found.label == 1
    assert found.sizes.shape == (1,)


def test_the_record_of_an_attractor_is_taken():
    m = dl.zoo.grebogi()
    fractions = dl.basin_fractions(m, ((0, 2 * np.pi), (-0.5, 0.5)), samples=200)
    found = dl.basin_stability(m, fractions.attractors[0], [1e-3, 1.0], samples=300)
    assert found.stability[0] == 1
    assert 0 < found.stability[1] < 1


def test_what_is_undecided_is_said(disc):
    fog = lambda starts: np.where((np.array(starts) ** 2).sum(axis=1) < 1, 1, -2)
    found = dl.basin_stability(disc, [0.0, 0.0], 2.0, mapper=fog)
    assert found.undecided[0] == pytest.approx(1 - found.stability[0])


def test_errors(disc):
    for state, sizes, options, words in (
        ([3.0, 0.0], 0.1, {}, r"labels \[-1\]"),
        ([0.0, 0.0], [0.1, -1], {}, "sizes must be positive"),
        ([0.0, 0.0], 0.1, {"within": "cube"}, '"ball" or "sphere"'),
        ([0.0, 0.0], 0.1, {"samples": 0}, "samples must be a positive int"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            dl.basin_stability(disc, state, sizes, **options)
