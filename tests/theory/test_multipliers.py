"""T4: the cyclic products at all sections share their multipliers, and so do all points of a cycle."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import dynloop as dl
from dynloop.calculus.jacobian import dense_jacobian
from dynloop.calculus.spectrum import point_multipliers
from dynloop.testing import strategies
from tests.theory.cases import cases


def apart(a, b):
    """How far two sets of multipliers are apart, paired one to one."""
    distances = np.abs(a[:, None] - b[None])
    return distances[linear_sum_assignment(distances)]


def agree(found, other):
    """Multipliers agree within the errors that they come with; tiny ones may be told as 0."""
    allowed = 10 * max(found.errors.max(), other.errors.max()) + 1e-10 * (1 + found.radius)
    assert apart(found.values, other.values).max() <= allowed
    assert abs(found.radius - other.radius) <= allowed


@cases(115, row=strategies.closed_loops(max_dim=3), turn=st.integers(0, 3))
def test_multipliers_of_a_fixed_point_are_those_at_every_section(row, turn):
    m = row.map
    section = m.sections(m.native(row.starts[:1]))[turn % m.layer_count][0]
    agree(point_multipliers(m, m.native(row.starts[:1])[0], m.dimension), point_multipliers(
        m.rotate(turn), section, m.dimension))  # fmt: skip


@cases(185, row=strategies.affine_cycles(), turn=st.integers(0, 3))
def test_multipliers_are_eigenvalues_of_the_product_at_every_section(row, turn):
    m = row.map.rotate(turn)
    found = point_multipliers(m, m.native(row.starts[:1])[0], m.dimension)
    exact = np.linalg.eigvals(row.matrix)
    allowed = 1e-6 * (1 + np.prod([np.linalg.norm(A) for A in row.matrices]))  # of a nearly defective product
    assert apart(found.values, exact).max() <= max(allowed, 10 * found.errors.max())
    assert abs(found.radius - row.rate) <= max(allowed, 10 * found.errors.max())
    order = np.abs(found.values)
    assert (np.diff(order) <= 1e-12 * (1 + order[:-1])).all(), "largest modulus first"


@cases(100, row=strategies.converging(max_dim=4))
def test_the_spectral_radius_of_a_spiral_is_its_rate(row):
    """Complex pairs: neither the real part nor the norm of DF is the rate."""
    assert abs(dl.spectral_radius(row.map, row.limit) - row.rate) <= 1e-6


@cases(90, angle=st.floats(0.05, 3.1), rate=st.floats(0.1, 2.0), second=st.floats(-0.9, 0.9))
def test_the_multipliers_of_a_turn_are_a_pair(angle, rate, second):
    pair = rate * np.exp(1j * angle)
    A = np.zeros((3, 3))
    A[:2, :2], A[2, 2] = [[pair.real, -pair.imag], [pair.imag, pair.real]], rate * second
    m = dl.TorchMap([_by(A)], (3,))
    found = point_multipliers(m, m.native(np.zeros((1, 3)))[0], 3)
    assert abs(found.radius - rate) <= 1e-12 * (1 + rate)
    np.testing.assert_allclose(found.values, [pair, pair.conjugate(), rate * second], rtol=0, atol=1e-12 * (1 + rate))


def _by(A):
    import torch

    B = torch.as_tensor(A)
    return lambda x: x @ B.T


@cases(230, r=st.floats(3.05, 3.95))
def test_both_points_of_a_two_cycle_have_the_exact_multiplier(r):
    """Logistic map: 4 + 2r − r² at either point, which solve r²x² − (r² + r)x + r + 1 = 0; not that of F there."""
    m = dl.zoo.logistic(r)
    points = np.roots([r * r, -(r * r + r), r + 1])
    for x in points:
        found = point_multipliers(m, np.array([x]), 1, period=2)
        np.testing.assert_allclose(found.values, 4 + 2 * r - r * r, rtol=1e-9, atol=1e-9)
    slopes = r * (1 - 2 * points)
    np.testing.assert_allclose(slopes.prod(), 4 + 2 * r - r * r, rtol=1e-9, atol=1e-9)


@cases(115, a=st.floats(0.4, 1.4), b=st.floats(0.1, 0.35), p=st.integers(1, 4))
def test_multipliers_of_a_power_are_powers(a, b, p):
    """At the fixed point of Hénon's map, of F^p and of F over p loops alike; their product is (−b)^p."""
    m = dl.zoo.henon(a, b)
    x = (b - 1 + np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    point = np.array([x, b * x])
    one, of_power, over = (
        point_multipliers(m, point, 2).values, point_multipliers(m.power(p), point, 2).values,
        point_multipliers(m, point, 2, period=p).values,
    )  # fmt: skip
    scale = 1 + np.abs(one).max() ** p
    np.testing.assert_allclose(of_power, one**p, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(over, one**p, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(over.prod(), (-b) ** p, rtol=1e-7, atol=1e-9 * scale)


@cases(50, row=strategies.layered_maps(max_dim=3, max_layers=2))
def test_singular_values_are_those_of_the_jacobian(row):
    found = dl.singular_values(row.map, row.start, k=row.map.dimension)
    exact = np.linalg.svd(dense_jacobian(row.map, row.start), compute_uv=False)
    np.testing.assert_allclose(found.values, exact, rtol=0, atol=1e-10 * (1 + exact[0]))


def test_singular_values_do_depend_on_the_section():
    """What T4 does not say."""
    A, B = np.array([[0.5, 2.0], [0.0, 0.25]]), np.diag([1.0, 0.1])
    one, other = (np.linalg.svd(J, compute_uv=False)[0] for J in (B @ A, A @ B))
    m = dl.TorchMap([_by(A), _by(B)], (2,))
    found = [dl.singular_values(m.rotate(l), np.zeros(2), k=1).values[0] for l in (0, 1)]
    np.testing.assert_allclose(found, [one, other], rtol=1e-12)
    assert found[0] > 2 * found[1]
