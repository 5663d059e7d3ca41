"""Departure from normality against exact values, and its estimates against the dense ones."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus import normality, singular, spectrum
from tests.calculus.linear import block, linear, orthogonal, spirals


@pytest.fixture
def large(monkeypatch):
    """Treat every map as one of many dimensions."""
    for module in (normality, singular, spectrum):
        monkeypatch.setattr(module, "DENSE", 3)


def of(A, **kwargs):
    return dl.normality(linear(A), np.zeros(len(A)), **kwargs)


@pytest.mark.parametrize(
    ("A", "departure"),
    [
        ([[0.5, 0.7], [0.0, 0.2]], 0.7),  # triangular: the upper part
        ([[0.0, 2.0], [-1.0, 0.0]], 1.0),  # λ = ±i√2: 5 − 4
        ([[0.0, 1.0], [0.0, 0.0]], 1.0),  # nilpotent: all of it
    ],
)
def test_known_departures(A, departure):
    found = of(A)
    assert found.departure == pytest.approx(departure, abs=1e-14)
    assert found.departure_ratio == pytest.approx(departure / np.linalg.norm(A), abs=1e-14)
    assert found.status is dl.Status.SOLVED
    assert found.frobenius_error == found.departure_error == found.probes == 0
    assert found.reason == ""


def test_a_normal_matrix_departs_by_rounding_only():
    """√(‖J‖_F² − Σ|λ|²) would say 1e-8 here: its digits cancel."""
    Q, S = orthogonal(21), np.zeros((21, 21))
    S[:20, :20], S[20, 20] = spirals(*[(0.9 - 0.05 * i, 0.4 * i + 0.1) for i in range(10)]), 0.3
    found = of(Q @ S @ Q.T)
    assert found.departure < 1e-13
    assert found.eigenbasis_condition == pytest.approx(1, abs=1e-9)
    assert found.norm == pytest.approx(found.spectral_radius, rel=1e-12) == pytest.approx(0.9, rel=1e-12)


def test_against_the_definition():
    A = np.random.default_rng(0).standard_normal((24, 24))
    found, values = of(A), np.linalg.eigvals(A)
    assert np.any(values.imag)
    assert found.departure == pytest.approx(np.sqrt(np.sum(A**2) - np.sum(np.abs(values) ** 2)), rel=1e-10)
    assert found.numerical_abscissa == pytest.approx(np.linalg.eigvalsh((A + A.T) / 2).max(), rel=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(A, 2), rel=1e-12)
    assert found.frobenius == pytest.approx(np.linalg.norm(A), rel=1e-12)
    assert found.spectral_radius == pytest.approx(np.abs(values).max(), rel=1e-12)


def test_orthogonal_coordinates_change_nothing_and_others_do():
    A, Q, D = np.random.default_rng(0).standard_normal((10, 10)), orthogonal(10), np.diag(np.linspace(0.2, 2, 10))
    plain, turned, sheared = of(A), of(Q @ A @ Q.T), of(D @ A @ np.linalg.inv(D))
    for name in ("spectral_radius", "norm", "numerical_abscissa", "departure", "eigenbasis_condition"):
        assert getattr(turned, name) == pytest.approx(getattr(plain, name), rel=1e-9)
    assert sheared.spectral_radius == pytest.approx(plain.spectral_radius, rel=1e-9)
    assert sheared.departure > 1.1 * plain.departure


def test_the_condition_bounds_the_growth_of_every_power():
    A = np.diag([0.9, 0.8, 0.7]) + np.diag([4.0, 4.0], 1)
    found = of(A)
    growth = [np.linalg.norm(np.linalg.matrix_power(A, t), 2) / 0.9**t for t in range(1, 30)]
    assert max(growth) <= found.eigenbasis_condition
    assert max(growth) > 10  # which ρ < 1 alone does not tell
    assert found.norm > 1 > found.spectral_radius


def test_a_defective_matrix_has_no_eigenbasis():
    assert of([[0.5, 1.0], [0.0, 0.5]]).eigenbasis_condition > 1e15


def test_the_numerical_abscissa_says_when_the_damped_loop_contracts():
    A = np.array([[-3.0, 0.5], [0.0, 0.4]])
    assert of(A).numerical_abscissa < 1 < of(A).norm
    assert np.linalg.norm(np.eye(2) + 0.1 * (A - np.eye(2)), 2) < 1


@pytest.mark.parametrize("n", [1, 6])
def test_the_zero_map(n):
    found = of(np.zeros((n, n)))
    assert found.spectral_radius == found.norm == found.departure == found.departure_ratio == 0


@pytest.mark.slow
def test_estimates_of_a_causal_block_against_exact_values(monkeypatch):
    m = block(width=8, tokens=3)
    x = m.start(0)[0]
    exact = dl.normality(m, x)
    for module in (normality, singular, spectrum):
        monkeypatch.setattr(module, "DENSE", 3)
    found = [dl.normality(m, x, rng=seed) for seed in range(8)]
    for one in found:
        assert one.spectral_radius == pytest.approx(exact.spectral_radius, rel=1e-9)
        assert one.norm == pytest.approx(exact.norm, rel=1e-9)
        assert one.numerical_abscissa == pytest.approx(exact.numerical_abscissa, rel=1e-9)
        assert abs(one.frobenius - exact.frobenius) < 4 * one.frobenius_error
        assert abs(one.departure - exact.departure) < 4 * one.departure_error
        assert one.status is dl.Status.CONVERGED
        assert np.isnan(one.eigenbasis_condition)
        assert "eigenbasis" in one.reason
        assert "departure" not in one.reason
    scatter = np.std([one.departure for one in found])
    assert 0.4 < scatter / np.mean([one.departure_error for one in found]) < 2.5


def test_more_probes_err_less(large):
    A = np.random.default_rng(0).standard_normal((40, 40))
    few, many = of(A, probes=16), of(A, probes=1600)
    assert many.frobenius_error < few.frobenius_error / 5
    assert abs(many.frobenius - np.linalg.norm(A)) < 4 * many.frobenius_error < 0.02 * many.frobenius


def test_blocks_alone_leave_nothing_to_estimate(large):
    """Tokens that do not see each other: the departure is exact, whatever the probes."""
    A = torch.tensor([[0.5, 0.7], [0.0, 0.2]], dtype=torch.float64)
    m = dl.TorchMap([lambda x: x @ A.T], (4, 2), causal=True, dtype=torch.float64)
    found = dl.normality(m, np.zeros((4, 2)), probes=2)
    assert found.departure == pytest.approx(0.7 * 2, abs=1e-14)
    assert found.departure_error == 0
    assert found.spectral_radius == pytest.approx(0.5, abs=1e-14)


def test_what_is_not_known_is_nan_and_says_why(large):
    A = np.random.default_rng(0).standard_normal((40, 40))
    found = of(A)
    assert np.isnan([found.departure, found.departure_error, found.departure_ratio, found.eigenbasis_condition]).all()
    assert "the departure and the condition of the eigenbasis" in found.reason
    assert found.spectral_radius == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-9)
    assert found.norm == pytest.approx(np.linalg.norm(A, 2), rel=1e-9)


def test_an_iteration_that_stops_is_told(large, monkeypatch):
    monkeypatch.setattr(normality, "RESTARTS", 1)
    A = np.diag(np.linspace(1, 0.99, 300))
    found = of(A)
    assert found.status is dl.Status.NOT_CONVERGED
    assert np.isnan(found.numerical_abscissa)
    assert "stopped before it settled" in found.reason


@pytest.mark.parametrize("n", [2, 5])
def test_a_derivative_that_is_not_finite(n, large):
    m = dl.TorchMap([lambda x: x.sqrt()], (n,), dtype=torch.float64)
    found = dl.normality(m, np.zeros(n))
    assert found.status is dl.Status.DIVERGED
    assert np.isnan(found.departure)
    assert found.reason == "the derivative is not finite"


def test_errors():
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"probes must be an int of at least 2.*got 1"):
        dl.normality(dl.zoo.henon(), [0.0, 0.0], probes=1)
    with pytest.raises(dl.errors.InvalidArgumentError, match="rng must be"):
        dl.normality(dl.zoo.henon(), [0.0, 0.0], rng="dice")
    with pytest.raises(dl.errors.ShapeError, match=r"one state of shape \(2,\)"):
        dl.normality(dl.zoo.henon(), [[0.0, 0.0]])
