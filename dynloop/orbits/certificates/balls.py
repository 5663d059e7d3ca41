"""`Ball`: a number that is known to lie in an interval, with its derivatives, which takes no branch it cannot prove.

The value and every partial derivative are Arb balls. Sums, products and functions are enclosures. A comparison that
does not hold for all numbers of a ball, or for none, raises; `float` of a ball raises. Where a function has a kink, the
derivative is the interval of its slopes: f(x) − f(y) lies in [slopes]·(x − y), which is all that a proof by Krawczyk's
operator needs (F. H. Clarke, *Optimization and Nonsmooth Analysis* (1983), 2.6).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from dynloop.orbits.certificates.backend import Arb, exact, flint, workprec
from dynloop.orbits.certificates.slopes import Slopes, either, plus, scaled, whole_power
from dynloop.orbits.certificates.trace import RefusedError, UndecidedError, note_kink
from dynloop.orbits.certificates.whole import Whole

__all__ = ["Ball", "as_ball", "constant", "pi_times", "same"]

_PI_BITS = 1024
_TURNS = {math.pi * float(q): q for q in map(Fraction, ("1/4", "1/2", "1", "2", "4"))}  # exact: powers of two


class Ball:
    """A number in a ball, and its partial derivatives.

    Parameters
    ----------
    v : arb
        Holds the number.
    d : list of arb, optional
        Holds its derivatives; None for a constant.
    pi : Fraction, optional
        q, where the number is q·π.
    turn : Ball, optional
        T, where the number is v − T·⌊v/T⌋, and that floor was not asked for yet.
    """

    __slots__ = ("d", "pi", "turn", "v")
    __hash__ = None  # type: ignore[assignment] # what has an == of its own has no hash

    def __init__(self, v: Arb, d: Slopes = None, pi: Fraction | None = None, turn: Ball | None = None) -> None:
        self.v, self.d, self.pi, self.turn = v, d, pi, turn

    def settled(self) -> Ball:
        """Return the number with its remainder taken, if it is one."""
        if self.turn is None:
            return self
        k = (self.v / self.turn.v).floor().unique_fmpz()
        if k is None:
            raise UndecidedError("the remainder of a division jumps")
        return Ball(self.v - self.turn.v * k, self.d)

    # -- arithmetic ----------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        b = as_ball(other)
        if b is None:
            return NotImplemented
        a = self.settled()
        return Ball(a.v + b.v, plus(a.d, b.d))

    __radd__ = __add__

    def __neg__(self) -> Ball:
        a = self.settled()
        return Ball(-a.v, None if a.d is None else [-s for s in a.d], None if a.pi is None else -a.pi)

    def __pos__(self) -> Ball:
        return self

    def __sub__(self, other: Any) -> Any:
        b = as_ball(other)
        return NotImplemented if b is None else self + (-b)

    def __rsub__(self, other: Any) -> Any:
        b = as_ball(other)
        return NotImplemented if b is None else b + (-self)

    def __mul__(self, other: Any) -> Any:
        b = as_ball(other)
        if b is None:
            return NotImplemented
        a = self.settled()
        if a is b:
            return _integer_power(a, 2)
        pi = None
        if (a.pi is not None or b.pi is not None) and a.d is None and b.d is None:
            pi = _times_pi(a, b) or _times_pi(b, a)
        return Ball(a.v * b.v, plus(scaled(a.d, b.v), scaled(b.d, a.v)), pi)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        b = as_ball(other)
        if b is None:
            return NotImplemented
        if b.v.contains(0):
            raise UndecidedError("a divisor may be 0")
        a = self.settled()
        ratio = a.v / b.v
        slopes = plus(a.d, scaled(b.d, -ratio))
        pi = None
        if a.pi is not None and b.d is None and (share := _fraction(b.v)):
            pi = a.pi / share
        return Ball(ratio, scaled(slopes, 1 / b.v), pi)

    def __rtruediv__(self, other: Any) -> Any:
        b = as_ball(other)
        return NotImplemented if b is None else b / self

    def __pow__(self, other: Any) -> Any:
        p = as_ball(other)
        if p is None:
            return NotImplemented
        a = self.settled()
        n = p.v.unique_fmpz() if p.d is None and p.v.is_exact() else None
        if n is not None:
            return _integer_power(a, int(n))
        if p.d is None and p.v.is_exact() and bool(p.v == 0.5):
            return a.root()
        if not a.v > 0:
            raise UndecidedError("the base of a power may not be positive")
        log = a.v.log()
        value = (p.v * log).exp()
        return Ball(value, plus(scaled(a.d, p.v * value / a.v), scaled(p.d, value * log)))

    def __rpow__(self, other: Any) -> Any:
        b = as_ball(other)
        return NotImplemented if b is None else b**self

    def __mod__(self, other: Any) -> Any:
        b = as_ball(other)
        if b is None:
            return NotImplemented
        if b.d is not None or not b.v > 0:
            raise UndecidedError("the divisor of a remainder is no positive constant")
        a = self if self.turn is not None and same(self.turn, b) else self.settled()
        return Ball(a.v, a.d, None, b)

    def __rmod__(self, other: Any) -> Any:
        b = as_ball(other)
        return NotImplemented if b is None else b % self

    def __floordiv__(self, other: Any) -> Any:
        ratio: Ball = self / other
        return ratio.floor()

    def __rfloordiv__(self, other: Any) -> Any:
        ratio: Ball = other / self
        return ratio.floor()

    # -- what has a kink or a jump -------------------------------------------------------------------------------

    def __abs__(self) -> Ball:
        a = self.settled()
        if a.v >= 0:
            return a
        if a.v <= 0:
            return -a
        if a.d is not None:
            note_kink()
        return Ball(abs(a.v).nonnegative_part(), scaled(a.d, flint.arb(-1).union(flint.arb(1))))

    def smaller(self, other: Any) -> Ball:
        """Return the smaller of two numbers."""
        a, b = self.settled(), _must(other)
        if a.v <= b.v:
            return a
        if b.v <= a.v:
            return b
        if a.d is not None or b.d is not None:
            note_kink()
        return Ball(a.v.min(b.v), either(a.d, b.d))

    def larger(self, other: Any) -> Ball:
        """Return the larger of two numbers."""
        return -((-self).smaller(-_must(other)))

    def floor(self) -> Ball:
        """Return the largest integer that is no larger."""
        k = self.settled().v.floor().unique_fmpz()
        if k is None:
            raise UndecidedError("a floor jumps")
        return Ball(flint.arb(k))

    def root(self) -> Ball:
        """Return the square root."""
        a = self.settled()
        if not (a.v > 0 or (a.d is None and a.v >= 0)):
            raise UndecidedError("the argument of a square root may not be positive")
        value = a.v.sqrt()
        return Ball(value, None if a.d is None else scaled(a.d, 1 / (2 * value)))

    # -- comparisons: proved, or an error ------------------------------------------------------------------------

    def _gap(self, other: Any) -> Arb:
        a, b = self.settled(), _must(other)
        return a.v - b.v

    def __lt__(self, other: Any) -> bool:
        return _decided(gap := self._gap(other), gap < 0, gap >= 0)

    def __le__(self, other: Any) -> bool:
        return _decided(gap := self._gap(other), gap <= 0, gap > 0)

    def __gt__(self, other: Any) -> bool:
        return _decided(gap := self._gap(other), gap > 0, gap <= 0)

    def __ge__(self, other: Any) -> bool:
        return _decided(gap := self._gap(other), gap >= 0, gap < 0)

    def __eq__(self, other: object) -> bool:
        gap = self._gap(other)
        return _decided(gap, gap.is_exact() and gap == 0, gap != 0)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    # -- what would lose the ball --------------------------------------------------------------------------------

    def __float__(self) -> float:
        raise RefusedError("a conversion to a float")

    def __complex__(self) -> complex:
        raise RefusedError("a conversion to a complex number")

    def __index__(self) -> int:
        raise RefusedError("a state or a parameter as an index")

    def __int__(self) -> int:
        return int(self.whole())

    def whole(self) -> Whole:
        """Return the number without its fraction."""
        a = self.settled()
        k = (a.v if a.v >= 0 else -a.v).floor().unique_fmpz()
        if k is None or not (a.v >= 0 or a.v <= 0):
            raise UndecidedError("a conversion to an integer jumps")
        return Whole(int(k)) if a.v >= 0 else Whole(-int(k))

    def __round__(self, digits: int | None = None) -> Ball:
        if digits:
            raise RefusedError("a rounding to decimals")
        raised = self + 0.5
        whole: Ball = raised.floor()
        if raised.v.contains(whole.v.unique_fmpz()):
            raise UndecidedError("a rounding jumps")
        return whole

    @property
    def real(self) -> Ball:
        """The number itself."""
        return self

    @property
    def imag(self) -> Ball:
        """Zero."""
        return Ball(flint.arb(0))

    def __repr__(self) -> str:
        return f"<ball {self.v}>"


def as_ball(value: Any) -> Ball | None:
    """Return a number as a ball, its remainder taken; None for what is no real number."""
    if isinstance(value, Ball):
        return value.settled()
    if isinstance(value, bool | np.bool_):
        return Ball(exact(int(value)))
    if isinstance(value, int | np.integer):
        return Ball(exact(int(Whole(int(value)))))
    if isinstance(value, float):
        return constant(value)
    if isinstance(value, np.floating):
        return constant(float(value))
    return None


def constant(value: float) -> Ball:
    """Return a double of a program as a ball of radius 0; as the multiple of π that it stands for, if it does.

    Those are π/4, π/2, π, 2π and 4π: a program cannot write them otherwise.
    """
    if not math.isfinite(value):
        raise RefusedError(f"the constant {value}")
    share = _TURNS.get(abs(value))
    return Ball(exact(float(value))) if share is None else pi_times(share if value > 0 else -share)


def pi_times(share: Fraction) -> Ball:
    """Return a multiple of π, to more digits than any proof works with."""
    with workprec(_PI_BITS):
        return Ball(flint.arb.pi() * share.numerator / share.denominator, None, share)


def same(a: Ball, b: Ball) -> bool:
    """Say whether two constants are one number: the same multiple of π, or exact and equal."""
    if a.pi is not None or b.pi is not None:
        return a.pi == b.pi
    return a.v.is_exact() and b.v.is_exact() and bool(a.v == b.v)


def _must(value: Any) -> Ball:
    ball = as_ball(value)
    if ball is None:
        raise RefusedError(f"a comparison with {type(value).__name__}")
    return ball


def _decided(gap: Arb, yes: Any, no: Any) -> bool:
    if yes and gap.is_finite():
        return True
    if no and gap.is_finite():
        return False
    raise UndecidedError("a comparison holds for some of the states and fails for others")


def _integer_power(a: Ball, n: int) -> Ball:
    if n == 0:
        return Ball(flint.arb(1))
    if n < 0 and a.v.contains(0):
        raise UndecidedError("a divisor may be 0")
    return Ball(whole_power(a.v, n), a.d if n == 1 else scaled(a.d, n * whole_power(a.v, n - 1)))


def _fraction(v: Arb) -> Fraction | None:
    if not v.is_exact() or not v.is_finite():
        return None
    mantissa, exponent = v.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent) if abs(int(exponent)) < 2000 else None


def _times_pi(a: Ball, b: Ball) -> Fraction | None:
    share = _fraction(b.v) if a.pi is not None and b.pi is None else None
    return None if share is None or a.pi is None else a.pi * share
