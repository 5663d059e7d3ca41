"""Multipliers against exact and dense values, by every road: LAPACK, tokens, Arnoldi."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus import arnoldi, spectrum
from dynloop.calculus.spectrum import leading_multipliers
from tests.calculus.linear import block, linear, orthogonal, settled, spirals

HENON = (0.6313544770895, 0.1894063431269)


@pytest.fixture(params=["LAPACK", "Arnoldi"])
def road(request, monkeypatch):
    """Send matrices of more than 3 rows down one road."""
    if request.param == "Arnoldi":
        monkeypatch.setattr(spectrum, "DENSE", 3)
        monkeypatch.setattr(spectrum, "_BLOCK_WIDTH", 0)
    return request.param


def turned(A, seed=0):
    Q = orthogonal(len(A), seed)
    return Q @ A @ Q.T


def by_modulus(A):
    values = np.linalg.eigvals(A)
    return values[np.argsort(-np.abs(values), kind="stable")]


# -- known values ------------------------------------------------------------------------------------------------------


def test_the_fixed_point_of_henon():
    found = dl.multipliers(dl.zoo.henon(), HENON)
    np.testing.assert_allclose(found.values, [-1.9237388582, 0.1559463223], atol=1e-9, rtol=0)
    assert found.radius == abs(found.values[0]) == dl.spectral_radius(dl.zoo.henon(), HENON)
    assert found.status is dl.Status.SOLVED


@pytest.mark.parametrize("x", [(0.97580005118, -0.47580005118), (-0.47580005118, 0.97580005118)])
def test_the_two_cycle_of_henon(x):
    found = dl.multipliers(dl.zoo.henon(), (x[0], 0.3 * x[1]), period=2)
    np.testing.assert_allclose(found.values, [-3.01010067, -0.02989933], atol=1e-8, rtol=0)
    assert found.period == 2


@pytest.mark.parametrize("x", [0.5130445095326298, 0.7994554904673701])
def test_the_two_cycle_of_the_logistic_map(x):
    found = dl.multipliers(dl.zoo.logistic(3.2), [x], period=2)
    assert found.values[0].real == pytest.approx(0.16, abs=1e-13)
    assert found.errors[0] < 1e-11


def points_of_cycle(r, p):
    """The points of the attracting p-cycle of the logistic map, from its critical point."""
    m = dl.zoo.logistic(r)
    x = np.array([[0.5]])
    x = m.watch(x, 1000 * p, x).states
    points = [x]
    for _ in range(p - 1):
        points.append(m(points[-1]))
    return m, np.concatenate(points)


@pytest.mark.parametrize(
    ("r", "p"), [(2.0, 1), (1 + np.sqrt(5), 2), (3.498561699327702, 4), (3.8318740552833, 3)], ids=str
)
def test_a_superstable_cycle_has_multiplier_exactly_zero(r, p):
    """Up to the digits of r: that of the 3-cycle is off by 1.6e-14, and the multiplier of its cycle 2.3e-12."""
    m, points = points_of_cycle(r, p)
    for x in [*points, np.array([0.5])]:
        found = dl.multipliers(m, x, period=p)
        assert found.values[0] == 0
        assert 0 < found.errors[0] < 1e-10


def test_a_cycle_near_a_superstable_one_is_told_from_it():
    """Its multiplier grows by 143 times the change of r."""
    m, points = points_of_cycle(3.8318740552833155 + 1e-11, 3)
    found = [dl.multipliers(m, x, period=3) for x in points]
    for one in found:
        assert 1.3e-9 < abs(one.values[0]) < 1.6e-9
        assert abs(one.values[0] - found[0].values[0]) <= one.errors[0] < 1e-10


# -- against dense values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_the_leading_multipliers_of_spirals_and_where_the_list_is_cut(road, k):
    exact = [0.9, 0.8 * np.exp(1j), 0.8 * np.exp(-1j), 0.7 * np.exp(2j), 0.7 * np.exp(-2j), -0.6]
    A = np.zeros((40, 40))
    A[0, 0], A[5, 5] = 0.9, -0.6
    A[1:5, 1:5] = spirals((0.8, 1.0), (0.7, 2.0))
    A[6:, 6:] = spirals(*[(0.5 - 0.01 * i, 0.3 * i) for i in range(17)])
    A[0, 6:] = 1.0  # not normal
    found = dl.multipliers(linear(turned(A)), np.zeros(40), k)
    np.testing.assert_allclose(found.values, exact[:k], atol=1e-10)
    assert np.all(np.abs(found.values - exact[:k]) <= found.errors)
    assert found.residuals.max() < 1e-10
    assert found.radius == pytest.approx(0.9, abs=1e-10)


def test_all_multipliers(road):
    A = np.random.default_rng(1).standard_normal((9, 9))
    found = dl.multipliers(linear(A), np.zeros(9), 9).values
    np.testing.assert_allclose(np.poly(found).real, np.poly(A), atol=1e-10)
    pairs = np.flatnonzero(found.imag)
    np.testing.assert_array_equal(found[pairs[::2]], found[pairs[1::2]].conj())
    assert (found[pairs[::2]].imag > 0).all()
    assert (np.diff(np.abs(found)) <= 0).all()


@pytest.mark.slow
def test_the_roads_agree_on_a_block_that_is_not_causal(monkeypatch):
    m = block(causal=False, tokens=6)
    x = m.start(0)[0]
    dense = dl.multipliers(m, x, 7, period=2)
    monkeypatch.setattr(spectrum, "DENSE", 3)
    found = dl.multipliers(m, x, 7, period=2)
    np.testing.assert_allclose(found.values, dense.values, atol=1e-9)
    assert found.radius == pytest.approx(dense.radius, rel=1e-10)
    assert dl.spectral_radius(m, x, period=2) == pytest.approx(dense.radius, rel=1e-10)


@pytest.mark.parametrize("period", [1, 2])
def test_the_union_over_tokens_is_the_dense_spectrum(period, monkeypatch):
    m = block()
    x = m.start(0)[0]
    J = dl.jacobian(m.power(period), x)
    monkeypatch.setattr(spectrum, "DENSE", 3)
    monkeypatch.setattr(spectrum, "leading_multipliers", None)  # the road that must not be taken
    found = dl.multipliers(m, x, m.dimension, period=period)
    np.testing.assert_allclose(np.abs(found.values[:30]), np.abs(by_modulus(J)[:30]), atol=1e-8)
    np.testing.assert_allclose(found.values.sum(), np.trace(J), atol=1e-10)
    assert (np.diff(np.abs(found.values)) <= 0).all()


def test_float32_errors_cover_the_rounding():
    A = turned(np.diag([0.9, 0.5, 0.3]) + np.diag([5.0, 5.0], 1))
    found = dl.multipliers(linear(A, dtype=torch.float32), np.ones(3))
    off = np.abs(found.values - [0.9, 0.5, 0.3])
    assert off.max() > 1e-9  # float32 shows,
    assert (off <= found.errors).all()  # and is owned up to
    assert found.errors.max() < 1e-2


# -- invariants --------------------------------------------------------------------------------------------------------


def test_multipliers_are_the_same_at_every_section_and_singular_values_are_not():
    m = block(width=8, tokens=3, norm="post", gain=3.0)
    x = settled(m)
    sections = m.numpy(m.sections(m.native(x[None])))[:, 0]
    found = [dl.multipliers(m.rotate(l), sections[l], 12) for l in range(m.layer_count)]
    stretched = [dl.singular_values(m.rotate(l), sections[l], 1).values[0] for l in range(m.layer_count)]
    for one in found[1:]:
        np.testing.assert_allclose(one.values, found[0].values, atol=1e-9)
    assert max(stretched) / min(stretched) > 1.05


def test_multipliers_are_the_same_at_both_points_of_a_two_cycle():
    m = block(width=8, tokens=3, injection="concat")
    x = settled(m)
    y = m.numpy(m(m.native(x[None])))[0]
    assert np.linalg.norm(y - x) > 1
    here, there = (dl.multipliers(m, point, 12, period=2) for point in (x, y))
    np.testing.assert_allclose(here.values, there.values, atol=1e-12)
    assert here.radius < 1
    assert not np.allclose(dl.multipliers(m, x, 12).values, dl.multipliers(m, y, 12).values, atol=1e-3)


def test_multipliers_do_not_change_with_orthogonal_coordinates():
    m, Q = block(width=8, tokens=3), torch.tensor(orthogonal(8))
    x = m.start(0)[0]
    other = dl.TorchMap([lambda y: y @ Q, *m.layers, lambda y: y @ Q.T], m.state_shape, dtype=torch.float64)
    found, plain = dl.multipliers(other, x @ Q.T, 8), dl.multipliers(m, x, 8)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-11)


def test_multipliers_of_the_power_are_powers():
    found = dl.multipliers(dl.zoo.henon(), HENON, period=3).values
    np.testing.assert_allclose(found, np.array([-1.9237388582, 0.1559463223]) ** 3, atol=1e-8)


@pytest.mark.parametrize("i", range(4))
def test_the_errors_cover_points_known_to_thirteen_digits(i):
    m, points = points_of_cycle(3.5, 4)
    found = dl.multipliers(m, points[i], period=4)
    for x in (points[i] * (1 - 1e-13), points[i] * (1 + 1e-13)):
        gap = abs(dl.multipliers(m, x, period=4).values[0] - found.values[0])
        assert 1e-14 < gap <= found.errors[0] < 100 * gap


# -- boundaries --------------------------------------------------------------------------------------------------------


def test_a_map_of_few_dimensions_has_few_multipliers():
    assert len(dl.multipliers(dl.zoo.henon(), HENON).values) == 2
    assert len(dl.multipliers(dl.zoo.logistic(2.5), [0.6], 1).values) == 1


def test_the_zero_map(road):
    found = dl.multipliers(linear(np.zeros((8, 8))), np.ones(8), 3)
    np.testing.assert_array_equal(found.values, 0)
    np.testing.assert_array_equal(found.errors, 0)
    np.testing.assert_array_equal(found.residuals, 0)
    assert found.radius == 0
    assert found.status is dl.Status.SOLVED


def test_the_identity(road):
    np.testing.assert_allclose(dl.multipliers(linear(np.eye(30)), np.ones(30), 4).values, 1, atol=1e-14)


@pytest.mark.parametrize("index", [2, 3])
def test_a_nilpotent_map_has_multipliers_zero(road, index):
    A = np.zeros((30, 30))
    A[:index, :index] = np.diag(np.ones(index - 1), 1)
    found = dl.multipliers(linear(turned(A)), np.zeros(30), 4)
    np.testing.assert_array_equal(found.values, 0)
    assert found.radius == 0
    assert found.errors.max() < 1e-3


def test_a_jordan_block_is_known_to_half_the_digits(road):
    A = 0.1 * np.eye(30)
    A[:2, :2] = [[0.9, 1], [0, 0.9]]
    found = dl.multipliers(linear(turned(A)), np.zeros(30), 3)
    off = np.abs(found.values - [0.9, 0.9, 0.1])
    assert (off[:2] <= found.errors[:2]).all()
    assert (found.errors[:2] > 1e-9).all()
    assert (found.errors[:2] < 1e-6).all()
    assert off[2] <= found.errors[2] < 1e-12  # its neighbour is not drawn in


def test_half_a_rank_is_no_obstacle_to_arnoldi():
    A = turned(np.diag([0.9, 0.5, *np.zeros(38)]))
    found = leading_multipliers(lambda v: A @ v, 40, 4)
    np.testing.assert_allclose(found.values, [0.9, 0.5, 0, 0], atol=1e-12)
    assert (found.values[2:] == 0).all()


def test_what_had_settled_when_arnoldi_stopped(monkeypatch):
    monkeypatch.setattr(arnoldi, "RESTARTS", 4)
    A = np.random.default_rng(0).standard_normal((400, 400)) / 20
    A[0, 0] = 8.0
    found = leading_multipliers(lambda v: A @ v, 400, 6)
    assert found.status is dl.Status.NOT_CONVERGED
    assert np.isnan(found.radius)
    assert 0 < len(found.values) < 6
    assert len(found.values) == len(found.residuals) == len(found.errors)
    gaps = np.abs(found.values[:, None] - np.linalg.eigvals(A))
    assert gaps.min(axis=1).max() < 1e-8


def test_a_derivative_that_is_not_finite(road):
    m = dl.TorchMap([lambda x: x.sqrt()], (5,), dtype=torch.float64)
    found = dl.multipliers(m, np.zeros(5))
    assert found.status is dl.Status.DIVERGED
    assert len(found.values) == 0
    assert np.isnan(found.radius)
    assert np.isnan(dl.spectral_radius(m, np.zeros(5)))


def test_tokens_with_a_derivative_that_is_not_finite(monkeypatch):
    monkeypatch.setattr(spectrum, "DENSE", 3)
    m = dl.TorchMap([lambda x: x.sqrt()], (5, 2), causal=True, dtype=torch.float64)
    assert dl.multipliers(m, np.zeros((5, 2))).status is dl.Status.DIVERGED


def test_a_result_is_saved_and_read_back(tmp_path):
    found = dl.multipliers(dl.zoo.henon(), HENON)
    again = dl.load(found.save(tmp_path / "henon"))
    np.testing.assert_array_equal(again.values, found.values)
    np.testing.assert_array_equal(again.errors, found.errors)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, True, 1.0, None])
def test_k_is_a_positive_int(k):
    with pytest.raises(dl.errors.InvalidArgumentError, match=f"k must be a positive int.*got {k!r}"):
        dl.multipliers(dl.zoo.henon(), HENON, k)


@pytest.mark.parametrize("period", [0, 1.5, True])
def test_the_period_is_a_positive_int(period):
    with pytest.raises(dl.errors.InvalidArgumentError, match=f"got {period!r}"):
        dl.multipliers(dl.zoo.henon(), HENON, period=period)


def test_one_state_is_asked_for():
    with pytest.raises(dl.errors.ShapeError, match=r"one state of shape \(2,\); got \(1, 2\)"):
        dl.spectral_radius(dl.zoo.henon(), [HENON])
