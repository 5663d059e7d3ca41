"""Branches: every located value against another computation, both branches of a fold, ends, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError


# steps stand here: one that is defined anew for each value would be compiled for each
def _shifted(x, params, out):
    out[0] = x[0] + params[0] + params[1] * x[0] * x[0]


def _saddle(x, params, out):
    out[0] = params[0] * x[0] + x[0] * x[0]
    out[1] = 0.5 * x[1]


def _ring(x, params, out):
    out[0] = x[0] + 0.5 * (params[0] * params[0] + x[0] * x[0] - 1)


def _two_events(x, params, out):
    out[0] = (-1 + 0.5 * (params[1] - params[0])) * x[0] + x[0] ** 3
    out[1] = (1 + 0.5 * (params[0] - params[2])) * x[1] + x[1] * x[1]


def _twice(x, params, out):
    out[0] = (-1 - params[0]) * x[0] + x[0] ** 3
    out[1] = (-1 - params[0]) * x[1] + x[1] ** 3


def _shifted_jacobian(x, params, out):
    out[0, 0] = 1 + 2 * params[1] * x[0]


def _saddle_jacobian(x, params, out):
    out[:] = 0.0
    out[0, 0] = params[0] + 2 * x[0]
    out[1, 1] = 0.5


def _ring_jacobian(x, params, out):
    out[0, 0] = 1 + x[0]


def _two_events_jacobian(x, params, out):
    out[:] = 0.0
    out[0, 0] = -1 + 0.5 * (params[1] - params[0]) + 3 * x[0] ** 2
    out[1, 1] = 1 + 0.5 * (params[0] - params[2]) + 2 * x[1]


def _twice_jacobian(x, params, out):
    out[:] = 0.0
    out[0, 0] = -1 - params[0] + 3 * x[0] ** 2
    out[1, 1] = -1 - params[0] + 3 * x[1] ** 2


def kinds(branch):
    return [found.kind for found in branch.bifurcations]


def honest(found, exact):
    """The value is right to 1e-8 and within its own error."""
    assert abs(found.value - exact) <= 1e-8
    assert abs(found.value - exact) <= found.error + 1e-15 * abs(exact), (found.value - exact, found.error)
    assert found.error <= 1e-8


def test_first_and_second_flip_of_the_logistic_map():
    branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    assert kinds(branch) == ["flip"]
    [flip] = branch.bifurcations
    honest(flip, 3.0)
    assert (flip.criticality, flip.unstable) == ("supercritical", (0, 1))
    assert flip.coefficient == pytest.approx(9.0, abs=1e-8)  # (B/2)² for x ← −x + B x²/2, B = −2r
    np.testing.assert_allclose(branch.points[:, 0, 0], 1 - 1 / branch.values, rtol=1e-12)
    np.testing.assert_allclose(branch.multipliers[:, 0], 2 - branch.values, atol=1e-11)
    assert np.isnan(branch.multipliers[:, 1:]).all()
    assert set(branch.stability[branch.values < flip.value]) == {"sink"}
    assert set(branch.stability[branch.values > flip.value]) == {"source"}
    assert branch.status is dl.Status.END_OF_BRANCH
    assert branch.values[-1] == 3.2
    assert branch.residual.max() < 1e-14

    doubled = dl.switch_branch(dl.zoo.logistic, flip, [3.0, 3.5])
    assert doubled.period == 2
    honest(doubled.bifurcations[0], 1 + math.sqrt(6))
    assert kinds(doubled) == ["flip"]
    r = doubled.values[1:]
    np.testing.assert_allclose(doubled.multipliers[1:, 0], 4 + 2 * r - r * r, atol=1e-8)
    exact = (r + 1 - np.sqrt((r - 3) * (r + 1))) / (2 * r)
    np.testing.assert_allclose(doubled.points[1:, :, 0].min(axis=1), exact, rtol=1e-9)
    other = dl.switch_branch(dl.zoo.logistic, flip, [3.0, 3.5], side=-1)
    np.testing.assert_allclose(other.points[-1], doubled.points[-1][::-1], rtol=1e-9)


def test_a_parameter_far_from_zero_is_measured_by_its_window():
    branch = dl.continue_fixed_point(lambda r: dl.zoo.logistic(r - 1e6), [0.6], [1e6 + 2.5, 1e6 + 2.8, 1e6 + 3.2])
    [flip] = branch.bifurcations
    assert abs(flip.value - 1e6 - 3) <= flip.error + 2e-10
    assert flip.error < 1e-8
    assert len(branch.rows_at(1e6 + 2.8)) == 1
    assert branch.residual.max() < 1e-9  # the rounding of the parameter itself


def test_the_third_flip_agrees_with_a_count_of_periods():
    branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.9, 3.1])
    for end in (3.5, 3.56):
        branch = dl.switch_branch(dl.zoo.logistic, branch.bifurcations[0], [2.9, end])
    found = branch.bifurcations[0]
    assert branch.period == 4
    assert found.value == pytest.approx(3.5440903595, abs=1e-9)
    near = dl.period_diagram(dl.zoo.logistic, found.value + np.array([-1e-4, 1e-4]), transient=200_000)
    assert near.period.tolist() == [4, 8]


def test_the_branch_turns_at_the_fold_of_period_three():
    fold = 1 + math.sqrt(8)
    asked = [3.84, 3.835, 3.83, 3.8]
    branch = dl.continue_fixed_point(dl.zoo.logistic, [0.15], asked, period=3)
    assert kinds(branch) == ["fold"]
    honest(branch.bifurcations[0], fold)
    assert branch.bifurcations[0].criticality == ""
    assert branch.status is dl.Status.LEFT_WINDOW
    assert branch.values[-1] == 3.84
    row = branch.bifurcations[0].row
    assert set(branch.stability[1 : row + 1]) == {"sink"}
    assert set(branch.stability[row + 1 :]) == {"source"}
    for value in asked[1:3]:  # met on both sides
        rows = branch.rows_at(value)
        assert len(rows) == 2
        m = dl.zoo.logistic(value)
        x = branch.points[rows, 0]
        np.testing.assert_allclose(m(m(m(x))), x, atol=1e-13)
        assert abs(x[0] - x[1]) > 1e-3
    np.testing.assert_allclose(branch.values.min(), fold, atol=1e-3)
    m = dl.zoo.logistic(4.0).with_table(branch.values[:, None])
    images = m(branch.points[:, 0])
    np.testing.assert_allclose(images, branch.points[:, 1], atol=1e-12)


def test_the_fold_of_period_three_is_in_the_ghost_passage():
    """Theory 6: through x + ε + x² it takes π/√ε loops from the bottleneck on, twice that all the way."""
    for a in (1.0, 3.0):  # F = x + ε + a x²: fold at 0, coefficient a

        def family(eps, a=a):
            return dl.KernelMap(_shifted, 1, params=(eps, a), jacobian=_shifted_jacobian)

        branch = dl.continue_fixed_point(family, [-0.1 / math.sqrt(a)], [-0.01, 0.01])
        [fold] = branch.bifurcations
        honest(fold, 0.0)
        assert abs(fold.coefficient) == pytest.approx(a, rel=1e-8)
        assert branch.status is dl.Status.LEFT_WINDOW
        np.testing.assert_allclose(branch.points[:, 0, 0] ** 2, np.abs(branch.values) / a, atol=1e-12)
        errors = []
        for eps in (1e-4, 1e-6):
            gap = np.abs(branch.multipliers[branch.values == -0.01, 0] - 1).max()  # 1 − λ(−ε) = 2√(aε)
            assert gap == pytest.approx(2 * math.sqrt(a * 0.01), rel=1e-9)
            scaled = 2 * math.sqrt(abs(fold.coefficient) * eps)
            half = loops_until(family(eps), 0.0, 1e3) * scaled / 2
            whole = loops_until(family(eps), -10.0 / a / 25, 1e3) * scaled / 2
            errors.append((abs(half - math.pi / 2), abs(whole - math.pi)))
        assert np.all(np.array(errors[1]) < 0.2 * np.array(errors[0]))
        assert np.all(np.array(errors[1]) < 0.02)


def loops_until(m, x, bound):
    params, count = m.params, 0
    while x < bound:
        x = x + params[0] + params[1] * x * x
        count += 1
    return count


def test_neimark_sacker_of_the_delayed_logistic_map():
    branch = dl.continue_fixed_point(dl.zoo.delayed_logistic, [0.4, 0.4], [1.8, 2.2])
    [found] = branch.bifurcations
    assert found.kind == "neimark-sacker"
    honest(found, 2.0)
    assert (found.criticality, found.unstable) == ("supercritical", (0, 2))
    np.testing.assert_allclose(found.multipliers[0], np.exp(1j * np.pi / 3), atol=1e-9)
    assert found.coefficient == pytest.approx(exact_neimark_sacker(), abs=1e-7)
    far, near = (dl.trajectory(dl.zoo.delayed_logistic(a), [0.45, 0.5], 400, transient=40_000) for a in (1.98, 2.02))
    assert np.ptp(far.states[..., 0]) < 1e-9  # a fixed point below, an invariant circle above
    assert np.ptp(near.states[..., 0]) > 0.1


def exact_neimark_sacker():
    """Kuznetsov's coefficient with the exact second derivatives: B(u, v) = (−2(u₁v₂ + u₂v₁)… ) of a x (1 − y)."""
    A = np.array([[1.0, -1.0], [1.0, 0.0]])  # a = 2 at (1/2, 1/2)

    def B(u, v):  # noqa: N802 - its name in the formula
        return np.array([-2.0 * (u[0] * v[1] + u[1] * v[0]), 0.0])

    values, vectors = np.linalg.eig(A)
    i = int(np.argmax(values.imag))
    mu, q = values[i], vectors[:, i]
    left_values, left = np.linalg.eig(A.T)
    p = left[:, int(np.argmin(np.abs(left_values - mu.conjugate())))]
    p = p / np.conj(np.vdot(p, q))
    eye = np.eye(2)
    w1 = np.linalg.solve(eye - A, B(q, q.conj()))
    w2 = np.linalg.solve(mu**2 * eye - A, B(q, q))
    return 0.5 * (np.conj(mu) * (2 * np.vdot(p, B(q, w1)) + np.vdot(p, B(q.conj(), w2)))).real


