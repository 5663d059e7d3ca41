"""The Jacobian three ways: dense, as an operator, by tokens; each against the others and against exact derivatives."""

import numpy as np
import pytest
import torch

import dynloop as dl
from tests.calculus.linear import block, linear, orthogonal


def operator_and_dense(m, x):
    return dl.jacobian_operator(m, x), dl.jacobian(m, x)


def test_the_dense_jacobian_of_a_linear_loop_is_its_matrix():
    A, B = orthogonal(5), np.arange(25.0).reshape(5, 5)
    np.testing.assert_allclose(dl.jacobian(linear(A, B), np.ones(5)), B @ A, atol=1e-13)


def test_rows_are_outputs_in_c_order():
    m = dl.TorchMap([lambda x: torch.stack([x[:, 1] ** 2, 3 * x[:, 0]], 1)], (2, 1))
    np.testing.assert_array_equal(dl.jacobian(m, [[1.0], [5.0]]), [[0, 10], [3, 0]])


@pytest.mark.parametrize(
    "derive", [lambda m: m, lambda m: m.power(2), lambda m: m.rotate(1)], ids=["F", "F²", "rotated"]
)
def test_the_operator_is_the_dense_jacobian(derive):
    m = derive(block(width=12, tokens=6))  # 72 coordinates: more than are pushed at once
    J, dense = operator_and_dense(m, m.start(0)[0])
    identity = np.eye(m.dimension)
    np.testing.assert_allclose(J @ identity, dense, atol=1e-12)
    np.testing.assert_allclose(J.rmatmat(identity), dense.T, atol=1e-12)
    np.testing.assert_allclose(J.matvec(identity[3]), dense[:, 3], atol=1e-12)
    np.testing.assert_allclose(J.rmatvec(identity[3]), dense[3], atol=1e-12)


def test_the_operator_of_a_kernel_map():
    m = dl.zoo.henon()
    J, dense = operator_and_dense(m, [0.3, 0.2])
    np.testing.assert_allclose(J @ np.eye(2), dense, atol=1e-14)
    np.testing.assert_allclose(J.T @ np.eye(2), dense.T, atol=1e-14)


def test_push_and_pull_are_adjoint():
    m = block(causal=False)
    J = dl.jacobian_operator(m, m.start(0)[0])
    v, w = np.random.default_rng(0).standard_normal((2, m.dimension))
    assert w @ J.matvec(v) == pytest.approx(J.rmatvec(w) @ v, rel=1e-12)


def test_complex_vectors():
    A = np.random.default_rng(0).standard_normal((4, 4))
    v = np.array([1, 1j, 2 - 1j, 0])
    J = dl.jacobian_operator(linear(A), np.zeros(4))
    np.testing.assert_allclose(J.matvec(v), A @ v, atol=1e-14)
    np.testing.assert_allclose(J.rmatvec(v), A.T @ v, atol=1e-14)


def test_a_float32_map_gives_float64_numbers():
    A = orthogonal(4)
    J = dl.jacobian_operator(linear(A, dtype=torch.float32), np.zeros(4))
    found = J.matvec(np.ones(4))
    assert J.dtype == found.dtype == np.float64
    np.testing.assert_allclose(found, A.sum(axis=1), atol=1e-6)


def test_the_operator_pushes_only_what_it_is_given(monkeypatch):
    m = linear(orthogonal(200))
    pushed = []
    plain = m.push
    monkeypatch.setattr(m, "push", lambda states, frames: pushed.append(frames.shape[1]) or plain(states, frames))
    J = dl.jacobian_operator(m, np.zeros(200))
    assert sum(pushed) < 10  # to compare with differences
    pushed.clear()
    assert (J @ np.ones((200, 70))).shape == (200, 70)
    assert max(pushed) <= 64
    assert sum(pushed) == 70


def test_no_vectors_and_one_dimension():
    J = dl.jacobian_operator(dl.zoo.logistic(4.0), [0.25])
    assert (J @ np.empty((1, 0))).shape == (1, 0)
    np.testing.assert_array_equal(J.matvec([3.0]), [6.0])


def test_token_blocks_are_the_diagonal_of_the_dense_jacobian():
    m = block()
    x = m.start(0)[0]
    dense = dl.jacobian(m, x).reshape(4, 16, 4, 16)
    np.testing.assert_allclose(dl.token_jacobians(m, x), dense[np.arange(4), :, np.arange(4)], atol=1e-12)
    assert np.abs(dense[0, :, 1:]).max() == 0  # and above it there is nothing


@pytest.mark.parametrize("function", [dl.jacobian, dl.jacobian_operator])
def test_a_wrong_state_is_refused(function):
    with pytest.raises(dl.errors.ShapeError, match=r"one state of shape \(2,\); got \(1, 2\). Pass state\[0\]"):
        function(dl.zoo.henon(), [[0.0, 0.0]])
    with pytest.raises(dl.errors.ShapeError, match=r"acts on states of shape \(batch, 2\)"):
        function(dl.zoo.henon(), [0.0, 0.0, 0.0])


def test_token_blocks_need_a_causal_map():
    m = block(causal=False)
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"need a causal map"):
        dl.token_jacobians(m, m.start(0)[0])
