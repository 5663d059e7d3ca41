"""The rest of the model, run on a state; and the model itself with its own output fed back as its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import ReadOut
from dynloop.adapters.captured.recording import Forward, Recording, Slot, record, same_randomness
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.adapters.captured.state_dtype import following
from dynloop.adapters.captured.trees import state_in, with_state
from dynloop.errors import InvalidArgumentError

__all__ = ["Tail", "fed_back", "output_of"]


def output_of(result: Any) -> tuple[torch.Tensor, ReadOut] | None:
    """Return the tensor that a model returned, and what it is; None where there is none."""
    for name, kind in (("logits", "logits"), ("last_hidden_state", "numbers")):
        found = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if isinstance(found, torch.Tensor) and found.is_floating_point():
            return found, kind  # type: ignore[return-value] # literals of the line above
    found = state_in(result)
    return None if found is None else (found, "numbers")


class Tail:
    """What the model makes of a state in the place of the last output of the block.

    Parameters
    ----------
    model : nn.Module
        A stand-in.
    forward : callable
        Runs it on the prompt.
    names : sequence of str
        The modules that were recorded.
    recording : Recording
        The real pass.
    last : int
        Which of its calls gives the state.
    batch_axis : int
        Of states and outputs.
    own : torch.dtype
        Of the model.

    Notes
    -----
    The modules of the block are not computed: each returns what it returned in the real pass, the last one the state.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Forward,
        names: Sequence[str],
        recording: Recording,
        last: int,
        batch_axis: int,
        own: torch.dtype,
    ) -> None:
        self.model, self.forward, self.last, self.batch_axis, self.own = stand_in(model), forward, last, batch_axis, own
        self.results = [call.result for call in recording.calls]
        self.made, self.state = 0, torch.empty(0)
        for name in names:
            self.model.get_submodule(name).forward = self._returned

    def _returned(self, *_: Any, **__: Any) -> Any:
        result = self.results[self.made]
        self.made += 1
        return with_state(result, self.state) if self.made == self.last + 1 else result

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, *state_shape)``, one state after the other."""
        return torch.cat([self._one(states[i : i + 1]) for i in range(len(states))])

    def _one(self, state: torch.Tensor) -> torch.Tensor:
        self.made, self.state = 0, state.movedim(0, self.batch_axis)
        with torch.no_grad(), same_randomness(0), following(state.dtype, self.own):
            found = output_of(self.forward(self.model))
        if found is None:
            raise InvalidArgumentError(
                "the model returns no floating tensor, so nothing reads out a state; give decode="
            )
        out = found[0]
        return out.movedim(self.batch_axis, 0) if self.batch_axis and out.ndim > self.batch_axis else out


def fed_back(
    model: nn.Module,
    names: Sequence[str],
    forward: Forward,
    where: str,
    slots: Sequence[tuple[Slot, ...]],
    entry: int,
    state: torch.Tensor,
    *,
    batch_axis: int,
    own: torch.dtype,
) -> Recording:
    """Run the model itself with a state ``(1, *state_shape)`` in the place of the first input of the block."""

    def replace(i: int, x: torch.Tensor) -> torch.Tensor:
        return state.movedim(0, batch_axis) if i == entry else x

    with following(state.dtype, own):
        return record(model, names, forward, where, slots=slots, replace=replace)
