"""T10: the attention map moves at most in proportion to the normalised state, so it freezes wherever directions do."""

import math

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop import nn
from tests.theory.cases import cases

SEEDS = st.integers(0, 2**31)


class _Shown(torch.nn.Module):
    """Values that are the unit vectors, one a token: what attention makes of them is its map."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, x):
        return torch.eye(x.shape[-2]).to(x).repeat(1, self.heads).expand(*x.shape[:-1], -1)


def attention(seed, heads, tokens, width, *, causal, rotary, size=1.0):
    """An attention layer whose output is its map, ``(tokens, heads · tokens)``: heads as wide as tokens are many."""
    layer = nn.Attention(width, heads, head_size=tokens, causal=causal, rotary=rotary, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in (layer.q, layer.k):
            part.weight.copy_(size * torch.randn(part.weight.shape, generator=generator, dtype=torch.float64))
    layer.v, layer.o = _Shown(heads), torch.nn.Identity()
    return layer.requires_grad_(False)


def maps(layer, x):
    tokens = x.shape[-2]
    return layer(torch.as_tensor(x)[None])[0].reshape(tokens, layer.heads, tokens).permute(1, 0, 2).numpy()


def expected(layer, x):
    """The same maps written out: softmax over j of q_i·k_j / √d, positions turned, later tokens left out."""
    tokens, d = x.shape[0], layer.head_size
    q, k = (
        (x @ part.weight.numpy().T).reshape(tokens, layer.heads, d).transpose(1, 0, 2) for part in (layer.q, layer.k)
    )
    if layer.rotary:
        angles = np.arange(tokens)[:, None] * layer.rotary_base ** (-np.arange(0, d, 2) / d)
        turn = np.exp(1j * angles)

        def turned(y):
            z = (y[..., : d // 2] + 1j * y[..., d // 2 :]) * turn
            return np.concatenate([z.real, z.imag], axis=-1)

        q, k = turned(q), turned(k)
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(d)
    if layer.causal:
        scores = np.where(np.tril(np.ones((tokens, tokens), dtype=bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def drawn():
    return {
        "seed": SEEDS, "heads": st.integers(1, 2), "tokens": st.sampled_from([2, 4]), "width": st.integers(2, 5),
        "causal": st.booleans(), "rotary": st.booleans(),
    }  # fmt: skip


@cases(280, **drawn())
def test_the_attention_map_is_the_scaled_softmax_of_queries_and_keys(seed, heads, tokens, width, causal, rotary):
    layer = attention(seed, heads, tokens, width, causal=causal, rotary=rotary)
    x = np.random.default_rng(seed).standard_normal((tokens, width))
    A = maps(layer, x)
    np.testing.assert_allclose(A.sum(axis=-1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(A, expected(layer, x), rtol=0, atol=1e-12)


@cases(695, **drawn(), away=st.floats(-4, 1), size=st.sampled_from([0.3, 1.0, 3.0]))
def test_the_map_moves_at_most_in_proportion_to_the_normalised_state(
    seed, heads, tokens, width, causal, rotary, away, size
):
    """‖A(X) − A(Y)‖_F ≤ ½ · (2Bκ/√d) · ‖X − Y‖_F, head by head.

    B bounds the spectral norm of the whole X; with rotary positions, which may raise it, the Frobenius norm (note T10).
    """
    layer = attention(seed, heads, tokens, width, causal=causal, rotary=rotary, size=size)
    norm = nn.RMSNorm(width, eps=1e-6, dtype=torch.float64).requires_grad_(False)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, tokens, width)) * np.array([1.0, 10.0**away])[:, None, None]
    X, Y = (norm(torch.as_tensor(s)).numpy() for s in (x[0], x[0] + x[1]))
    kind = "fro" if rotary else 2
    B = max(np.linalg.norm(X, kind), np.linalg.norm(Y, kind))
    assert B - math.sqrt(tokens * width) <= 1e-9
    W, d = layer.head_size, layer.head_size
    moved = np.linalg.norm(maps(layer, X) - maps(layer, Y), axis=(1, 2))
    for h in range(heads):
        Q, K = (part.weight.numpy()[h * W : (h + 1) * W] for part in (layer.q, layer.k))
        kappa = np.linalg.norm(Q, 2) * np.linalg.norm(K, 2) if rotary else np.linalg.norm(Q.T @ K, 2)
        bound = 0.5 * (2 * B * kappa / math.sqrt(d)) * np.linalg.norm(X - Y)
        assert moved[h] <= bound + 1e-12


@cases(230, **drawn(), far=st.integers(4, 8))
def test_the_map_freezes_along_a_ray(seed, heads, tokens, width, causal, rotary, far):
    """s·x and 2s·x have one normalised state, so a frozen map certifies no fixed point."""
    layer = attention(seed, heads, tokens, width, causal=causal, rotary=rotary)
    norm = nn.RMSNorm(width, eps=1e-6, dtype=torch.float64).requires_grad_(False)
    x = 10.0**far * np.random.default_rng(seed).standard_normal((tokens, width))
    here, there = (maps(layer, norm(torch.as_tensor(s * x)).numpy()) for s in (1.0, 2.0))
    np.testing.assert_allclose(here, there, rtol=0, atol=1e-6)
