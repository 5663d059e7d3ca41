"""The own-token tangent: the diagonal blocks ∂F_i/∂x_i of a causal block, applied to all tokens at once.

One tangent is pushed at every token together. Inside attention only a token's own key and value carry it, the other
tokens' keys and values enter as constants: scores are q_i·k_j with k_j constant off the diagonal, and the output is
A·v₀ + diag(A)·(v − v₀). So one push does for every token what would take a push for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap

__all__ = ["OwnToken"]

_AGREE = 1e-8  # relative difference from the full product above which attention was not all the mixing there is


class _OwnAttention(TorchFunctionMode):
    """Replaces scaled dot-product attention over `tokens` tokens by one that differentiates within each token only."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention and args[0].shape[-2] == self.tokens:
            return _own_attention(*args, **kwargs)
        return func(*args, **kwargs)


def _own_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - a map has no dropout
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    size, tokens = query.shape[-1], query.shape[-2]
    query = query * (1 / math.sqrt(size) if scale is None else scale)
    here, there = torch.eye(tokens, dtype=torch.bool, device=query.device), key.detach()
    scores = torch.where(here, (query * key).sum(-1, keepdim=True), query @ there.mT)
    if is_causal:
        scores = scores.masked_fill(~here.new_ones(tokens, tokens).tril(), -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = scores.softmax(-1)
    others = value.detach()
    return weights @ others + weights.diagonal(dim1=-2, dim2=-1)[..., None] * (value - others)


class OwnToken:
    """A causal map whose derivative is its diagonal blocks, one a token.

    Parameters
    ----------
    m : TorchMap
        A causal map on states ``(tokens, width)``.
    """

    def __init__(self, m: TorchMap) -> None:
        self.m = m
        self._view = m.with_layers([self._within(f) for f in m.layers])

    def _within(self, f: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        tokens = self.m.state_shape[0]

        def layer(x: torch.Tensor) -> torch.Tensor:
            with _OwnAttention(tokens):
                return f(x)

        return layer

    def push(self, states: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return F(x), and every block applied to its token's tangents ``(batch, k, tokens, width)``."""
        return self._view.push(states, frames)

    def exact(self, states: torch.Tensor, rng: np.random.Generator) -> bool:
        """Say whether the blocks agree with the full product at the first of `states`, for a few tokens.

        They do not where tokens are mixed by other means than `scaled_dot_product_attention`.
        """
        tokens = self.m.state_shape[0]
        tried = sorted({0, tokens // 2, tokens - 1})
        vectors = np.zeros((len(tried), *self.m.state_shape))
        vectors[np.arange(len(tried)), tried] = rng.standard_normal((len(tried), *self.m.state_shape[1:]))
        frames = self.m.native(vectors)[None]
        full, own = self.m.push(states[:1], frames)[1][0], self.push(states[:1], frames)[1][0]
        gap = torch.stack([full[i, token] - own[i, token] for i, token in enumerate(tried)])
        rest = own.clone()
        rest[range(len(tried)), tried] = 0  # a block-diagonal derivative leaves the other tokens alone
        size = torch.stack([full[i, token] for i, token in enumerate(tried)]).abs().amax()
        return bool(gap.abs().amax() <= _AGREE * size and rest.abs().amax() <= _AGREE * size)

    def stretch(self, states: torch.Tensor, frames: torch.Tensor, loops: int) -> tuple[Any, Any, Array]:
        """Iterate, carrying one tangent a token ``(batch, tokens, width)``, each normalised at every loop.

        Returns
        -------
        states, frames : tensor
            After the last loop.
        logs : ndarray, (loops, batch, tokens)
            Growth of each tangent, natural log; −inf where it was contracted to nothing, nan once the orbit is lost.
        """
        logs = torch.empty((loops, len(states), self.m.state_shape[0]), dtype=torch.float64, device=states.device)
        frames = frames[:, None]
        for t in range(loops):
            states, frames = self.push(states, frames)
            lengths = torch.linalg.vector_norm(frames, dim=-1, keepdim=True)
            logs[t] = lengths[:, 0, :, 0].double().log()
            frames = torch.where(lengths > 0, frames / lengths, 0)
        return states, frames[:, 0], logs.cpu().numpy()
