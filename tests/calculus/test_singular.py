"""Singular values against dense ones, by LAPACK and by Lanczos."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus import arnoldi, singular
from tests.calculus.linear import block, linear, orthogonal


@pytest.fixture(params=["LAPACK", "Lanczos"])
def road(request, monkeypatch):
    if request.param == "Lanczos":
        monkeypatch.setattr(singular, "DENSE", 3)
    return request.param


def with_singular_values(values):
    return orthogonal(len(values), 1) @ np.diag(values) @ orthogonal(len(values), 2)


@pytest.mark.parametrize("k", [1, 2, 5, 38, 39, 40])
def test_known_singular_values(road, k):
    exact = np.concatenate([[2.0, 2.0, 1.5], np.linspace(1, 0, 37)])
    found = dl.singular_values(linear(with_singular_values(exact)), np.zeros(40), k)
    np.testing.assert_allclose(found.values, exact[:k], atol=1e-12 if k < 38 else 1e-7)
    assert found.residuals[: min(k, 30)].max() < 1e-10
    assert found.status is dl.Status.SOLVED


def test_the_roads_agree_on_a_block(monkeypatch):
    m = block(causal=False)
    x = m.start(0)[0]
    dense = dl.singular_values(m, x)
    monkeypatch.setattr(singular, "DENSE", 3)
    found = dl.singular_values(m, x)
    np.testing.assert_allclose(found.values, dense.values, rtol=1e-12)
    assert dense.values[0] == pytest.approx(np.linalg.norm(dl.jacobian(m, x), 2), rel=1e-12)


def test_orthogonal_coordinates_change_nothing_and_others_do(road):
    A, Q = np.random.default_rng(0).standard_normal((30, 30)), orthogonal(30)
    values = dl.singular_values(linear(A), np.zeros(30)).values
    np.testing.assert_allclose(dl.singular_values(linear(Q.T, A, Q), np.zeros(30)).values, values, rtol=1e-11)
    D = np.diag(np.linspace(0.5, 2, 30))
    assert dl.singular_values(linear(np.linalg.inv(D), A, D), np.zeros(30)).values[0] > 1.01 * values[0]


@pytest.mark.parametrize("A", [np.zeros((12, 12)), np.eye(12), np.outer(np.arange(12.0), np.ones(12))])
def test_rank_zero_rank_one_and_the_identity(road, A):
    found = dl.singular_values(linear(A), np.zeros(12), 3)
    np.testing.assert_allclose(found.values, np.linalg.svd(A)[1][:3], atol=1e-12)
    assert found.residuals.max() < 1e-12


def test_the_residual_is_that_of_both_equations():
    """A wrong pair of vectors shows, even where J v = σ u holds by construction."""
    A = np.diag([3.0, 1.0])
    v = np.array([[0.6], [0.8]])
    image = A @ v
    size = np.linalg.norm(image, axis=0)
    found = singular._measured(A, image / size, size, v, dl.Status.SOLVED)
    assert found.residuals[0] > 0.5


def test_a_map_of_one_dimension():
    found = dl.singular_values(dl.zoo.logistic(4.0), [0.75])
    np.testing.assert_array_equal(found.values, [2.0])


def test_what_had_settled_when_lanczos_stopped(monkeypatch):
    monkeypatch.setattr(singular, "RESTARTS", 3)
    monkeypatch.setattr(singular, "DENSE", 3)
    exact = np.concatenate([[5.0], np.linspace(1, 0.9, 299)])
    found = dl.singular_values(linear(with_singular_values(exact)), np.zeros(300), 6)
    assert found.status is dl.Status.NOT_CONVERGED
    assert len(found.values) < 6
    assert found.values[0] == pytest.approx(5.0, abs=1e-9)
    assert arnoldi.RESTARTS > 3


def test_a_derivative_that_is_not_finite(road):
    m = dl.TorchMap([lambda x: x.sqrt()], (5,), dtype=torch.float64)
    found = dl.singular_values(m, np.zeros(5), 2)
    assert found.status is dl.Status.DIVERGED
    assert len(found.values) == len(found.residuals) == 0


def test_errors():
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"k must be a positive int.*got 0. Pass k=1"):
        dl.singular_values(dl.zoo.henon(), [0.0, 0.0], 0)
    with pytest.raises(dl.errors.ShapeError, match=r"one state of shape \(2,\)"):
        dl.singular_values(dl.zoo.henon(), [[0.0, 0.0]])
