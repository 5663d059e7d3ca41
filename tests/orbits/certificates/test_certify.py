"""Proofs of cycles: against exact values, and never where there is nothing to prove."""

import math
import subprocess
import sys
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError

pytest.importorskip("flint")
getcontext().prec = 60
TURN = 2 * math.pi


def step_map(step, dim=1, **options):
    return dl.KernelMap(step, dim, **options)


def proved(m, point, **options):
    found = dl.certify(m, point, **options)
    assert found.status is dl.Status.PROVED, found.reason
    assert 0 <= found.existence_radius < found.uniqueness_radius
    assert 0 <= found.contraction < 1
    return found


def unproved(m, point, **options):
    found = dl.certify(m, point, **options)
    assert found.status is dl.Status.UNPROVED
    assert math.isnan(found.existence_radius)
    assert math.isnan(found.uniqueness_radius)
    assert found.stability == "unproved"
    assert found.prime is None
    assert not found.multipliers.size
    return found


@pytest.mark.parametrize("sign", [1, -1])
def test_both_fixed_points_of_henon(sign):
    a, b = Decimal.from_float(1.4), Decimal.from_float(0.3)  # the doubles, exactly
    x = ((b - 1) + sign * ((1 - b) ** 2 + 4 * a).sqrt()) / (2 * a)
    found = proved(dl.zoo.henon(), [float(x), float(b * x)], digits=40)
    assert found.existence_radius < 1e-15
    assert found.uniqueness_radius > 0.5
    for text, exact in zip(found.decimals[0], (x, b * x), strict=True):
        assert abs(Decimal(text) - exact) < Decimal("1e-38")
    root = ((a * x) ** 2 + b).sqrt()
    roots = sorted((-a * x + root, -a * x - root), key=abs, reverse=True)
    for value, radius, exact in zip(found.multipliers, found.multiplier_radii, roots, strict=True):
        assert abs(Decimal(value.real) - exact) <= Decimal(float(radius))
        assert radius < 1e-15
    assert found.stability == "saddle"
    assert found.prime is True
    assert found.norm == "max"


def test_the_2_cycle_of_henon():
    a, b = Decimal.from_float(1.4), Decimal.from_float(0.3)
    half = (1 - b) / (2 * a)
    root = (half * half - ((1 - b) ** 2 - a) / (a * a)).sqrt()
    x, y = half + root, half - root
    found = proved(dl.zoo.henon(), [float(x), float(b * y)], period=2)
    assert found.existence_radius < 1e-15
    assert found.prime is True
    exact = [[x, b * y], [y, b * x]]
    off = [
        abs(Decimal(float(c)) - e)
        for row, at in zip(found.center, exact, strict=True)
        for c, e in zip(row, at, strict=True)
    ]
    assert max(off) <= Decimal(found.existence_radius)
    assert found.multipliers == pytest.approx([-3.01010067, -0.02989933], abs=1e-8)
    again = proved(dl.zoo.henon(), found.center, period=2)
    assert np.array_equal(again.center, found.center)


@pytest.mark.parametrize("point", [[0.5, 0.5], [0.632, 0.189], [0.0, 0.0], [50.0, -3.0]])
def test_a_wrong_point_is_refused(point):
    unproved(dl.zoo.henon(), point)


def test_a_fixed_point_is_a_cycle_of_another_least_period():
    found = proved(dl.zoo.henon(), [0.6313544770895, 0.1894063431269], period=3)
    assert found.prime is False
    assert "least period is 1" in found.reason
    r = 3.2
    found = proved(dl.zoo.logistic(r), dl.zoo.logistic(r).facts["cycles"][2][0], period=4)
    assert found.prime is False
    assert "least period is 2" in found.reason
    assert found.stability == "sink"
    assert found.multipliers[0].real == pytest.approx(0.16**2, abs=1e-12)


@pytest.mark.parametrize(
    ("r", "point", "period", "stability"),
    [(2.0, 0.5, 1, "sink"), (2.5, 0.6, 1, "sink"), (3.0, 2 / 3, 1, "unproved"), (4.0, 0.75, 1, "source"),
     (3.2, 0.5130445095326298, 2, "sink"), (1.0, 0.0, 1, None)],
)  # fmt: skip
def test_stability_is_proved_or_left_open(r, point, period, stability):
    if stability is None:
        unproved(dl.zoo.logistic(r), [point], period=period)  # x − x²: a fold at 0
    else:
        assert proved(dl.zoo.logistic(r), [point], period=period).stability == stability


def test_long_cycles_do_not_blow_up():
    p = 30
    angles = np.pi * np.array([(5 * 2**i) % (2**p - 1) for i in range(p)]) / (2**p - 1)
    found = proved(dl.zoo.logistic(4.0), np.sin(angles)[:, None] ** 2, period=p)
    assert found.prime is True
    assert found.stability == "source"
    assert found.multipliers[0].real == 2.0**p
    assert found.existence_radius < 1e-15


