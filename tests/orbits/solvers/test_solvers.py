"""The solvers behind find_fixed_points, one by one: against linear algebra, and against each other."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.distinct import distinct, prime_periods
from dynloop.orbits.solvers.anderson import anderson, block_inverses, blocks_worth
from dynloop.orbits.solvers.newton import newton
from dynloop.orbits.solvers.newton_krylov import newton_krylov
from dynloop.orbits.solvers.shooting import Shooting
from dynloop.orbits.solvers.stabilised import stabilised, switches
from dynloop.orbits.stability import stability, unstable_count


def affine(n, radius, seed=0):
    """Return x ← A x + b with ρ(A) as given, and its fixed point."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    A *= radius / np.abs(np.linalg.eigvals(A)).max()
    b = rng.standard_normal(n)
    matrix, shift = torch.from_numpy(A), torch.from_numpy(b)
    return dl.TorchMap([lambda x: x @ matrix.T + shift], (n,)), np.linalg.solve(np.eye(n) - A, b)


def block(**options):
    return dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=1, width=16, heads=2, tokens=4, **options
    )


# -- the equations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 2, 5])
def test_the_matrix_of_the_equations_is_their_derivative(period):
    system = Shooting(dl.zoo.henon(), period)
    orbit = np.random.default_rng(0).uniform(-0.5, 0.5, (1, period, 2))
    gaps, J = system.linearised(orbit)
    A, h = system.matrices(J)[0], 1e-6
    for j in range(2 * period):
        moved = orbit.copy().reshape(-1)
        moved[j] += h
        column = (system.gaps(moved.reshape(orbit.shape)) - gaps).ravel() / h
        np.testing.assert_allclose(column, A[:, j], atol=1e-4)
    move = np.random.default_rng(1).standard_normal(orbit.shape)
    np.testing.assert_allclose(system.products(J, move).ravel(), A @ move.ravel(), atol=1e-12)


def test_the_sparse_step_is_the_dense_one(monkeypatch):
    import dynloop.orbits.solvers.shooting as module

    system = Shooting(dl.zoo.henon(), 6)
    orbit = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 6, 2))
    gaps, J = system.linearised(orbit)
    dense, norms = system.newton_steps(J, gaps), system.sensitivities(J)
    monkeypatch.setattr(module, "_FULL", 1)
    assert not system.dense
    np.testing.assert_allclose(system.newton_steps(J, gaps), dense, rtol=1e-9)
    one_norms = system.sensitivities(J)
    assert np.all(one_norms >= norms / math.sqrt(12))
    assert np.all(one_norms <= norms * math.sqrt(12))


def test_a_singular_system_takes_the_shortest_step():
    system = Shooting(dl.TorchMap([lambda x: torch.stack([x[:, 0], 0.5 * x[:, 1]], dim=1)], (2,)), 1)
    orbit = np.array([[[3.0, 1.0]]])
    gaps, J = system.linearised(orbit)
    np.testing.assert_allclose(system.newton_steps(J, gaps)[0, 0], [0.0, -1.0], atol=1e-12)


# -- Newton and stabilised iterations --------------------------------------------------------------------------------


def test_newton_leaves_a_slow_point_at_the_minimum():
    m = dl.TorchMap([lambda x: x + 0.01 + (x - 1) ** 2], (1,))
    orbits, gaps = newton(Shooting(m, 1), np.array([[[1.3]], [[0.6]]]))
    np.testing.assert_allclose(orbits[:, 0, 0], 1.0, atol=1e-3)
    np.testing.assert_allclose(gaps, 0.01, rtol=1e-4)


def test_newton_does_not_spoil_what_it_is_given():
    orbits = np.array([[[0.3, 0.1]]])
    before = orbits.copy()
    newton(Shooting(dl.zoo.henon(), 1), orbits)
    assert np.array_equal(orbits, before)


@pytest.mark.parametrize(("n", "count"), [(1, 2), (2, 8), (3, 48)])
def test_switches_are_the_signed_permutations(n, count):
    C = switches(n)
    assert len({c.tobytes() for c in C}) == count
    np.testing.assert_allclose(C @ C.transpose(0, 2, 1), np.broadcast_to(np.eye(n), C.shape))


def test_the_stabilised_iteration_ends_at_fixed_points_alone():
    m = dl.zoo.henon()
    ends = stabilised(m, np.random.default_rng(0).uniform(-1, 1, (10, 2)))
    assert len(ends) > 10
    np.testing.assert_allclose(m(ends), ends, atol=1e-8)
    assert len(np.unique(ends.round(4), axis=0)) == 2


