"""Blocks with two attractors by construction."""

import torch

import dynloop as dl


def bistable(tokens=4, width=8, heads=2, seed=0, gain=0.3, dtype=torch.float64):
    """An injected block that remembers one bit: the sign of the mean of ⟨v, x⟩ over tokens.

    The injection replaces what x holds across v by a mix of x and e, and keeps ``tanh 2m`` along v, m the mean over
    tokens; attention and MLP then disturb it a little.
    """
    plain = dl.synthetic.looped_transformer(
        norm="pre", injection="none", layers=1, width=width, heads=heads, tokens=tokens, gain=gain, seed=seed,
        causal=False, dtype=dtype,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    e = torch.randn(tokens, width, generator=generator, dtype=torch.float64)
    v = torch.nn.functional.normalize(torch.randn(width, generator=generator, dtype=torch.float64), dim=0)

    def inject(x):
        along, put = v.to(x.dtype), e.to(x.dtype)
        m = (x @ along).mean(dim=1)
        mixed = 0.4 * x + 0.3 * put
        mixed = mixed - (mixed @ along)[..., None] * along
        return mixed + (2 * m).tanh()[:, None, None] * along

    return dl.TorchMap([inject, *plain.layers], (tokens, width), name="bistable", dtype=dtype), v, e
