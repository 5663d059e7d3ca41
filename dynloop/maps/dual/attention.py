"""Scaled dot-product attention, whole or within each token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch

from dynloop.maps.dual.numbers import Dual, NoRuleError, joined, rule

__all__ = ["within_tokens"]

_OWN: ContextVar[int] = ContextVar("own tokens", default=0)


@contextmanager
def within_tokens(tokens: int) -> Iterator[None]:
    """Let attention over `tokens` tokens carry a tangent through a token's own key and value only.

    The other tokens' keys and values then enter as constants, so that one tangent pushed at every token at once comes
    out as every diagonal block ∂F_i/∂x_i applied to its token's tangent.
    """
    before = _OWN.set(tokens)
    try:
        yield
    finally:
        _OWN.reset(before)


@rule("scaled_dot_product_attention")
def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Dual:
    """Return softmax(q kᵀ·scale + mask) v (Vaswani et al., arXiv 1706.03762)."""
    if isinstance(attn_mask, Dual) or dropout_p:
        raise NoRuleError("no rule for a mask that depends on the state, nor for dropout in attention")
    (q, dq), (k, dk), (v, dv) = _parts(query), _parts(key), _parts(value)
    if enable_gqa and q.shape[-3] != k.shape[-3]:
        groups = q.shape[-3] // k.shape[-3]
        k, v = k.repeat_interleave(groups, -3), v.repeat_interleave(groups, -3)
        dk, dv = (None if d is None else d.repeat_interleave(groups, -3) for d in (dk, dv))
    if not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        raise NoRuleError("no rule for attention that broadcasts")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    q = q * scale
    scores = q @ k.mT
    if is_causal:
        scores.masked_fill_(_unseen(scores.shape[-2], scores.shape[-1], scores.device), -math.inf)
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if masked else scores + attn_mask
    weights = scores.softmax(-1)
    if attn_mask is not None:  # who may attend to nobody reads zeros, as torch has it
        weights = weights.masked_fill((scores == -math.inf).all(-1, keepdim=True), 0)
        if weights.shape[:-2] != q.shape[:-2]:
            raise NoRuleError("no rule for a mask that broadcasts the attention")
    own = _OWN.get() == q.shape[-2] == k.shape[-2]
    moved = _moved(q, k, dq, dk, scale, own=own)
    k_plus_one = next(x.stack.shape[0] for x in (query, key, value) if isinstance(x, Dual))
    out = v.new_empty((k_plus_one, *weights.shape[:-1], v.shape[-1]))
    torch.matmul(weights, v, out=out[0])
    if moved is None:
        out[1:] = 0
    else:
        moved = moved.mul_(weights)
        moved.addcmul_(moved.sum(-1, keepdim=True), weights, value=-1)
        torch.matmul(moved, v, out=out[1:])
    if dv is not None:
        if own:
            out[1:].addcmul_(weights.diagonal(dim1=-2, dim2=-1)[..., None], dv)
        else:
            out[1:] += weights @ dv
    return joined(out)


@lru_cache(64)
def _unseen(queries: int, keys: int, device: torch.device) -> torch.Tensor:
    """Return which keys a causal mask hides from which queries, ``(queries, keys)``."""
    return torch.ones((queries, keys), dtype=torch.bool, device=device).triu(1)


def _parts(x: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return value and tangents, None where there are none."""
    return (x.stack[0], x.stack[1:]) if isinstance(x, Dual) else (x, None)


def _moved(
    q: torch.Tensor, k: torch.Tensor, dq: torch.Tensor | None, dk: torch.Tensor | None, scale: float, *, own: bool
) -> torch.Tensor | None:
    """Return the tangents of the scores q kᵀ; `q` is scaled already."""
    found = None if dq is None else (dq * scale) @ k.mT
    if dk is None:
        return found
    if own:
        diagonal = (q * dk).sum(-1)
        if found is None:
            return torch.diag_embed(diagonal)
        found.diagonal(dim1=-2, dim2=-1).add_(diagonal)
        return found
    return q @ dk.mT if found is None else found.add_(q @ dk.mT)