NOT_SMOOTH = {"baker", "dissipative_standard", "ring"}  # the fixed point 0 lies on a jump, or on |z| at 0


@pytest.mark.parametrize("name", [n for n in dl.zoo.__dir__() if n[0].islower() and n != "counter_example"])
def test_every_fact_of_the_zoo_is_proved_or_honestly_not(name):
    m = dl.zoo.tanh_network(8) if name == "tanh_network" else getattr(dl.zoo, name)()
    cases = [(1, p, e) for p, e in zip(m.facts.get("fixed_points", []), m.facts.get("multipliers", []), strict=True)]
    cases += [(p, m.facts["cycles"][p], m.facts["cycle_multipliers"][p]) for p in m.facts.get("cycles", {})]
    for period, point, exact in cases:
        if name in NOT_SMOOTH:
            unproved(m, point, period=period)
            continue
        found = proved(m, point, period=period)
        assert found.existence_radius < 1e-12
        assert found.prime is True
        assert np.abs(m.displacement(found.center[0], np.reshape(point, (-1, m.dimension))[0])).max() < 1e-9
        for value in exact:
            assert np.abs(found.multipliers - value).min() < 1e-6
        moduli = np.abs(exact)
        truth = "sink" if moduli.max() < 1 else "source" if moduli.min() > 1 else "saddle"
        assert found.stability in (truth, "unproved")


@settings(max_examples=40)
@given(st.floats(-1e-5, 1e-5), st.integers(1, 60), st.sampled_from([1, 2]))
def test_a_fold_is_never_proved(offset, digits, period):
    def fold(x, params, out):
        out[0] = x[0] + x[0] * x[0]

    unproved(step_map(fold), [offset], digits=digits, period=period)


@settings(max_examples=40)
@given(st.floats(1e-14, 1e-3))
def test_past_a_fold_nothing_is_proved_and_before_it_both_are(epsilon):
    def fold(x, params, out):
        out[0] = x[0] + x[0] * x[0] + params[0]

    unproved(step_map(fold, params=[epsilon]), [0.0])
    root = math.sqrt(epsilon)
    for x in (root, -root):
        found = proved(step_map(fold, params=[-epsilon]), [x])
        assert found.uniqueness_radius < 2 * root
        assert found.stability == ("source" if x > 0 else "sink")


def test_what_is_not_isolated_is_not_proved():
    def identity(x, params, out):
        out[0] = x[0]

    def line(x, params, out):
        out[0] = 0.5 * x[0]
        out[1] = x[1]

    unproved(step_map(identity), [0.25])
    unproved(step_map(line, 2), [0.0, 0.25])
    unproved(dl.zoo.ring(math.pi / 2), [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], period=4)


def jump(x, params, out):
    out[0] = 0.5 * x[0] + 0.25 * math.floor(x[0] + 1) - 0.25


def step_down(x, params, out):
    out[0] = 0.5 * x[0] if x[0] < 0 else -0.5 * x[0]


def rounded(x, params, out):
    out[0] = np.round(64 * x[0]) / 64 + 0.5


def rounded_away(x, params, out):
    out[0] = np.round(0.9 * x[0]) + 0.5 * x[0] + 0.25


def wrapped(x, params, out):
    out[0] = (2 * x[0]) % 1.0


@pytest.mark.parametrize(("step", "point"), [(jump, 0.0), (step_down, 0.0), (rounded, 0.5), (wrapped, 0.0)])
def test_at_a_jump_or_a_branch_nothing_is_proved(step, point):
    unproved(step_map(step), [point])


def test_the_same_jump_elsewhere_does_no_harm():
    assert proved(step_map(wrapped), [[1 / 3], [2 / 3]], period=2).stability == "source"
    assert proved(step_map(rounded_away), [0.5]).stability == "sink"


def test_a_point_on_a_kink_is_proved_without_multipliers():
    def kink(x, params, out):
        out[0] = 0.25 * x[0] + 0.125 * abs(x[0])

    found = proved(step_map(kink), [0.0])
    assert found.stability == "unproved"
    assert not found.multipliers.size
    assert "kink" in found.reason


def test_a_wrong_jacobian_cannot_enter_a_proof():
    def step(x, params, out):
        out[0] = 2 * x[0] - 3.0

    def jacobian(x, params, out):
        out[0, 0] = 2.0 if x[0] < 2 else 0.1

    found = proved(step_map(step, jacobian=jacobian), [3.0])
    assert found.multipliers[0] == 2
    assert found.stability == "source"


