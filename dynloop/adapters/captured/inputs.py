"""What a model is run on: a prompt without a batch axis, as the keyword arguments of its own forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from dynloop.adapters.base import Source
from dynloop.adapters.captured.recording import Forward
from dynloop.adapters.text import tokenize
from dynloop.errors import InvalidArgumentError, NotAutonomousError, PromptError

__all__ = ["FORWARD", "Inputs", "read_inputs"]

FORWARD = "forward"  # the key under which a callable is kept as a prompt
_DEFAULT_TOKENS = 16


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inputs:
    """A prompt that was read.

    Attributes
    ----------
    forward : callable
        ``forward(model)`` runs a model on it.
    prompt : dict
        The inputs by name, or the callable that was given.
    tokens : tuple of str or int, or None
        One a position, if it holds token ids.
    said : str
        The prompt in words.
    """

    forward: Forward
    prompt: dict[str, Any]
    tokens: tuple[str | int, ...] | None
    said: str


def read_inputs(prompt: Any, source: Source, batch_axis: int) -> Inputs:
    """Read a prompt for any model.

    Parameters
    ----------
    prompt : callable, mapping, str, array or None
        ``prompt(model)`` runs the model. A mapping holds its inputs by name: arrays without a batch axis (it is added
        at `batch_axis`), anything else as it is. Token ids, or an array of numbers, are its first input.
    source : Source
        A live model.
    batch_axis : int
        Where the model's inputs have their batch axis.

    Raises
    ------
    PromptError
        If it cannot be read.
    NotAutonomousError
        If it asks for a key-value cache.
    """
    model: nn.Module = source.model
    if isinstance(prompt, Mapping) and set(prompt) == {FORWARD} and callable(prompt[FORWARD]):
        prompt = prompt[FORWARD]
    if callable(prompt) and not isinstance(prompt, Mapping):
        return Inputs(forward=prompt, prompt={FORWARD: prompt}, tokens=None, said="a forward pass given as a callable")
    parameters = _parameters(model)
    said, words = "given inputs", None
    if prompt is None:
        prompt, said = _default(source, parameters)
    elif isinstance(prompt, str):
        prompt, words = tokenize(prompt, source)
        said = "text"
    if not isinstance(prompt, Mapping):
        prompt = {_first(parameters, source): prompt}
    named = {name: _array(value, name, source) for name, value in prompt.items()}
    if named.get("use_cache") or any(named.get(name) is not None for name in ("past_key_values", "past_key_value")):
        raise NotAutonomousError(
            f"{source.name}: the prompt asks for a key-value cache, with which a loop depends on the ones before; "
            "leave use_cache and past_key_values out"
        )
    cacheless = {"use_cache": False} if "use_cache" in parameters and "use_cache" not in named else {}
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)

    def forward(stand_in: nn.Module) -> Any:
        own = next((p for p in stand_in.parameters() if p.is_floating_point()), weight)
        return stand_in(**{name: _batched(value, own, batch_axis) for name, value in named.items()}, **cacheless)

    kept = {name: v.cpu().numpy() if isinstance(v, torch.Tensor) else v for name, v in named.items()}
    rows = {k: v for k, v in named.items() if isinstance(v, torch.Tensor) and v.ndim == 1 and _integer(v)}
    ids = rows.get("input_ids", next((v for k, v in rows.items() if "mask" not in k and "type" not in k), None))
    tokens = None if ids is None else tuple(words or ids.tolist())
    return Inputs(forward=forward, prompt=kept, tokens=tokens, said=said)


def _parameters(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}
    # a forward set on the instance may show the signature of the function it wraps
    return {name: parameter for name, parameter in parameters.items() if name != "self"}


def _first(parameters: Mapping[str, inspect.Parameter], source: Source) -> str:
    """Return the name of the model's first input."""
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            return name
    raise PromptError(
        f"{source.name}: its forward names no inputs, so give the prompt as a callable that runs the model: "
        "prompt=lambda model: model(x)"
    )


def _default(source: Source, parameters: Mapping[str, inspect.Parameter]) -> tuple[Any, str]:
    vocabulary = source.config.get("vocab_size")
    if "input_ids" not in parameters or not isinstance(vocabulary, int):
        raise PromptError(
            f"{source.name} has no default prompt; give prompt=, the model's inputs without a batch axis, or a "
            "callable that runs it"
        )
    most = source.config.get("max_position_embeddings", source.config.get("n_positions", _DEFAULT_TOKENS))
    n = min(_DEFAULT_TOKENS, most)
    ids = np.random.default_rng(0).integers(vocabulary, size=n)
    return {"input_ids": ids}, f"{n} token ids drawn with seed 0"


def _array(value: Any, name: str, source: Source) -> Any:
    """Return an array as a tensor on the CPU, anything else as it is."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
    elif isinstance(value, np.ndarray | np.generic | list | tuple | range):
        try:
            tensor = torch.as_tensor(np.array(value))
        except (TypeError, ValueError, RuntimeError):
            raise PromptError(
                f"{source.name}: {name} is no array of numbers; every row must be of one length"
            ) from None
    else:
        return value
    if tensor.ndim and not tensor.numel():
        raise PromptError(f"{source.name}: {name} is empty; give at least one token")
    if _integer(tensor) and tensor.ndim == 2 and len(tensor) == 1:
        raise PromptError(f"{source.name}: {name} has shape {tuple(tensor.shape)}. Leave the batch axis out: {name}[0]")
    return tensor


def _integer(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex()


def _batched(value: Any, like: torch.Tensor | None, batch_axis: int) -> Any:
    """Return an input with its batch axis, on the device of the model and in its dtype."""
    if not isinstance(value, torch.Tensor):
        return value
    if like is not None:
        value = value.to(device=like.device, dtype=like.dtype if value.is_floating_point() else None)
    if value.ndim == 0:
        return value
    if batch_axis > value.ndim:
        raise InvalidArgumentError(
            f"batch_axis={batch_axis} is beyond an input of shape {tuple(value.shape)}; give less"
        )
    return value.unsqueeze(batch_axis)
