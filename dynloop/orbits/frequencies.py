"""Base frequencies of a bounded signal: few stable incommensurate lines are the evidence for a quasi-periodic orbit.

Frequencies are in cycles per loop. The estimator is a windowed Fourier transform refined around its peaks, after
Laskar's numerical analysis of fundamental frequencies (Physica D 67, 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.signal.windows import blackmanharris

from dynloop.maps.base import Array

__all__ = ["Lines", "least_denominator", "spectral_lines"]

_FINEST = 2e-11  # an error that halves may share: what is left of the mean leaks into the line
_TURNS = 20  # fewest turns in the signal that make a line


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lines:
    """The line spectrum of a signal.

    Attributes
    ----------
    frequency : float
        Strongest line that is no simple fraction, cycles per loop; nan if there is none.
    drift : float
        How far it moves between the two halves of the signal.
    denominator : int
        Least denominator of a fraction within five drifts of it: periods below are excluded. 0 if there is no line.
    background : float
        Share of the power outside the lines.
    count : int
        Number of lines.
    quasiperiodic : bool
        Few lines, stable, no background, and one of them no simple fraction and seen to turn (a decay that outlasts
        the window looks like a line of a turn or two, and one that flips like a line beside 1/2).
    """

    frequency: float
    drift: float
    denominator: int
    background: float
    count: int
    quasiperiodic: bool


def spectral_lines(signal: Array, *, denominators: int = 128) -> Lines:
    """Find the spectral lines of a scalar signal.

    Parameters
    ----------
    signal : ndarray, (loops,)
        One value a loop, on the attractor; at least 256 of them.
    denominators : int
        A frequency within 1e-6 of a fraction with denominator up to this is called commensurate.

    Returns
    -------
    Lines
        What was found, with the verdict `quasiperiodic`.
    """
    nothing = Lines(frequency=np.nan, drift=np.nan, denominator=0, background=1.0, count=0, quasiperiodic=False)
    signal = signal - signal.mean()
    size = np.abs(signal).max()
    if len(signal) < 256 or not np.isfinite(size) or size == 0:
        return nothing
    window = blackmanharris(len(signal), sym=False)
    power = np.abs(np.fft.rfft((signal / size) * window)) ** 2
    peaks = _peaks(power)
    near = np.zeros(len(power), dtype=bool)
    for peak in peaks:
        near[max(0, peak - 6) : peak + 7] = True
    near[:4] = True  # the mean that is left leaks no further than the window's main lobe
    background = float(power[~near].sum() / power.sum())
    best = next(
        (f for f in (_refine(signal, p / len(signal)) for p in peaks[:8]) if not _simple(f, denominators)), float("nan")
    )
    if np.isnan(best):
        return replace(nothing, background=background, count=len(peaks))
    first, second = (_refine(half, best) for half in np.array_split(signal, 2))
    drift = abs(first - second)
    few = len(peaks) <= len(signal) // 32 and near.mean() <= 0.7
    turns = len(signal) * min(best, abs(0.5 - best))
    return Lines(
        frequency=best, drift=drift, background=background, count=len(peaks),
        denominator=least_denominator(best, 5 * max(drift, _FINEST)),
        quasiperiodic=bool(few and background <= 1e-7 and drift <= 1e-6 and turns >= _TURNS),
    )  # fmt: skip


def least_denominator(frequency: float, error: float) -> int:
    """Return the least denominator of a fraction within `error` of a frequency, by its continued fraction.

    Examples
    --------
    >>> from dynloop.orbits.frequencies import least_denominator
    >>> least_denominator(0.381967213, 1e-9), least_denominator(2**0.5 - 1, 1e-9)
    (610, 33461)
    """
    return _simplest(Fraction(frequency) - Fraction(error), Fraction(frequency) + Fraction(error)).denominator


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction of least denominator in [low, high]."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    return (whole - 1) + 1 / _simplest(1 / (high - (whole - 1)), 1 / (low - (whole - 1)))


def _peaks(power: Array) -> list[int]:
    """Return the bins of local maxima above 1e-7 of the highest, highest first."""
    inner = power[1:-1]
    tops = np.flatnonzero((inner >= power[:-2]) & (inner >= power[2:]) & (inner > 1e-7 * power.max())) + 1
    if power[-1] > power[-2] and power[-1] > 1e-7 * power.max():
        tops = np.append(tops, len(power) - 1)
    return [int(p) for p in tops[np.argsort(-power[tops])]]


def _refine(signal: Array, frequency: float) -> float:
    """Move a frequency to the nearest maximum of the windowed transform, where its slope is zero.

    The maximum itself is flat, so its place is only known to the root of the precision.
    """
    window = blackmanharris(len(signal), sym=False)
    times = np.arange(len(signal)) - len(signal) / 2
    tapered = signal * window

    def transform(bins: float) -> Array:
        return np.asarray(tapered * np.exp(-2j * np.pi * (frequency + bins / len(signal)) * times))

    def minus_amplitude(bins: float) -> float:
        return -float(np.abs(transform(bins).sum()))

    def slope(bins: float) -> float:
        terms = transform(bins)
        return float(((times * terms).sum() * np.conj(terms.sum())).imag)

    bins = float(minimize_scalar(minus_amplitude, bounds=(-1, 1), method="bounded", options={"xatol": 1e-3}).x)
    if slope(bins - 0.01) * slope(bins + 0.01) < 0:
        bins = float(brentq(slope, bins - 0.01, bins + 0.01, xtol=1e-12))
    return frequency + bins / len(signal)


def _simple(frequency: float, denominators: int) -> bool:
    near = Fraction(frequency).limit_denominator(denominators)
    return abs(float(near) - frequency) <= 1e-6