def test_angles():
    found = proved(dl.zoo.standard(), [math.pi, 0.0])
    assert found.uniqueness_radius < math.pi
    found = proved(dl.zoo.standard(), [TURN, TURN])  # the point 0, told otherwise
    assert found.uniqueness_radius < math.pi
    assert found.stability == "saddle"
    found = proved(dl.zoo.cat(), [0.0, 0.0])
    assert found.uniqueness_radius <= 0.5
    found = proved(dl.zoo.cat(), [0.0, 0.25], period=3)
    assert found.prime is True
    found = proved(dl.zoo.circle(0.25, 3.0), dl.zoo.circle(0.25, 3.0).facts["fixed_points"][0])
    assert found.uniqueness_radius < 0.5


def test_a_rotation_by_a_share_of_the_circle_is_not_isolated():
    def rotation(x, params, out):
        out[0] = (x[0] + 0.25) % 1.0

    unproved(step_map(rotation, periods=[1.0]), [0.0], period=4)
    unproved(step_map(rotation, periods=[1.0]), [0.0], period=1)


def test_an_angle_that_is_none_is_found_out():
    def spiral(x, params, out):
        out[0] = 0.5 * x[0]

    found = unproved(step_map(spiral, periods=[1.0]), [0.0])
    assert "given as an angle" in found.reason


coefficients = st.integers(-32, 32).map(lambda k: k / 16)


@settings(max_examples=60)
@given(st.lists(coefficients, min_size=9, max_size=9), coefficients, coefficients)
def test_planar_quadratic_maps_with_a_known_fixed_point(c, x0, y0):
    """Every coefficient is a dyadic number, so that (x0, y0) is a fixed point exactly."""
    a, b, d = c[0], c[1], c[2]  # DF is triangular: its eigenvalues are a and d
    assume(abs(a - 1) > 0.03 and abs(d - 1) > 0.03)

    def step(x, params, out):
        u, v = x[0] - params[0], x[1] - params[1]
        p = params
        out[0] = p[0] + p[2] * u + p[3] * v + p[5] * u * u + p[6] * u * v + p[7] * v * v
        out[1] = p[1] + p[4] * v + p[8] * u * u + p[9] * u * v + p[10] * v * v

    m = step_map(step, 2, params=[x0, y0, a, b, d, *c[3:9]])
    found = proved(m, [x0, y0])
    assert np.abs(found.center[0] - [x0, y0]).max() <= found.existence_radius
    for value in (a, d):
        assert (np.abs(found.multipliers - value) <= found.multiplier_radii + 1e-15).any()
    truth = {abs(a) < 1, abs(d) < 1} if abs(a) != 1 and abs(d) != 1 else None
    names = {"sink": {True}, "source": {False}, "saddle": {True, False}, "unproved": truth}
    assert names[found.stability] == truth


def test_the_result_prints_saves_and_loads(tmp_path):
    found = proved(dl.zoo.henon(), [0.6313544770895, 0.1894063431269])
    text = repr(found)
    assert text.startswith("Certificate: PROVED, fixed point in 2 coordinates")
    assert "saddle" in text
    assert "0.6313544770895" in text
    assert max(map(len, text.splitlines())) < 120
    again = dl.load(found.save(tmp_path / "c"))
    assert again.decimals.tolist() == found.decimals.tolist()
    assert repr(again) == text
    assert "nothing" not in repr(unproved(dl.zoo.henon(), [0.0, 0.0]))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (([0.0, 0.0, 0.0],), {}, ShapeError, r"one state \(2,\) or the 1 states of a cycle \(1, 2\); got \(3,\)"),
        (([0.0, np.nan],), {}, InvalidArgumentError, "NaN"),
        (([0.0, 0.0],), {"kind": "sure"}, InvalidArgumentError, "kind must be"),
        (([0.0, 0.0],), {"digits": 0}, InvalidArgumentError, "digits must be"),
        (([0.0, 0.0],), {"period": 0}, InvalidArgumentError, "period must be a positive int"),
        (([0.0, 0.0],), {"period": 400}, InvalidArgumentError, "800 unknowns"),
    ],
)
def test_bad_arguments_are_named(arguments, options, error, text):
    with pytest.raises(error, match=text):
        dl.certify(dl.zoo.henon(), *arguments, **options)


def test_without_flint_the_extra_is_named():
    program = """
import sys
sys.modules["flint"] = None
import dynloop as dl
from dynloop.errors import MissingPackageError
print(dl.certify(dl.zoo.henon(), [0.6313544770895, 0.1894063431269], kind="estimate").status.name)
for call in (lambda: dl.certify(dl.zoo.henon(), [0, 0]), lambda: dl.fixed_points_in_box(dl.zoo.henon(), [(0, 1)] * 2)):
    try:
        call()
    except MissingPackageError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["ESTIMATED"] + ["proofs need python-flint: pip install 'dynloop[certify]'"] * 2
