"""Transformer layers written once, pure in the dtype of the state.

Every module casts its weights to the dtype of the state it is given and casts nothing else. So a bfloat16 checkpoint
evaluated on float64 states is an exact float64 map, without a second copy of the model: that is what makes polishing a
fixed point and clean derivatives possible. States have shape ``(batch, tokens, width)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "MLP",
    "Attention",
    "LayerNorm",
    "Linear",
    "PostNorm",
    "PreNorm",
    "RMSNorm",
    "gelu_tanh",
    "rotary_tables",
    "rotate_half",
]

Activation = Callable[[torch.Tensor], torch.Tensor]


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """GELU in the tanh form of Hendrycks and Gimpel (2016, arXiv 1606.08415), as in GPT-2 and ALBERT."""
    return functional.gelu(x, approximate="tanh")


class Linear(nn.Module):
    """``x ← x Wᵀ + b`` in the dtype of x; `weight` ``(out, in)``, `bias` ``(out,)`` or None."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=dtype)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(…, in)`` to ``(…, out)``."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.weight.to(x.dtype), bias)


class RMSNorm(nn.Module):
    """``x ← γ ⊙ x / √(mean(x²) + eps)`` over the last axis; `weight` is γ ``(width,)``."""

    def __init__(self, width: int, *, eps: float = 1e-6, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width, dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(…, width)``."""
        return functional.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)


class LayerNorm(nn.Module):
    """``x ← γ ⊙ (x − mean x) / √(var x + eps) + β`` over the last axis, the variance being the biased one."""

    def __init__(self, width: int, *, eps: float = 1e-5, bias: bool = True, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(…, width)``."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.layer_norm(x, x.shape[-1:], self.weight.to(x.dtype), bias, self.eps)


@lru_cache(64)
def rotary_tables(tokens: int, size: int, *, base: float = 10000.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return the cosines and signed sines of rotary position embedding, ``(2, tokens, size)``.

    Entries i and i + size/2 of a head turn by one angle; the sine that belongs to entry i carries a minus.

    Parameters
    ----------
    tokens, size : int
        How many positions, and the width of one head (even).
    base : float
        θ of Su et al. (2021, arXiv 2104.09864); frequency i is ``base**(-2 i / size)``.
    dtype : torch.dtype
        Of the result; computed in float64.
    """
    frequencies = base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(torch.arange(tokens, dtype=torch.float64), frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)]).to(dtype)


def rotate_half(x: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Turn pairs (i, i + size/2) of the last axis of ``(batch, heads, tokens, size)`` by the angles of `tables`."""
    cos, sin = tables.to(x.dtype)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class Attention(nn.Module):
    """Multi-head attention with grouped keys and optional rotary positions.

    Parameters
    ----------
    width, heads : int
        Width of the state and number of query heads.
    kv_heads : int, optional
        Number of key and value heads; `heads` if left out.
    head_size : int, optional
        Width of one head; ``width // heads`` if left out.
    causal : bool
        Whether token i attends to tokens ≤ i alone.
    bias : bool
        Whether the four linear maps have a bias.
    rotary : bool
        Whether queries and keys are turned by `rotary_tables` (half layout).
    rotary_base : float
        θ of the rotary embedding.
    attend : tensor of bool, (tokens,), optional
        Which tokens may be attended to (not padding); all of them if left out.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        head_size: int | None = None,
        causal: bool = True,
        bias: bool = False,
        rotary: bool = False,
        rotary_base: float = 10000.0,
        attend: torch.Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.attend: torch.Tensor | None
        self.register_buffer("attend", attend, persistent=False)
        self.heads, self.kv_heads, self.head_size = heads, kv_heads or heads, head_size or width // heads
        self.causal, self.rotary, self.rotary_base = causal, rotary, rotary_base
        self.q = Linear(width, self.heads * self.head_size, bias=bias, dtype=dtype)
        self.k = Linear(width, self.kv_heads * self.head_size, bias=bias, dtype=dtype)
        self.v = Linear(width, self.kv_heads * self.head_size, bias=bias, dtype=dtype)
        self.o = Linear(self.heads * self.head_size, width, bias=bias, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix tokens: ``(batch, tokens, width)`` to the same shape."""
        q, k, v = (self._split(part(x)) for part in (self.q, self.k, self.v))
        if self.rotary:
            tables = rotary_tables(x.shape[-2], self.head_size, base=self.rotary_base, dtype=x.dtype).to(x.device)
            q, k = rotate_half(q, tables), rotate_half(k, tables)
        grouped = self.kv_heads != self.heads
        mask = self._mask(x.shape[-2])
        causal = self.causal and mask is None
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
        out: torch.Tensor = self.o(mixed.transpose(-2, -3).flatten(-2))
        return out

    def _mask(self, tokens: int) -> torch.Tensor | None:
        """Return who attends to whom ``(tokens, tokens)``, None where `is_causal` says it all."""
        if self.attend is None:
            return None
        mask = self.attend.expand(tokens, tokens)
        return mask.tril() if self.causal else mask

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, tokens, heads · size)`` to ``(batch, heads, tokens, size)``."""
        return x.reshape(*x.shape[:-1], -1, self.head_size).transpose(-2, -3)


class MLP(nn.Module):
    """``x ← W₂ act(W₁ x)``; `act` defaults to the exact GELU."""

    def __init__(
        self,
        width: int,
        inner: int,
        *,
        act: Activation = functional.gelu,
        bias: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.up = Linear(width, inner, bias=bias, dtype=dtype)
        self.down = Linear(inner, width, bias=bias, dtype=dtype)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(…, width)`` to the same shape."""
        out: torch.Tensor = self.down(self.act(self.up(x)))
        return out


class PreNorm(nn.Module):
    """One residual branch with its norm inside: ``x ← x + f(norm x)`` (GPT-2)."""

    def __init__(self, norm: nn.Module, f: nn.Module) -> None:
        super().__init__()
        self.norm, self.f = norm, f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        added: torch.Tensor = x + self.f(self.norm(x))
        return added


class PostNorm(nn.Module):
    """One residual branch with its norm on the stream: ``x ← norm(x + f x)`` (BERT, ALBERT)."""

    def __init__(self, norm: nn.Module, f: nn.Module) -> None:
        super().__init__()
        self.norm, self.f = norm, f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        normed: torch.Tensor = self.norm(x + self.f(x))
        return normed
