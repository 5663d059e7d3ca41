"""The recorded calls cut into loops, and whether every loop is the same map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from dynloop.adapters.captured.recording import Call, Recording
from dynloop.adapters.captured.trees import first_difference, leaves
from dynloop.errors import InvalidArgumentError, NotAutonomousError

__all__ = ["check_arguments", "check_chain", "check_state", "gap", "rounds_of", "tolerance"]


def tolerance(dtype: torch.dtype, *, other_order: bool = False) -> float:
    """Return the relative gap that rounding explains, on devices that add in any order too.

    Parameters
    ----------
    dtype : torch.dtype
        Of the states.
    other_order : bool
        Whether the same sums are formed in another order (another batch, a step written otherwise).
    """
    few = dtype in (torch.bfloat16, torch.float16)  # a gap of many roundoffs would be no gap of rounding there
    steps = (4, 8) if few else (128, 1024)
    return steps[other_order] * torch.finfo(dtype).eps


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return max |a − b| / max |b|; nan where a number is not finite."""
    scale = b.double().abs().max().item()
    return (a.double() - b.double()).abs().max().item() / (scale if scale > 0 else 1.0)


def rounds_of(recording: Recording, order: Sequence[int], names: Sequence[str], where: str) -> list[list[Call]]:
    """Cut the calls into loops.

    Parameters
    ----------
    recording : Recording
        A forward pass.
    order : sequence of int
        The modules of one loop, as they were named.
    names : sequence of str
        What messages call the modules.

    Raises
    ------
    InvalidArgumentError
        If the modules were not called in that order, once or loop after loop.
    """
    called = [call.module for call in recording.calls]
    missing = [names[i] for i in dict.fromkeys(order) if i not in called]
    if missing:
        raise InvalidArgumentError(
            f"block: {where} does not call {missing[0]} in its forward pass (through the module's own call); name "
            "modules that this prompt runs through"
        )
    k = len(order)
    if len(called) % k or called != list(order) * (len(called) // k):
        shown = " → ".join(names[i] for i in called[:8]) + (" …" if len(called) > 8 else "")
        raise InvalidArgumentError(
            f"block: {where} calls its modules in the order {shown}; name them in the order of one loop, a module that "
            "contains another one alone"
        )
    return [recording.calls[i : i + k] for i in range(0, len(called), k)]


def check_chain(loop: Sequence[Call], names: Sequence[str], where: str) -> None:
    """Raise `InvalidArgumentError` unless every module takes what the one before it returned."""
    for one, other in pairwise(loop):
        if one.out.shape != other.state.shape or gap(other.state, one.out) > 0:
            raise InvalidArgumentError(
                f"block: between {names[one.module]} and {names[other.module]} {where} does something that the block "
                "leaves out; name every module in between, or a block that ends before it"
            )


def check_state(rounds: Sequence[Sequence[Call]], kinds: Sequence[type], names: Sequence[str], where: str) -> None:
    """Raise `InvalidArgumentError` unless it is known which argument of the first module is the state.

    Parameters
    ----------
    rounds : sequence of loops
        The real pass.
    kinds : sequence of type
        The classes of the modules.

    Notes
    -----
    The first tensor of its shape is taken. Where there are others, it is known in a later loop, or of another module of
    the same class: `check_between` and `check_chain` compare it there with what the module before returned.
    """
    first, *others = rounds[0]
    alike = [c for c in others if kinds[c.module] is kinds[first.module] and c.slots[0] == first.slots[0]]
    if first.rivals and len(rounds) == 1 and not alike:
        several = ", ".join(str(slot) for slot in (first.slots[0], *first.rivals))
        raise InvalidArgumentError(
            f"block: {names[first.module]} of {where} is given several tensors of the state's shape "
            f"{tuple(first.state.shape)} (arguments {several}), and which is the state is not guessed; begin the block "
            "at a module that takes one, or wrap this one in such a module"
        )


def check_arguments(
    rounds: Sequence[Sequence[Call]], again: Sequence[Sequence[Call]], names: Sequence[str], where: str
) -> None:
    """Raise `NotAutonomousError` unless the arguments beside the state are the same in every loop, and at any state.

    Parameters
    ----------
    rounds : sequence of loops
        The real pass.
    again : sequence of loops
        A pass with another state at the entry of the block, and other random numbers.
    """
    for call in rounds[0]:
        cached = _cache(call.others)
        if cached:
            raise NotAutonomousError(
                f"{where}: {names[call.module]} is given a key-value cache ({cached}), so that a loop depends on the "
                "ones before; run the model without one (use_cache=False)"
            )
    for one, other in zip(rounds[0], again[0], strict=True):
        where_differs = first_difference(one.others, other.others)
        if where_differs is not None:
            raise NotAutonomousError(
                f"{where}: {where_differs} of {names[one.module]} depends on the state of the block or on random "
                "numbers, so the state that was captured is not all that a loop hands on; name a block that takes one "
                "tensor"
            )
    for t, loop in enumerate(rounds):
        for one, other in zip(rounds[0], loop, strict=True):
            where_differs = first_difference(one.others, other.others)
            if where_differs is not None:
                raise NotAutonomousError(
                    f"{where}: {where_differs} of {names[one.module]} differs between loop 0 and loop {t}, so the loop "
                    "is not one map; fix that argument for all loops, or make it part of the state"
                )


def _cache(others: dict[str, Any]) -> str | None:
    """Return the name of an argument that is a cache, if there is one."""
    for name, value in leaves(others):
        kind = type(value).__name__
        if kind.endswith("Cache") or hasattr(value, "get_seq_length"):
            return f"{name}, a {kind}"
        if name.partition("[")[0] in ("past_key_values", "past_key_value", "layer_past") and value is not None:
            return name
    return None
