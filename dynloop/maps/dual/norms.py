"""Softmax and the norms of a transformer."""

from __future__ import annotations

from typing import Any

import torch

from dynloop.maps.dual.numbers import Dual, NoRuleError, joined, rule
from dynloop.maps.dual.shapes import axis


@rule("softmax")
def softmax(x: Dual, dim: int, *rest: Any, **named: Any) -> Dual:
    """Return the softmax along an axis."""
    X, along = _in_dtype(x, *rest, **named), axis(dim, x)
    out = torch.empty_like(X)
    out[0] = torch.softmax(X[0], dim)
    torch.mul(X[1:], out[0], out=out[1:])
    out[1:].addcmul_(out[1:].sum(along, keepdim=True), out[0], value=-1)
    return joined(out)


@rule("log_softmax")
def log_softmax(x: Dual, dim: int, *rest: Any, **named: Any) -> Dual:
    """Return the logarithm of the softmax along an axis."""
    X, along = _in_dtype(x, *rest, **named), axis(dim, x)
    value = torch.log_softmax(X[0], dim)
    mean = (X[1:] * value.exp()).sum(along, keepdim=True)
    return joined(torch.cat([value[None], X[1:] - mean]))


def _in_dtype(x: Dual, _stacklevel: Any = 3, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return the stack in the dtype asked for, which `torch.softmax` takes where `functional.softmax` has a number."""
    dtype = _stacklevel if isinstance(_stacklevel, torch.dtype) else dtype
    return x.stack if dtype is None else x.stack.to(dtype)


@rule("rms_norm")
def rms_norm(x: Dual, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Dual:
    """Return γ ⊙ x / √(mean(x²) + eps) over the last axes (Zhang and Sennrich, arXiv 1910.07467)."""
    if isinstance(weight, Dual):
        raise NoRuleError("no rule for weights that depend on the state")
    X, axes = x.stack, tuple(range(-len(normalized_shape), 0))
    eps = torch.finfo(X.dtype).eps if eps is None else eps
    value = X[0]
    out = X * torch.rsqrt((value * value).mean(axes, keepdim=True).add_(eps))
    value, tangents = out[0], out[1:]
    tangents.addcmul_((tangents * value).mean(axes, keepdim=True), value, value=-1)
    return joined(out if weight is None else out.mul_(weight))


@rule("layer_norm")
def layer_norm(
    x: Dual, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Dual:
    """Return γ ⊙ (x − mean x) / √(var x + eps) + β over the last axes (Ba, Kiros and Hinton, arXiv 1607.06450)."""
    if isinstance(weight, Dual) or isinstance(bias, Dual):
        raise NoRuleError("no rule for weights that depend on the state")
    X, axes = x.stack, tuple(range(-len(normalized_shape), 0))
    out = X - X.mean(axes, keepdim=True)
    out *= torch.rsqrt(out[0].square().mean(axes, keepdim=True) + eps)
    out[1:].addcmul_((out[1:] * out[0]).mean(axes, keepdim=True), out[0], value=-1)
    if weight is not None:
        out *= weight
    if bias is not None:
        out[0] += bias
    return joined(out)


@rule("normalize")
def normalize(x: Dual, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Dual:
    """Return x / max(‖x‖₂, eps) along an axis."""
    if p != 2 or x.stack.is_complex():
        raise NoRuleError("no rule for this norm")
    length = torch.linalg.vector_norm(x.stack[0], dim=dim, keepdim=True)
    along = axis(dim, x)
    found = x.stack / length.clamp_min(eps)
    inner = (found[1:] * found[0]).sum(along, keepdim=True) * (length > eps)
    found[1:].addcmul_(inner, found[0], value=-1)
    return joined(found)


@rule("dropout", "dropout1d", "dropout2d", "alpha_dropout")
def dropout(x: Dual, p: float = 0.5, training: bool = True, inplace: bool = False) -> Dual:  # noqa: ARG001 - the signature of torch's
    """Return x: a map draws nothing."""
    if training and p > 0:
        raise NoRuleError("a loop that draws random numbers is no map; call model.eval()")
    return x
