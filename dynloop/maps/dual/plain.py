"""Questions about the value alone: shapes, comparisons, new constants. Their answers carry no tangents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dynloop.maps.dual.numbers import PLAIN, RULES, Rule, names_of, value_of


def _on_itself(func: Any) -> Rule:
    """Ask the dual tensor itself, which has the shape and kind of its value."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    return call


def _on_first(func: Any) -> Rule:
    """Ask the value of the first argument; the others may not move."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return func(value_of(x), *args, **kwargs)

    return call


def _on_values(func: Any) -> Rule:
    """Ask the values of all arguments."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return func(*map(value_of, args), **{name: value_of(x) for name, x in kwargs.items()})

    return call


def plain(ask: Callable[[Any], Rule], *names: str) -> None:
    """Register functions and properties that speak of the value alone."""
    for name in names:
        for found in names_of(name):
            RULES[found] = ask(found)
            PLAIN.add(found)


plain(
    _on_itself, "shape", "dtype", "device", "ndim", "is_cuda", "is_cpu", "layout", "requires_grad", "is_leaf",
    "is_sparse", "is_quantized", "is_meta", "is_nested", "itemsize", "nbytes", "grad_fn", "_version", "names",
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "is_floating_point", "is_complex",
    "element_size", "get_device", "storage_offset", "__len__", "is_tensor", "__hash__", "is_inference",
)  # fmt: skip
plain(
    _on_first, "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
    "new_zeros", "new_ones", "new_full", "new_tensor", "new_empty",
)  # fmt: skip
plain(
    _on_values, "eq", "ne", "lt", "le", "gt", "ge", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
    "isnan", "isinf", "isfinite", "isclose", "allclose", "equal", "argmax", "argmin", "argsort",
    "logical_not", "logical_and", "logical_or", "sign", "floor", "ceil", "round", "trunc",
    "result_type", "__repr__", "__format__",
)  # fmt: skip
