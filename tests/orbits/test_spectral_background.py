"""Power outside spectral lines: none in sums of lines, some in noise and chaos."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.orbits.spectral_background import spectral_background

T = np.arange(4096)


@settings(max_examples=20, deadline=None)
@given(f=st.floats(0.02, 0.23), phase=st.floats(0, 6))
def test_sums_of_lines_leave_nothing(f, phase):
    found = spectral_background(np.cos(2 * np.pi * f * T + phase) + 0.3 * np.cos(4 * np.pi * f * T + 1))
    assert found.lines == 2
    assert found.share <= 1e-8


@pytest.mark.parametrize("level", [1e-1, 1e-2])
def test_strong_noise_breaks_up_into_lines(level):
    noise = level * np.random.default_rng(0).standard_normal(4096)
    assert spectral_background(np.cos(0.7 * T) + noise).lines > 4096 // 32


@pytest.mark.parametrize("level", [1e-3, 3e-4])
def test_weak_noise_beside_a_line_is_measured(level):
    """White noise of deviation σ beside a cosine has the share 2σ² of the power, a little less by what lines hide."""
    noise = level * np.random.default_rng(0).standard_normal(4096)
    assert 0.5 <= spectral_background(np.cos(0.7 * T) + noise).share / (2 * level**2) <= 1.3


def test_chaos_has_a_background_or_more_lines_than_any_torus():
    x = np.empty(4096)
    x[0] = 0.3
    for t in range(1, 4096):
        x[t] = 3.99 * x[t - 1] * (1 - x[t - 1])
    found = spectral_background(x)
    assert found.lines > 4096 // 32


def test_an_alternation_is_one_line():
    assert spectral_background((-1.0) ** T).lines == 1


@pytest.mark.parametrize("signal", [np.cos(T[:100]), np.ones(1000), np.full(1000, np.inf), np.full(1000, np.nan)])
def test_too_short_constant_or_infinite_signals_have_no_lines(signal):
    assert spectral_background(signal) == (1.0, 0)
