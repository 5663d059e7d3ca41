"""Whether a captured loop is causal: tokens are moved, and the tokens before them must not notice."""

from __future__ import annotations

import torch

from dynloop.adapters.captured.nearby import displacement
from dynloop.maps.memory import weight_count
from dynloop.maps.torch import TorchMap

__all__ = ["is_causal"]

_TOKENS, _FEWEST, _WORK = 4096, 512, 2**32  # tokens that are computed, and products that they may take with all weights
_AT_ONCE = 16
_LARGE = 2**29  # weights from which float64 would take too long


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
    At every place (at even distances in prompts of more than 64 tokens, and where the weights are many) all tokens from
    there on are moved by their own size. The tokens before move by nothing at all in a causal map, up to rounding;
    float64 is used where the layers allow it and are not large.
    """
    if len(m.state_shape) != 2 or m.state_shape[0] < 2:
        return None
    tokens = m.state_shape[0]
    weights = weight_count([layer for layer in m.layers if isinstance(layer, torch.nn.Module)])
    budget = min(_TOKENS, max(_FEWEST, _WORK // max(1, weights)))
    most = max(2, min(tokens - 1, budget // tokens))
    splits = sorted({round(1 + i * (tokens - 2) / (most - 1)) for i in range(most)})
    x = state.to(m.dtype)
    noise = displacement(x[0], 3)
    if weights < _LARGE:
        try:
            with torch.no_grad():
                return _holds(m, x.double(), noise.double(), splits, 1e-12)
        except (RuntimeError, TypeError, ValueError):  # a layer keeps the dtype of its weights
            pass
    with torch.no_grad():
        return _holds(m, x, noise, splits, 1e2 * torch.finfo(x.dtype).eps)


def _holds(m: TorchMap, x: torch.Tensor, noise: torch.Tensor, splits: list[int], allowed: float) -> bool:
    """Say whether no token moves by more than `allowed`, relative to the largest entry, when later ones do."""
    for some in [splits[i : i + _AT_ONCE] for i in range(0, len(splits), _AT_ONCE)]:
        moved = x.repeat(1 + len(some), 1, 1)
        for row, token in enumerate(some, 1):
            moved[row, token:] += noise[token:]
        y = m.loop(moved)
        size = y[0].abs().max()
        for row, token in enumerate(some, 1):
            if not bool((y[row, :token] - y[0, :token]).abs().max() <= allowed * size):
                return False
    return True
