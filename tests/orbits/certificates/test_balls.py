"""Balls hold what they should, and take no branch that they cannot prove."""

import math
import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

flint = pytest.importorskip("flint")

from dynloop.orbits.certificates.backend import above, below, exact, hull, size, the_integer, workprec  # noqa: E402 - they need flint
from dynloop.orbits.certificates.balls import Ball, constant  # noqa: E402 - as above
from dynloop.orbits.certificates.functions import BINARY, UNARY  # noqa: E402 - as above
from dynloop.orbits.certificates.pairs import Pair  # noqa: E402 - as above
from dynloop.orbits.certificates.trace import RefusedError, UndecidedError, Watched  # noqa: E402 - as above

numbers = st.floats(-4, 4).map(lambda x: round(x, 3))
widths = st.floats(0, 1).map(lambda x: round(x, 3))
FUNCTIONS = {
    "exp": math.exp, "sin": math.sin, "cos": math.cos, "tan": math.tan, "tanh": math.tanh, "sinh": math.sinh,
    "cosh": math.cosh, "arctan": math.atan, "arcsin": math.asin, "arccos": math.acos, "expm1": math.expm1,
    "log": math.log, "log1p": math.log1p, "log2": math.log2, "log10": math.log10, "erf": math.erf, "erfc": math.erfc,
    "sqrt": math.sqrt, "abs": abs, "floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "round": round,
    "sign": np.sign, "square": lambda x: x * x,
}  # fmt: skip


def variable(low, high):
    return Ball(hull(low, high), [exact(1)])


def holds(ball, value, slack=1e-12):
    return below(ball.v) - slack * (1 + abs(value)) <= value <= above(ball.v) + slack * (1 + abs(value))


def test_every_function_has_an_oracle():
    assert set(FUNCTIONS) == set(UNARY) - {"real", "imag"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@given(low=numbers, width=widths, share=st.floats(0, 1))
def test_functions_enclose_values_and_slopes(name, low, width, share):
    high = low + width
    with workprec(64), Watched():
        try:
            ball = UNARY[name](variable(low, high))
        except UndecidedError:
            return
        if not ball.v.is_finite():
            return  # a pole
    a, b = low + share * width, high
    assert holds(ball, FUNCTIONS[name](a))
    slope = hull(0, 0) if ball.d is None else ball.d[0]
    rise = FUNCTIONS[name](b) - FUNCTIONS[name](a)
    with workprec(64):
        product = slope * (exact(b) - exact(a))
    assert holds(Ball(product), rise, 1e-11)


@pytest.mark.parametrize("name", ["arctan2", "hypot", "minimum", "maximum", "power", "remainder", "fmod"])
@given(x=numbers, y=numbers, w=widths, share=st.floats(0, 1))
def test_functions_of_two_enclose_values_and_slopes(name, x, y, w, share):
    oracle = {
        "arctan2": math.atan2, "hypot": math.hypot, "minimum": min, "maximum": max, "power": operator.pow,
        "remainder": operator.mod, "fmod": math.fmod,
    }[name]  # fmt: skip
    constant_second = name in ("remainder", "fmod")
    with workprec(64), Watched():
        a = Ball(hull(x, x + w), [exact(1), exact(0)])
        b = constant(abs(y) + 0.5) if constant_second else Ball(hull(y, y + w), [exact(0), exact(1)])
        try:
            ball = BINARY[name](a, b).settled()
        except UndecidedError:
            return
        ends = [(x + share * w, abs(y) + 0.5 if constant_second else y + (1 - share) * w)]
        ends.append((x + w, ends[0][1] if constant_second else y + w))
        values = [oracle(*end) for end in ends]
        step = sum((d * (exact(q) - exact(p)) for d, p, q in zip(ball.d or [], *ends, strict=False)), exact(0))
    assert all(holds(ball, value) for value in values)
    assert holds(Ball(step), values[1] - values[0], 1e-10)


@given(x=numbers, w=widths, n=st.integers(-5, 6), share=st.floats(0, 1))
def test_whole_powers_are_tight_and_enclose(x, w, n, share):
    with workprec(64):
        try:
            ball = variable(x, x + w) ** n
        except UndecidedError:
            assert n < 0
            assert x <= 0 <= x + w
            return
    assert holds(ball, (x + share * w) ** n)
    if n and n % 2 == 0:
        assert below(ball.v) >= -1e-8 * above(ball.v)


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
@given(low=numbers, width=widths, other=numbers)
def test_a_comparison_is_right_for_every_number_or_raises(sign, low, width, other):
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
               "!=": operator.ne}[sign]  # fmt: skip
    truth = {compare(low + share * width, other) for share in (0, 0.5, 1)}
    if low <= other <= low + width:
        truth.add(compare(other, other))
    try:
        answer = compare(variable(low, low + width), other)
    except UndecidedError:
        return
    assert truth == {answer}


