"""Transformer layers written once, pure in the dtype of the state.

Every module casts its weights to the dtype of the state it is given and casts nothing else. So a bfloat16 checkpoint
evaluated on float64 states is an exact float64 map, without a second copy of the model: that is what makes polishing a
fixed point and clean derivatives possible. States have shape ``(batch, tokens, width)``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "MLP",
    "Attention",
    "GatedMLP",
    "LayerNorm",
    "Linear",
    "NormedBranch",
    "PostNorm",
    "PreNorm",
    "RMSNorm",
    "gelu_tanh",
    "rotary_tables",
    "rotate_half",
    "rotate_neighbours",
]

Activation = Callable[[torch.Tensor], torch.Tensor]
# who looks at attention in this thread: called with the module, its input, and a call of scaled_dot_product_attention
onlooker: ContextVar[Callable[[nn.Module, torch.Tensor, tuple[Any, ...], dict[str, Any]], None] | None]
onlooker = ContextVar("onlooker", default=None)


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """GELU in the tanh form of Hendrycks and Gimpel (2016, arXiv 1606.08415), as in GPT-2 and ALBERT.

    Parameters
    ----------
    x : tensor
        Of any shape.

    Returns
    -------
    tensor
        Of the shape and dtype of x.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import gelu_tanh
    >>> [round(float(y), 4) for y in gelu_tanh(torch.tensor([-1.0, 0.0, 1.0]))]
    [-0.1588, 0.0, 0.8412]
    """
    return functional.gelu(x, approximate="tanh")


def attended(
    module: nn.Module,
    x: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    attn_mask: torch.Tensor | None,
    is_causal: bool,
    enable_gqa: bool,
) -> torch.Tensor:
    """Return `scaled_dot_product_attention` of a module with input x; tell the onlooker first."""
    tell = onlooker.get()
    if tell is not None:
        tell(module, x, (q, k, v), {"attn_mask": attn_mask, "is_causal": is_causal, "enable_gqa": enable_gqa})
    mixed: torch.Tensor = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=attn_mask, is_causal=is_causal, enable_gqa=enable_gqa
    )
    return mixed


class Linear(nn.Module):
    """A linear map ``x ← x Wᵀ + b`` in the dtype of x; `weight` ``(out, in)``, `bias` ``(out,)`` or None, both zero.

    Parameters
    ----------
    inputs, outputs : int
        Width of what comes in, and of what goes out.
    bias : bool
        Whether there is a b.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import Linear
    >>> f = Linear(8, 3, dtype=torch.bfloat16)
    >>> f(torch.ones(2, 8, dtype=torch.float64)).shape, f(torch.ones(8, dtype=torch.float64)).dtype
    (torch.Size([2, 3]), torch.float64)
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=dtype)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(…, in)`` to ``(…, out)``."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.weight.to(x.dtype), bias)


class _Norm(nn.Module):
    """What a norm of the last axis holds: γ = 1 and, if it has one, β = 0."""

    def __init__(self, width: int, eps: float, bias: bool, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype)) if bias else None


class RMSNorm(_Norm):
    """The norm ``x ← γ ⊙ x / √(mean(x²) + eps) + β`` over the last axis; `weight` is γ ``(width,)``, `bias` β or None.

    Parameters
    ----------
    width : int
        Width of the last axis.
    eps : float
        Added to the mean square.
    bias : bool
        Whether there is a β.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import RMSNorm
    >>> RMSNorm(2, eps=0.0)(torch.tensor([[3.0, -3.0], [0.1, 0.1]])).tolist()
    [[1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, width: int, *, eps: float = 1e-6, bias: bool = False, dtype: torch.dtype | None = None) -> None:
        super().__init__(width, eps, bias, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``(…, width)``."""
        normed = functional.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)
        return normed if self.bias is None else normed + self.bias.to(x.dtype)