def test_a_neutral_saddle_is_no_neimark_sacker():
    """λ₁ λ₂ = 1 with real λ's: nothing happens."""

    branch = dl.continue_fixed_point(
        dl.KernelMap(_saddle, 2, params=(2.0,), jacobian=_saddle_jacobian), [0.0, 0.0], [1.5, 2.5]
    )
    assert branch.bifurcations == ()
    assert len(branch.unexplained) == 0


@pytest.mark.slow
@pytest.mark.parametrize("b", [0.3, -0.2])
def test_flips_and_the_fold_of_the_henon_map(b):
    def family(a):
        return dl.zoo.henon(a, b)

    point = dl.zoo.henon(0.1, b).facts["fixed_points"][0]
    branch = dl.continue_fixed_point(family, point, [0.1, 0.1 + 3 * (1 - b) ** 2 / 4])
    [flip] = branch.bifurcations
    honest(flip, 3 * (1 - b) ** 2 / 4)
    doubled = dl.switch_branch(family, flip, [flip.value, (1 - b) ** 2 + (1 + b) ** 2 / 4 + 0.1])
    honest(doubled.bifurcations[0], (1 - b) ** 2 + (1 + b) ** 2 / 4)
    down = dl.continue_fixed_point(family, point, [0.1, -0.5], window=(-0.5, 1.5))
    fold = down.bifurcations[0]
    assert fold.kind == "fold"
    honest(fold, -((1 - b) ** 2) / 4)
    assert down.status is dl.Status.UNBOUNDED  # the other fixed point goes to infinity as a → 0 from below


