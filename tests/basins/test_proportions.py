import numpy as np
import pytest
from scipy.stats import binom

from dynloop.basins.proportions import looks, standard_error, wilson


def half_width(n, confidence=0.95):
    low, high = wilson(np.arange(n + 1), n, confidence).T
    return low, high, (high - low) / 2


def sequential(p, precision, confidence=0.95):
    """The exact probability that the interval covers p, drawing until it is narrow enough, and the mean sample."""
    covered = drawn = 0.0
    left, before = np.ones(1), 0
    for n in looks(10**6):
        left = np.convolve(left, binom.pmf(np.arange(n - before + 1), n - before, p))
        low, high, half = half_width(n, confidence)
        stop = half <= precision
        covered += left[stop & (low <= p) & (p <= high)].sum()
        drawn += n * left[stop].sum()
        left, before = np.where(stop, 0, left), n
        if left.sum() < 1e-10:
            return covered, drawn
    raise AssertionError("never narrow enough")


@pytest.mark.parametrize("precision", [0.02, 0.05])
def test_stopping_at_a_precision_covers_as_is_said(precision):
    found = np.array([sequential(p, precision) for p in np.linspace(0.02, 0.98, 33)])
    assert found[:, 0].min() > 0.936
    assert found[:, 0].max() < 0.985
    assert 0.945 < found[:, 0].mean() < 0.956
    assert found[:, 1].max() < 1.35 * max(
        128, 0.25 * (1.96 / precision) ** 2
    )  # of the sample for p = 1/2 known beforehand


def test_wilson_covers_at_a_fixed_sample():
    n = 200
    low, high, _ = half_width(n)
    cover = [binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in np.linspace(0.03, 0.97, 48)]
    assert min(cover) > 0.92
    assert np.mean(cover) == pytest.approx(0.95, abs=0.006)


def test_wilson_solves_its_equation():
    z = 1.959963984540054
    counts = np.array([0, 3, 50, 97, 100])
    for (low, high), k in zip(wilson(counts, 100, 0.95), counts, strict=True):
        for end in {low, high} - {0.0, 1.0}:
            assert abs(k / 100 - end) == pytest.approx(z * np.sqrt(end * (1 - end) / 100), rel=1e-9)
    assert wilson(np.array([0]), 100, 0.95)[0, 0] == 0
    assert wilson(np.array([100]), 100, 0.95)[0, 1] == 1


def test_the_standard_error_is_never_zero():
    assert standard_error(np.array([0, 25, 100]), 100) == pytest.approx([1 / 101, np.sqrt(0.25 * 0.75 / 100), 1 / 101])


def test_looks_grow_and_end_at_the_budget():
    sizes = list(looks(1000))
    assert sizes[0] == 128
    assert sizes[-1] == 1000
    assert (np.diff(sizes) > 0).all()
    assert list(looks(5)) == [5]