# -- Anderson and Newton–Krylov --------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 0.99, 1.3])
def test_anderson_and_newton_krylov_solve_affine_maps(radius):
    m, exact = affine(30, radius)
    states, _gaps, steps = anderson(m, np.zeros((2, 30)))
    np.testing.assert_allclose(states, np.stack([exact, exact]), rtol=1e-6, atol=1e-8)
    assert steps.max() < 150
    solved, _gap, correction = newton_krylov(m, np.ones(30))
    np.testing.assert_allclose(solved, exact, rtol=1e-8, atol=1e-9)
    assert np.linalg.norm(solved - exact) <= 10 * correction + 1e-9


def test_blocks_of_tokens_are_inverted():
    m = block()
    x = m.numpy(m.start(0))[0]
    blocks = dl.token_jacobians(m, x)
    inverses = block_inverses(m, x)
    np.testing.assert_allclose(inverses @ (np.eye(16) - blocks), np.broadcast_to(np.eye(16), blocks.shape), atol=1e-10)
    assert blocks_worth(m)
    assert not blocks_worth(block(causal=False))


def test_blocks_make_anderson_faster(monkeypatch):
    import dynloop.orbits.solvers.anderson as module

    m = dl.synthetic.looped_transformer(
        norm="pre", injection="concat", layers=2, width=32, heads=2, tokens=6, gain=1.25
    )
    start = m.numpy(m.start(0))
    with_blocks = anderson(m, start)[2][0]
    monkeypatch.setattr(module, "blocks_worth", lambda _: False)
    assert with_blocks < anderson(m, start)[2][0]


def test_anderson_gives_up_a_map_without_fixed_point():
    _states, gaps, steps = anderson(dl.TorchMap([lambda x: x + 1.0], (2,)), np.zeros((1, 2)))
    np.testing.assert_allclose(gaps, math.sqrt(2))
    assert steps[0] <= 200


def test_starts_do_not_disturb_each_other():
    m = block(gain=0.8)
    starts = m.numpy(m.start(0, 3))
    together, _, _ = anderson(m, starts)
    alone = np.concatenate([anderson(m, starts[b : b + 1])[0] for b in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-9)


# -- one orbit or two ------------------------------------------------------------------------------------------------


def test_distinct_merges_shifts_and_copies():
    system = Shooting(dl.zoo.logistic(3.5), 3)
    a, b = np.array([[0.1], [0.2], [0.3]]), np.array([[0.1], [0.3], [0.2]])  # the same points, another order
    orbits = np.stack([a, np.roll(a, 1, axis=0), a + 1e-12, b])
    first, row = distinct(system, orbits, np.array([1e-9, 1e-9, 1e-10, 1e-9]))
    assert row.tolist() == [0, 0, 0, 1]
    assert first.tolist() == [2, 3]  # the most accurate copy speaks for the orbit


def test_distinct_wraps_angles():
    m = dl.zoo.standard()
    system = Shooting(m, 1)
    lengths = np.broadcast_to(m.periods, (2,))
    orbits = np.zeros((2, 1, 2))
    orbits[1, 0, 0] = np.nextafter(lengths[0], 0)
    assert distinct(system, orbits, np.full(2, 1e-9))[1].tolist() == [0, 0]


def test_prime_periods():
    system = Shooting(dl.zoo.logistic(3.5), 4)
    orbits = np.array([[[0.1], [0.2], [0.1], [0.2]], [[0.1]] * 4, [[0.1], [0.2], [0.1], [0.3]]])
    assert prime_periods(system, orbits, np.full(3, 1e-9)).tolist() == [2, 1, 4]


# -- stability -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "errors", "complete", "kind", "count"),
    [
        ([0.5, -0.3], [0, 0], True, "sink", 0),
        ([2.0, 0.5], [0, 0], True, "saddle", 1),
        ([2.0, 1.5], [0, 0], True, "source", 2),
        ([2.0, 1.5], [0, 0], False, "unstable", 2),
        ([2.0, 1.0], [0, 1e-12], True, "marginal", 1),
        ([0.9, 0.1], [0.2, 0], True, "marginal", 0),
        ([0.0, 0.0], [0, 0], True, "superstable", 0),
        ([1e-9, 0.0], [1e-8, 0], True, "superstable", 0),
        ([1e-9, 0.0], [1e-8, 0], False, "sink", 0),
        ([0.5, 0.0], [2.0, 0], True, "marginal", 0),
        ([0.3, 0.3], [0.4, 0.4], True, "sink", 0),  # a Jordan block: rounding takes it far apart
        ([np.nan, 0.5], [0, 0], True, "unknown", 0),
        ([], [], True, "unknown", 0),
        ([-1.5], [0.1], True, "source", 1),
    ],
)
def test_stability_heeds_errors(values, errors, complete, kind, count):
    values, errors = np.array(values, dtype=complex), np.array(errors, dtype=float)
    assert stability(values, errors, complete=complete) == kind
    assert unstable_count(values, errors) == count
