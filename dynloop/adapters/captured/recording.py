"""One forward pass of a model, recorded: what every module of the block was given, and what it returned."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dynloop.adapters.captured.trees import map_tensors, state_in
from dynloop.errors import InvalidArgumentError, PromptError

__all__ = ["OTHER_SEED", "Call", "Forward", "Recording", "Slot", "record", "same_randomness"]

OTHER_SEED = 0x9E3779B9  # for a second pass: hardly the seed that a user began with

Forward = Callable[[nn.Module], Any]
Slot = int | str
Replace = Callable[[int, torch.Tensor], torch.Tensor]


@dataclass(slots=True, eq=False, kw_only=True)
class Call:
    """One call of one module.

    Attributes
    ----------
    module : int
        Which of the recorded modules.
    args, kwargs : tuple, dict
        Copies of what it was given.
    result : object
        A copy of what it returned.
    slots : tuple of int or str
        Where the state is among the arguments: positions or keywords; several, if one tensor was given more than once
        (queries, keys and values of self-attention).
    rivals : tuple of int or str
        Where other tensors are that could be the state by their shape and dtype.
    state, out : tensor
        The state given, and returned.
    writes : bool
        Whether the module wrote into its state.
    """

    module: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    slots: tuple[Slot, ...] = ()
    rivals: tuple[Slot, ...] = ()
    state: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    out: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    writes: bool = False

    @property
    def others(self) -> dict[str, Any]:
        """All arguments but the state, by name; positions count from 0."""
        named = {f"argument {i}": value for i, value in enumerate(self.args) if i not in self.slots}
        return named | {name: value for name, value in self.kwargs.items() if name not in self.slots}


@dataclass(slots=True, eq=False, kw_only=True)
class Recording:
    """The calls in the order in which they were made, and what the model returned."""

    calls: list[Call]
    result: Any


def record(
    model: nn.Module,
    names: Sequence[str],
    forward: Forward,
    where: str,
    *,
    slots: Sequence[tuple[Slot, ...]] = (),
    replace: Replace | None = None,
) -> Recording:
    """Run a model once and record the calls of some of its modules.

    Parameters
    ----------
    model : nn.Module
        A stand-in; hooks are put on it and taken off again.
    names : sequence of str
        The modules, each once.
    forward : callable
        ``forward(model)`` runs it.
    where : str
        What messages call the model.
    slots : sequence of tuples
        Where the state is among the arguments of every module, as an earlier recording found; for `replace`.
    replace : callable, optional
        ``replace(i, state) -> state`` for the i-th call.

    Raises
    ------
    PromptError
        If the model's own forward pass fails.
    InvalidArgumentError
        If a module does not return a state of the shape of one that it was given.
    """
    calls: list[Call] = []
    open_calls: list[tuple[Call, dict[Slot, Any], list[int]]] = []
    copies: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def kept(tensor: torch.Tensor) -> torch.Tensor:
        key = (id(tensor), _version(tensor))
        if key not in copies:  # the tensor is held, so that its id stays its own
            copies[key] = (tensor, tensor.detach().clone())
        return copies[key][1]

    def before(i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        changed = None
        if replace is not None:
            args, kwargs = changed = _replaced(args, kwargs, slots[i], lambda x: replace(len(calls), x))
        call = Call(module=i, args=map_tensors(kept, args), kwargs=map_tensors(kept, dict(kwargs)))
        places = _places(args, kwargs)
        tensors = {place: value for place, value in places.items() if isinstance(value, torch.Tensor)}
        calls.append(call)
        open_calls.append((call, tensors, [_version(t) for t in tensors.values()]))
        return changed

    def after(i: int, result: Any) -> None:
        call, tensors, versions = open_calls.pop()
        call.result = map_tensors(lambda t: t.detach().clone(), result)
        alike = _find_state(call, names[i], where)
        state = tensors[alike[0]]
        call.slots = tuple(other for other, value in tensors.items() if value is state)
        call.rivals = tuple(other for other in alike if tensors[other] is not state)
        changed = [t for t, version in zip(tensors.values(), versions, strict=True) if _version(t) != version]
        call.writes = bool(changed)

    modules = [model.get_submodule(name) for name in names]
    with ExitStack() as stack, same_randomness(), _plain(model):
        for i, module in enumerate(modules):
            stack.callback(
                module.register_forward_pre_hook(
                    lambda _, args, kwargs, i=i: before(i, args, kwargs), prepend=True, with_kwargs=True
                ).remove
            )
            stack.callback(module.register_forward_hook(lambda _, __, result, i=i: after(i, result)).remove)
        result = _run(model, forward, where)
    for call in calls:  # tensors made in inference mode could not be differentiated through
        call.args, call.kwargs, call.result = map_tensors(_ordinary, (call.args, call.kwargs, call.result))
        call.state, call.out = _ordinary(call.state), _ordinary(call.out)
    return Recording(calls=calls, result=result)


def _run(model: nn.Module, forward: Forward, where: str) -> Any:
    try:
        return forward(model)
    except (InvalidArgumentError, PromptError):
        raise
    except Exception as error:  # the model is somebody else's and may fail in any way
        said = (str(error).strip().splitlines() or ["no reason given"])[0][:160]
        raise PromptError(
            f"{where}: its own forward pass fails on this prompt ({type(error).__name__}: {said}); give inputs as the "
            "model takes them, one prompt without a batch axis, or a callable that runs it"
        ) from error


def _places(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Slot, Any]:
    pairs: list[tuple[Slot, Any]] = [*enumerate(args), *kwargs.items()]
    return dict(pairs)


def _replaced(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    slots: tuple[Slot, ...],
    f: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with f applied to the state, at every place where it is."""
    new = f(_places(args, kwargs)[slots[0]])
    return (
        tuple(new if i in slots else value for i, value in enumerate(args)),
        {name: new if name in slots else value for name, value in kwargs.items()},
    )


def _find_state(call: Call, name: str, where: str) -> list[Slot]:
    """Return which arguments could be the state, floating tensors of the shape of the result; note the first."""
    out = state_in(call.result)
    places: list[tuple[Slot, Any]] = [*enumerate(call.args), *call.kwargs.items()]
    floating = [(s, v) for s, v in places if isinstance(v, torch.Tensor) and v.is_floating_point()]
    alike = [(s, v) for s, v in floating if out is not None and v.shape == out.shape and v.dtype == out.dtype]
    if out is not None and alike:
        call.state, call.out = alike[0][1], out
        return [slot for slot, _ in alike]
    took = _said(floating[0][1]) if floating else "no floating tensor"
    gave = f"a {type(call.result).__name__} without a floating tensor in front" if out is None else _said(out)
    raise InvalidArgumentError(
        f"block: the module {name} of {where} takes {took} and returns {gave}; a layer of a loop returns a state like "
        "the one that it takes, so name a module that does"
    )


def _said(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _ordinary(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.is_inference() else tensor


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


@contextmanager
def _plain(model: nn.Module) -> Iterator[None]:
    """Run without gradients and without autocast."""
    parameter = next(model.parameters(), None)
    kind = "cpu" if parameter is None else parameter.device.type
    with torch.no_grad(), torch.autocast(kind, enabled=False):
        yield


@contextmanager
def same_randomness(seed: int | None = None) -> Iterator[None]:
    """Leave every random state as it was; inside, torch, NumPy and `random` begin at `seed`, if one is given."""
    legacy, plain = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is the legacy state that must not move
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            if seed is not None:
                torch.manual_seed(seed)
                np.random.seed(seed)  # noqa: NPY002 - as above
                random.seed(seed)
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002 - as above
        random.setstate(plain)
