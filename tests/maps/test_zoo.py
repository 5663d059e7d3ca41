"""The zoo: every map keeps the rules, every fact is checked, and the counter-examples do what their titles say."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import LoopMap
from dynloop.testing import check_map

zoo = dl.zoo
NOT_MAPS = {"COUNTER_EXAMPLES", "CounterExample", "counter_example"}
MAPS = sorted(set(zoo.__all__) - NOT_MAPS)
# parameters beside the defaults, at which further facts hold
OTHERS = {
    "logistic 2.5": lambda: zoo.logistic(2.5),
    "logistic 2": lambda: zoo.logistic(2.0),
    "logistic 3.2": lambda: zoo.logistic(3.2),
    "logistic 1+√5": lambda: zoo.logistic(1 + math.sqrt(5)),
    "logistic 0": lambda: zoo.logistic(0.0),
    "tent 1.5": lambda: zoo.tent(1.5),
    "cubic 2": lambda: zoo.cubic(2.0),
    "circle 0": lambda: zoo.circle(0.3, 0.0),
    "circle locked": lambda: zoo.circle(0.1, 0.9),
    "lozi 1.4": lambda: zoo.lozi(1.4, 0.3),
    "delayed logistic 1.5": lambda: zoo.delayed_logistic(1.5),
    "standard 6": lambda: zoo.standard(6.0),
    "sinai 0": lambda: zoo.sinai(0.0),
    "ring 2π/5": lambda: zoo.ring(2 * math.pi / 5, 0.25),
    "newton z⁴+1": lambda: zoo.newton((1, 0, 0, 0, 1)),
    "newton complex": lambda: zoo.newton((1j, 2, -1)),
    "tanh network": lambda: zoo.tanh_network(12, 0.8, seed=4, delta=0.5),
}
ALL = {**{name: getattr(zoo, name) for name in MAPS}, **OTHERS}


def plain(function):
    """The Python function behind a compiled one."""
    return getattr(function, "py_func", function)


def derivative(m, form=plain):
    """The Jacobian of a zoo map as a function (x, params, out), whichever form the map has it in."""
    if m._jacobians is not None:
        return form(m._jacobians[0])

    def from_tangent(x, params, out):
        W = np.empty_like(out)
        form(m._pushes[0])(x, np.eye(len(x)), params, np.empty_like(x), W)
        out[:] = W.T

    return from_tangent


def jacobian(m, x, power=1):
    """DF^power at one state, (n, n), by the plain step and Jacobian of a zoo map."""
    (step,) = m._steps
    product, x = np.eye(m.dimension), np.array(x)
    for _ in range(power):
        J, y = np.empty((m.dimension, m.dimension)), np.empty(m.dimension)
        derivative(m)(x, m.params, J)
        plain(step)(x, m.params, y)
        product, x = J @ product, y
    return product


def same_spectrum(found, expected, tolerance):
    """Whether two lists of eigenvalues agree, whatever their order."""
    found, left = np.atleast_1d(found), list(np.atleast_1d(expected))
    for value in found:
        nearest = min(left, key=lambda e: abs(e - value))
        if abs(nearest - value) > tolerance:
            return False
        left.remove(nearest)
    return not left


# -- every map keeps the rules -----------------------------------------------------------------------------------------


def test_every_map_passes_check_map_at_its_own_starts():
    program = f"""
import dynloop as dl
from dynloop.testing import check_map
for name in {MAPS}:
    m = getattr(dl.zoo, name)()
    assert m.name == name
    assert check_map(m, rng=1).gaps["derivative"] < 1e-8, name
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # compiling all of them takes half a minute
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["henon", "logistic", "grebogi", "newton", "tanh_network"])
def test_compiled_maps_pass_check_map(name):
    m = getattr(zoo, name)()
    assert isinstance(m, LoopMap)
    assert check_map(m, rng=1).gaps["derivative"] < 1e-8