def test_a_compiled_map_is_a_family_of_its_parameter():
    point = dl.zoo.henon(0.1, 0.3).facts["fixed_points"][0]
    by_number = dl.continue_fixed_point(dl.zoo.henon(1.4, 0.3), point, [0.1, 0.5], parameter=0)
    by_call = dl.continue_fixed_point(lambda a: dl.zoo.henon(a, 0.3), point, [0.1, 0.5])
    np.testing.assert_array_equal(by_number.points, by_call.points)
    b = dl.continue_fixed_point(
        dl.zoo.henon(0.3, 0.3), dl.zoo.henon(0.3, 0.3).facts["fixed_points"][0], [0.3, 0.5], parameter=1
    )
    assert kinds(b) == ["flip"]  # a = 3 (1 − b)²/4
    honest(b.bifurcations[0], 1 - math.sqrt(4 * 0.3 / 3))


@pytest.mark.parametrize(
    ("family", "criticality", "others"),
    [
        (dl.zoo.cubic, "unknown", [math.sqrt(1 / 3), -math.sqrt(1 / 3)]),
        (dl.zoo.logistic, "transcritical", [1 / 3, -1.0]),
    ],
)
def test_branch_points_are_no_folds(family, criticality, others):
    for values in ([0.5, 1.5], [1.5, 0.5]):
        branch = dl.continue_fixed_point(family, [0.0], values)
        assert kinds(branch) == ["branch"]
        honest(branch.bifurcations[0], 1.0)
        assert branch.bifurcations[0].criticality == criticality
    ends = []
    for side in (1, -1):
        other = dl.switch_branch(family, branch.bifurcations[0], [0.5, 1.5], side=side)
        assert other.bifurcations == ()
        assert len(other.unexplained) == 0
        ends.append(other.points[-1, 0, 0])
    np.testing.assert_allclose(sorted(ends), sorted(others), rtol=1e-10)


