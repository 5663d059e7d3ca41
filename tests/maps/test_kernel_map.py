"""KernelMap: three roads to its derivative, laws of composition, angles, and what it says when it is misused."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError


def smooth(x, params, out):
    out[0] = np.sin(x[0]) + params[0] * x[1]
    out[1] = x[0] * x[1] + 0.5


def smooth_jacobian(x, params, out):
    out[0, 0] = np.cos(x[0])
    out[0, 1] = params[0]
    out[1, 0] = x[1]
    out[1, 1] = x[0]


def bent(x, params, out):
    out[0] = abs(x[0]) - 0.3 * x[1]
    out[1] = max(x[1], 0.1) * 0.5


def shifted(x, params, out):
    out[0] = (x[0] + 0.75) % 1.0


ONE = dl.KernelMap(smooth, 2, params=(0.3,), jacobian=smooth_jacobian, name="smooth")
TWO = dl.KernelMap((smooth, bent), 2, params=(0.3,), name="two layers")
POINTS = np.array([[0.4, 0.7], [-0.9, 0.3], [0.2, 0.8]])
FRAMES = np.broadcast_to(np.eye(2), (3, 2, 2))


def exact(x):
    J = np.empty((2, 2))
    smooth_jacobian(x, (0.3,), J)
    return J


# -- oracles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "tolerance"),
    [(ONE, 1e-15), (dl.KernelMap(smooth, 2, params=(0.3,)), 1e-15)],
    ids=["analytic", "complex step"],
)
def test_push_and_pull_are_the_jacobian_and_its_transpose(m, tolerance):
    for b, x in enumerate(POINTS):
        np.testing.assert_allclose(m.push(POINTS, FRAMES)[1][b].T, exact(x), atol=tolerance)
        np.testing.assert_allclose(m.pull(POINTS, FRAMES)[1][b], exact(x), atol=tolerance)
    np.testing.assert_array_equal(m.push(POINTS, FRAMES)[0], m(POINTS))


@pytest.mark.slow
def test_a_step_without_complex_form_has_dual_numbers():
    found = TWO.push(POINTS, FRAMES)[1]
    for b, x in enumerate(POINTS):
        y = ONE(x[None])[0]
        outer = np.array([[np.sign(y[0]), -0.3], [0.0, 0.5 if y[1] > 0.1 else 0.0]])
        np.testing.assert_allclose(found[b].T, outer @ exact(x), atol=1e-8 if numba.config.DISABLE_JIT else 1e-15)


def test_differences_wrap_angles_at_the_seam():
    m = dl.KernelMap(shifted, 1, periods=(1.0,))
    np.testing.assert_allclose(m.push(np.array([[0.25]]), np.ones((1, 1, 1)))[1], 1.0, atol=1e-9)


def test_watch_measures_what_a_plain_loop_measures():
    reference = POINTS + 0.1
    for m in (TWO, TWO.power(2), TWO.rotate(1)):
        seen, x = m.watch(POINTS, 4, reference), POINTS
        for t in range(4):
            new = m(x)
            np.testing.assert_allclose(seen.steps[t, :, 0], np.linalg.norm(new - x, axis=1))
            np.testing.assert_allclose(seen.norms[t, :, 0], np.linalg.norm(new, axis=1))
            np.testing.assert_allclose(seen.returns[t, :, 0], np.linalg.norm(new - reference, axis=1))
            x = new
        np.testing.assert_array_equal(seen.states, x)


def test_watch_wraps_angles():
    m = dl.KernelMap(shifted, 1, periods=(1.0,))
    np.testing.assert_allclose(m.watch(np.zeros((1, 1)), 4, np.zeros((1, 1))).steps[:, 0, 0], 0.25)


def test_stretch_sums_to_the_determinant_and_powers_add():
    m, power = ONE, ONE.power(3)
    logs = m.stretch(POINTS, FRAMES, 6).logs
    x, determinants = POINTS, np.zeros(3)
    for _ in range(6):
        determinants += [np.log(abs(np.linalg.det(exact(row)))) for row in x]
        x = m(x)
    np.testing.assert_allclose(logs.sum(axis=(0, 2)), determinants, rtol=1e-10)
    np.testing.assert_allclose(power.stretch(POINTS, FRAMES, 2).logs.sum(axis=(0, 2)), determinants, rtol=1e-8)


def test_division_by_zero_is_infinite_not_an_error():
    def inverse(x, params, out):
        out[0] = 1 / x[0]

    assert np.isinf(dl.KernelMap(inverse, 1)([[0.0]])).all()


def test_maps_of_one_family_share_their_compiled_loops():
    from dynloop.maps.compiled.loops import apply_loop

    assert apply_loop(dl.zoo.logistic(3.0)._steps[0]) is apply_loop(dl.zoo.logistic(3.5)._steps[0])


def test_a_step_is_compiled_anew_for_every_map():
    scale = 2.0

    def step(x, params, out):
        out[0] = scale * x[0]

    first = dl.KernelMap(step, 1)([[1.0]])
    scale = 3.0
    assert (first, dl.KernelMap(step, 1)([[1.0]])) == (2.0, 3.0)


# -- laws --------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(x=st.lists(st.floats(-1, 1), min_size=2, max_size=2), p=st.integers(1, 4), l=st.integers(-5, 5))
def test_powers_rotations_and_sections(x, p, l):
    x = np.array([x])
    y = x
    for _ in range(p):
        y = TWO(y)
    np.testing.assert_array_equal(TWO.power(p)(x), y)
    sections = TWO.sections(x)
    np.testing.assert_array_equal(TWO.rotate(l)(sections[l % 2]), TWO.sections(sections[-1])[l % 2])
    np.testing.assert_allclose(np.diff(sections, axis=0).sum(axis=0), TWO(x) - x, atol=1e-14)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(a=st.floats(-50, 50), b=st.floats(-50, 50), turns=st.integers(-3, 3))
def test_displacement_is_the_shortest_way_round(a, b, turns):
    m = dl.zoo.grebogi()
    period = 2 * np.pi
    x, y = np.array([[a, 1.0]]), np.array([[b, 3.0]])
    found = m.displacement(x, y)
    assert abs(found[0, 0]) <= period / 2 + 1e-9
    assert found[0, 1] == -2.0
    again = m.displacement(x + np.array([[turns * period, 0.0]]), y)[0, 0]
    assert np.isclose(np.cos(found[0, 0]), np.cos(again), atol=1e-9)
    assert np.isclose(np.cos(found[0, 0]), np.cos(a - b), atol=1e-9)


# -- boundaries --------------------------------------------------------------------------------------------------------


def test_first_power_and_full_rotation_are_the_map_itself():
    assert TWO.power(1) is TWO
    assert TWO.rotate(2) is TWO
    assert TWO.rotate(-1).layer_names == ("bent", "smooth")
    assert TWO.power(2).layer_names == ("smooth@1", "bent@1", "smooth@2", "bent@2")


def test_long_powers_compile_one_cycle_only():
    m = dl.zoo.logistic(2.5).power(1000)
    np.testing.assert_allclose(m.watch(np.array([[0.3]]), 1, np.array([[0.6]])).returns, 0.0, atol=1e-12)


def test_states_of_any_kind_become_float64():
    torch = pytest.importorskip("torch")
    m = dl.zoo.logistic(2.0)
    for states in ([[0.5]], np.array([[0.5]], dtype=np.float32), torch.tensor([[0.5]], dtype=torch.bfloat16)):
        found = m(states)
        assert isinstance(found, np.ndarray)
        assert found.tolist() == [[0.5]]


def test_states_given_are_not_changed():
    x = POINTS.copy()
    TWO(x)
    TWO.watch(x, 3, x)
    TWO.stretch(x, FRAMES, 3)
    np.testing.assert_array_equal(x, POINTS)


def test_a_compiled_step_is_taken_as_it_is():
    step = numba.njit(shifted)
    assert dl.KernelMap(step, 1)([[0.5]]).tolist() == [[0.25]]


# -- errors ------------------------------------------------------------------------------------------------------------


def returns(x, params, out):
    return x


def too_long(x, params, out):
    out[2] = x[0]


def forgets(x, params, out):
    out[0] = x[0]


def meddles(x, params, out):
    x[0] = 0.0
    out[0] = 1.0


def raises(x, params, out):
    raise RuntimeError("no such place")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: dl.KernelMap(shifted, 0), InvalidArgumentError, "dim must be a positive int"),
        (lambda: dl.KernelMap(shifted, True), InvalidArgumentError, "got True"),
        (lambda: dl.KernelMap([], 1), InvalidArgumentError, "step must be a function"),
        (lambda: dl.KernelMap(3, 1), InvalidArgumentError, r"a function step\(x, params, out\)"),
        (lambda: dl.KernelMap("step", 1), InvalidArgumentError, "or a sequence of them"),
        (lambda: dl.zoo.henon().with_table(np.ones((2, 3))), ShapeError, r"\(batch, 2\).*got \(2, 3\)"),
        (lambda: dl.KernelMap(shifted, 1, params=("a",)), InvalidArgumentError, "params must be"),
        (lambda: dl.KernelMap(smooth, 2), InvalidArgumentError, "0 params.*IndexError"),
        (lambda: dl.KernelMap(returns, 1), InvalidArgumentError, r"returned ndarray.*out\[0\]"),
        (lambda: dl.KernelMap(too_long, 2), InvalidArgumentError, "fills out in place"),
        (lambda: dl.KernelMap(forgets, 2), InvalidArgumentError, r"leaves out\[1\] unset"),
        (lambda: dl.KernelMap(meddles, 1), InvalidArgumentError, "changes its input"),
        (lambda: dl.KernelMap(raises, 1), InvalidArgumentError, "RuntimeError: no such place"),
        (
            lambda: dl.KernelMap((smooth, bent), 2, params=(1,), jacobian=(bent,)),
            InvalidArgumentError,
            "1 functions for 2",
        ),
        (lambda: dl.KernelMap(shifted, 1, periods=(1.0, 2.0)), ShapeError, "2 entries"),
        (lambda: dl.zoo.henon()([0.1, 0.1]), ShapeError, r"state\[None\]"),
        (lambda: dl.zoo.henon()([[0.1]]), ShapeError, r"\(1, 1\)"),
        (lambda: dl.zoo.henon()("ab"), ShapeError, "array of numbers"),
        (lambda: dl.zoo.henon().power(1.5), InvalidArgumentError, "p must be"),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_what_numba_cannot_compile_is_one_sentence():
    def step(x, params, out):
        out[0] = float(str(x[0])[:3])
        open("/dev/null").close()

    with pytest.raises(InvalidArgumentError, match="numba cannot compile the step") as caught:
        dl.KernelMap(step, 1)([[0.5]])
    assert "\n" not in str(caught.value)


class Settings:
    factor = 2.0


SETTINGS = Settings()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_a_python_object_inside_a_step_is_named():
    def step(x, params, out):
        out[0] = SETTINGS.factor * x[0]

    m = dl.KernelMap(step, 1)
    for call in (lambda: m([[0.5]]), lambda: m.stretch(np.ones((1, 1)), np.ones((1, 1, 1)), 3)):
        with pytest.raises(
            InvalidArgumentError, match=r"Untyped global name 'SETTINGS'.*<class .*Settings'>"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_everything_works_without_the_compiler():
    program = """
