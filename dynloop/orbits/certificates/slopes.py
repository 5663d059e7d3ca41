"""Rows of derivatives, and whole powers, on Arb balls."""

from __future__ import annotations

from typing import Any

from dynloop.orbits.certificates.backend import Arb, flint

__all__ = ["Slopes", "either", "plus", "scaled", "whole_power"]

Slopes = list[Any] | None  # None: all are 0


def plus(a: Slopes, b: Slopes) -> Slopes:
    """Return the sum of two rows."""
    if a is None or b is None:
        return b if a is None else a
    return [s + t for s, t in zip(a, b, strict=True)]


def scaled(a: Slopes, factor: Arb) -> Slopes:
    """Return a multiple of a row."""
    return None if a is None else [s * factor for s in a]


def either(a: Slopes, b: Slopes) -> Slopes:
    """Return a row that holds all between two."""
    if a is None and b is None:
        return None
    zero = [flint.arb(0)] * len(a or b or ())
    return [s.union(t) for s, t in zip(a or zero, b or zero, strict=True)]


def whole_power(v: Arb, n: int) -> Arb:
    """Return v^n, as tight as a ball can hold it, and never by a logarithm."""
    if n < 0:
        return 1 / whole_power(v, -n)
    if not v.is_exact():  # a power is monotonic on either side of 0
        if n % 2:
            return whole_power(v.lower(), n).union(whole_power(v.upper(), n))
        return whole_power(v.abs_lower(), n).union(whole_power(v.abs_upper(), n)) if n else flint.arb(1)
    power, square = flint.arb(1), v
    while n:
        if n & 1:
            power = power * square
        n >>= 1
        square = square * square if n else square
    return power