def test_the_branch_of_a_pitchfork_turns_at_a_branch_point():
    branch = dl.continue_fixed_point(dl.zoo.cubic, [math.sqrt(1 / 3)], [1.5, 0.5])
    [found] = branch.bifurcations
    assert found.kind == "branch"
    assert found.value == pytest.approx(1.0, abs=1e-10)
    assert branch.points[-1, 0, 0] == pytest.approx(-math.sqrt(1 / 3))
    assert branch.status is dl.Status.LEFT_WINDOW


def test_a_doubled_orbit_that_comes_back_to_its_origin_ends_there():
    """A bubble: flips at both ends of an interval of the parameter."""

    def family(t):
        return dl.zoo.logistic(3.1 - t * t)

    first = dl.continue_fixed_point(family, [0.6], [-1.0, 1.0])
    assert kinds(first) == ["flip", "flip"]
    for found, exact in zip(first.bifurcations, (-math.sqrt(0.1), math.sqrt(0.1)), strict=True):
        honest(found, exact)
    assert [found.unstable for found in first.bifurcations] == [(0, 1), (1, 0)]
    bubble = dl.switch_branch(family, first.bifurcations[0], [-1.0, 1.0])
    assert bubble.status is dl.Status.CLOSED
    assert "half its period" in bubble.reason
    assert bubble.bifurcations[-1].value == pytest.approx(math.sqrt(0.1), abs=1e-8)


def test_a_closed_branch_ends_where_it_began():
    """x ← x + λ² + x² − 1 on the circle x² + λ² = 1, with two folds."""

    family = dl.KernelMap(_ring, 1, params=(0.0,), jacobian=_ring_jacobian)
    branch = dl.continue_fixed_point(family, [-1.0], [0.0, 2.0], window=(-2.0, 2.0))
    assert branch.status is dl.Status.CLOSED
    assert kinds(branch) == ["fold", "fold"]
    for found, exact in zip(branch.bifurcations, (1.0, -1.0), strict=True):
        honest(found, exact)
    np.testing.assert_allclose(branch.points[:, 0, 0] ** 2 + branch.values**2, 1, atol=1e-12)
    back = dl.continue_fixed_point(family, [-1.0], [0.0, 2.0], window=(-2.0, 2.0), direction=-1)
    assert [found.value for found in back.bifurcations] == pytest.approx([-1.0, 1.0])


@settings(max_examples=15, deadline=None)
@given(first=st.floats(-0.9, 0.9), gap=st.floats(1e-4, 0.3))
def test_two_bifurcations_in_one_step_are_both_found(first, gap):
    """A flip at `first` and a branch point at first + gap, in a step as long as the window."""

    family = dl.KernelMap(_two_events, 2, params=(0.0, first, first + gap), jacobian=_two_events_jacobian)
    branch = dl.continue_fixed_point(family, [0.0, 0.0], [-1.05, 1.3], first_step=0.9, largest_step=0.9)
    assert len(branch.values) <= 4
    assert kinds(branch) == ["flip", "branch"]
    honest(branch.bifurcations[0], first)
    honest(branch.bifurcations[1], first + gap)
    assert [found.unstable for found in branch.bifurcations] == [(0, 1), (1, 2)]
    assert len(branch.unexplained) == 0


def test_two_at_one_place_are_reported_unexplained():
    family = dl.KernelMap(_twice, 2, params=(0.0,), jacobian=_twice_jacobian)
    branch = dl.continue_fixed_point(family, [0.0, 0.0], [-0.21, 0.3])
    assert branch.bifurcations == ()
    [(low, high)] = branch.unexplained
    assert low <= 1e-7
    assert high >= -1e-7
    assert high - low < 1e-6
    assert "unexplained" in branch.summary()