@pytest.mark.parametrize("name", MAPS)
def test_steps_and_jacobians_compile_to_what_python_computes(name):
    m = getattr(zoo, name)()
    pairs = (
        (m._steps[0], plain(m._steps[0]), (m.dimension,)),
        (derivative(m, lambda f: f), derivative(m), (m.dimension, m.dimension)),
    )
    for function, spelled, shape in pairs:
        for x in m.start(1, 3):
            compiled, python = np.empty(shape), np.empty(shape)
            function(x, m.params, compiled)
            spelled(x, m.params, python)
            np.testing.assert_allclose(compiled, python, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_is_documented(name):
    text = getattr(zoo, name).__doc__
    assert all(part in text for part in ("Returns\n", "Notes\n", "`facts`", "Source:", "Examples\n"))


def test_every_public_name_resolves():
    assert set(dir(zoo)) == set(zoo.__all__)
    assert all(hasattr(zoo, name) for name in zoo.__all__)
    with pytest.raises(AttributeError, match="the zoo has no map 'lorenz'"):
        _ = zoo.lorenz


# -- facts -------------------------------------------------------------------------------------------------------------


def with_fact(key):
    return [name for name, make in ALL.items() if key in make().facts]


@pytest.mark.parametrize("name", with_fact("fixed_points"))
def test_fixed_points_are_fixed_and_have_these_multipliers(name):
    m = ALL[name]()
    assert len(m.facts["fixed_points"]) == len(m.facts["multipliers"])
    for point, multipliers in zip(m.facts["fixed_points"], m.facts["multipliers"], strict=True):
        assert point.shape == m.state_shape
        if name == "gauss" or not (name in ("tent", "baker") and not point.any()):
            np.testing.assert_allclose(m.displacement(m(point[None]), point[None]), 0.0, atol=2e-14)
        found = np.linalg.eigvals(jacobian(m, point))
        assert same_spectrum(found, multipliers, 1e-7 * (1 + np.abs(found).max()))


@pytest.mark.parametrize("name", with_fact("symmetries"))
def test_symmetries_commute_with_the_map(name):
    m = ALL[name]()
    x = m.start(4, 50)
    for what, symmetry in m.facts["symmetries"].items():
        gap = m.displacement(m(np.ascontiguousarray(symmetry(x))), symmetry(m(x)))
        np.testing.assert_allclose(gap, 0, atol=1e-9 * (1 + np.abs(m(x)).max()), err_msg=what)


def test_maps_that_have_a_symmetry_say_so():
    assert {"cubic", "cat", "standard", "newton", "ring", "grebogi"} <= set(with_fact("symmetries"))
    assert len(zoo.newton((1, 0, 0, -1)).facts["symmetries"]) == 2
    assert list(zoo.newton((1, 1, 0, -1)).facts["symmetries"]) == ["z → z̄"]


@pytest.mark.parametrize("name", with_fact("cycles"))
def test_cycles_close_and_have_these_multipliers(name):
    m = ALL[name]()
    for p, points in m.facts["cycles"].items():
        for here, following in zip(points, np.roll(points, -1, axis=0), strict=True):
            np.testing.assert_allclose(m(here[None])[0], following, atol=1e-14)
            assert same_spectrum(np.linalg.eigvals(jacobian(m, here, p)), m.facts["cycle_multipliers"][p], 1e-12)


@pytest.mark.parametrize("name", [n for n in with_fact("exponents") if n not in ("tent", "baker")])
def test_exponents_of_a_typical_orbit(name):
    m = ALL[name]()
    logs = m.stretch(m.start(5, 4), np.stack([np.eye(m.dimension)] * 4), 20500).logs
    found = logs[500:].mean(axis=(0, 1))
    for value, expected in zip(found, m.facts["exponents"], strict=True):
        assert value == pytest.approx(expected, abs=0.01) or (expected == -np.inf and value < -15)


@pytest.mark.parametrize("make", [zoo.tent, zoo.baker])
def test_exponents_of_piecewise_linear_maps_need_a_few_steps_only(make):
    m = make()
    found = m.stretch(m.start(2, 3), np.stack([np.eye(m.dimension)] * 3), 20).logs.mean(axis=(0, 1))
    np.testing.assert_allclose(found, m.facts["exponents"], atol=1e-14)


@pytest.mark.parametrize("name", with_fact("exponents_measured"))
def test_measured_exponents(name):
    m = ALL[name]()
    starts = np.array([[0.1, 0.2], [1.5, 2.0]]) if name == "standard 6" else m.start(1, 2)
    found = m.stretch(starts, np.stack([np.eye(m.dimension)] * 2), 101000).logs[1000:].mean(axis=(0, 1))
    np.testing.assert_allclose(found, m.facts["exponents_measured"], atol=max(0.005, 4 * m.facts["exponents_error"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", with_fact("exponent_sum"))
def test_sum_of_exponents_is_the_mean_of_log_det(name):
    m = ALL[name]()
    logs = m.stretch(m.start(3, 2), np.stack([np.eye(m.dimension)] * 2), 40).logs
    np.testing.assert_allclose(logs.sum(axis=2), m.facts["exponent_sum"], atol=1e-8)


@pytest.mark.parametrize("name", with_fact("rotation_number"))
def test_rotation_numbers(name):
    m = ALL[name]()
    x, turns = m.start(0, 1), 0.0
    for _ in range(1000):
        y = m(x)
        if m.dimension == 1:
            turns += (y - x)[0, 0] % 1.0
        else:
            turns += (np.arctan2(y[0, 1], y[0, 0]) - np.arctan2(x[0, 1], x[0, 0])) / (2 * math.pi) % 1.0
        x = y
    assert turns / 1000 == pytest.approx(m.facts["rotation_number"], abs=1e-9)


@pytest.mark.parametrize("name", with_fact("attractors"))
def test_attractors_attract_nearly_every_start(name):
    m = ALL[name]()
    end = m.watch(m.start(0, 200), 2000, m.start(0, 200)).states
    distance = [np.linalg.norm(m.displacement(end, point[None]), axis=1) for point in m.facts["attractors"]]
    nearest = np.min(distance, axis=0)
    assert np.mean(nearest < 1e-6) > 0.98
    assert set(np.argmin(distance, axis=0)) == set(range(len(distance)))


def test_kaplan_yorke_dimension_of_henon():
    facts = zoo.henon().facts
    first, second = facts["exponents_measured"]
    assert facts["kaplan_yorke_dimension"] == pytest.approx(1 + first / abs(second), abs=1e-4)
    assert first + second == pytest.approx(facts["exponent_sum"], abs=5e-5)


@pytest.mark.parametrize(("n", "count"), list(enumerate(zoo.cat().facts["fixed_point_counts"], start=1)))
def test_fixed_points_of_powers_of_the_cat_map(n, count):
    power = np.linalg.matrix_power(np.array([[1, 1], [1, 2]]), n)
    assert round(abs(np.linalg.det(power - np.eye(2)))) == count


def test_prime_orbits_of_the_full_logistic_map_are_counted_by_moebius():
    moebius = {1: 1, 2: -1, 3: -1, 5: -1, 6: 1, 7: -1, 10: 1}
    for n, count in enumerate(zoo.logistic().facts["prime_orbits"], start=1):
        points = sum(moebius.get(n // d, 0) * 2**d for d in range(1, n + 1) if n % d == 0)
        assert points == n * count


def test_the_diagonal_of_coupled_maps_has_these_exponents():
    m = zoo.coupled_logistic(4.0, 0.4)
    x = np.full((1, 2), 0.3)
    frame = np.array([[[1.0, 1.0], [1.0, -1.0]]]) / math.sqrt(2)
    logs = m.stretch(x, frame, 20000).logs.mean(axis=(0, 1))
    np.testing.assert_allclose(logs, m.facts["synchronised_exponents"], atol=5e-3)


# -- single values, by hand --------------------------------------------------------------------------------------------


def test_newton_does_what_its_formula_says():
    P = np.array([2.0, 1j, -0.5, 3.0])
    z = np.array([0.3 - 0.8j, -1.2 + 0.1j])
    expected = z - np.polyval(P, z) / np.polyval(np.polyder(P), z)
    found = zoo.newton(P)(np.stack([z.real, z.imag], axis=1))
    np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], expected, rtol=1e-14)


def test_newton_is_not_finite_where_the_derivative_vanishes():
    assert not np.isfinite(zoo.newton()([[0.0, 0.0]])).all()


def test_ikeda_does_what_its_formula_says():
    z = 0.4 - 0.7j
    expected = 1 + 0.9 * z * np.exp(1j * (0.4 - 6 / (1 + abs(z) ** 2)))
    np.testing.assert_allclose(zoo.ikeda()([[z.real, z.imag]]), [[expected.real, expected.imag]])


def test_tanh_network_has_the_promised_matrix():
    m = zoo.tanh_network(200, g=2.0, seed=1)
    J = m.params[1:].reshape(200, 200)
    assert J.std() == pytest.approx(2 / math.sqrt(200), rel=0.01)
    x = m.start(0, 3)
    np.testing.assert_allclose(m(x), np.tanh(x) @ J.T, atol=1e-13)
    slow = zoo.tanh_network(200, g=2.0, seed=1, delta=0.1)
    np.testing.assert_allclose(slow(x), 0.9 * x + 0.1 * np.tanh(x) @ J.T, atol=1e-13)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(x=st.floats(0, 1), y=st.floats(0, 1))
def test_angles_stay_in_their_period(x, y):
    for make in (zoo.cat, zoo.sinai, zoo.baker):
        found = make()([[x, y]])
        assert (found >= 0).all()
        assert (found < 1).all() or make is zoo.baker
    turn = 2 * math.pi
    for make in (zoo.standard, zoo.grebogi, zoo.dissipative_standard):
        assert 0 <= make()([[turn * x, y]])[0, 0] <= turn


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: zoo.henon(a="1"), "a of henon must be a real number; got '1'"),
        (lambda: zoo.logistic(math.inf), "r of logistic must be finite; got inf"),
        (lambda: zoo.tent(True), "mu of tent must be a real number; got True"),
        (lambda: zoo.newton((1, 2)), "degree 2 or more"),
        (lambda: zoo.newton((0, 1, 2)), "start with the highest power"),
        (lambda: zoo.newton("abc"), "sequence of numbers"),
        (lambda: zoo.newton((1, 0, math.nan)), "finite"),
        (lambda: zoo.tanh_network(0), "N of tanh_network must be a positive int"),
        (lambda: zoo.tanh_network(2.5), "got 2.5"),
        (lambda: zoo.counter_example("C99"), "key must name a counter-example, one of C1, "),
    ],
)
def test_misuse_is_named(make, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make()


# -- counter-examples --------------------------------------------------------------------------------------------------

ROWS = {row.key: row for row in zoo.COUNTER_EXAMPLES}


def orbit(key, loops):
    """States 0 … loops of a counter-example, (loops + 1, n)."""
    m = ROWS[key].make()
    x = m.native(ROWS[key].start[None])
    states = [m.numpy(x)[0].ravel()]
    for _ in range(loops):
        x = m(x)
        states.append(m.numpy(x)[0].ravel())
    return np.array(states)


def test_rows_are_complete_and_their_regimes_exist():
    assert len(ROWS) == len(zoo.COUNTER_EXAMPLES)
    assert {f"C{i}" for i in range(1, 21)} - {"C8", "C9"} <= set(ROWS)
    names = set(dl.Regime.__members__)
    for row in ROWS.values():
        assert "UNDECIDED" in row.acceptable
        assert row.acceptable <= names
        assert all(token <= row.acceptable for token in row.by_token)
        assert (row.period is not None) == ("PERIODIC" in row.acceptable and row.key != "C10c")
        assert row.forbidden
        assert zoo.counter_example(row.key) is row


@pytest.mark.parametrize("key", ROWS)
def test_rows_make_maps_that_take_their_start(key):
    row = ROWS[key]
    m = row.make()
    assert m.batch(row.start)[1]
    assert m.causal == bool(row.by_token)
    assert not row.by_token or len(row.by_token) == m.state_shape[0]
    assert m.numpy(m(row.start[None])).shape == (1, *m.state_shape)


@pytest.mark.parametrize("key", ["C10", "C10b", "C13", "C14", "C20", "C20b", "C20d"])
def test_torch_rows_keep_the_rules(key):
    check_map(ROWS[key].make(), ROWS[key].start)


def test_the_titles_are_true():
    assert np.allclose(np.diff(orbit("C1", 50), axis=0), [1.0, -2.0, 0.5])
    assert orbit("C1b", 400)[-1, 0] == pytest.approx(400**2 / 4, rel=0.02)
    assert orbit("C2", 2000)[-1, 0] == pytest.approx(math.log(2000), abs=0.01)
    spiral = orbit("C3", 2000)
    angles = np.unwrap(np.arctan2(spiral[:, 1], spiral[:, 0]))
    assert angles[2000] - angles[1000] == pytest.approx(math.log(2), abs=0.01)
    assert 1 - np.hypot(*spiral[-1]) == pytest.approx(1 / 2000, rel=0.01)
    for key in ("C5", "C5b", "C5c", "C5d"):
        states, p = orbit(key, 400 + ROWS[key].period), ROWS[key].period
        returns = [np.abs(states[400] - states[400 - q]).max() for q in range(1, p + 1)]
        assert returns[-1] < 1e-12 < 0.01 < min(returns[:-1])
    captured = np.flatnonzero(np.abs(orbit("C12", 600)[:, 0] - 0.3) < 1e-3)
    assert captured.tolist() == list(range(425, 601))
    laminar = orbit("C16b", 1200)[:, 0]
    assert np.argmax(np.abs(laminar[3:] - laminar[:-3]) > 1e-2) == 1122
    saturating = np.abs(orbit("C17", 512)[:, 0])
    assert np.diff(np.log(saturating[-2:]))[0] * 512 == pytest.approx(0.98, abs=0.01)
    assert orbit("C17b", 400)[-1, 0] == pytest.approx(math.sqrt(0.44), abs=1e-12)
    assert orbit("C18", 4000)[-1, 0] == pytest.approx(1 / math.sqrt(8000), rel=0.01)
    assert not np.diff(orbit("C19", 3), axis=0)[1:].any()
    assert len(np.unique(orbit("C20", 4344 + 300)[224:-1], axis=0)) == 4344
    assert len(np.unique(orbit("C20b", 200)[35:], axis=0)) == 40
    for key in ("C20c", "C20d", "C20e"):
        assert orbit(key, 60)[-1, 0] == 0.0
