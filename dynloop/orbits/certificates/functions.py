"""The functions of `math` and NumPy on balls: each gives its value and its derivative, or raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.orbits.certificates.backend import Arb, exact, flint
from dynloop.orbits.certificates.balls import Ball, as_ball
from dynloop.orbits.certificates.pairs import Pair, as_pair
from dynloop.orbits.certificates.slopes import whole_power
from dynloop.orbits.certificates.trace import RefusedError, UndecidedError, note_kink

__all__ = ["BINARY", "UNARY", "over_arrays"]

Function = Callable[..., Any]


def _smooth(value: Function, slope: Callable[[Arb, Arb], Arb], domain: str = "", inside: Any = None) -> Function:
    """Make a function on balls of one on arbs, its derivative ``slope(v, f(v))`` and a test of its domain."""

    def function(a: Any) -> Ball:
        ball = _real(a)
        if inside is not None and not inside(ball.v):
            raise UndecidedError(f"the argument of {domain} may lie outside its domain")
        v = value(ball.v)
        if ball.d is None:
            return Ball(v)
        factor = slope(ball.v, v)
        return Ball(v, [factor * s for s in ball.d])

    return function


def _real(a: Any) -> Ball:
    ball = as_ball(a)
    if ball is None:
        raise RefusedError(f"a function of a {type(a).__name__}")
    return ball


def _exp(a: Any) -> Any:
    if isinstance(a, Pair):
        size = _real_exp(a.real)
        return Pair(size * _cos(a.imag), size * _sin(a.imag))
    return _real_exp(a)


def _abs(a: Any) -> Ball:
    return abs(a) if isinstance(a, Pair) else abs(_real(a))


def _floor(a: Any) -> Ball:
    return _real(a).floor()


def _ceil(a: Any) -> Ball:
    return -((-_real(a)).floor())


def _trunc(a: Any) -> Ball:
    return Ball(exact(int(_real(a))))


def _round(a: Any, digits: Any = None) -> Ball:
    return _real(a).__round__(digits)


def _sign(a: Any) -> Ball:
    ball = _real(a)
    return Ball(exact(1 if ball > 0 else -1 if ball < 0 else 0))


def _square(a: Any) -> Any:
    return a * a if isinstance(a, Pair) else _real(a) ** 2


def _root(a: Any) -> Ball:
    return _real(a).root()


def _arctan2(y: Any, x: Any) -> Ball:
    y, x = _real(y), _real(x)
    if not (x.v > 0 or y.v > 0 or y.v < 0):
        raise UndecidedError("an angle jumps")
    v = flint.arb.atan2(y.v, x.v)
    square = whole_power(x.v, 2) + whole_power(y.v, 2)
    along = None if y.d is None else [s * (x.v / square) for s in y.d]
    across = None if x.d is None else [-s * (y.v / square) for s in x.d]
    if along is None or across is None:
        return Ball(v, across if along is None else along)
    return Ball(v, [s + t for s, t in zip(along, across, strict=True)])


def _hypot(a: Any, b: Any) -> Ball:
    a, b = _real(a), _real(b)
    square = a**2 + b**2
    if square.v > 0 or (a.d is None and b.d is None):
        root: Ball = square.root()
        return root
    note_kink()
    one, other = a.v.abs_upper(), b.v.abs_upper()
    largest = (one * one + other * other).sqrt().upper()
    slopes = flint.arb(-1).union(flint.arb(1))
    parts = [[s * slopes for s in c.d] for c in (a, b) if c.d is not None]
    d = parts[0] if len(parts) == 1 else [s + t for s, t in zip(*parts, strict=True)]
    return Ball(flint.arb(0).union(largest), d)


def _smaller(a: Any, b: Any) -> Ball:
    return _real(a).smaller(_real(b))


def _larger(a: Any, b: Any) -> Ball:
    return _real(a).larger(_real(b))


def _power(a: Any, b: Any) -> Any:
    return a**b if isinstance(a, Pair) else _real(a) ** _real(b)


def _remainder(a: Any, b: Any) -> Ball:
    remainder: Ball = _real(a) % _real(b)
    return remainder


def _fmod(a: Any, b: Any) -> Ball:
    a = _real(a)
    whole: Ball = a % _real(b) if a >= 0 else -((-a) % _real(b))
    return whole


def _two_over_root_pi(v: Arb) -> Arb:
    return 2 * (-whole_power(v, 2)).exp() / flint.arb.pi().sqrt()


_real_exp = _smooth(lambda v: v.exp(), lambda _, f: f)
_sin = _smooth(lambda v: v.sin(), lambda v, _: v.cos())
_cos = _smooth(lambda v: v.cos(), lambda v, _: -v.sin())

UNARY: dict[str, Function] = {
    "exp": _exp,
    "sin": _sin,
    "cos": _cos,
    "tan": _smooth(lambda v: v.tan(), lambda _, f: 1 + whole_power(f, 2)),
    "tanh": _smooth(lambda v: v.tanh(), lambda v, _: v.sech() * v.sech()),
    "sinh": _smooth(lambda v: v.sinh(), lambda v, _: v.cosh()),
    "cosh": _smooth(lambda v: v.cosh(), lambda v, _: v.sinh()),
    "arctan": _smooth(lambda v: v.atan(), lambda v, _: 1 / (1 + whole_power(v, 2))),
    "arcsin": _smooth(
        lambda v: v.asin(), lambda v, _: 1 / (1 - whole_power(v, 2)).sqrt(), "arcsin", lambda v: abs(v) < 1
    ),
    "arccos": _smooth(
        lambda v: v.acos(), lambda v, _: -1 / (1 - whole_power(v, 2)).sqrt(), "arccos", lambda v: abs(v) < 1
    ),
    "expm1": _smooth(lambda v: v.expm1(), lambda v, _: v.exp()),
    "log": _smooth(lambda v: v.log(), lambda v, _: 1 / v, "log", lambda v: v > 0),
    "log1p": _smooth(lambda v: v.log1p(), lambda v, _: 1 / (1 + v), "log1p", lambda v: v > -1),
    "log2": _smooth(lambda v: v.log() / exact(2).log(), lambda v, _: 1 / (v * exact(2).log()), "log2", lambda v: v > 0),
    "log10": _smooth(
        lambda v: v.log() / exact(10).log(), lambda v, _: 1 / (v * exact(10).log()), "log10", lambda v: v > 0
    ),
    "erf": _smooth(lambda v: v.erf(), lambda v, _: _two_over_root_pi(v)),
    "erfc": _smooth(lambda v: v.erfc(), lambda v, _: -_two_over_root_pi(v)),
    "sqrt": _root,
    "abs": _abs,
    "floor": _floor,
    "ceil": _ceil,
    "trunc": _trunc,
    "round": _round,
    "sign": _sign,
    "square": _square,
    "real": lambda a: as_pair(a).real,  # type: ignore[union-attr] # a number of a trace is a pair
    "imag": lambda a: as_pair(a).imag,  # type: ignore[union-attr] # as above
}
BINARY: dict[str, Function] = {
    "arctan2": _arctan2,
    "hypot": _hypot,
    "minimum": _smaller,
    "maximum": _larger,
    "power": _power,
    "remainder": _remainder,
    "fmod": _fmod,
}


def over_arrays(function: Function) -> Function:
    """Let a function of numbers act on arrays of balls, entry by entry."""

    def spread(*arguments: Any) -> Any:
        if not any(isinstance(a, np.ndarray | list | tuple) for a in arguments):
            return function(*arguments)
        columns = np.broadcast_arrays(*[_objects(a) for a in arguments])
        out = np.empty(columns[0].shape, dtype=object)
        for index in np.ndindex(out.shape):
            out[index] = function(*(column[index] for column in columns))
        return out

    return spread


def _objects(a: Any) -> Any:
    if isinstance(a, np.ndarray):
        return a.astype(object)
    if isinstance(a, list | tuple):
        return np.array(a, dtype=object)
    out = np.empty((), dtype=object)
    out[()] = a
    return out
