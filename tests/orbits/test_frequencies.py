"""Spectral lines: irrational rotations have them, noise and chaos do not, simple fractions do not count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.orbits.frequencies import least_denominator, spectral_lines

T = np.arange(4096)
GOLDEN = (np.sqrt(5) - 1) / 2


def test_the_golden_rotation_is_quasiperiodic_at_its_frequency():
    lines = spectral_lines(np.cos(2 * np.pi * GOLDEN * T) + 0.3 * np.cos(4 * np.pi * GOLDEN * T + 1))
    assert lines.quasiperiodic
    assert min(abs(lines.frequency - f) for f in (GOLDEN, 1 - GOLDEN)) < 1e-9


@settings(max_examples=20, deadline=None)
@given(whole=st.integers(1, 40), phase=st.floats(0, 6))
def test_the_frequency_of_an_irrational_rotation(whole, phase):
    frequency = (whole + GOLDEN) / 90
    lines = spectral_lines(np.cos(2 * np.pi * frequency * T + phase))
    assert lines.frequency == pytest.approx(frequency, abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(p=st.integers(2, 64), seed=st.integers(0, 99))
def test_a_cycle_is_not_quasiperiodic(p, seed):
    wave = np.random.default_rng(seed).standard_normal(p)
    assert not spectral_lines(wave[T % p]).quasiperiodic


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_quasiperiodic(seed):
    assert not spectral_lines(np.random.default_rng(seed).standard_normal(4096)).quasiperiodic


def test_chaos_is_not_quasiperiodic():
    x = np.empty(4096)
    x[0] = 0.3
    for t in range(1, 4096):
        x[t] = 3.99 * x[t - 1] * (1 - x[t - 1])
    assert not spectral_lines(x).quasiperiodic


def test_too_short_constant_or_infinite_signals_have_no_lines():
    for signal in (np.cos(T[:100]), np.ones(1000), np.full(1000, np.inf)):
        with np.errstate(invalid="ignore"):
            lines = spectral_lines(signal)
        assert not lines.quasiperiodic
        assert lines.count == 0


@settings(max_examples=30, deadline=None)
@given(f=st.floats(0.01, 0.49), error=st.sampled_from([1e-3, 1e-5, 1e-7]))
def test_the_least_denominator_is_the_first_that_fits(f, error):
    q = next(q for q in range(1, 10**6) if abs(round(f * q) / q - f) <= error)
    assert least_denominator(f, error) == q


@pytest.mark.parametrize(("p", "q"), [(233, 610), (377, 987), (1000, 9973)])
def test_a_frequency_is_known_well_enough_to_name_its_fraction(p, q):
    wave = np.cos(2 * np.pi * p / q * T) + 0.2 * np.cos(4 * np.pi * p / q * T + 1)
    assert spectral_lines(wave).denominator == q


def test_a_decay_over_the_window_is_no_line():
    for decay in (0.9999**T, (-0.9999) ** T * np.cos(T / 4096)):
        assert not spectral_lines(decay).quasiperiodic
