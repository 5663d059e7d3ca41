"""Layers that `dynloop.nn` has not: attention with given rotary tables, weightless norm."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dynloop.nn import Linear, attended, heads_apart, rotate_half

__all__ = ["TableAttention", "WeightlessRMSNorm", "float32_tables"]


def float32_tables(tokens: int, size: int, base: float) -> torch.Tensor:
    """Return cosines and signed sines ``(2, tokens, size)`` for `dynloop.nn.rotate_half`, computed in float32.

    Public code multiplies float32 positions by float32 frequencies. These angles are constants of its model, so the
    float64 form of the map keeps them: only then is it the same function.
    """
    frequencies = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.float32) / size))
    angles = torch.outer(torch.arange(tokens, dtype=torch.float32), frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])


class WeightlessRMSNorm(nn.Module):
    """``x ← x / √(mean(x²) + eps)`` over the last axis, in the dtype of x."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(…, width)``."""
        return functional.rms_norm(x, x.shape[-1:], None, self.eps)


class TableAttention(nn.Module):
    """Multi-head attention whose queries and keys are turned by given tables.

    Parameters
    ----------
    width, heads, head_size : int
        Width of the state, number of query heads, width of one head.
    kv_heads : int, optional
        Number of key and value heads; `heads` if left out.
    causal : bool
        Whether token i attends to tokens ≤ i alone, where there is no `mask`.
    bias : bool
        Whether the four linear maps have a bias.
    tables : tensor, (2, tokens, head_size), optional
        Cosines and signed sines; no rotation if left out.
    mask : tensor of bool, (tokens, tokens), optional
        Which token (row) attends to which (column).
    """

    tables: torch.Tensor | None
    mask: torch.Tensor | None

    def __init__(
        self,
        width: int,
        heads: int,
        head_size: int,
        *,
        kv_heads: int | None = None,
        causal: bool = False,
        bias: bool = False,
        tables: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size, self.causal = heads, kv_heads or heads, head_size, causal
        self.register_buffer("tables", tables, persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        self.q = Linear(width, heads * head_size, bias=bias)
        self.k = Linear(width, self.kv_heads * head_size, bias=bias)
        self.v = Linear(width, self.kv_heads * head_size, bias=bias)
        self.o = Linear(heads * head_size, width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix tokens: ``(batch, tokens, width)`` to the same shape."""
        q, k, v = self.prepared(x)
        mixed = attended(
            self,
            x,
            q,
            k,
            v,
            attn_mask=self.mask,
            is_causal=self.causal and self.mask is None,
            enable_gqa=self.kv_heads != self.heads,
        )
        out: torch.Tensor = self.o(self.gated(x, mixed.transpose(-2, -3).flatten(-2)))
        return out

    def prepared(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values ``(batch, heads, tokens, head_size)`` of ``(batch, tokens, width)``."""
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        return self.turned(q), self.turned(k), v

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Turn queries or keys ``(batch, heads, tokens, head_size)`` by their positions."""
        return x if self.tables is None else rotate_half(x, self.tables)

    def gated(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - for subclasses
        """Return what enters the output map: `mixed` ``(batch, tokens, heads · head_size)``, as it is."""
        return mixed

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, tokens, heads · size)`` to ``(batch, heads, tokens, size)``."""
        return heads_apart(x, self.head_size)
