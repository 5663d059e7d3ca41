"""Push k tangents through a function in one forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dynloop.maps.dual import arithmetic, attention, norms, plain, products, shapes, sums
from dynloop.maps.dual.numbers import Dual, NoRuleError, joined

__all__ = ["push_stack"]

_RULE_FILES = (arithmetic, attention, norms, plain, products, shapes, sums)  # imported for the rules they register


def push_stack(f: Callable[[torch.Tensor], torch.Tensor], stack: torch.Tensor) -> torch.Tensor:
    """Return f(x) and Df(x)·v for k vectors v at once.

    Parameters
    ----------
    f : callable
        Takes and returns a tensor ``(batch, *state_shape)``.
    stack : Tensor, (1 + k, batch, *state_shape)
        x, then the k vectors. It may be overwritten.

    Returns
    -------
    Tensor, (1 + k, batch, *state_shape)
        f(x), then the k products.

    Raises
    ------
    NoRuleError
        If f does something that a dual tensor cannot be carried through.
    """
    with torch.no_grad():
        out = f(joined(stack))
    if not isinstance(out, Dual):
        raise NoRuleError("the tangents were lost on the way: .data, .numpy() or a tensor made anew")
    return out.stack.detach()
