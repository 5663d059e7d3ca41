"""The own-token tangent against the diagonal blocks of the dense Jacobian."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.maps.own_token import OwnToken

TOKENS, WIDTH = 5, 8


def block(**kwargs):
    return dl.synthetic.looped_transformer(
        **{"norm": "pre", "injection": "concat", "layers": 2, "width": WIDTH, "heads": 2, "tokens": TOKENS, **kwargs}
    )


def blocks_of(m, x):
    J = dl.jacobian(m, x)
    w = m.state_shape[1]
    return np.stack([J[i * w : (i + 1) * w, i * w : (i + 1) * w] for i in range(m.state_shape[0])])


def attention(**options):
    """Return a causal map of one attention, with the options of `scaled_dot_product_attention` under test."""
    generator = torch.Generator().manual_seed(0)
    A, B, C = torch.randn(3, WIDTH, WIDTH, dtype=torch.float64, generator=generator) / 2

    def layer(x):
        q, k, v = ((x @ M).unflatten(-1, (2, WIDTH // 2)).transpose(1, 2) for M in (A, B, C))
        if options.get("enable_gqa"):
            k, v = k[:, :1], v[:, :1]
        return x + functional.scaled_dot_product_attention(q, k, v, **options).transpose(1, 2).flatten(2)

    return dl.TorchMap([layer], (TOKENS, WIDTH), causal=True)


@pytest.mark.parametrize("norm", ["pre", "post", "huginn", "ouro", "none"])
@pytest.mark.parametrize("rope", [True, False])
def test_blocks_of_every_norm_agree_with_the_dense_jacobian(norm, rope):
    m = block(norm=norm, rope=rope, gain=0.3)
    x = m.start(0)[0]
    np.testing.assert_allclose(dl.token_jacobians(m, x), blocks_of(m, x), atol=1e-13)
    assert OwnToken(m).exact(m.start(0), np.random.default_rng(0))


LOWER = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()


@pytest.mark.parametrize(
    "options",
    [
        {"is_causal": True},
        {"attn_mask": LOWER},
        {"attn_mask": torch.zeros(TOKENS, TOKENS, dtype=torch.float64).masked_fill(~LOWER, -torch.inf)},
        {"is_causal": True, "scale": 0.7},
        {"is_causal": True, "enable_gqa": True},
    ],
    ids=["causal", "boolean mask", "additive mask", "scale", "grouped"],
)
def test_every_option_of_attention_is_understood(options):
    m = attention(**options)
    x = torch.randn(TOKENS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert OwnToken(m).exact(x[None], np.random.default_rng(0))
    np.testing.assert_allclose(dl.token_jacobians(m, x), blocks_of(m, x), atol=1e-13)


def test_blocks_of_a_power_are_products_of_blocks():
    m = block()
    x = m.start(0)
    later = m(x)
    first, second = dl.token_jacobians(m, x[0]), dl.token_jacobians(m, later[0])
    np.testing.assert_allclose(dl.token_jacobians(m.power(2), x[0]), second @ first, atol=1e-12)


def test_mixing_by_other_means_is_noticed_and_still_exact():
    """A running mean over tokens is causal, and no attention."""
    counts = torch.arange(1, TOKENS + 1, dtype=torch.float64)[:, None]
    m = dl.TorchMap([lambda x: torch.tanh(x.cumsum(1) / counts)], (TOKENS, 3), causal=True)
    x = torch.randn(TOKENS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert not OwnToken(m).exact(x[None], np.random.default_rng(0))
    np.testing.assert_allclose(dl.token_jacobians(m, x), blocks_of(m, x), atol=1e-14)


def test_attention_written_out_by_hand_is_noticed_and_still_exact():
    def layer(x):
        scores = (x @ x.mT).masked_fill(~LOWER, -torch.inf)
        return x + 0.5 * scores.softmax(-1) @ x

    m = dl.TorchMap([layer], (TOKENS, 3), causal=True)
    x = torch.randn(TOKENS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(dl.token_jacobians(m, x), blocks_of(m, x), atol=1e-14)


def test_a_map_that_is_not_causal_is_refused():
    m = block(causal=False)
    with pytest.raises(dl.errors.InvalidArgumentError, match="not"):
        dl.token_jacobians(m, m.start(0)[0])


def test_a_batch_in_place_of_one_state_is_refused():
    m = block()
    with pytest.raises(dl.errors.ShapeError, match=r"Pass state\[0\]"):
        dl.token_jacobians(m, m.start(0, 2))
