"""Multipliers of cycles, small ones too, against exact values, determinants and rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

import dynloop as dl
from dynloop.calculus import cycle
from tests.calculus.linear import linear, orthogonal, spirals


def henon_cycle(p):
    """A point of a cycle of 12 loops or the like: the nearest return of a long orbit, polished by Newton's method."""
    m = dl.zoo.henon()
    orbit = [np.array([0.1, 0.1])]
    for _ in range(20000):
        orbit.append(m(orbit[-1][None])[0])
    orbit = np.array(orbit[100:])
    x = orbit[np.argmin(np.linalg.norm(orbit[p:] - orbit[:-p], axis=1))]
    power = m.power(p)
    for _ in range(8):
        x = x - np.linalg.solve(dl.jacobian(power, x) - np.eye(2), power(x[None])[0] - x)
    assert np.linalg.norm(power(x[None])[0] - x) < 1e-12
    return m, x


@pytest.mark.parametrize("p", [8, 12, 16])
def test_the_small_multiplier_of_a_saddle_cycle_is_known_to_many_digits(p):
    m, x = henon_cycle(p)
    large, small = dl.multipliers(m, x, period=p).values
    assert abs(large) > 10
    assert (large * small).real == pytest.approx((-0.3) ** p if p % 2 == 0 else -(0.3**p), rel=1e-9)


def test_multipliers_do_not_depend_on_the_point_of_the_cycle():
    m, x = henon_cycle(12)
    found = []
    for _ in range(12):
        found.append(dl.multipliers(m, x, period=12))
        x = m(x[None])[0]
    for one in found[1:]:
        gap = np.abs(one.values - found[0].values)
        assert (gap <= one.errors + found[0].errors).all()
        assert (gap <= 1e-9 * np.abs(one.values)).all()


def integer_matrices(p, n, seed):
    return np.random.default_rng(seed).integers(-3, 4, (p, n, n)).astype(float)


def exact_coefficients(matrices):
    """Characteristic polynomial of the product of integer matrices, by Faddeev–LeVerrier in rational arithmetic."""
    n = len(matrices[0])
    product = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]

    def times(A, B):
        return [[sum(A[i][k] * B[k][j] for k in range(n)) for j in range(n)] for i in range(n)]

    for A in matrices:
        product = times([[Fraction(int(a)) for a in row] for row in A], product)
    coefficients, M = [Fraction(1)], [[Fraction(0)] * n for _ in range(n)]
    for k in range(1, n + 1):
        M = times(product, M)
        for i in range(n):
            M[i][i] += coefficients[-1]
        image = times(product, M)
        coefficients.append(-sum(image[i][i] for i in range(n)) / k)
    return coefficients


def value_at(coefficients, z):
    """Evaluate a rational polynomial at a double, exactly, real arguments only."""
    total = Fraction(0)
    for c in coefficients:
        total = total * Fraction(z) + c
    return total


@pytest.mark.parametrize("seed", range(12))
def test_every_real_multiplier_lies_within_its_error_of_an_exact_one(seed):
    """Eight integer factors: the exact characteristic polynomial changes sign within the errors of a multiplier."""
    factors = integer_matrices(8, 3, seed)
    found = dl.multipliers(_cycle_of(factors), _first(3, 8), 24, period=8)
    coefficients = exact_coefficients(factors)
    checked = 0
    for value, error in zip(found.values, found.errors, strict=True):
        if value == 0 or value.imag or error > 0.01 * abs(value):
            continue
        ends = [value_at(coefficients, float(value.real + side * error)) for side in (-1, 1)]
        checked += ends[0] * ends[1] <= 0
        assert ends[0] * ends[1] <= 0, (value, error)
    assert checked >= 1 or np.any(found.values.imag)


def _first(n, p):
    return np.concatenate([np.zeros(n), [0.0]])


def _cycle_of(factors):
    """A map whose Jacobian on the cycle of phases 0, 1, … is each factor in turn (plus a null direction: the phase)."""
    p, n, _ = factors.shape

    def step(x, params, out):
        phase = int(x[n] + 0.5) % p
        for i in range(n):
            out[i] = 0.0
            for j in range(n):
                out[i] += params[(phase * n + i) * n + j] * x[j]
        out[n] = (phase + 1) % p

    def jacobian(x, params, out):
        phase = int(x[n] + 0.5) % p
        for i in range(n + 1):
            for j in range(n + 1):
                out[i, j] = params[(phase * n + i) * n + j] if i < n and j < n else 0.0

    return dl.KernelMap(step, n + 1, params=factors.ravel(), jacobian=jacobian)


def test_pairs_survive_the_roots():
    """Conjugate multipliers of a product come back as exact conjugates, real ones as reals."""
    Q, S = orthogonal(5), np.zeros((5, 5))
    S[:4, :4], S[4, 4] = spirals((0.9, 0.7), (0.6, 2.0)), -0.3
    A = Q @ S @ Q.T
    for p in (2, 3, 4, 7, 20):
        found = dl.multipliers(linear(A), np.zeros(5), period=p).values
        exact = np.array([0.9 * np.exp(0.7j), 0.9 * np.exp(-0.7j), 0.6 * np.exp(2j), 0.6 * np.exp(-2j), -0.3]) ** p
        for value in exact:
            assert np.min(np.abs(found - value) / abs(value)) < 1e-10
        assert found[0] == found[1].conjugate()
        assert found[2] == found[3].conjugate()
        assert found[0].imag > 0
        assert found[2].imag > 0
        assert found[4].imag == 0


def test_a_singular_factor_makes_a_multiplier_exactly_zero():
    """Delayed logistic map at β = 0: one direction is forgotten in every loop."""
    m = dl.zoo.henon(1.4, 0.0)
    found = dl.multipliers(m, [0.3, 0.0], period=5)
    assert found.values[1] == 0
    assert found.errors[1] < 1e-10
    x, expected = 0.3, 1.0
    for _ in range(5):
        expected, x = expected * -2.8 * x, 1 - 1.4 * x * x
    assert found.values[0].real == pytest.approx(expected, rel=1e-12)


def test_long_cycles_and_wide_ones_take_the_product(monkeypatch):
    A = np.diag([0.99, 0.5]) + np.diag([0.3], 1)
    expected = dl.multipliers(linear(A), np.zeros(2), period=10)
    monkeypatch.setattr(cycle, "_CYCLIC", 4)
    product = dl.multipliers(linear(A), np.zeros(2), period=10)
    np.testing.assert_allclose(product.values, expected.values, rtol=1e-10)
    monkeypatch.setattr(cycle, "FACTORS_APART", 1)
    np.testing.assert_allclose(dl.multipliers(linear(A), np.zeros(2), period=10).values, expected.values, rtol=1e-10)


def test_an_orbit_that_stops_being_finite():
    def step(x, params, out):
        out[0], out[1] = x[0] ** 3, x[1]

    found = dl.multipliers(dl.KernelMap(step, 2), [1e150, 1.0], period=3)
    assert found.status is dl.Status.DIVERGED
    assert len(found.values) == 0
