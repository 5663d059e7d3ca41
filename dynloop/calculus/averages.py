"""The mean of a correlated series over time, with an error that its lowest frequencies tell."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.fft import dct
from scipy.special import stdtrit

from dynloop.errors import ShapeError
from dynloop.maps.base import Array

__all__ = ["TimeAverage", "halves_disagree", "straying", "time_average"]

_FEWEST = 8  # loops from which an error is estimated
_BAND = 36  # frequencies, counted in half turns over the window, that tell the error
_OVERLAP = 1.5  # each two next but one share part of their noise: 36 are worth 24
_WIDTHS = 6  # of the peak or dip at zero frequency that are weighed
_HEIGHTS = (-1.0, -0.97, -0.8, 3.0, 20.0, 1e5)  # of it, over a floor of 1
_STEPS = (4, 8, 16)  # lowest frequencies that may have a level of their own
_NUMBERS_AT_ONCE = 2**22  # bounds the memory that copies take
_TINY = 1e-300  # keeps the logarithm of a power of zero finite


class TimeAverage(NamedTuple):
    """A mean over time and how well it is known; each an array of shape ``series.shape[1:]``.

    Attributes
    ----------
    mean : ndarray
        The mean; nan where the series holds nan, −inf where it holds −inf.
    standard_error : ndarray
        Half the width of a 95 % interval, over 1.96: ``mean ± 1.96·standard_error`` covers the limit in 95 % of cases.
        0 for a constant series; nan below 8 loops or where the series is not finite throughout.
    effective_size : ndarray
        How many independent values would know the mean as well: the variance of the series over the squared standard
        error, before that was widened for the few numbers it rests on. Between 1 and loops², the most that a bounded
        sum allows; above `loops` where neighbours are anti-correlated. nan where the error is nan, or the series is
        constant.
    """

    mean: Array
    standard_error: Array
    effective_size: Array


class _Shapes(NamedTuple):
    """Candidate spectra near frequency zero, of a level that is left free."""

    powers: Array  # (models, band): expected powers, over the level
    at_zero: Array  # (models,): expected loops · var(mean), over the level
    log_odds: Array  # (models,): before the data, and the part of the likelihood that no level enters


def time_average(series: Array) -> TimeAverage:
    """Average over axis 0, with a standard error that holds for correlation of either sign.

    Parameters
    ----------
    series : ndarray, (loops, …)
        Values by loop, evenly spaced; stationary, so drop the transient first. All other axes are columns of their own.

    Returns
    -------
    TimeAverage
        Mean, standard error and effective size, each of shape ``(…)``, in the units of the series.

    Raises
    ------
    ShapeError
        If the series has no axis to average over.

    Notes
    -----
    loops · var(mean) is the spectral density S at frequency zero, plus c / loops, c = −Σ_h |h| cov(x_t, x_{t+h}).

    S(0) is read off the 36 lowest coefficients of the discrete cosine transform, in the manner of Heidelberger and
    Welch (Commun. ACM 24 (1981) 233) and Müller (J. Econometrics 141 (2007) 1331): a fixed number, so that the
    uncertainty of the error is known and Student's t corrects for it. Differences of next but one coefficients are
    used, which do not feel the ends of the window (a sine taper; Riedel and Sidorenko, IEEE Trans. Signal Process. 43
    (1995) 188). Their expected powers are S at their frequencies. A correlation time that is not small against the
    window shows there as a peak at zero, anti-correlation as a dip. No shape is selected: a flat S,
    A·(1 + ρ / (1 + (θk)²)) with heights ρ ≥ −1 and widths 1/θ, and a lowest few powers on a level of their own are
    averaged with Bayesian weights, their levels fitted.

    c > 0 is what remains where sums stay bounded, so that S(0) = 0: on a quasi-periodic orbit, or where x is the
    difference of successive values of a function (the stretches of the logistic map at r = 4). The error then falls
    like 1/loops. c is twice the variance of the running sum above the low frequencies.

    Where the window holds only some ten correlation times, the error may be three times too large. A slow component
    hidden under noise goes unseen until the window holds about twenty of its correlation times: with one that makes up
    4/5 of S(0) and 4 % of the variance, the interval covers in 82 % of cases at four of them, in 92 % at twenty.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.calculus.averages import time_average
    >>> noise = np.random.default_rng(0).standard_normal(1001)
    >>> independent, differences = time_average(noise), time_average(np.diff(noise))
    >>> bool(0.02 < independent.standard_error < 0.05)  # 1/√1000 = 0.032
    True
    >>> bool(0.0008 < differences.standard_error < 0.002)  # √2/1000
    True
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim == 0:
        raise ShapeError("series must have shape (loops, …), loops in front; got a single number. Pass series[None].")
    loops, shape = len(values), values.shape[1:]
    columns = values.reshape(loops, int(np.prod(shape)))
    found = np.full((3, columns.shape[1]), np.nan)
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, loops))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for first in range(0, columns.shape[1] if loops else 0, at_once):
            found[:, first : first + at_once] = _averages(columns[:, first : first + at_once])
    mean, error, size = found.reshape(3, *shape)
    return TimeAverage(mean, error, size)


def straying(series: Array) -> Array:
    """Return how far the running sum of a series strays from a straight line, over its length: ``series.shape[1:]``.

    It is the size of the error of order 1/loops that the ends of a window make, which on a regular orbit is all there
    is and which no standard error covers.
    """
    with np.errstate(invalid="ignore"):
        strays = np.cumsum(series - series.mean(axis=0), axis=0)
        return np.asarray((np.maximum(strays.max(axis=0), 0) - np.minimum(strays.min(axis=0), 0)) / len(series))


