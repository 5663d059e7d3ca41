"""The two ends of a loop that are no modules of the block: what is injected at its start, what closes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dynloop.adapters.captured.state_dtype import following
from dynloop.errors import InvalidArgumentError, ShapeError

__all__ = ["End", "takes_embedding"]


class End(nn.Module):
    """A callable as a layer, ``(batch, *state_shape)`` to the same, with e in the dtype of the state.

    Parameters
    ----------
    f : callable
        ``f(x)``, or ``f(x, e)`` if `e` is given.
    own : torch.dtype
        The dtype of the model.
    argument : str
        What messages call it.
    e : tensor, (1, *state_shape), optional
        What the prompt contributes.
    """

    def __init__(self, f: Callable[..., Any], own: torch.dtype, argument: str, e: torch.Tensor | None = None) -> None:
        super().__init__()
        self.f, self.own, self.argument, self.e = f, own, argument, e

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it to states ``(batch, *state_shape)``."""
        with following(x.dtype, self.own):
            out = self.f(x) if self.e is None else self.f(x, self.e.to(x.dtype).expand(x.shape))
        if not isinstance(out, torch.Tensor) or out.shape != x.shape:
            got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ShapeError(
                f"{self.argument} must return states of shape {tuple(x.shape)}, like its input; got {got}. It is "
                "called on (batch, *state_shape)"
            )
        return out


def takes_embedding(injection: Callable[..., Any]) -> bool:
    """Say whether an injection is called as ``f(x, e)``; ``f(x)`` otherwise."""
    target = injection.forward if isinstance(injection, nn.Module) else injection
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or not (required or many):
        raise InvalidArgumentError(
            f"injection must be called as injection(x, e), or injection(x); it takes {len(required)} arguments"
        )
    return many or len(required) == 2
