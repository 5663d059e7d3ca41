"""Attention with tokens that nobody attends to, against softmax written out."""

import pytest
import torch

from dynloop.nn import Attention


@pytest.mark.parametrize("causal", [True, False])
def test_masked_attention_is_softmax_over_the_allowed_tokens(causal):
    generator = torch.Generator().manual_seed(0)
    attend = torch.tensor([True, True, False, True])
    layer = Attention(6, 2, causal=causal, attend=attend)
    for weight in layer.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 4, 6, generator=generator, dtype=torch.float64)
    q, k, v = ((x[0] @ part.weight.T).view(4, 2, 3).transpose(0, 1) for part in (layer.q, layer.k, layer.v))
    allowed = attend.expand(4, 4) & (torch.ones(4, 4).tril().bool() if causal else torch.tensor(1).bool())
    scores = (q @ k.mT / 3**0.5).masked_fill(~allowed, -torch.inf)
    expected = (scores.softmax(-1) @ v).transpose(0, 1).reshape(4, 6) @ layer.o.weight.T
    torch.testing.assert_close(layer(x)[0], expected, rtol=1e-12, atol=1e-12)
