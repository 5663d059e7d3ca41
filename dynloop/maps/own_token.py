"""The own-token tangent: the diagonal blocks ∂F_i/∂x_i of a causal block, applied to all tokens at once.

One tangent is pushed at every token together. Inside attention only a token's own key and value carry it, the other
tokens' keys and values enter as constants: scores are q_i·k_j with k_j constant off the diagonal, and the output is
A·v₀ + diag(A)·(v − v₀). So one push does for every token what would take a push for each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dynloop.errors import InvalidArgumentError
from dynloop.maps.dual.attention import within_tokens
from dynloop.maps.frames import orthonormalise
from dynloop.maps.measured import Stretch
from dynloop.maps.torch_tangent import TorchTangent, working_dtype

if TYPE_CHECKING:
    from dynloop.maps.torch import TorchMap

__all__ = ["OwnToken"]

_TRIED = 64  # tokens that are compared; all, if there are no more
_AT_ONCE = 16
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
        tokens = m.state_shape[0]
        self.m = m
        self.tangent = TorchTangent(m.loop, dual=lambda: within_tokens(tokens), graph=lambda: _OwnAttention(tokens))

    def push(self, states: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return F(x), and every block applied to its token's tangents ``(batch, k, tokens, width)``."""
        wide = frames.transpose(0, 1).to(working_dtype(frames.dtype), copy=True)
        new, pushed = self.tangent.carry(states, wide)
        return new, pushed.to(frames.dtype).transpose(0, 1)

    def exact(self, states: torch.Tensor, rng: np.random.Generator, most: int = _TRIED) -> bool:
        """Say whether the blocks agree with the full product, token by token, at the first of `states` and beside it.

        They do not where tokens are mixed by other means than `scaled_dot_product_attention`. Compared are at most
        so many tokens, drawn at random.

        Raises
        ------
        InvalidArgumentError
            If a token depends on a later one: the map is not causal.
        """
        x = states[:1].detach()
        noise = torch.as_tensor(rng.standard_normal(tuple(x.shape))).to(x)
        beside = x + noise * x.square().mean().sqrt().clamp_min(0.1)
        return self._agrees(x, rng, most) and self._agrees(beside, rng, most)

    def _agrees(self, x: torch.Tensor, rng: np.random.Generator, most: int) -> bool:
        tokens = self.m.state_shape[0]
        tried = np.arange(tokens) if tokens <= most else np.sort(rng.choice(tokens, most, replace=False))
        working = torch.finfo(working_dtype(x.dtype)).eps
        agree = max(_AGREE, 64 * working, 4 * self.m.precision if self.m.precision > working else 0.0)
        for some in np.array_split(tried, -(-len(tried) // _AT_ONCE)):
            vectors = np.zeros((len(some), *self.m.state_shape))
            vectors[np.arange(len(some)), some] = rng.standard_normal((len(some), *self.m.state_shape[1:]))
            frames = self.m.native(vectors)[None]
            full, own = self.m.push(x, frames)[1][0], self.push(x, frames)[1][0]
            if not torch.isfinite(full).all():
                continue  # a point that the loop cannot take says nothing
            size = full.abs().amax(dim=tuple(range(1, full.ndim)))
            for i, token in enumerate(some):
                if full[i, :token].numel() and full[i, :token].abs().amax() > agree * size[i]:
                    raise InvalidArgumentError(
                        f"{self.m.name} is not causal: token {int(token)} reaches an earlier one. Give causal=False."
                    )
                own[i, token] -= full[i, token]  # a block-diagonal derivative leaves the other tokens alone
            if not bool((own.abs().amax(dim=tuple(range(1, own.ndim))) <= agree * size).all()):
                return False
        return True

    def stretch(
        self,
        states: torch.Tensor,
        frames: torch.Tensor,
        loops: int,
        *,
        every: int = 1,
        gather: int = 1,
        overwrite: bool = False,
    ) -> Stretch:
        """Iterate, carrying k tangents in every token, orthonormalised within each.

        Parameters
        ----------
        states : Tensor, (batch, tokens, width)
            Where to begin.
        frames : Tensor, (batch, k, tokens, width)
            k ≤ width tangents in every token.
        loops, every, gather : int
            How many loops, after how many the frames are orthonormalised, and how many of these make a record.
        overwrite : bool
            Whether the array of frames may be worked in.

        Returns
        -------
        Stretch
            `logs` is ``(loops // every // gather, batch, tokens, k)``: log R_jj of every token; −inf where a direction
            is gone, nan once the orbit is lost.
        """
        V = frames.transpose(0, 1).to(working_dtype(frames.dtype), copy=not overwrite).contiguous()
        k, count, tokens = V.shape[:3]
        record = every * gather
        logs = torch.zeros((loops // record, count, tokens, k), dtype=torch.float64, device=states.device)
        tolerance = V[0, 0, 0].numel() * torch.finfo(V.dtype).eps
        for t in range(loops):
            states, V = self.tangent.carry(states, V)
            if (t + 1) % every == 0:
                flat, grown = orthonormalise(V.reshape(k, count * tokens, -1), tolerance)
                V, logs[t // record] = flat.reshape(V.shape), logs[t // record] + grown.reshape(count, tokens, k)
        return Stretch(states=states, frames=V.transpose(0, 1), logs=logs.cpu().numpy())
