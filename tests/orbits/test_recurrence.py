"""What a window of norms is read as: settling, returns, growth, the law of octaves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynloop.orbits.recurrence import decay, divides, growth, octave_law, return_period, settled

T = np.arange(1, 257)


@given(p=st.integers(1, 60), noise=st.floats(0, 1e-9))
def test_the_least_period_is_found_not_a_multiple(p, noise):
    returns = np.where(T % p == 0, noise, 0.1 + 0.01 * (T % p))
    assert return_period(returns, 1e-8) == p


def test_one_return_or_a_near_miss_is_no_period():
    once = np.full(100, 0.1)
    once[69] = 0.0
    assert return_period(once, 1e-8) == -1
    assert return_period(np.where(T % 5 == 0, 2e-8, 0.1), 1e-8) == -1


@given(factor=st.floats(1.001, 1.5))
def test_growth_is_the_factor_of_a_geometric_series(factor):
    assert growth(factor ** np.arange(64.0)) == pytest.approx(factor, rel=1e-9)


def test_no_growth_is_nan():
    assert np.isnan(growth(np.ones(64)))
    assert np.isnan(growth(1 + 0.1 * np.sin(T)))


@given(factor=st.floats(0.5, 0.999))
def test_decay_is_the_factor_of_a_geometric_series(factor):
    assert decay(factor ** np.arange(64.0)) == pytest.approx(factor, rel=1e-9)


def test_settled_is_small_and_no_longer_falling():
    floor = np.array(1e-15)
    flat, falling = np.full(64, 1e-14), 1e-13 * 0.8 ** np.arange(64)
    assert settled(flat, floor, ceiling=256)
    assert not settled(np.full(64, 1e-12), floor, ceiling=256)
    assert not settled(falling[:12], floor, ceiling=256)
    assert settled(np.zeros(64), floor, ceiling=256)


def test_the_law_of_octaves():
    harmonic = np.array([np.sum(1.0 / np.arange(2**j, 2 ** (j + 1))) for j in range(5, 12)])
    squares = np.array([np.sum(1.0 / np.arange(2**j, 2 ** (j + 1)) ** 2.0) for j in range(5, 12)])
    assert octave_law(harmonic) == "drift"
    assert octave_law(squares) == "summable"
    assert octave_law(squares[:3]) == "unclear"
    assert octave_law(np.zeros(6)) == "unclear"


def octave_lengths(x):
    """Return displacements of a monotone x(t) over octaves from 32 to 4096 loops."""
    return np.abs(np.diff([x(2.0**j) for j in range(5, 13)]))


@given(scale=st.floats(30, 1e5), power=st.floats(0.3, 4))
def test_a_decay_that_has_not_begun_to_slow_down_is_no_drift(scale, power):
    """Bug of 2026-11: x ← x − 1e-3 x³ was called DRIFT while its octaves were still equal or growing."""
    assert octave_law(octave_lengths(lambda t: (1 + t / scale) ** -power)) != "drift"
    assert octave_law(octave_lengths(lambda t: np.exp(-t / scale))) != "drift"


@given(scale=st.floats(0.1, 3), power=st.floats(0.1, 0.9))
def test_slow_growth_from_an_offset_is_drift(scale, power):
    assert octave_law(octave_lengths(lambda t: (1 + t / scale) ** power)) == "drift"
    assert octave_law(octave_lengths(lambda t: np.log(1 + t / scale))) == "drift"


def test_proper_divisors():
    assert divides(12) == [1, 2, 3, 4, 6]
    assert divides(1) == []
