"""python-flint, whose Arb balls carry every proof, and how balls and floats are turned into each other."""

from __future__ import annotations

import math
from typing import Any

from dynloop.errors import MissingPackageError

try:
    import flint
except ImportError as error:
    raise MissingPackageError("proofs need python-flint: pip install 'dynloop[certify]'") from error

__all__ = ["Arb", "above", "below", "exact", "flint", "hull", "nearest", "size", "the_integer", "workprec"]

Arb = Any  # python-flint has no types


def workprec(bits: int) -> Any:
    """Return a context in which balls are computed with so many bits; the setting of before comes back after it."""
    return flint.ctx.workprec(bits)


def exact(value: float | int) -> Arb:
    """Return a double as a ball of radius 0; an integer as one that holds it."""
    return flint.arb(value) if isinstance(value, float) else flint.arb(flint.fmpz(value))


def hull(low: float, high: float) -> Arb:
    """Return a ball that holds the interval [low, high]."""
    return flint.arb(float(low)).union(flint.arb(float(high)))


def above(ball: Arb) -> float:
    """Return a double that is no smaller than any number of the ball."""
    return _towards(ball.upper(), math.inf)


def below(ball: Arb) -> float:
    """Return a double that is no larger than any number of the ball."""
    return _towards(ball.lower(), -math.inf)


def size(ball: Arb) -> float:
    """Return a double that is no smaller than the modulus of any number of the ball."""
    return _towards(ball.abs_upper(), math.inf)


def nearest(ball: Arb) -> float:
    """Return a double next to the middle of the ball."""
    return float(ball.mid())


def _towards(ball: Arb, side: float) -> float:
    value = float(ball.mid())
    if not math.isfinite(value):
        return value if math.isnan(value) or value == side else math.copysign(math.nextafter(math.inf, 0), value)
    return value if flint.arb(value) == ball else math.nextafter(value, side)


def the_integer(ball: Arb) -> tuple[bool, int | None]:
    """Say whether a ball holds at most one integer, and which one."""
    if not ball.is_finite():
        return False, None
    first, last = ball.lower().ceil(), ball.upper().floor()
    if bool(first > last):
        return True, None
    if first.is_exact() and last.is_exact() and bool(first == last):
        return True, int(first.unique_fmpz())
    return False, None
