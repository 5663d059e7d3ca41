"""T8: a loop that ends in a norm stretches one direction per token by nothing; what is gone is told as −∞."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop import nn
from dynloop.calculus.jacobian import dense_jacobian, jacobians
from dynloop.testing import strategies
from tests.theory.cases import cases

SEEDS = st.integers(0, 2**31)


def normed(seed, width, kind, eps, tokens=1):
    """A random layer, then a norm with random weights; the states are tokens × width."""
    rng = np.random.default_rng(seed)
    A = torch.as_tensor(rng.standard_normal((width, width)))
    norm = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}[kind](width, eps=eps, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.as_tensor(rng.uniform(0.5, 2.0, width) * rng.choice([-1, 1], width)))
    norm.requires_grad_(False)
    m = dl.TorchMap([lambda x: x + torch.tanh(x @ A), norm], (tokens, width))
    return m, norm.weight.numpy(), rng.standard_normal((1, tokens, width))


@cases(280, seed=SEEDS, width=st.integers(2, 6), tokens=st.integers(1, 2))
def test_the_image_over_the_squared_weights_is_a_left_null_vector(seed, width, tokens):
    """yᵀ diag(γ⁻²) DF = 0 token by token, for eps = 0."""
    m, weight, x = normed(seed, width, "rms", 0.0, tokens)
    new, J = jacobians(m, m.native(x))
    y, J = m.numpy(new)[0], J[0].reshape(tokens, width, tokens * width)
    assert np.linalg.norm(y / weight, axis=1) == pytest.approx(np.sqrt(width) * np.ones(tokens), rel=1e-12)
    left = np.einsum("ti,tij->tj", y / weight**2, J)
    np.testing.assert_allclose(left, 0, rtol=0, atol=1e-10 * (1 + np.abs(J).max()))
    sizes = np.linalg.svd(J.reshape(tokens * width, -1), compute_uv=False)
    assert (sizes[-tokens:] <= 1e-10 * (1 + sizes[0])).all()


@cases(230, seed=SEEDS, width=st.integers(2, 6), eps=st.sampled_from([0.0, 1e-6, 1e-2, 1.0]))
def test_the_mean_that_a_layer_norm_removes_is_an_exact_null_direction(seed, width, eps):
    m, weight, x = normed(seed, width, "layer", eps)
    y = m.numpy(m(m.native(x)))[0, 0]
    assert (y / weight).sum() == pytest.approx(0, abs=1e-12 * width)
    J = dense_jacobian(m, x[0])
    np.testing.assert_allclose((1 / weight) @ J, 0, rtol=0, atol=1e-11 * (1 + np.abs(J).max()))


@cases(185, seed=SEEDS, width=st.integers(2, 5), k=st.integers(3, 6))
def test_with_eps_the_smallest_stretch_falls_in_proportion(seed, width, k):
    """A slope of 1: of log|det DF| in log eps."""
    eps = 10.0**-k
    one, tenth = (np.linalg.slogdet(dense_jacobian(normed(seed, width, "rms", e)[0], x[0]))[1] for e, x in (
        (eps, normed(seed, width, "rms", eps)[2]), (eps / 10, normed(seed, width, "rms", eps)[2])))  # fmt: skip
    u = normed(seed, width, "rms", eps)
    square = float(np.square(u[0].numpy(u[0].part(0)(u[0].native(u[2])))).mean())
    if square > 1e3 * eps:
        assert one - tenth == pytest.approx(np.log(10), abs=0.02 + 5 * eps / square)


@cases(140, row=strategies.blocks(norms=("ouro",), causal=None, max_layers=1, max_tokens=2, gains=(1.0, 2.0)))
def test_blocks_that_close_with_a_norm_have_one_small_stretch_a_token(row):
    """Ouro's RMSNorm of unit weights: yᵀDF = eps / (mean square + eps) · yᵀDG / r, G what comes before it."""
    m = row.map
    assert m.layer_names[-1] == "norm"
    x = m.native(row.starts[:1])
    tokens, width = m.state_shape
    new, J = jacobians(m, x)
    before, K = jacobians(dl.TorchMap(m.layers[:-1], m.state_shape), x)
    y, J, K = m.numpy(new)[0], J[0].reshape(tokens, width, -1), K[0].reshape(tokens, width, -1)
    square = np.square(m.numpy(before)[0]).mean(axis=1) + 1e-6
    exact = np.einsum("ti,tij->tj", y, K) * (1e-6 / square**1.5)[:, None]
    np.testing.assert_allclose(np.einsum("ti,tij->tj", y, J), exact, rtol=0, atol=1e-11 * (1 + np.abs(J).max() * width))


@cases(185, seed=SEEDS, n=st.integers(2, 4), rank=st.integers(1, 3), loops=st.integers(1, 3))
def test_directions_that_are_gone_have_exponent_minus_infinity(seed, n, rank, loops):
    """A layer of deficient rank, as an untrained adapter [0 | I]: plain QR would print −33 … −36."""
    rng = np.random.default_rng(seed)
    rank = min(rank, n - 1)
    P, b = torch.as_tensor(rng.standard_normal((n, n))), torch.as_tensor(rng.standard_normal(n))
    P[rank:] = 0.0
    m = dl.TorchMap([lambda x: torch.sin(x @ P.T + b)], (n,))
    frames = m.native(np.eye(n))[None]
    logs = m.stretch(m.native(rng.standard_normal((1, n))), frames, loops).logs[:, 0]
    assert (np.isneginf(logs).sum(axis=1) >= n - rank).all()
    assert not np.isnan(logs).any()
    assert (logs[np.isfinite(logs)] > -25).all()


@cases(50, seed=SEEDS, rate=st.floats(0.1, 0.9))
def test_a_spectrum_tells_how_many_directions_are_gone(seed, rate):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    A = torch.as_tensor(Q @ np.diag([rate, -rate / 2, 0.0]) @ Q.T)
    found = dl.lyapunov_spectrum(dl.TorchMap([lambda x: x @ A.T], (3,)), np.ones(3), loops=16, transient=400)
    assert found.exponents[:2] == pytest.approx(np.log([rate, rate / 2]), abs=1e-6)
    assert found.exponents[2] == -np.inf
    assert found.status is dl.Status.BELOW_RANK_TOLERANCE
