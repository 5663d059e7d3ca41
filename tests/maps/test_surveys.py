"""The compiled survey of a window says what the series of `watch`, read by NumPy, say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.survey import surveyed

SAME = ["largest", "step", "norm", "mean_step", "growth", "path", "settled", "finite", "period", "near"]


def floor(states):
    return np.full((len(states), 1), 4 * np.finfo(float).eps)


def both(m, states, loops):
    """Return the survey compiled, and read from the series."""
    largest = np.linalg.norm(states, axis=1, keepdims=True)
    return [surveyed(m, states, loops, largest, floor, trend=True, rate=rate) for rate in (False, True)]


@pytest.mark.parametrize("a", [0.2, 0.9, 1.4])
@pytest.mark.parametrize("transient", [0, 2000])
@pytest.mark.parametrize("loops", [1, 8, 33, 128])
def test_it_says_what_the_series_say(a, transient, loops):
    m = dl.zoo.henon(a=a)
    states = dl.trajectory(m, m.start(0, 12), 1, transient=transient).states[-1]
    compiled, plain = both(m, states, loops)
    assert compiled.rate is None
    np.testing.assert_array_equal(compiled.states, plain.states)
    for name in SAME:
        np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-12, err_msg=name)
    known = ~np.isnan(compiled.decay)
    np.testing.assert_allclose(compiled.decay[known], plain.decay[known], rtol=1e-12)
    falling = (plain.mean_step <= 0.05 * plain.largest) & (loops >= 4)
    assert known[falling & ~np.isnan(plain.decay)].all()


@settings(max_examples=25, deadline=None)
@given(a=st.floats(0, 1.42), b=st.floats(-0.3, 0.3), seed=st.integers(0, 99), loops=st.integers(1, 90))
def test_on_any_map_of_the_family(a, b, seed, loops):
    m = dl.zoo.henon(a=a, b=b)
    compiled, plain = both(m, m.start(seed, 4), loops)
    for name in SAME:
        np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-9, err_msg=name)


def linear(x, params, out):
    """Turn every coordinate into the next, shrunk by the parameters, which may differ by row."""
    n = x.shape[0]
    for j in range(n):
        out[j] = params[j % 2] * x[(j + 1) % n] + 0.1 * x[j]


@pytest.mark.parametrize("dim", [1, 2, 8, 9, 70])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_any_number_of_coordinates_and_rows(dim, rows):
    """Paths of few coordinates are kept and measured after it, four rows at once; the others as they go."""
    m = dl.KernelMap(linear, dim, params=(0.5, 0.9))
    rng = np.random.default_rng(dim)
    for own in (m, m.power(3), m.with_table(rng.uniform(0.3, 0.99, (rows, 2)))):
        compiled, plain = both(own, rng.standard_normal((rows, dim)), 33)
        np.testing.assert_array_equal(compiled.states, plain.states)
        for name in SAME:
            np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-12, err_msg=name)


@pytest.mark.slow
def test_angles_are_wrapped():
    m = dl.zoo.ring()
    compiled, plain = both(m, m.start(0, 5), 64)
    for name in SAME:
        np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-12, err_msg=name)


def test_an_orbit_that_is_lost_is_not_finite_and_settles_nowhere():
    m = dl.zoo.henon()
    compiled, _ = both(m, np.array([[5.0, 5.0], [0.1, 0.1]]), 40)
    assert compiled.finite[:, 0].tolist() == [False, True]
    assert not compiled.settled[0, 0]
    assert compiled.period[0, 0] == compiled.near[0, 0] == -1


def test_an_orbit_at_the_origin_is_settled():
    m = dl.zoo.logistic(0.5)
    compiled, plain = both(m, np.array([[0.0], [1.0]]), 32)
    assert compiled.settled.all()
    assert plain.settled.all()


def test_the_states_that_were_given_stay():
    m = dl.zoo.henon()
    states = m.start(0, 3)
    before = states.copy()
    m.survey(states, 9, np.ones((3, 1)), floor=1e-15, ceiling=256.0, returns=(1e-8, 1e-3), trend=False)
    np.testing.assert_array_equal(states, before)
