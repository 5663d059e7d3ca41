"""Sums and means along axes, running sums, and extremes."""

from __future__ import annotations

from typing import Any

import torch

from dynloop.maps.dual.numbers import Dual, NoRuleError, joined, rule
from dynloop.maps.dual.shapes import axis


def _axes(dim: Any, x: Dual) -> tuple[int, ...]:
    """Return the axes of a stack that are the axes `dim` of the tensor, all where none is named."""
    if isinstance(dim, int):
        return (axis(dim, x),)
    return tuple(axis(d, x) for d in dim) if dim else tuple(range(1, x.stack.ndim))


@rule("sum")
def total(x: Dual, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Dual:
    """Return the sum along axes."""
    axes = _axes(dim, x)
    return joined(x.stack.sum(axes, keepdim, dtype=dtype) if axes else x.stack.to(dtype or x.stack.dtype, copy=True))


@rule("mean")
def mean(x: Dual, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Dual:
    """Return the mean along axes."""
    axes = _axes(dim, x)
    return joined(x.stack.mean(axes, keepdim, dtype=dtype) if axes else x.stack.to(dtype or x.stack.dtype, copy=True))


@rule("var")
def variance(x: Dual, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, **named: Any) -> Dual:
    """Return the variance along axes."""
    correction = named.pop("correction", 1 if unbiased in (None, True) else 0)
    if not isinstance(dim, int | tuple | list) or isinstance(dim, bool) or named or x.stack.is_complex():
        raise NoRuleError("no rule for this form of the variance")
    X, axes = x.stack, _axes(dim, x)
    away = X - X.mean(axes, keepdim=True)
    count = X.numel() // max(away.sum(axes).numel(), 1)
    products = away * away[0]
    products[1:] *= 2
    return joined(products.sum(axes, keepdim) / (count - correction))


@rule("cumsum")
def cumsum(x: Dual, dim: int, *, dtype: torch.dtype | None = None) -> Dual:
    """Return the running sum along an axis."""
    return joined(torch.cumsum(x.stack, axis(dim, x), dtype=dtype))