def halves_disagree(series: Array, loops: int) -> Array:
    """Say of which columns the two halves of a window disagree, ``series.shape[1:]``, beyond five times their errors.

    Allowed is the bias of a regular orbit beside, of order log(loops) / loops. A column that is not finite throughout
    never disagrees.
    """
    halves = [time_average(half) for half in np.array_split(series, 2)]
    with np.errstate(invalid="ignore"):
        gap = np.abs(halves[0].mean - halves[1].mean)
        allowed = 5 * np.hypot(halves[0].standard_error, halves[1].standard_error) + 5 * np.log(loops) / loops
        return np.asarray(gap > allowed)


def _averages(columns: Array) -> tuple[Array, Array, Array]:
    """Return mean, error and effective size of every column of a series ``(loops, columns)``."""
    loops = len(columns)
    shifted = columns - columns[0]  # exactly zero where the series is constant
    scale = np.maximum(shifted.max(axis=0), -shifted.min(axis=0))
    known = np.isfinite(scale)
    if not known.all():
        shifted[:, ~known] = 0.0
    mean = np.where(known, columns[0] + shifted.mean(axis=0), columns.mean(axis=0))
    if loops < _FEWEST:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    shifted /= np.where(known & (scale > 0), scale, 1.0)
    coefficients = dct(shifted, axis=0, norm="ortho", overwrite_x=True)[1:]
    variance = np.einsum("jc,jc->c", coefficients, coefficients) / loops
    plain, widened = _variances_of_mean(coefficients)
    error = np.where(known, scale * np.sqrt(widened), np.nan)
    return mean, error, np.clip(variance / plain, 1.0, float(loops) ** 2)


def _variances_of_mean(coefficients: Array) -> tuple[Array, Array]:
    """Estimate the variance of the mean from the cosine coefficients 1, 2, … of the columns.

    Returns
    -------
    plain, widened : ndarray, (columns,)
        The estimate, and the same with Student's t for its uncertainty.
    """
    loops = len(coefficients) + 1
    band = min(_BAND, loops // 3)
    powers = (coefficients[:band] - coefficients[2 : band + 2]) ** 2 / 2
    shapes = _shapes(band)
    levels = (1 / shapes.powers) @ powers / band
    evidence = [_log_evidence(levels, band) + shapes.log_odds[:, None]]
    at_zero, level, beyond, count = (
        [levels * shapes.at_zero[:, None]], [levels], [band + 2] * len(levels), [band] * len(levels)
    )  # fmt: skip
    for step in (s for s in _STEPS if 2 * s < band):
        low, high = powers[:step].mean(axis=0)[None], powers[step:].mean(axis=0)[None]
        odds = -np.log(len(_STEPS)) - np.log(band / _OVERLAP)  # the second for two free parameters, as in BIC
        evidence.append(_log_evidence(low, step) + _log_evidence(high, band - step) + odds)
        at_zero.append(low)
        level.append(low)
        beyond.append(step + 1)
        count.append(step)
    unbounded = np.concatenate(at_zero) / loops
    bounded = _bounded_part(coefficients, np.concatenate(level), beyond)
    weight = np.concatenate(evidence)
    weight = np.exp(weight - weight.max(axis=0))
    weight /= weight.sum(axis=0)
    student = (stdtrit(np.array(count) / _OVERLAP, 0.975) / 1.96)[:, None]
    return (weight * (unbounded + bounded)).sum(axis=0), (weight * (unbounded * student**2 + bounded)).sum(axis=0)


def _log_evidence(level: Array, count: int) -> Array:
    """Return the log-likelihood of `count` overlapping powers at their best level, up to a constant."""
    return np.asarray(-count / (2 * _OVERLAP) * np.log(np.maximum(level, _TINY)))


def _bounded_part(coefficients: Array, level: Array, beyond: list[int]) -> Array:
    """Return c / loops², which bounded sums add to the variance of the mean, ``(models, columns)``.

    It is twice the power of the running sum above the first `beyond` frequencies, less what a flat spectrum of the
    model's `level` would have there.
    """
    loops, low = len(coefficients) + 1, max(beyond)
    gain = 1 / (4 * loops * np.sin(np.pi * np.arange(1, loops) / (2 * loops)) ** 2)  # of a running sum
    above = np.einsum("j,jc,jc->c", gain[low:], coefficients[low:], coefficients[low:])
    within = (gain[:low, None] * coefficients[:low] ** 2)[::-1].cumsum(axis=0)[::-1]
    total = np.concatenate([within + above, above[None]])
    flat = np.append(gain[::-1].cumsum()[::-1], 0.0)
    return np.asarray(2 * np.maximum(total[beyond] - level * flat[beyond][:, None], 0) / loops**2)


@lru_cache(maxsize=64)
def _shapes(band: int) -> _Shapes:
    """Return a flat spectrum, and peaks and dips at zero of many widths and heights."""
    k = np.arange(1, band + 3)
    powers, at_zero = [np.ones(band)], [1.0]
    for narrow in np.geomspace(1.5 / band, 2, _WIDTHS):
        peak = 1 / (1 + (k * narrow) ** 2)
        window = np.pi / narrow  # in correlation times
        seen = 1 - (1 - np.exp(-window)) / window  # exact for an exponential correlation
        for height in _HEIGHTS:
            powers.append(1 + height * (peak[:-2] + peak[2:]) / 2)
            at_zero.append(1 + height * (seen if height > 0 else 1))
    log_odds = np.full(len(powers), -np.log(len(powers) - 1))
    log_odds[0] = 0.0
    log_odds -= np.log(powers).sum(axis=1) / (2 * _OVERLAP)
    return _Shapes(np.array(powers), np.array(at_zero), log_odds)
