"""Products with matrices, of which a linear layer is one."""

from __future__ import annotations

from typing import Any

import torch

from dynloop.maps.dual.arithmetic import pair
from dynloop.maps.dual.numbers import Dual, NoRuleError, aligned, joined, rule


@rule("linear")
def linear(x: Any, weight: Any, bias: Any = None) -> Dual:
    """Return x Wᵀ + b; value and tangents in one product."""
    if isinstance(weight, Dual) or isinstance(bias, Dual):
        raise NoRuleError("no rule for weights that depend on the state")
    stack = x.stack
    if stack.is_contiguous() and weight.ndim == 2:  # as one matrix: torch takes longer to find that out for itself
        flat = torch.nn.functional.linear(stack.view(-1, stack.shape[-1]), weight)
        out = flat.view(*stack.shape[:-1], weight.shape[0])
    else:
        out = torch.nn.functional.linear(stack, weight)
    if bias is not None:
        out[0] += bias
    return joined(out)


@rule("matmul", "__matmul__", "mm", "bmm")
def matmul(x: Any, y: Any) -> Dual:
    """Return the matrix product x y."""
    if not isinstance(y, Dual):
        if y.ndim < 2 or x.stack.ndim < 3:
            return _vectors(x, y)
        return joined(torch.matmul(aligned(x, y.ndim), y))
    if not isinstance(x, Dual):
        if x.ndim < 2 or y.stack.ndim < 3:
            return _vectors(x, y)
        return joined(torch.matmul(x, aligned(y, x.ndim)))
    if x.stack.ndim < 3 or y.stack.ndim < 3:
        return _vectors(x, y)
    X, Y = pair(x, y)
    out = torch.matmul(X, Y[0])
    out[1:] += torch.matmul(X[0], Y[1:])
    return joined(out)


@rule("__rmatmul__")
def rmatmul(x: Any, y: Any) -> Dual:
    """Return the matrix product y x."""
    return matmul(y, x)


def _vectors(x: Any, y: Any) -> Dual:
    """Return a product in which a vector stands, as torch.matmul does: as a row on the left, a column on the right."""
    rank = [z.stack.ndim - 1 if isinstance(z, Dual) else z.ndim for z in (x, y)]
    a = x[None, :] if rank[0] == 1 else x
    b = y[:, None] if rank[1] == 1 else y
    stack = matmul(a, b).stack
    stack = stack.squeeze(-2) if rank[0] == 1 else stack
    return joined(stack.squeeze(-1) if rank[1] == 1 else stack)


@rule("addmm")
def addmm(x: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """Return beta·x + alpha·(mat1 mat2)."""
    product = mat1 @ mat2
    return (x if beta == 1 else beta * x) + (product if alpha == 1 else alpha * product)
