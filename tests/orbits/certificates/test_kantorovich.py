"""Estimates: constants against exact ones, and the label that they are no proof."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.certificates import kantorovich
from dynloop.orbits.certificates.kantorovich import NoEstimate


def quadratic(n, seed=0):
    """x ← A x + b x² (entry by entry), fixed at 0, in torch."""
    A = torch.tensor(np.random.default_rng(seed).standard_normal((n, n)) * 0.5 / math.sqrt(n))
    return A, dl.TorchMap([lambda x: x @ A.T.to(x.dtype) + 0.25 * x * x], (n,))


@pytest.fixture
def nothing_dense(monkeypatch):
    monkeypatch.setattr(kantorovich, "DENSE", 0)
    monkeypatch.setattr(kantorovich, "_DENSE_HERE", 0)


def constants(n=12):
    A, m = quadratic(n)
    x = np.full(n, 1e-4)
    found = kantorovich.kantorovich(m, x, np.random.default_rng(1))
    J = A.numpy() + np.diag(0.5 * x)
    singular = np.linalg.svd(J - np.eye(n), compute_uv=False)
    return found, 1 / singular[-1], np.linalg.norm(np.linalg.solve(J - np.eye(n), A.numpy() @ x + 0.25 * x * x - x))


def check(found, beta, eta):
    assert found.inverse_norm == pytest.approx(beta, rel=0.05)
    assert found.step == pytest.approx(eta, rel=1e-2)
    # ‖D(x + u) − D(x)‖ = max |u_i| / 2 ≤ |u| / 2: the exact K is ½, the estimate never more than the margin above it
    assert 0.25 < found.lipschitz <= 0.5 * 1.5 * 1.001
    assert found.product == pytest.approx(found.inverse_norm * found.lipschitz * found.step)


def test_constants_of_a_quadratic_map_dense():
    check(*constants())


@pytest.mark.usefixtures("nothing_dense")
def test_constants_of_a_quadratic_map_by_products():
    check(*constants())


def test_a_large_map_is_estimated_without_a_matrix():
    _, m = quadratic(1100)
    found = dl.certify(m, np.full(1100, 1e-6))
    assert found.status is dl.Status.ESTIMATED
    assert found.kind == "estimate"
    assert found.norm == "2"
    assert 0 < found.contraction <= 0.5
    assert np.linalg.norm(np.full(1100, 1e-6)) <= 1.01 * found.existence_radius < found.uniqueness_radius
    assert not found.multipliers.size


def test_an_estimate_says_that_it_is_none_of_a_proof():
    found = dl.certify(dl.zoo.henon(), [0.6313544770895, 0.1894063431269], kind="estimate")
    assert found.status is dl.Status.ESTIMATED
    assert found.stability == "unproved"
    assert found.prime is None
    assert not found.decimals.size
    assert "no proof" in found.reason
    assert "ESTIMATED" in repr(found)
    assert found.multipliers == pytest.approx([-1.9237388582, 0.1559463223], abs=1e-9)
    sure = dl.certify(dl.zoo.henon(), [0.6313544770895, 0.1894063431269])
    assert np.linalg.norm(found.center - sure.center) <= found.existence_radius + sure.existence_radius


@pytest.mark.parametrize("kind", ["dense", "products"])
def test_folds_and_wrong_points_are_not_supported(kind, request):
    if kind == "products":
        request.getfixturevalue("nothing_dense")

    def step(x):
        return x + x * x

    m = dl.TorchMap([step], (3,))
    for x in (0.0, 1e-9, 1e-3):
        found = dl.certify(m, np.full(3, x))
        assert found.status is dl.Status.UNPROVED, x
        assert math.isnan(found.existence_radius)
    _, m = quadratic(8)
    assert dl.certify(m, np.full(8, 1.5)).status is dl.Status.UNPROVED


def test_what_is_not_finite_is_told():
    m = dl.TorchMap([lambda x: 1 / x], (2,))
    found = dl.certify(m, np.zeros(2))
    assert found.status is dl.Status.UNPROVED
    assert "finite" in found.reason
    with pytest.raises(NoEstimate, match="finite"):
        kantorovich.kantorovich(m, np.zeros(2), np.random.default_rng(0))


def test_a_transformer_that_came_to_rest_and_one_that_did_not():
    m = dl.synthetic.looped_transformer(injection="concat", width=16, tokens=4, heads=2, layers=2)
    x = m.start(0)
    early = dl.certify(m, m(x)[0])
    for _ in range(400):
        x = m(x)
    found = dl.certify(m, x[0])
    assert found.status is dl.Status.ESTIMATED
    assert found.contraction < early.contraction
    for _ in range(600):
        x = m(x)
    assert np.linalg.norm(m.numpy(x)[0] - found.center[0]) <= found.existence_radius * 1.01
    with pytest.raises(InvalidArgumentError, match="a proof needs a KernelMap"):
        dl.certify(m, x[0], kind="proof")


def test_cycles_of_torch_maps():
    m = dl.TorchMap([lambda x: 3.2 * x * (1 - x)], (1,))
    cycle = dl.zoo.logistic(3.2).facts["cycles"][2]
    for point in (cycle[0], cycle):
        found = dl.certify(m, point, period=2)
        assert found.status is dl.Status.ESTIMATED
        assert found.center.shape == (2, 1)
        assert found.center == pytest.approx(cycle, abs=1e-12)
        assert found.multipliers[0].real == pytest.approx(0.16, abs=1e-9)
