"""Derivatives: ⟨w, Jv⟩ = ⟨Jᵀw, v⟩, finite differences, the chain rule over layers and loops; rows are outputs."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import strategies as st

import dynloop as dl
from dynloop.calculus.jacobian import dense_jacobian, jacobians
from dynloop.testing import strategies
from tests.theory.cases import cases
from tests.theory.maps import kernels

SEEDS = st.integers(0, 2**31)


def adjoint(m, states, seed, k=2):
    rng = np.random.default_rng(seed)
    V, W = rng.standard_normal((2, len(states), k, *m.state_shape))
    x = m.native(states)
    frames = [m.native(A.reshape(-1, *m.state_shape)).reshape(A.shape) for A in (V, W)]
    new, JV = m.push(x, frames[0])
    also, JW = m.pull(x, frames[1])
    np.testing.assert_allclose(m.numpy(new), m.numpy(m(x)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(m.numpy(also), m.numpy(new), rtol=1e-12, atol=1e-12)
    flat = [A.reshape(len(states), k, -1) for A in (V, W, m.numpy(JV), m.numpy(JW))]
    left = np.einsum("bin,bjn->bij", flat[1], flat[2])
    right = np.einsum("bin,bjn->bij", flat[3], flat[0])
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-10 * (1 + np.abs(flat[2]).max()))


def differences(m, states, tolerance=1e-6):
    """Every column of the Jacobian against a central difference; row = output."""
    x = m.native(states[:1])
    J = jacobians(m, x)[1][0]
    n, h = m.dimension, 1e-5
    moves = h * np.eye(n).reshape(n, *m.state_shape)
    up, down = (m.numpy(m(m.native(states[:1] + s * moves))).reshape(n, n) for s in (1, -1))
    columns = ((up - down) / (2 * h)).T
    np.testing.assert_allclose(J, columns, rtol=0, atol=tolerance * (1 + np.abs(J).max()) ** 2)
    return J


@cases(695, row=strategies.layered_maps(), seed=SEEDS)
def test_pull_is_the_adjoint_of_push(row, seed):
    adjoint(row.map, row.starts, seed)


@pytest.mark.slow
@cases(185, m=kernels(), seed=SEEDS)
def test_so_it_is_of_compiled_layers(m, seed):
    adjoint(m, np.random.default_rng(seed).uniform(-1, 1, (2, 2)), seed)


@cases(90, row=strategies.blocks(gains=(1.0, 0.3, 2.0)), seed=SEEDS)
def test_so_it_is_of_blocks(row, seed):
    adjoint(row.map, row.starts[:1], seed, k=1)


@cases(555, row=strategies.layered_maps())
def test_jacobians_are_limits_of_differences(row):
    differences(row.map, row.starts)


@pytest.mark.slow
@cases(185, m=kernels(), seed=SEEDS)
def test_jacobians_of_compiled_layers_are(m, seed):
    differences(m, np.random.default_rng(seed).uniform(-1, 1, (1, 2)))


@cases(125, row=strategies.blocks(gains=(1.0, 0.3, 2.0)))
def test_jacobians_of_blocks_are(row):
    differences(row.map, row.starts, 1e-5)


@cases(140, row=strategies.layered_maps(max_dim=3, max_layers=3), p=st.integers(1, 2), turn=st.integers(0, 2))
def test_the_chain_rule_holds_over_layers_loops_and_permutations(row, p, turn):
    m = row.map.rotate(turn).power(p)
    x = m.native(row.starts[:1])
    sections = m.sections(x)
    parts = [dense_jacobian(m.part(l), sections[l][0]) for l in range(m.layer_count)]
    whole = dense_jacobian(m, x[0])
    scale = np.prod([1 + np.linalg.norm(J) for J in parts])
    np.testing.assert_allclose(reduce(lambda J, A: A @ J, parts), whole, rtol=0, atol=1e-12 * scale)


@cases(125, row=strategies.layered_maps(max_dim=4, max_layers=3), seed=SEEDS)
def test_the_operator_multiplies_by_the_jacobian_and_its_transpose(row, seed):
    m, v = row.map, np.random.default_rng(seed).standard_normal((row.map.dimension, 2))
    J, A = dl.jacobian(m, row.start), dl.jacobian_operator(m, row.start)
    tolerance = {"rtol": 0, "atol": 1e-11 * (1 + np.abs(J).max())}
    np.testing.assert_allclose(A.matvec(v[:, 0]), J @ v[:, 0], **tolerance)
    np.testing.assert_allclose(A.rmatvec(v[:, 0]), J.T @ v[:, 0], **tolerance)
    np.testing.assert_allclose(A @ v, J @ v, **tolerance)


@cases(230, row=strategies.affine_cycles())
def test_the_jacobian_of_affine_layers_is_the_product_of_their_matrices(row):
    J = dense_jacobian(row.map, row.start)
    np.testing.assert_allclose(
        J, row.matrix, rtol=0, atol=1e-12 * np.prod([1 + np.linalg.norm(A) for A in row.matrices])
    )
