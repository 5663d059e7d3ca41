"""Whether captured layers still give what they gave after the model has run something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dynloop.adapters.captured.layer import CapturedLayer
from dynloop.adapters.captured.nearby import nearby
from dynloop.adapters.captured.recording import Call, Forward, record, same_randomness
from dynloop.adapters.captured.rounds import gap, tolerance
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.adapters.captured.trees import map_tensors
from dynloop.errors import InvalidArgumentError, NotAutonomousError, PromptError

__all__ = ["check_untied"]


def check_untied(
    model: nn.Module,
    layers: Sequence[CapturedLayer],
    forward: Forward,
    loop: Sequence[Call],
    names: Sequence[str],
    where: str,
) -> None:
    """Raise `NotAutonomousError` if layers read what a forward pass of another stand-in sets.

    Parameters
    ----------
    model : nn.Module
        The stand-in whose modules the layers call.
    layers, loop, names : sequences
        The layers, their recorded calls, and what messages call them.
    forward : callable
        Runs the model on the prompt; here it meets other embeddings, and other numbers where it is given any.

    Notes
    -----
    Stand-ins share what closures, globals and classes hold, see `stand_in`. A model that cannot run on other numbers,
    or reads neither embeddings nor numbers, is not tried.
    """
    other = stand_in(model)
    for module in other.modules():
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(lambda _, __, out: _moved(out))
    other.register_forward_pre_hook(lambda _, args, kwargs: map_tensors(_moved, (args, kwargs)), with_kwargs=True)
    try:
        record(other, [], forward, where)
    except (InvalidArgumentError, PromptError):
        return
    for layer, call, name in zip(layers, loop, names, strict=True):
        with torch.no_grad(), same_randomness(1):
            off = gap(layer.plain(call.state.movedim(layer.batch_axis, 0)), call.out.movedim(layer.batch_axis, 0))
        if not off <= tolerance(call.state.dtype):
            raise NotAutonomousError(
                f"{where}: {name} is off by {off:.2g} (relative) after the model ran on other inputs: it reads "
                "something that the model's forward sets beside its arguments; name a block whose modules read their "
                "arguments alone"
            )


def _moved(tensor: Any) -> Any:
    return nearby(tensor, 5) if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() else tensor