class LayerNorm(_Norm):
    """The norm ``x ← γ ⊙ (x − mean x) / √(var x + eps) + β`` over the last axis, the variance being the biased one.

    Parameters
    ----------
    width : int
        Width of the last axis.
    eps : float
        Added to the variance.
    bias : bool
        Whether there is a β; `weight` is γ ``(width,)``, `bias` β or None.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import LayerNorm
    >>> LayerNorm(2, eps=0.0)(torch.tensor([[3.0, 1.0], [-0.5, 0.5]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """

    def __init__(self, width: int, *, eps: float = 1e-5, bias: bool = True, dtype: torch.dtype | None = None) -> None:
        super().__init__(width, eps, bias, dtype)

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

    Returns
    -------
    tensor, (2, tokens, size)
        Shared by all calls with the same arguments: it must not be changed.

    Examples
    --------
    >>> from dynloop.nn import rotary_tables
    >>> cos, sin = rotary_tables(3, 4)
    >>> cos[0].tolist(), bool((sin[:, :2] == -sin[:, 2:]).all())
    ([1.0, 1.0, 1.0, 1.0], True)
    """
    frequencies = base ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(torch.arange(tokens, dtype=torch.float64), frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)]).to(dtype)


def rotate_half(x: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Turn pairs (i, i + size/2) of the last axis by the angles of `tables`.

    Parameters
    ----------
    x : tensor, (batch, heads, tokens, size)
        Queries or keys.
    tables : tensor, (2, tokens, size)
        Cosines and signed sines, as of `rotary_tables`.

    Returns
    -------
    tensor, (batch, heads, tokens, size)
        In the dtype of x.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import rotary_tables, rotate_half
    >>> x = torch.ones(1, 1, 3, 4, dtype=torch.float64)
    >>> y = rotate_half(x, rotary_tables(3, 4))
    >>> bool(torch.equal(y[:, :, 0], x[:, :, 0])), bool(torch.allclose(y.norm(dim=-1), x.norm(dim=-1)))
    (True, True)
    """
    cos, sin = tables.to(x.dtype)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def rotate_neighbours(x: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Turn pairs (2i, 2i + 1) of the last axis by the angles of `tables`.

    Parameters
    ----------
    x : tensor, (batch, heads, tokens, size)
        Queries or keys.
    tables : tensor, (2, tokens, size)
        In the same layout: the cosine of an angle stands at both entries of its pair, the sine with a minus at the
        first.

    Returns
    -------
    tensor, (batch, heads, tokens, size)
        In the dtype of x.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import rotate_neighbours
    >>> quarter = torch.tensor([[[0.0, 0.0]], [[-1.0, 1.0]]])
    >>> rotate_neighbours(torch.tensor([[[[1.0, 0.0]]]]), quarter).tolist()
    [[[[0.0, 1.0]]]]
    """
    cos, sin = tables.to(x.dtype)
    return torch.addcmul(x * cos, x.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2), sin)


def heads_apart(x: torch.Tensor, size: int) -> torch.Tensor:
    """``(batch, tokens, heads · size)`` to ``(batch, heads, tokens, size)``."""
    return x.reshape(*x.shape[:-1], -1, size).transpose(-2, -3)


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
    bias : bool or "qk"
        Whether the four linear maps have a bias; "qk": queries and keys alone have, added behind their norms if there
        are any.
    rotary : bool
        Whether queries and keys are turned by `rotary_tables` (half layout).
    rotary_base : float
        θ of the rotary embedding.
    attend : tensor of bool, (tokens,), optional
        Which tokens may be attended to (not padding); all of them if left out. A query with nothing to attend to
        attends to itself.
    tables : tensor, (2, tokens, size), optional
        Rotary tables to be used in place of `rotary_tables`, for at least as many tokens as the states have.
    neighbours : bool
        Whether `tables` turn pairs (2i, 2i + 1) (`rotate_neighbours`) in place of halves.
    qk_eps : float, optional
        Epsilon of an `RMSNorm` on all queries of a token together and one on all its keys, before the rotation; no
        such norms if left out.
    window : int, optional
        How many tokens a query reaches back, itself included; all of them if left out. Causal attention only.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import Attention
    >>> f = Attention(8, heads=2, kv_heads=1, rotary=True)
    >>> f(torch.ones(3, 5, 8, dtype=torch.float64)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        head_size: int | None = None,
        causal: bool = True,
        bias: bool | Literal["qk"] = False,
        rotary: bool = False,
        rotary_base: float = 10000.0,
        attend: torch.Tensor | None = None,
        tables: torch.Tensor | None = None,
        neighbours: bool = False,
        qk_eps: float | None = None,
        window: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.attend: torch.Tensor | None
        self.tables: torch.Tensor | None
        self.register_buffer("attend", attend, persistent=False)
        self.register_buffer("tables", tables, persistent=False)
        self.heads, self.kv_heads, self.head_size = heads, kv_heads or heads, head_size or width // heads
        self.causal, self.rotary, self.rotary_base = causal, rotary, rotary_base
        self.neighbours, self.window = neighbours, window
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        behind = bias == "qk" and qk_eps is not None
        self.q = Linear(width, queries, bias=bool(bias) and not behind, dtype=dtype)
        self.k = Linear(width, keys, bias=bool(bias) and not behind, dtype=dtype)
        self.v = Linear(width, keys, bias=bias is True, dtype=dtype)
        self.o = Linear(queries, width, bias=bias is True, dtype=dtype)
        self.q_norm = None if qk_eps is None else RMSNorm(queries, eps=qk_eps, bias=behind, dtype=dtype)
        self.k_norm = None if qk_eps is None else RMSNorm(keys, eps=qk_eps, bias=behind, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix tokens: ``(batch, tokens, width)`` to the same shape."""
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (self._split(part) for part in (q, k, v))
        if self.tables is not None:
            turn, tables = rotate_neighbours if self.neighbours else rotate_half, self.tables[:, : x.shape[-2]]
            q, k = turn(q, tables), turn(k, tables)
        elif self.rotary:
            tables = rotary_tables(x.shape[-2], self.head_size, base=self.rotary_base, dtype=x.dtype).to(x.device)
            q, k = rotate_half(q, tables), rotate_half(k, tables)
        grouped = self.kv_heads != self.heads
        mask = self._mask(x)
        causal = self.causal and mask is None
        mixed = attended(self, x, q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
        out: torch.Tensor = self.o(mixed.transpose(-2, -3).flatten(-2))
        return out

    def _mask(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return who attends to whom ``(tokens, tokens)``, None where `is_causal` says it all."""
        tokens = x.shape[-2]
        near = self.window is not None and self.window < tokens
        if self.attend is None and not near:
            return None
        attend = torch.ones(tokens, dtype=torch.bool, device=x.device) if self.attend is None else self.attend
        mask = attend.expand(tokens, tokens)
        if self.causal:
            mask = mask.tril() if self.window is None else mask.tril().triu(1 - self.window)
        return mask | (torch.eye(tokens, dtype=torch.bool, device=x.device) & ~mask.any(-1, keepdim=True))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, tokens, heads · size)`` to ``(batch, heads, tokens, size)``."""
        return heads_apart(x, self.head_size)


class MLP(nn.Module):
    """Two linear maps with an activation between them, ``x ← W₂ act(W₁ x)``.

    Parameters
    ----------
    width, inner : int
        Width of the state, and between the two maps.
    act : callable
        Entry by entry; the exact GELU if left out.
    bias : bool
        Whether the two maps have a bias.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import MLP
    >>> MLP(8, 32)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

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


class GatedMLP(nn.Module):
    """A gated MLP ``x ← W₂ (act(W_g x) ⊙ W₁ x)``.

    Parameters
    ----------
    width, inner : int
        Width of the state, and between the maps.
    act : callable
        Entry by entry; SiLU if left out, which makes it SwiGLU (Shazeer 2020, arXiv 2002.05202).
    bias : bool
        Whether the three maps have a bias.
    dtype : torch.dtype, optional
        Of the weights; torch's default if left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import GatedMLP
    >>> GatedMLP(8, 24)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self, width: int, inner: int, *, act: Activation = functional.silu, bias: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.gate = Linear(width, inner, bias=bias, dtype=dtype)
        self.up = Linear(width, inner, bias=bias, dtype=dtype)
        self.down = Linear(inner, width, bias=bias, dtype=dtype)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(…, width)`` to the same shape."""
        out: torch.Tensor = self.down(self.act(self.gate(x)) * self.up(x))
        return out


class NormedBranch(nn.Module):
    """One residual branch with norms at any of three places: ``x ← stream(x + after(f(before x)))``.

    Llama has `before` alone, OLMo-2 `after` alone, Ouro `before` and `after`, Huginn `before` and `stream`.

    Parameters
    ----------
    f : Module
        The branch, of ``(batch, tokens, width)`` to the same shape.
    before, after, stream : Module, optional
        Norms; none at a place that is left out.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import MLP, NormedBranch, RMSNorm
    >>> f = NormedBranch(MLP(8, 32), before=RMSNorm(8), after=RMSNorm(8))
    >>> f(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        f: nn.Module,
        *,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
        stream: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.f, self.before, self.after, self.stream = f, before, after, stream

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        y = self.f(x if self.before is None else self.before(x))
        x = x + (y if self.after is None else self.after(y))
        return x if self.stream is None else self.stream(x)


class PreNorm(nn.Module):
    """One residual branch with its norm inside: ``x ← x + f(norm x)`` (GPT-2).

    Parameters
    ----------
    norm, f : Module
        Of ``(batch, tokens, width)`` to the same shape.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import MLP, LayerNorm, PreNorm
    >>> x = torch.ones(3, 5, 8)
    >>> bool(torch.equal(PreNorm(LayerNorm(8), MLP(8, 32))(x), x))  # weights are zero until they are set
    True
    """

    def __init__(self, norm: nn.Module, f: nn.Module) -> None:
        super().__init__()
        self.norm, self.f = norm, f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        added: torch.Tensor = x + self.f(self.norm(x))
        return added


class PostNorm(nn.Module):
    """One residual branch with its norm on the stream: ``x ← norm(x + f x)`` (BERT, ALBERT).

    Parameters
    ----------
    norm, f : Module
        Of ``(batch, tokens, width)`` to the same shape.

    Examples
    --------
    >>> import torch
    >>> from dynloop.nn import MLP, LayerNorm, PostNorm
    >>> norm, x = LayerNorm(8), torch.ones(3, 5, 8)
    >>> bool(torch.equal(PostNorm(norm, MLP(8, 32))(x), norm(x)))  # weights are zero until they are set
    True
    """

    def __init__(self, norm: nn.Module, f: nn.Module) -> None:
        super().__init__()
        self.norm, self.f = norm, f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        normed: torch.Tensor = self.norm(x + self.f(x))
        return normed
