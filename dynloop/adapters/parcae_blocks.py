"""The layers of a Parcae: attention that mixes in embeddings of the ids, injection of the prompt, read-out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from dynloop.adapters.parcae_config import GATE_CHANNELS, BlockSizes, Options
from dynloop.adapters.rotary_blocks import TableAttention
from dynloop.nn import MLP, Activation, GatedMLP, LayerNorm, Linear, PreNorm, RMSNorm, rotate_neighbours

__all__ = ["Decay", "Injection", "OffsetRMSNorm", "ReadOut", "ValueAttention", "branch_modules", "make_norm", "pairs"]


def pairs(table: torch.Tensor, tokens: int) -> torch.Tensor:
    """Turn a stored table ``(1, rows, 1, size / 2, 2)`` of cosines and sines into ``(2, tokens, size)``.

    Entries 2i and 2i + 1 of a head turn by one angle; the sine of the first carries a minus.
    """
    cos, sin = table[0, :tokens, 0].unbind(-1)
    return torch.stack([torch.stack([cos, cos], -1).flatten(-2), torch.stack([-sin, sin], -1).flatten(-2)])


def half_squared_relu(x: torch.Tensor) -> torch.Tensor:
    """``x ← relu(x)² / 2``, which Parcae calls ReLU2."""
    return functional.relu(x).square() / 2


class OffsetRMSNorm(RMSNorm):
    """``x ← (1 + γ) ⊙ x / √(mean(x²) + eps)``, for models that have Gemma in their name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(…, width)``."""
        return functional.rms_norm(x, x.shape[-1:], 1 + self.weight.to(x.dtype), self.eps)


class ValueAttention(TableAttention):
    """Causal attention whose values are ``v + 2 σ(W_g x) ⊙ values``, `values` being embeddings of the ids.

    Parameters
    ----------
    options : Options
        Of the model: biases, clipping, norms of queries and keys.
    sizes : BlockSizes
        Of this part of the model.
    tables : tensor, (2, tokens, head_size), or None
        As `pairs` gives them.
    values : tensor, (tokens, kv_heads · head_size), or None
        Rows of a value embedding; kept in their stored dtype.
    """

    values: torch.Tensor | None

    def __init__(
        self, options: Options, sizes: BlockSizes, tables: torch.Tensor | None, values: torch.Tensor | None
    ) -> None:
        super().__init__(
            sizes.width,
            sizes.heads,
            sizes.head_size,
            kv_heads=sizes.kv_heads,
            causal=True,
            bias=options.bias,
            tables=tables,
        )
        self.clip, self.normed = options.clip, options.qk_norm
        self.register_buffer("values", values, persistent=False)
        self.gate = None if values is None else Linear(GATE_CHANNELS, sizes.kv_heads)
        shape = (2, 1, sizes.heads, sizes.head_size)
        self.qk_bias = nn.Parameter(torch.zeros(shape)) if options.qk_bias else None

    def prepared(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values ``(batch, heads, tokens, head_size)`` of ``(batch, tokens, width)``."""
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        if self.gate is not None and self.values is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :GATE_CHANNELS]))
            v = v + gate.transpose(-1, -2)[..., None] * self.split(self.values.to(x.dtype))
        if self.clip is not None:
            q, k, v = (part.clamp(-self.clip, self.clip) for part in (q, k, v))
        if self.qk_bias is not None:
            for_q, for_k = self.qk_bias.to(x.dtype).transpose(1, 2)
            q, k = q + for_q, k + for_k
        q, k = self.turned(q), self.turned(k)
        if self.normed:  # eps is that of the dtype of the state, as upstream
            q, k = (functional.rms_norm(part, part.shape[-1:]) for part in (q, k))
        return q, k, v

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Turn pairs (2i, 2i + 1) of the last axis by their positions."""
        return x if self.tables is None else rotate_neighbours(x, self.tables)


class Decay(nn.Module):
    """``x ← exp(−softplus(dt_bias) · exp(A_log)) ⊙ x``: what the diagonal injection keeps of the state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.A_log = nn.Parameter(torch.zeros(width))
        self.dt_bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, tokens, width)`` to the same shape."""
        return x * torch.exp(-functional.softplus(self.dt_bias.to(x.dtype)) * torch.exp(self.A_log.to(x.dtype)))


class Injection(nn.Module):
    """The prompt enters: ``x ← kept(x) + added``.

    Parameters
    ----------
    kept : module or None
        What is kept of the state; all of it if None.
    added : mapping of dtype to tensor, (tokens, width)
        What the prompt adds, by the dtype of the state: the prelude has an epsilon that depends on it. A dtype that is
        not there takes that of float64.
    """

    def __init__(self, kept: nn.Module | None, added: Mapping[torch.dtype, torch.Tensor]) -> None:
        super().__init__()
        self.kept = kept
        self._names = {dtype: f"added_{str(dtype).removeprefix('torch.')}" for dtype in added}
        for dtype, name in self._names.items():
            self.register_buffer(name, added[dtype])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Inject into ``(batch, tokens, width)``."""
        added: torch.Tensor = getattr(self, self._names.get(x.dtype, self._names[torch.float64]))
        return (x if self.kept is None else self.kept(x)) + added.to(x.dtype)


class ReadOut(nn.Module):
    """The logits: ``(batch, tokens, width)`` to ``(batch, tokens, vocabulary)`` by map C, coda, norm and head."""

    def __init__(self, project: nn.Module, coda: list[nn.Module], head: nn.Module, options: Options) -> None:
        super().__init__()
        self.project, self.coda, self.head = project, nn.Sequential(*coda), head
        self.scale, self.cap = options.scales.logits, options.softcap

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, tokens, width)``."""
        logits: torch.Tensor = self.head(self.coda(self.project(x))) * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def make_norm(options: Options, width: int) -> nn.Module:
    """Return a norm with weights to be filled in."""
    if options.norm == "LayerNorm":
        return LayerNorm(width, eps=options.eps)
    return (OffsetRMSNorm if options.norm == "OffsetRMSNorm" else RMSNorm)(width, eps=options.eps)


def branch_modules(
    options: Options, sizes: BlockSizes, tables: torch.Tensor | None, values: torch.Tensor | None
) -> tuple[nn.Module, nn.Module]:
    """Return attention and MLP of one block, pre-norm, with weights to be filled in."""
    act: Activation = half_squared_relu if options.act == "ReLU2" else getattr(torch.nn, options.act)()
    kind = GatedMLP if options.mlp == "GatedMLP" else MLP
    mlp = kind(sizes.width, sizes.inner, act=act, bias=options.bias)
    attention = ValueAttention(options, sizes, tables, values)
    return PreNorm(make_norm(options, sizes.width), attention), PreNorm(make_norm(options, sizes.width), mlp)
