"""A module of the block as a layer of a map: called with the state, and with the other arguments as captured."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import nn

from dynloop.adapters.captured.recording import Call
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.adapters.captured.state_dtype import following
from dynloop.adapters.captured.trees import map_tensors, state_in

__all__ = ["CapturedLayer", "Rows"]

Rows = Literal["together", "expanded", "one by one"]


class CapturedLayer(nn.Module):
    """One module with its captured arguments, ``(batch, *state_shape)`` to the same.

    Parameters
    ----------
    module : nn.Module
        The module of a stand-in.
    call : Call
        What it was given in the real pass, its batch axis of length 1 included.
    batch_axis : int
        Which axis of the module's own state counts the batch.
    """

    def __init__(self, module: nn.Module, call: Call, batch_axis: int) -> None:
        super().__init__()
        self.module = module
        self.args, self.kwargs, self.slots = call.args, call.kwargs, call.slots
        self.own, self.writes, self.batch_axis = call.state.dtype, call.writes, batch_axis
        self.rows: Rows = "together"
        self.follows = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the module to states ``(batch, *state_shape)``, in their dtype throughout."""
        with following(x.dtype, self.own) if self.follows else nullcontext():
            return self.plain(x)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the module, which may round states to fewer digits inside."""
        if self.rows == "one by one" and len(x) != 1:
            return torch.cat([self._call(x[i : i + 1]) for i in range(len(x))])
        return self._call(x)

    def widened(self, dtype: torch.dtype, state: torch.Tensor, made: dict[int, nn.Module]) -> CapturedLayer:
        """Return the layer with a copy of its weights in another dtype.

        Parameters
        ----------
        dtype : torch.dtype
            Of more digits than its own.
        state : tensor, (1, *state_shape)
            Where it is tried whether the module's own code rounds inside; if it does not, it need not be watched.
        made : dict
            The copies made so far, by the id of their modules.
        """
        if id(self.module) not in made:
            made[id(self.module)] = stand_in(self.module).to(dtype)
        new = stand_in(self)
        assert isinstance(new, CapturedLayer)  # noqa: S101 - for type checkers
        new.module = made[id(self.module)]
        if self.follows:
            x = state.to(dtype)
            try:
                new.follows = not bool((new.plain(x) - new(x)).abs().max() <= 4e-16 * x.abs().max())
            except (RuntimeError, TypeError, ValueError):  # it mixes dtypes
                new.follows = True
        return new

    def _call(self, x: torch.Tensor) -> torch.Tensor:
        state = x.movedim(0, self.batch_axis) if self.batch_axis else x
        args, kwargs = self.args, self.kwargs
        if self.rows == "expanded" and len(x) != 1:
            args, kwargs = map_tensors(lambda t: self._expanded(t, len(x)), (args, kwargs))
        state = state.clone() if self.writes else state
        args = tuple(state if i in self.slots else value for i, value in enumerate(args))
        kwargs = {name: state if name in self.slots else value for name, value in kwargs.items()}
        out: Any = state_in(self.module(*args, **kwargs))
        return out.movedim(self.batch_axis, 0) if self.batch_axis else out  # type: ignore[no-any-return] # a tensor: state_in

    def _expanded(self, tensor: torch.Tensor, n: int) -> torch.Tensor:
        axis = self.batch_axis
        if tensor.ndim <= axis or tensor.ndim < 2 or tensor.shape[axis] != 1:
            return tensor
        return tensor.expand(*tensor.shape[:axis], n, *tensor.shape[axis + 1 :])
