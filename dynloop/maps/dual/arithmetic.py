"""Sums, products, quotients and functions of one number at a time."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from dynloop.maps.dual.numbers import Dual, NoRuleError, aligned, joined, rule, value_of

Derivative = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_PROMOTED = "no rule for tensors of two dtypes, one of no axes: torch promotes them otherwise than their stacks"


def _rank(x: Any) -> int:
    if isinstance(x, Dual):
        return x.stack.ndim - 1
    if isinstance(x, torch.Tensor):
        return x.ndim
    if not isinstance(x, int | float | numbers.Number):
        raise NoRuleError(f"no rule for arithmetic with {type(x).__name__}")
    return 0


def pair(x: Dual, y: Dual) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the stacks of two dual tensors, aligned so that they broadcast as the tensors do."""
    if x.stack.dtype != y.stack.dtype and (x.stack.ndim == 1) != (y.stack.ndim == 1):
        raise NoRuleError(_PROMOTED)
    return aligned(x, _rank(y)), aligned(y, _rank(x))


def beside(x: Dual, y: Any) -> torch.Tensor:
    """Return the stack of x, aligned so that it broadcasts against a y without tangents as x does."""
    if x.stack.ndim == 1 and isinstance(y, torch.Tensor) and y.dtype != x.stack.dtype:
        raise NoRuleError(_PROMOTED)
    return aligned(x, _rank(y))


@rule("add", "__add__", "__radd__", in_place=True)
def add(x: Any, y: Any, *, alpha: float = 1) -> Dual:
    """Return x + alpha·y."""
    if isinstance(x, Dual) and isinstance(y, Dual):
        X, Y = pair(x, y)
        return joined(torch.add(X, Y, alpha=alpha))
    if isinstance(x, Dual):
        return _shifted(x, y, alpha)
    return _shifted(y if alpha == 1 else mul(y, alpha), x)


def _shifted(x: Dual, y: Any, alpha: float = 1) -> Dual:
    """Return x + alpha·y for a y without tangents."""
    X = aligned(x, _rank(y))
    value = x.stack[0] + y if alpha == 1 else torch.add(x.stack[0], y, alpha=alpha)
    if value.shape == X.shape[1:] and value.dtype == X.dtype:
        out = X.clone()
        out[0] = value
    else:
        out = torch.empty((X.shape[0], *value.shape), dtype=value.dtype, device=value.device)
        out[0], out[1:] = value, X[1:]
    return joined(out)


@rule("sub", "subtract", "__sub__", in_place=True)
def sub(x: Any, y: Any, *, alpha: float = 1) -> Dual:
    """Return x − alpha·y."""
    return add(x, y, alpha=-alpha) if isinstance(y, torch.Tensor) else add(x, -alpha * y)


@rule("rsub", "__rsub__")
def rsub(x: Any, y: Any, *, alpha: float = 1) -> Dual:
    """Return y − alpha·x."""
    return add(neg(x) if alpha == 1 else mul(x, -alpha), y)


@rule("neg", "negative", "__neg__", in_place=True)
def neg(x: Dual) -> Dual:
    """Return −x."""
    return joined(-x.stack)


@rule("mul", "multiply", "__mul__", "__rmul__", in_place=True)
def mul(x: Any, y: Any) -> Dual:
    """Return x·y, entry by entry."""
    if not isinstance(y, Dual):
        return joined(beside(x, y) * y)
    if not isinstance(x, Dual):
        return joined(beside(y, x) * x)
    X, Y = pair(x, y)
    out = X * Y[0]
    out[1:].addcmul_(Y[1:], X[0])
    return joined(out)


@rule("div", "divide", "true_divide", "__div__", "__truediv__", in_place=True)
def div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Dual:
    """Return x / y, entry by entry."""
    if rounding_mode is not None:
        raise NoRuleError("no derivative through a division that rounds")
    if not isinstance(y, Dual):
        return joined(beside(x, y) / y)
    if not isinstance(x, Dual):
        Y = beside(y, x)
        value = x / Y[0]
        out = Y * (-value / Y[0])
        out[0] = value
        return joined(out)
    X, Y = pair(x, y)
    out = X / Y[0]
    out[1:].addcmul_(Y[1:], out[0] / Y[0], value=-1)
    return joined(out)


@rule("__rdiv__", "__rtruediv__")
def rdiv(x: Dual, y: Any) -> Dual:
    """Return y / x."""
    return div(y, x)


@rule("pow", "__pow__", in_place=True)
def power(x: Any, exponent: Any) -> Dual:
    """Return x ** exponent; the exponent is a number."""
    if not isinstance(x, Dual) or not isinstance(exponent, int | float):
        raise NoRuleError("no rule for a power whose exponent is a tensor")
    if exponent == 2:
        return square(x)
    value = x.stack[0]
    return _chained(x, value**exponent, exponent * value ** (exponent - 1) if exponent else torch.zeros_like(value))


