"""find_fixed_points: what is found is known exactly, or has a law; what is no solution is never called one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NotAutonomousError, ShapeError
from dynloop.result import Status

# -- exact oracles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", range(1, 11))
def test_all_prime_orbits_of_the_logistic_map(period):
    m = dl.zoo.logistic(4.0)
    found = dl.find_fixed_points(m, m.start(0, 64), period=period)
    assert len(found) == m.facts["prime_orbits"][period - 1]
    assert found.points.shape == (len(found), period, 1)
    assert found.residual.max() <= 1e-12
    # conjugate to a shift: |multiplier| is 2^p, but 4^p at the fixed point 0
    sizes = np.abs(found.multipliers[:, 0])
    at_zero = np.abs(found.points).max(axis=(1, 2)) < 1e-9
    np.testing.assert_allclose(sizes, np.where(at_zero, 4.0**period, 2.0**period), rtol=1e-8)
    assert set(found.stability) == {"source"}


@pytest.mark.parametrize("period", range(1, 7))
def test_all_prime_orbits_of_the_henon_map(period):
    m = dl.zoo.henon()
    found = dl.find_fixed_points(
        m, np.random.default_rng(1).uniform([-1.5, -0.45], [1.5, 0.45], (64, 2)), period=period
    )
    assert len(found) == m.facts["prime_orbits"][period - 1]
    assert all(found.stability == "saddle")
    np.testing.assert_allclose(np.prod(found.multipliers, axis=1), (-0.3) ** period, rtol=1e-8)


def test_the_points_of_the_henon_map():
    found = dl.find_fixed_points(dl.zoo.henon())
    facts = dl.zoo.henon().facts
    for point, multipliers in zip(facts["fixed_points"], facts["multipliers"], strict=True):
        row = int(np.abs(found.points[:, 0] - point).max(axis=1).argmin())
        np.testing.assert_allclose(found.points[row, 0], point, atol=1e-12)
        np.testing.assert_allclose(np.sort(found.multipliers[row].real), multipliers.real, atol=1e-10)
    cycle = dl.find_fixed_points(dl.zoo.henon(), period=2)
    np.testing.assert_allclose(np.sort(cycle.points[0, :, 0]), [-0.47580005118, 0.97580005118], atol=1e-10)
    np.testing.assert_allclose(cycle.multipliers[0], [-3.01010067, -0.02989933], atol=1e-8)


ZOO = [
    "cubic", "gauss", "lozi", "delayed_logistic", "holmes_cubic", "tinkerbell", "rulkov", "coupled_logistic", "newton",
    "standard", "grebogi", "duffing_map",
]  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_every_known_fixed_point_of_the_zoo_is_found(name):
    m = getattr(dl.zoo, name)()
    found = dl.find_fixed_points(m)
    for point in m.facts.get("fixed_points", []):
        assert np.abs(m.displacement(found.points[:, 0], point)).max(axis=1).min() < 1e-9


def test_periodic_points_of_the_cat_map_are_counted():
    m = dl.zoo.cat()  # 1 fixed point; 5 = 1 + 2·2 of period 2; 16 = 1 + 3·5 of period 3
    assert [len(dl.find_fixed_points(m, m.start(0, 128), period=p)) for p in (1, 2, 3)] == [1, 2, 5]


@pytest.mark.parametrize(
    ("r", "period", "kind"),
    [
        (2.5, 1, "sink"), (2.0, 1, "superstable"), (1 + math.sqrt(5), 2, "superstable"),
        (3.498561699327702, 4, "superstable"), (3.8318740552833, 3, "superstable"), (3.2, 2, "sink"),
        (3.0, 1, "marginal"), (1 + math.sqrt(8), 3, "marginal"),
    ],
)  # fmt: skip
def test_stability_of_known_orbits(r, period, kind):
    found = dl.find_fixed_points(dl.zoo.logistic(r), period=period)
    assert kind in found.stability


def test_a_source_and_an_unstable_count():
    found = dl.find_fixed_points(
        dl.TorchMap([lambda x: x @ torch.diag(torch.tensor([2.0, 3.0, 0.5]).double())], (3,)), [[1.0, 1.0, 1.0]]
    )
    assert found.stability[0] == "saddle"
    assert found.unstable[0] == 2
    np.testing.assert_allclose(found.multipliers[0], [3.0, 2.0, 0.5], rtol=1e-12)


def test_a_long_unstable_cycle_keeps_its_multiplier():
    m = dl.zoo.logistic(4.0)
    found = dl.find_fixed_points(m, m.start(0, 8), period=40)
    assert len(found) > 0
    np.testing.assert_allclose(np.abs(found.multipliers[:, 0]), 2.0**40, rtol=1e-8)
    points = found.points[:, :, 0]
    np.testing.assert_allclose(4 * points * (1 - points), np.roll(points, -1, axis=1), atol=1e-14)


def test_a_cycle_of_more_unknowns_than_a_dense_matrix_takes():
    m = dl.zoo.logistic(4.0)
    found = dl.find_fixed_points(m, m.start(0, 2), period=300, method="newton")
    assert all(found.residual <= 1e-12)
    exponents = np.log(np.abs(found.multipliers[:, 0])) / 300
    assert len(found) == 0 or np.allclose(exponents, math.log(2), atol=1e-6)


def test_the_tanh_network_has_few_fixed_points_and_each_is_one():
    m = dl.zoo.tanh_network(64, 1.5)
    found = dl.find_fixed_points(m, m.start(0, 128))
    states = found.points[:, 0]
    moved = m(states)
    assert np.all(np.linalg.norm(moved - states, axis=1) <= 1e-12 * np.maximum(1e-9, np.linalg.norm(states, axis=1)))
    gaps = np.linalg.norm(states[:, None] - states[None], axis=2) + np.eye(len(states))
    assert gaps.min() > 1e-3
    mirrored = np.linalg.norm(states[:, None] + states[None], axis=2).min(axis=1)  # x → −x is a symmetry
    assert 1 <= len(found) <= 20
    assert mirrored.max() < 1e-9


# -- what is no solution ---------------------------------------------------------------------------------------------


def fold(x, params, out):
    out[0] = x[0] + params[0] + (x[0] - 1) ** 2


def ghost(eps):
    """Return x ← x + ε + (x − 1)²: two fixed points for ε < 0, one double at 0, none beyond."""
    return dl.KernelMap(fold, 1, params=(eps,))


@pytest.mark.slow
@pytest.mark.parametrize("eps", [1e-13, 1e-10, 1e-6, 1e-3])
def test_the_ghost_of_a_fold_is_slow_and_no_fixed_point(eps):
    found = dl.find_fixed_points(ghost(eps), np.linspace(0.8, 1.2, 11)[:, None])
    assert len(found) == 0
    assert len(found.slow) == 11
    assert all(status is Status.SLOW for status in found.slow.status)
    assert np.all(found.slow.residual >= 0.9 * eps)


@pytest.mark.parametrize("eps", [-1e-12, -1e-6, -1e-2])
def test_both_points_beyond_a_fold_are_told_apart(eps):
    found = dl.find_fixed_points(ghost(eps), np.linspace(0.8, 1.2, 11)[:, None])
    assert sorted(found.stability) == ["sink", "source"]
    np.testing.assert_allclose(np.sort(found.points[:, 0, 0]), [1 - math.sqrt(-eps), 1 + math.sqrt(-eps)], rtol=1e-9)


def test_a_double_point_is_one_and_marginal():
    found = dl.find_fixed_points(ghost(0.0), np.linspace(0.8, 1.2, 11)[:, None])
    assert found.stability.tolist() == ["marginal"]
    assert abs(found.points[0, 0, 0] - 1) <= 10 * found.error[0]


def test_no_fixed_point_at_all():
    found = dl.find_fixed_points(dl.TorchMap([lambda x: x + 1.0], (1,)), [[0.0], [1e15]])
    assert len(found) == 0
    assert found.row.tolist() == [-1, -1]


def test_a_shorter_period_is_said_and_no_row():
    found = dl.find_fixed_points(dl.zoo.logistic(2.5), [[0.3], [0.6]], period=2)
    assert len(found) == 0
    assert set(found.failed.status) == {Status.SHORTER_PERIOD}


def test_a_continuum_gives_marginal_rows_of_unknown_place():
    found = dl.find_fixed_points(dl.TorchMap([lambda x: x * 1.0], (2,)), [[0.0, 1.0], [2.0, 3.0]])
    assert found.stability.tolist() == ["marginal", "marginal"]
    assert np.isinf(found.error).all()


def test_orbits_that_escape_are_diverged_or_solved_never_lost():
    found = dl.find_fixed_points(dl.zoo.logistic(4.0), [[1e200], [np.sqrt(1e300)], [0.3]])
    assert len(found.row) == 3
    assert len(found.failed) + len(found.slow) + np.sum(found.row >= 0) == 3


# -- invariants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [1, 2])
def test_multipliers_do_not_depend_on_the_point(shift):
    m = dl.zoo.henon()
    found = dl.find_fixed_points(m, period=4)
    other = dl.multipliers(m, found.points[0, shift], period=4)
    np.testing.assert_allclose(other.values, found.multipliers[0], rtol=1e-6)


def test_cyclic_shifts_are_one_orbit_whatever_the_start():
    m = dl.zoo.logistic(3.5)
    cycle = dl.find_fixed_points(m, [[0.5]], period=4, method="newton").points[0]
    found = dl.find_fixed_points(m, cycle, period=4, method="newton")
    assert len(found) == 1
    assert found.row.tolist() == [0, 0, 0, 0]


def test_an_angle_is_found_across_its_seam():
    m = dl.TorchMap([lambda x: 0.5 * torch.remainder(x + 3.0, 6.0) - 1.5], (1,), periods=[6.0])  # 0 for |x| < 3
    found = dl.find_fixed_points(m, [[5.9], [0.1]])
    assert len(found) == 1
    assert m.displacement(found.points[0, 0], np.zeros(1)) == pytest.approx(0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5).flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=st.floats(-2, 2))),
    st.integers(0, 2**31),
)
def test_an_affine_map_has_the_point_that_linear_algebra_says(A, seed):
    n = len(A)
    b = np.random.default_rng(seed).standard_normal(n)
    if np.linalg.cond(A - np.eye(n)) > 1e6:
        return
    matrix, shift = torch.from_numpy(A.copy()), torch.from_numpy(b)
    m = dl.TorchMap([lambda x: x @ matrix.T + shift], (n,))
    found = dl.find_fixed_points(m, np.random.default_rng(seed).standard_normal((3, n)), method="newton")
    assert len(found) == 1
    exact = np.linalg.solve(np.eye(n) - A, b)
    assert np.linalg.norm(found.points[0, 0] - exact) <= 1e-8 * (1 + np.linalg.norm(exact))
    radii = np.sort(np.abs(np.linalg.eigvals(A)))
    np.testing.assert_allclose(np.sort(np.abs(found.multipliers[0])), radii, atol=1e-3)  # defective ones are rough
    kind = found.stability[0]
    assert kind == "marginal" or {"sink": radii[-1] < 1, "superstable": radii[-1] < 1e-3, "source": radii[0] > 1}.get(
        kind, radii[0] < 1 < radii[-1]
    )


def test_a_second_call_gives_the_same_to_the_last_bit():
    first, second = (dl.find_fixed_points(dl.zoo.ikeda(), rng=3) for _ in range(2))
    assert np.array_equal(first.points, second.points)


# -- many coordinates ------------------------------------------------------------------------------------------------


def slow_block():
    return dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=2, width=32, heads=2, tokens=6, gain=1.25
    )


def test_a_block_is_solved_in_few_loops():
    from dynloop.orbits.solvers.anderson import anderson

    m = slow_block()
    start = m.numpy(m.start(0, 1))
    states, gaps, steps = anderson(m, start)
    x, plain, gap = m.native(start), 0, 1.0
    while gap > 1e-12 and plain < 2000:
        moved = m(x)
        gap, x, plain = float((moved - x).norm() / x.norm()), moved, plain + 1
    found = dl.find_fixed_points(m, start)
    assert gaps[0] <= 1e-12 * np.linalg.norm(states[0])
    assert plain > 500
    assert steps[0] <= plain / 5
    assert found.residual[0] <= 1e-12
    np.testing.assert_allclose(found.points[0, 0], m.numpy(x)[0], atol=1e-10)
    assert found.stability[0] == "sink"


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "seed"), [(2.0, 0), (2.1, 0), (2.2, 1)])
def test_a_slow_block_takes_a_fifth_of_the_loops(gain, seed):
    from dynloop.orbits.solvers.anderson import anderson

    m = dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=4, width=64, tokens=12, gain=gain, seed=seed
    )
    start = m.numpy(m.start(0, 1))
    found = dl.find_fixed_points(m, start)
    radius = abs(found.multipliers[0, 0])
    states, gaps, steps = anderson(m, start)
    assert gaps[0] <= 1e-12 * np.linalg.norm(states[0])
    assert radius < 1
    if radius >= 0.95:
        assert steps[0] <= 0.2 * math.log(1e-12) / math.log(radius)


def test_an_unstable_point_of_a_block_is_found():
    m = dl.synthetic.looped_transformer(norm="pre", injection="concat", layers=2, width=32, heads=2, tokens=6, gain=1.5)
    found = dl.find_fixed_points(m, m.start(0, 2))
    assert len(found) >= 1
    assert found.unstable[0] > 0
    assert found.residual[0] <= 1e-12


def test_a_map_that_is_not_causal_goes_without_blocks():
    m = dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=2, width=32, heads=2, tokens=10, gain=0.8, causal=False
    )
    found = dl.find_fixed_points(m, m.start(0, 1))
    assert found.settings["solver"] == "anderson"
    assert found.stability[0] == "sink"
    assert found.residual[0] <= 1e-12


def test_a_float32_block_is_solved_in_its_float64_twin():
    m = dl.synthetic.looped_transformer(layers=1, width=16, heads=2, tokens=3, dtype=torch.float32)
    assert dl.find_fixed_points(m).residual[0] <= 1e-12


# -- the result ------------------------------------------------------------------------------------------------------


def test_it_prints_itself_and_is_read_back(tmp_path):
    found = dl.find_fixed_points(dl.zoo.henon(), [[0.5, 0.2], [0.6, 0.2]])
    assert found.summary() == "2 fixed points (2 saddle); of 2 starts 2 led there"
    assert "multipliers -1.92374, 0.155946" in repr(found)
    assert max(map(len, repr(found).splitlines())) <= 120
    again = dl.load(found.save(tmp_path / "found"))
    assert np.array_equal(again.points, found.points)
    assert again.summary() == found.summary()


def test_progress_is_told():
    told = []
    dl.find_fixed_points(dl.zoo.henon(), progress=lambda done, count: told.append((done, count)))
    assert told[-1] == (64, 64)


# -- misuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"period": 0}, "period must be a positive int"),
        ({"period": True}, "period must be a positive int"),
        ({"k": 1.5}, "k must be a positive int"),
        ({"tol": 0.0}, "tol must be a relative residual"),
        ({"tol": 2}, "tol must be a relative residual"),
        ({"method": "bisection"}, "method must be"),
    ],
)
def test_misuse_is_told_in_one_line(options, words):
    with pytest.raises(InvalidArgumentError, match=words) as error:
        dl.find_fixed_points(dl.zoo.henon(), **options)
    assert "\n" not in str(error.value)


def test_starts_of_a_wrong_shape():
    with pytest.raises(ShapeError, match="henon acts on states of shape"):
        dl.find_fixed_points(dl.zoo.henon(), [[0.0, 0.0, 0.0]])
    with pytest.raises(InvalidArgumentError, match="must be a map"):
        dl.find_fixed_points(lambda x: x, [[0.0]])


def test_a_loop_with_noise_is_refused():
    with pytest.raises(NotAutonomousError):
        dl.find_fixed_points(dl.TorchMap([lambda x: 0.5 * x + torch.rand_like(x)], (2,)), [[0.0, 0.0]])


# -- what a hostile reader found ---------------------------------------------------------------------------------------


def parabola(x, params, out):
    out[0] = x[0] + x[0] * x[0] + params[0]


def cube(x, params, out):
    out[0] = x[0] ** 3


def test_one_huge_start_does_not_hide_what_is_small():
    starts = [[1e12], [0.1], [-0.1]]
    assert len(dl.find_fixed_points(dl.KernelMap(parabola, 1, params=(1e-8,)), starts)) == 0
    found = dl.find_fixed_points(dl.KernelMap(parabola, 1, params=(-1e-8,)), starts)
    np.testing.assert_allclose(np.sort(found.points[:, 0, 0]), [-1e-4, 1e-4], rtol=1e-9)


def test_a_jordan_block_is_a_sink_and_not_superstable():
    A = torch.from_numpy(np.eye(10) * 0.3 + np.diag(np.ones(9), 1))
    assert dl.find_fixed_points(dl.TorchMap([lambda x: x @ A.T], (10,)), np.ones((1, 10))).stability.tolist() == [
        "sink"
    ]


def test_powers_of_negative_numbers_have_their_own_derivative():
    m = dl.KernelMap(cube, 1)
    found = dl.find_fixed_points(m, [[0.5], [-1.1], [0.9]])
    order = np.argsort(found.points[:, 0, 0])
    np.testing.assert_allclose(found.points[order, 0, 0], [-1, 0, 1], atol=1e-12)
    np.testing.assert_allclose(found.multipliers[order, 0].real, [3, 0, 3], atol=1e-9)
    assert found.stability[order].tolist() == ["source", "superstable", "source"]


def test_an_origin_in_the_rounding_of_larger_numbers():
    found = dl.find_fixed_points(dl.TorchMap([lambda x: 0.3 * (x - 1) + 0.3], (1,)), [[1.0], [2.0], [-3.0]])
    assert found.stability.tolist() == ["sink"]
    assert abs(found.points[0, 0, 0]) <= 1e-15


@pytest.mark.parametrize("m", [dl.zoo.logistic(1.0), dl.TorchMap([lambda x: x - x**3], (1,))])
def test_a_multiple_point_at_the_origin_is_one_row(m):
    found = dl.find_fixed_points(m, [[0.5], [-0.3], [0.1]])
    assert found.stability.tolist() == ["marginal"]
    assert abs(found.points[0, 0, 0]) < 1e-7


def test_a_jump_beside_a_state_is_no_rounding():
    m = dl.TorchMap([lambda x: torch.where(x < 1e-9, x + 0.1, x - 0.1)], (1,))  # jumps over every point: no fixed one
    found = dl.find_fixed_points(m, [[1e-3], [-1e-3], [0.0], [1e-9]])
    assert len(found) == 0


def steep(x, params, out):
    for i in range(len(x)):
        out[i] = 0.3 + 0.5 * np.tanh(1e3 * (x[i] - 0.3123456789))


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 50])
def test_multipliers_of_a_steep_map_are_within_their_errors(n):
    from scipy.optimize import brentq

    def gap(t):
        return 0.3 + 0.5 * math.tanh(1e3 * (t - 0.3123456789)) - t

    root = brentq(gap, 0.3122, 0.3126, xtol=1e-16)
    exact = 500 * (1 - ((root - 0.3) / 0.5) ** 2)
    found = dl.find_fixed_points(dl.KernelMap(steep, n), np.full((1, n), root), k=2, method="newton")
    row = int(np.abs(found.points[:, 0] - root).max(axis=1).argmin())
    assert np.all(np.abs(found.multipliers[row] - exact) <= 2 * found.multiplier_errors[row] + 1e-9)
    assert np.all(found.multiplier_errors[row] < 1e-6)


def kink_at_zero(x, params, out):
    out[0] = max(2 * x[0], 0.5 * x[0])


def kink_at_one(x, params, out):
    out[0] = 1 + (1.5 * (x[0] - 1) if x[0] > 1 else 0.5 * (x[0] - 1))


@pytest.mark.parametrize("step", [kink_at_zero, kink_at_one])
def test_a_kink_leaves_stability_open(step):
    found = dl.find_fixed_points(dl.KernelMap(step, 1), [[1.2], [0.7]])
    assert set(found.stability) <= {"marginal", "unknown"}
    assert len(found) == 1


def test_a_map_of_low_precision_without_a_twin_is_solved_to_its_rounding():
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(300, 300, generator=generator) / 300**0.5 * 0.5
    b = torch.randn(300, generator=generator)
    found = dl.find_fixed_points(dl.TorchMap([lambda x: torch.tanh(x @ W.T + b)], (300,)), torch.randn(2, 300))
    assert found.stability.tolist() == ["sink"]
    assert found.residual[0] <= 2e-6


def test_states_where_norms_underflow_are_refused():
    with pytest.raises(InvalidArgumentError, match="scale the state"):
        dl.find_fixed_points(dl.zoo.logistic(3.2), [[1e-200]])


def test_multipliers_of_equal_modulus_are_paired_and_not_mixed_up():
    A = torch.diag(torch.tensor([0.9, -0.9, 0.9000000000000001, -0.5])).double()
    b = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
    Q = torch.linalg.qr(torch.arange(16.0).reshape(4, 4).double().cos())[0]
    m = dl.TorchMap([lambda x: x @ (Q @ A @ Q.T).T + b + 1e-3 * torch.sin(x)], (4,))
    found = dl.find_fixed_points(m, torch.zeros(1, 4).double())
    assert found.stability.tolist() == ["sink"]
    assert found.multiplier_errors.max() < 1e-9


def test_low_precision_does_not_widen_what_is_merged():
    m = dl.TorchMap([lambda x: x * 1.0], (2,))  # every point is fixed
    found = dl.find_fixed_points(m, torch.tensor([[100.0, 1.0], [100.0, 1.5]], dtype=torch.bfloat16))
    assert len(found) == 2