import warnings; warnings.simplefilter("error")
import numpy as np, dynloop as dl
from dynloop.testing import check_map
check_map(dl.zoo.henon())
def step(x, params, out):
    out[0] = abs(x[0]) - 0.25
check_map(dl.KernelMap(step, 1))
m = dl.zoo.henon()
x = m.start(0, 2)
m.watch(x, 5, x)
print(np.isclose(m.stretch(x, np.stack([np.eye(2)] * 2), 9).logs.sum(2), np.log(0.3)).all())
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


# -- a derivative that is given ----------------------------------------------------------------------------------------


def wrong_sign(x, params, out):
    smooth_jacobian(x, params, out)
    out[0, 1] = -params[0]


def transposed(x, params, out):
    out[0, 0], out[1, 0], out[0, 1], out[1, 1] = np.cos(x[0]), params[0], x[1], x[0]


def wrong_push(x, V, params, out, W):
    smooth(x, params, out)
    for a in range(V.shape[0]):
        W[a, 0] = np.cos(x[0]) * V[a, 0] + params[0] * V[a, 1]
        W[a, 1] = x[0] * V[a, 0] + x[1] * V[a, 1]


@pytest.mark.parametrize("given", [{"jacobian": wrong_sign}, {"jacobian": transposed}, {"tangent": wrong_push}])
def test_a_derivative_that_is_not_the_steps_is_refused(given):
    [kind] = given
    with pytest.raises(InvalidArgumentError, match=f"the {kind} of step 'smooth' of wrong is .* off differences"):
        dl.KernelMap(smooth, 2, params=(0.3,), name="wrong", **given)