def test_what_would_lose_the_ball_is_refused():
    x = variable(0.2, 0.4)
    for lossy in (float, complex, math.sin, np.sin, lambda b: [1, 2][b], lambda b: round(b, 2), lambda b: b == "x"):
        with Watched() as record, pytest.raises((RefusedError, TypeError)):
            lossy(x)
        assert record.refused or lossy in (np.sin,)
    with pytest.raises(UndecidedError):
        int(variable(0.5, 1.5))
    assert int(x) == 0
    assert int(-x - 1) == -1


def test_what_jumps_is_undecided():
    x = variable(-0.5, 0.5)
    for jump in (
        UNARY["floor"],
        UNARY["sign"],
        UNARY["round"],
        bool,
        lambda b: 1 / b,
        lambda b: b**-1,
        lambda b: b**0.5,
    ):
        with pytest.raises(UndecidedError):
            jump(x + 0.5 if jump is UNARY["round"] else x)
    with pytest.raises(UndecidedError):
        BINARY["arctan2"](x, Ball(exact(-1)))
    with pytest.raises(UndecidedError):
        (x % 1.0) * 2
    with pytest.raises(UndecidedError):
        UNARY["round"](Ball(exact(0.5)))


def test_a_kink_is_noted_and_a_smooth_modulus_is_not():
    with Watched() as record:
        kinked = abs(variable(-1, 2))
    assert record.kink
    assert below(kinked.v) >= -1e-9
    assert above(kinked.v) <= 2 + 1e-8
    assert below(kinked.d[0]) <= -1
    assert above(kinked.d[0]) >= 1
    with Watched() as record:
        abs(variable(0.1, 2)), BINARY["minimum"](variable(0, 1), 1.5)
    assert not record.kink


def test_multiples_of_pi_are_known():
    two_pi = constant(2 * math.pi)
    assert two_pi.pi == 2
    assert (2 * constant(math.pi)).pi == 2
    assert (two_pi / 4).pi == Fraction(1, 2)
    assert (two_pi * variable(0, 1)).pi is None
    assert (two_pi + 1).pi is None
    assert constant(3.0).pi is None
    with workprec(200):
        assert UNARY["sin"](constant(math.pi)).v.contains(0)
    with pytest.raises(RefusedError):
        constant(math.inf)


@given(a=st.complex_numbers(max_magnitude=3), b=st.complex_numbers(min_magnitude=0.1, max_magnitude=3))
def test_pairs_are_complex_numbers(a, b):
    p, q = (Pair(Ball(exact(z.real)), Ball(exact(z.imag))) for z in (a, b))
    for one, other in ((p + q, a + b), (p - q, a - b), (p * q, a * b), (p / q, a / b), (p**3, a**3), (2 - p, 2 - a)):
        assert holds(one.real, other.real)
        assert holds(one.imag, other.imag)


def test_bounds_as_doubles_are_bounds():
    with workprec(200):
        third = flint.arb(1) / 3
        assert Fraction(below(third)) < Fraction(1, 3) < Fraction(above(third))
        assert size(-third) == above(third)
        assert exact(2**80 + 1) == flint.arb(flint.fmpz(2**80 + 1))
        assert above(flint.arb("1e400")) == math.inf
        assert below(flint.arb("1e400")) > 1e308
    assert the_integer(hull(0.2, 0.9)) == (True, None)
    assert the_integer(hull(0.2, 1.9)) == (True, 1)
    assert the_integer(hull(0.2, 2.9)) == (False, None)


def test_the_working_precision_of_flint_comes_back():
    before = flint.ctx.prec
    with workprec(300):
        pass
    assert flint.ctx.prec == before
