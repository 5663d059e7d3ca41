"""Which periods a frequency that is known within an error excludes: the least denominator near it."""

from __future__ import annotations

import math
from fractions import Fraction

__all__ = ["least_denominator"]


def least_denominator(frequency: float, error: float) -> int:
    """Return the least denominator of a fraction within `error` of a frequency, by its continued fraction.

    Examples
    --------
    >>> from dynloop.orbits.denominators import least_denominator
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
