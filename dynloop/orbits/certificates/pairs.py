"""`Pair`: a complex number as two balls, for steps that compute with complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.orbits.certificates.balls import Ball, as_ball
from dynloop.orbits.certificates.trace import RefusedError

__all__ = ["Pair", "as_pair"]


class Pair:
    """A complex number: real and imaginary part are balls."""

    __slots__ = ("imag", "real")
    __hash__ = None  # type: ignore[assignment] # as in `Ball`

    def __init__(self, real: Ball, imag: Ball) -> None:
        self.real, self.imag = real, imag

    def __add__(self, other: Any) -> Any:
        b = as_pair(other)
        return NotImplemented if b is None else Pair(self.real + b.real, self.imag + b.imag)

    __radd__ = __add__

    def __neg__(self) -> Pair:
        return Pair(-self.real, -self.imag)

    def __sub__(self, other: Any) -> Any:
        b = as_pair(other)
        return NotImplemented if b is None else self + (-b)

    def __rsub__(self, other: Any) -> Any:
        b = as_pair(other)
        return NotImplemented if b is None else b + (-self)

    def __mul__(self, other: Any) -> Any:
        b = as_pair(other)
        if b is None:
            return NotImplemented
        return Pair(self.real * b.real - self.imag * b.imag, self.real * b.imag + self.imag * b.real)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        b = as_pair(other)
        if b is None:
            return NotImplemented
        square = b.real**2 + b.imag**2
        product = self * b.conjugate()
        return Pair(product.real / square, product.imag / square)

    def __rtruediv__(self, other: Any) -> Any:
        b = as_pair(other)
        return NotImplemented if b is None else b / self

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, bool) or not isinstance(other, int) or not 0 <= other <= 64:
            raise RefusedError("a power of a complex number that is no small whole one")
        power = Pair(_number(1), _number(0))
        for _ in range(other):
            power = power * self
        return power

    def conjugate(self) -> Pair:
        """Return the conjugate."""
        return Pair(self.real, -self.imag)

    def __abs__(self) -> Ball:
        square: Ball = self.real**2 + self.imag**2
        return square.root()

    def __eq__(self, other: object) -> bool:
        b = as_pair(other)
        if b is None:
            raise RefusedError(f"a comparison with {type(other).__name__}")
        return bool(self.real == b.real) and bool(self.imag == b.imag)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    def __float__(self) -> float:
        raise RefusedError("a conversion to a float")

    def __complex__(self) -> complex:
        raise RefusedError("a conversion to a complex number")


def as_pair(value: Any) -> Pair | None:
    """Return a number as a pair of balls; None for what is no number."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, complex | np.complexfloating):
        return Pair(_number(float(value.real)), _number(float(value.imag)))
    ball = as_ball(value)
    return None if ball is None else Pair(ball, _number(0))


def _number(value: float) -> Ball:
    ball = as_ball(value)
    assert ball is not None  # noqa: S101 - for the type checker
    return ball