def test_a_derivative_that_is_right_almost_everywhere_is_taken():
    def kinked(x, params, out):
        out[0] = abs(x[0] - 0.5)

    def slope(x, params, out):
        out[0, 0] = 1.0 if x[0] > 0.5 else -1.0

    assert dl.jacobian(dl.KernelMap(kinked, 1, jacobian=slope), [0.7]) == 1.0


@pytest.mark.parametrize("dim", [pytest.param(2, marks=pytest.mark.slow), 9, pytest.param(12, marks=pytest.mark.slow)])
def test_large_and_small_maps_give_the_same_tangents(dim):
    """Up to 8 coordinates arrays lie on the stack, beyond in scratch memory: two blocks beside each other tell."""

    def first(x, params, out):
        for j in range(x.shape[0]):
            out[j] = np.sin(x[j]) + 0.1 * x[(j + 1) % x.shape[0]]

    def second(x, params, out):
        for j in range(x.shape[0]):
            out[j] = x[j] + 0.3 * x[j] * x[j - 1]

    m = dl.KernelMap((first, second), dim)
    x = np.random.default_rng(0).uniform(0.2, 0.9, dim)
    y, inner, outer = np.sin(x) + 0.1 * np.roll(x, -1), np.diag(np.cos(x)), np.zeros((dim, dim))
    for j in range(dim):
        inner[j, (j + 1) % dim] += 0.1
        outer[j, j] += 1 + 0.3 * y[j - 1]
        outer[j, j - 1] += 0.3 * y[j]
    np.testing.assert_allclose(dl.jacobian(m, x), outer @ inner, atol=1e-14)
    logs = m.stretch(x[None], np.eye(dim)[None], 3).logs.sum()
    point, total = x[None], 0.0
    for _ in range(3):
        total += np.linalg.slogdet(dl.jacobian(m, point[0]))[1]
        point = m(point)
    assert logs == pytest.approx(total, abs=1e-9)
