"""The two ends of a loop that are no modules of the block: what is injected at its start, what closes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dynloop.adapters.captured.names import named_module
from dynloop.adapters.captured.nearby import nearby
from dynloop.adapters.captured.recording import Call, Forward, record
from dynloop.adapters.captured.rounds import gap, tolerance
from dynloop.adapters.captured.state_dtype import following
from dynloop.adapters.captured.trees import state_in
from dynloop.errors import InvalidArgumentError, NotAutonomousError, ShapeError

__all__ = ["End", "Parts", "check_ends", "ends_of", "takes_embedding"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Parts:
    """What a user says about a loop.

    Attributes
    ----------
    block : tuple of str
        Its modules by dotted name, in the order of one loop.
    injection, closing_norm : callable, str or None
        See `dynloop.capture_block`; a str is the name of a module.
    embedding : str, array or None
        What e is.
    batch_axis : int
        Of the state of the modules.
    """

    block: tuple[str, ...]
    injection: Callable[..., Any] | str | None
    closing_norm: Callable[..., Any] | str | None
    embedding: Any
    batch_axis: int


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


def ends_of(
    model: nn.Module, parts: Parts, forward: Forward, where: str, first: Call, *, closes: bool
) -> dict[str, Any]:
    """Return what is injected and what closes a loop, and e."""
    own = first.state.dtype
    state = first.state.movedim(parts.batch_axis, 0)
    e = _embedding(model, parts, forward, where, state)
    injection, closing = parts.injection, parts.closing_norm
    found: dict[str, Any] = {"e": e, "injection": None, "closing": None}
    if injection is not None:
        f: Any = _add if injection == "add" else injection
        f = named_module(model, f, "injection", where) if isinstance(f, str) else f
        found["injection"] = End(f, own, "injection", e if takes_embedding(f) else None)
    if closing is not None and not closes:
        f = model.get_submodule(closing) if isinstance(closing, str) else closing
        found["closing"] = End(f, own, "closing_norm")
    return found


def _add(x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
    return x + e


def _embedding(model: nn.Module, parts: Parts, forward: Forward, where: str, state: torch.Tensor) -> torch.Tensor:
    """Return e ``(1, *state_shape)``: the state that entered, what a module put out, or what was given."""
    given = parts.embedding
    if given is None:
        return state
    if isinstance(given, str):
        module, outputs = named_module(model, given, "embedding", where), []
        hook = module.register_forward_hook(lambda _, __, result: outputs.append(state_in(result)))
        try:
            record(model, [], forward, where)
        finally:
            hook.remove()
        if not outputs or outputs[0] is None:
            raise InvalidArgumentError(f"embedding names {given!r}, which puts out no floating tensor in {where}")
        e = outputs[0].detach().clone()
        e = e.movedim(parts.batch_axis, 0) if e.ndim == state.ndim else e[None]
    else:
        e = torch.as_tensor(given, dtype=state.dtype, device=state.device).detach()[None]
    if tuple(e.shape) != tuple(state.shape):
        raise ShapeError(
            f"embedding has shape {tuple(e.shape[1:])}, and the state of {where} {tuple(state.shape[1:])}; give one of "
            "the shape of the state"
        )
    return e


def check_ends(ends: Sequence[End | None], state: torch.Tensor, where: str) -> None:
    """Raise unless injection and closing norm are functions of each state by itself."""
    x = nearby(state, 2, 3)
    for end in ends:
        if end is None:
            continue
        together, again = end(x), end(x)
        alone = torch.cat([end(x[i : i + 1]) for i in range(len(x))])
        if not gap(together, again) == 0:
            raise NotAutonomousError(
                f"{where}: {end.argument} gives different outputs at one state; make it a function"
            )
        if not gap(together, alone) <= tolerance(x.dtype, other_order=True):
            raise NotAutonomousError(
                f"{where}: {end.argument} mixes the states of a batch; let it act on every row of (batch, "
                "*state_shape) by itself"
            )