def test_area_preserving_maps_have_no_false_circles():
    """Multipliers on the unit circle all along an elliptic point: nothing, up to the flip at K = 4."""
    branch = dl.continue_fixed_point(dl.zoo.standard, [math.pi, 0.0], [0.5, 5.0])
    assert kinds(branch) == ["flip"]
    assert branch.bifurcations[0].value == pytest.approx(4.0, abs=1e-8)
    assert set(branch.stability[branch.values < 3.99]) == {"marginal"}
    assert len(branch.unexplained) == 0


def test_angles_wrap():
    """A fixed point of x ← x + Ω + K sin(2πx)/2π mod 1 that crosses the seam."""
    branch = dl.continue_fixed_point(lambda w: dl.zoo.circle(w, 0.9), [0.02], [0.0, -0.1, -0.2], window=(-0.2, 0.2))
    assert kinds(branch) == ["fold", "fold"]
    for found, exact in zip(branch.bifurcations, (-0.9 / (2 * math.pi), 0.9 / (2 * math.pi)), strict=True):
        honest(found, exact)
    assert np.all((branch.points >= 0) & (branch.points <= 1))


def test_a_point_that_is_no_solution_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"^point leads to no solution of F\^1\(x\) = x at the first value"):
        dl.continue_fixed_point(
            lambda c: dl.KernelMap(_shifted, 1, params=(c, 1.0), jacobian=_shifted_jacobian), [0.3], [1.0, 2.0]
        )
    with pytest.raises(InvalidArgumentError, match=r"prime period 1 at 2\.5; pass period=1"):
        dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2], period=2)
    with pytest.raises(ShapeError, match="point must be one state"):
        dl.continue_fixed_point(dl.zoo.logistic, [[0.6]], [2.5, 3.2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": [2.5]}, "values must be two or more finite numbers, increasing or decreasing"),
        ({"values": [2.5, 3.0, 2.9]}, "values must be two or more"),
        ({"values": [2.5, math.nan]}, "values must be two or more"),
        ({"period": 0}, "period must be a positive int; got 0"),
        ({"k": 1.5}, "k must be a positive int"),
        ({"direction": 2}, "direction must be 1 or -1; got 2"),
        ({"window": (2.6, 3.2)}, "window must be two finite numbers that hold all values"),
        ({"first_step": 1.0}, "smallest_step, first_step and largest_step must be positive and in this order"),
        ({"parameter": 3}, "parameter must be the number of one of the 1 parameters of logistic"),
    ],
)
def test_misuse_is_told_in_one_line(options, message):
    arguments = {"family": dl.zoo.logistic(), "point": [0.6], "values": [2.5, 3.2], **options}
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        dl.continue_fixed_point(**arguments)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_switched_at_is_refused():
    branch = dl.continue_fixed_point(dl.zoo.logistic(), [0.15], [3.84, 3.8], period=3)
    with pytest.raises(InvalidArgumentError, match="must be a flip or a branch point of a Branch; got fold"):
        dl.switch_branch(dl.zoo.logistic, branch.bifurcations[0], [3.8, 3.84])
    flip = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2]).bifurcations[0]
    with pytest.raises(InvalidArgumentError, match="values must hold the bifurcation"):
        dl.switch_branch(dl.zoo.logistic, flip, [3.1, 3.5])
    with pytest.raises(InvalidArgumentError, match="no other branch was found beside the flip"):
        dl.switch_branch(dl.zoo.logistic, flip, [2.8, 3.0])  # the doubled orbit lives above 3
    with pytest.raises(InvalidArgumentError, match="side must be 1 or -1"):
        dl.switch_branch(dl.zoo.logistic, flip, [2.8, 3.2], side=0)


def test_a_line_of_solutions_is_not_followed_silently():
    """Solutions that are not isolated at one parameter: no direction, no certain bifurcation."""
    branch = dl.continue_fixed_point(lambda t: dl.TorchMap([lambda x: x + 0 * t], (2,)), [1.0, 2.0], [0.0, 1.0])
    assert branch.bifurcations == ()
    assert set(branch.stability) == {"marginal"}


def test_a_branch_is_saved_and_read_back(tmp_path):
    branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2], progress=(seen := []).append and None)
    again = dl.load(branch.save(tmp_path / "branch"))
    np.testing.assert_array_equal(again.points, branch.points)
    assert again.bifurcations[0].value == branch.bifurcations[0].value
    assert again.summary() == branch.summary()
    assert seen == []


def test_progress_and_budget():
    seen = []
    branch = dl.continue_fixed_point(
        dl.zoo.logistic, [0.6], [2.5, 3.2], budget=3, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert branch.status is dl.Status.OUT_OF_STEPS
