"""Whether a captured loop is causal: tokens are moved, and the tokens before them must not notice."""

from __future__ import annotations

import torch

from dynloop.maps.torch import TorchMap

__all__ = ["is_causal"]

_SPLITS = 8


def is_causal(m: TorchMap, state: torch.Tensor) -> bool | None:
    """Say whether token i of F(x) depends on tokens ≤ i alone.

    Parameters
    ----------
    m : TorchMap
        A map on states ``(tokens, width)``.
    state : tensor, (1, *state_shape)
        Where.

    Returns
    -------
    bool or None
        None if it is no state of two or more tokens.

    Notes
    -----
    For up to eight places (all, in short prompts) every token from there on is moved by its own size. The tokens before
    move by nothing at all in a causal map, up to rounding; float64 is used where the layers allow it.
    """
    if len(m.state_shape) != 2 or m.state_shape[0] < 2:
        return None
    tokens = m.state_shape[0]
    splits = sorted({round(1 + i * (tokens - 2) / max(1, _SPLITS - 1)) for i in range(_SPLITS)})
    x = state.to(m.dtype)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(m.state_shape, generator=generator).to(x) * x.double().square().mean().sqrt().to(x.dtype)
    moved = x.repeat(1 + len(splits), 1, 1)
    for row, token in enumerate(splits, 1):
        moved[row, token:] += noise[token:]
    with torch.no_grad():
        wide, allowed = moved.double(), 1e-12
        try:
            y = m.loop(wide)
        except (RuntimeError, TypeError, ValueError):
            y, allowed = m.loop(moved).double(), 1e2 * torch.finfo(x.dtype).eps
    size = y[0].abs().max()
    return all(
        bool((y[row, :token] - y[0, :token]).abs().max() <= allowed * size) for row, token in enumerate(splits, 1)
    )
