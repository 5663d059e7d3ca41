"""Base frequencies of a bounded signal: few stable incommensurate lines are the evidence for a quasi-periodic orbit.

Frequencies are in cycles per loop. The estimator is a windowed Fourier transform refined around its peaks, after
Laskar's numerical analysis of fundamental frequencies (Physica D 67, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.signal.windows import blackmanharris

from dynloop.maps.base import Array

__all__ = ["Lines", "spectral_lines"]


_TURNS = 4  # over the signal: a slower line lies within the window's main lobe around zero, like a trend


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lines:
    """The line spectrum of a signal.

    Attributes
    ----------
    frequency : float
        Strongest line that is no simple fraction and no trend (4 turns over the signal at least), cycles per loop;
        nan if there is none.
    drift : float
        How far it moves between the two halves of the signal.
    background : float
        Share of the power outside the lines.
    count : int
        Number of lines.
    quasiperiodic : bool
        Few lines, stable, no background, and one of them incommensurate with the loop.
    """

    frequency: float
    drift: float
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
    nothing = Lines(frequency=np.nan, drift=np.nan, background=1.0, count=0, quasiperiodic=False)
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
    refined = (_refine(signal, p / len(signal)) for p in peaks[:8])
    turning = (f for f in refined if f * len(signal) >= _TURNS)
    best = next((f for f in turning if not _simple(f, denominators)), float("nan"))
    if np.isnan(best):
        return Lines(frequency=best, drift=np.nan, background=background, count=len(peaks), quasiperiodic=False)
    first, second = (_refine(half, best) for half in np.array_split(signal, 2))
    drift = abs(first - second)
    few = len(peaks) <= len(signal) // 32 and near.mean() <= 0.7
    return Lines(
        frequency=best, drift=drift, background=background, count=len(peaks),
        quasiperiodic=bool(few and background <= 1e-7 and drift <= 1e-6),
    )  # fmt: skip


def _peaks(power: Array) -> list[int]:
    """Return the bins of local maxima above 1e-7 of the highest, highest first."""
    inner = power[1:-1]
    tops = np.flatnonzero((inner >= power[:-2]) & (inner >= power[2:]) & (inner > 1e-7 * power.max())) + 1
    if power[-1] > power[-2] and power[-1] > 1e-7 * power.max():
        tops = np.append(tops, len(power) - 1)
    return [int(p) for p in tops[np.argsort(-power[tops])]]


def _refine(signal: Array, frequency: float) -> float:
    """Move a frequency to the nearest maximum of the windowed transform."""
    window = blackmanharris(len(signal), sym=False)
    times = np.arange(len(signal))

    def minus_amplitude(f: float) -> float:
        return -float(np.abs(np.sum(signal * window * np.exp(-2j * np.pi * f * times))))

    bin_width = 1 / len(signal)
    found = minimize_scalar(
        minus_amplitude,
        bounds=(frequency - bin_width, frequency + bin_width),
        method="bounded",
        options={"xatol": 1e-13},
    )
    return float(found.x)


def _simple(frequency: float, denominators: int) -> bool:
    near = Fraction(frequency).limit_denominator(denominators)
    return abs(float(near) - frequency) <= 1e-6