@rule("addcmul")
def addcmul(x: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Dual:
    """Return x + value·tensor1·tensor2."""
    if isinstance(x, Dual) and isinstance(tensor1, Dual) and not isinstance(tensor2, Dual):
        rank = max(_rank(x), _rank(tensor1), _rank(tensor2))
        return joined(torch.addcmul(aligned(x, rank), aligned(tensor1, rank), tensor2, value=value))
    return add(x, tensor1 * tensor2, alpha=value)


@rule("lerp")
def lerp(x: Any, end: Any, weight: Any) -> Any:
    """Return x + weight·(end − x)."""
    return x + (end - x) * weight


def _chained(x: Dual, value: torch.Tensor, slope: torch.Tensor) -> Dual:
    """Return the dual tensor of f(x), given f and f′ at the value of x."""
    out = x.stack * slope
    out[0] = value
    return joined(out)


@rule("square", in_place=True)
def square(x: Dual) -> Dual:
    """Return x²."""
    value = x.stack[0]
    return _chained(x, value * value, value + value)


@rule("reciprocal", in_place=True)
def reciprocal(x: Dual) -> Dual:
    """Return 1 / x."""
    value = x.stack[0].reciprocal()
    return _chained(x, value, -value * value)


@rule("relu")
def relu(x: Dual, inplace: bool = False) -> Dual:
    """Return max(x, 0); the slope at 0 is 0, as torch has it."""
    if inplace:
        raise NoRuleError("no rule for relu in place")
    return joined(x.stack.masked_fill(x.stack[0] <= 0, 0))


@rule("gelu")
def gelu(x: Dual, approximate: str = "none") -> Dual:
    """Return x·Φ(x), Φ the normal distribution or its tanh form (Hendrycks and Gimpel, arXiv 1606.08415)."""
    value = x.stack[0]
    ones = torch.ones((), dtype=value.dtype, device=value.device).expand_as(value)
    out = x.stack * torch.ops.aten.gelu_backward(ones, value, approximate=approximate)
    out[0] = functional.gelu(value, approximate=approximate)
    return joined(out)


@rule("silu")
def silu(x: Dual, inplace: bool = False) -> Dual:
    """Return x·σ(x)."""
    if inplace:
        raise NoRuleError("no rule for silu in place")
    value = x.stack[0]
    s = torch.sigmoid(value)
    y = value * s
    return _chained(x, y, s + y * (1 - s))


@rule("softplus")
def softplus(x: Dual, beta: float = 1.0, threshold: float = 20.0) -> Dual:
    """Return log(1 + exp(beta·x)) / beta."""
    value = x.stack[0]
    slope = torch.sigmoid(beta * value).masked_fill_(beta * value > threshold, 1)
    return _chained(x, functional.softplus(value, beta, threshold), slope)


def _unary(name: str, slope: Derivative) -> None:
    f = getattr(torch, name, None) or getattr(torch.special, name)

    @rule(name, in_place=True)
    def carried(x: Dual) -> Dual:
        value = x.stack[0]
        y = f(value)
        return _chained(x, y, slope(value, y))


_unary("exp", lambda _, y: y)
_unary("expm1", lambda _, y: y + 1)
_unary("log", lambda x, _: 1 / x)
_unary("log1p", lambda x, _: 1 / (1 + x))
_unary("sqrt", lambda _, y: 0.5 / y)
_unary("rsqrt", lambda x, y: -0.5 * y / x)
_unary("tanh", lambda _, y: 1 - y * y)
_unary("sigmoid", lambda _, y: y * (1 - y))
_unary("sin", lambda x, _: torch.cos(x))
_unary("cos", lambda x, _: -torch.sin(x))
_unary("abs", lambda x, _: torch.sign(x))
_unary("erf", lambda x, _: 2 / math.sqrt(math.pi) * torch.exp(-x * x))


@rule("copy_")
def copy(x: Any, y: Any, non_blocking: bool = False) -> Dual:  # noqa: ARG001 - torch's signature
    """Write a tensor into x."""
    if not isinstance(x, Dual):
        raise NoRuleError("no rule for writing into a tensor that was made without tangents")
    if isinstance(y, Dual):
        x.stack.copy_(aligned(y, _rank(x)))
    else:
        x.stack[0] = y
        x.stack[1:] = 0
    return x


@rule("where")
def where(condition: Any, x: Any, y: Any) -> Dual:
    """Return x where the condition holds, else y; as a method, ``x.where(condition, y)``."""
    if condition.dtype is not torch.bool:
        condition, x = x, condition
    dtype = torch.result_type(value_of(x), value_of(y))
    like = x if isinstance(x, Dual) else y
    parts = [z if isinstance(z, Dual) else constant(z, like) for z in (x, y)]
    rank = max(condition.ndim, *(_rank(z) for z in parts))
    X, Y = (aligned(z, rank).to(dtype) for z in parts)
    return joined(torch.where(condition, X, Y))


@rule("masked_fill", in_place=True)
def masked_fill(x: Any, mask: Any, value: Any) -> Dual:
    """Return x with `value` where the mask holds."""
    return joined(where(mask, value, x).stack.to(value_of(x).dtype))


@rule("clamp", "clip", in_place=True)
def clamp(x: Any, min: Any = None, max: Any = None) -> Dual:  # noqa: A002 - torch's names
    """Return x within bounds that are numbers."""
    if not isinstance(x, Dual) or isinstance(min, torch.Tensor) or isinstance(max, torch.Tensor):
        raise NoRuleError("no rule for a clamp whose bounds are tensors")
    value = x.stack[0]
    inside = torch.ones_like(value, dtype=torch.bool)
    inside = inside if min is None else inside & (value >= min)
    inside = inside if max is None else inside & (value <= max)
    out = x.stack * inside
    out[0] = value.clamp(min, max)
    return joined(out)


def constant(x: Any, like: Dual) -> Dual:
    """Return a number or tensor as a dual tensor with as many tangents as `like` has, all zero."""
    value = torch.as_tensor(
        x, dtype=None if isinstance(x, torch.Tensor) else like.stack.dtype, device=like.stack.device
    )
    stack = value.new_zeros((len(like.stack), *value.shape))
    stack[0] = value
    return joined(stack)
