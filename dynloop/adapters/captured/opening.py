"""Opening a captured block for one prompt: its layers, starts and read-out as a `Checkpoint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.captured.block import Block, capture
from dynloop.adapters.captured.causality import is_causal
from dynloop.adapters.captured.ends import Parts
from dynloop.adapters.captured.inputs import Inputs, read_inputs
from dynloop.adapters.captured.read_out import Tail, fed_back, output_of
from dynloop.adapters.captured.rounds import gap, tolerance
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.memory import free_bytes, weight_count
from dynloop.maps.torch import Layer, TorchMap

__all__ = ["FAMILY", "Captured", "Wish"]

_SHARE = 16  # a twin whose weights take less than this part of the free memory has copies of them


class Captured(Checkpoint):
    """The map of a captured block; remembers what was captured.

    Attributes
    ----------
    block : Block
        The captured loop.
    inputs : Inputs
        The prompt.
    """

    block: Block
    inputs: Inputs

    def twin(self, dtype: str = "float64") -> TorchMap:
        """Return the same map in float64: see `TorchMap.twin`. Weights that take little room are copied, for speed."""
        wanted: torch.dtype = getattr(torch, dtype)
        modules = [layer.module for layer in self.block.layers]
        needed, free = weight_count(modules) * wanted.itemsize, free_bytes(self.device)
        if self.dtype is wanted or free is None or needed > free // _SHARE:
            return super().twin(dtype)
        wide = dict(zip(map(id, self.block.layers), _widened(self.block, wanted).layers, strict=True))
        twin = self._with([wide.get(id(f), f) for f in self.layers], self.layer_names, self.name, wanted)
        return self._same_kind(twin) if twin._runs() else super().twin(dtype)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Wish:
    """What was asked for, whatever the prompt."""

    parts: Parts
    start: Any
    decode: Callable[[torch.Tensor], torch.Tensor] | None
    causal: bool | None

    @property
    def family(self) -> Family:
        """The family of one such wish: it opens other prompts in the same way."""
        return Family(
            name=FAMILY.name,
            description=FAMILY.description,
            identifies=FAMILY.identifies,
            recognises=FAMILY.recognises,
            open=self.open,
            own_output=_own_output,
        )

    def open(
        self,
        source: Source,
        prompt: Any,
        granularity: Granularity,
        dtype: torch.dtype | None,
        device: torch.device | None,
    ) -> Checkpoint:
        """Capture the block for one prompt; a module is one factor at either granularity."""
        model = stand_in(source.model)
        if device is not None:
            model = model.to(device)
        inputs = read_inputs(prompt, source, self.parts.batch_axis)
        block = capture(model, self.parts, inputs.forward, source.name)
        own = block.state.dtype
        work = dtype or own
        if torch.promote_types(own, work) is not work:  # fewer digits: the whole pass has them
            model = model.to(work)
            block, own = capture(model, self.parts, inputs.forward, source.name), work
        elif work is not own:
            block = _widened(block, work)
        layers = _layers(block, self.parts)
        shape, device = tuple(block.state.shape[1:]), block.state.device
        first, said = _first(block, self.start, shape)
        read, kind, gives = self._read_out(model, inputs, block, own)
        tokens = inputs.tokens if inputs.tokens and len(inputs.tokens) == _positions(shape) else None
        m = Captured(
            layers,
            shape,
            family=self.family,
            source=source,
            prompt=inputs.prompt,
            tokens=tokens or tuple(range(_positions(shape))),
            decode=read,
            summary=_summary(block, self.parts, said, gives, inputs),
            start=starts_around(first),
            kinds=start_kinds(block.state[0]),
            granularity=granularity,
            read_out=kind,
            dtype=work,
            device=device,
        )
        m.block, m.inputs = block, inputs
        found = is_causal(m, block.state)
        if self.causal and found is False:
            raise InvalidArgumentError(f"{m.name} is not causal: a token reaches an earlier one. Leave causal out.")
        m.causal = bool(found if self.causal is None else self.causal and len(shape) > 1)
        return m

    def _read_out(self, model: nn.Module, inputs: Inputs, block: Block, own: torch.dtype) -> tuple[Any, Any, str]:
        """Return the read-out, what it gives, and that in words."""
        if self.decode is not None:
            return self.decode, "numbers", "a callable"
        out = output_of(block.recording.result)
        if out is None:
            return (lambda x: x), "state", "the state itself"
        tail = Tail(model, inputs.forward, block.recorded, block.recording, block.last, self.parts.batch_axis, own)
        return tail, out[1], "the rest of the model"


def _positions(shape: tuple[int, ...]) -> int:
    return shape[-2] if len(shape) > 1 else 1


def _widened(block: Block, dtype: torch.dtype) -> Block:
    """Return the block with copies of its weights in a wider dtype."""
    made: dict[int, nn.Module] = {}
    with torch.no_grad():
        states = [
            call.state.movedim(layer.batch_axis, 0) for layer, call in zip(block.layers, block.rounds[0], strict=True)
        ]
        layers = [layer.widened(dtype, x, made) for layer, x in zip(block.layers, states, strict=True)]
    return replace(block, layers=layers)


def _layers(block: Block, parts: Parts) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    if block.injection is not None:
        layers["injection"] = block.injection
    layers |= dict(zip(block.names, block.layers, strict=True))
    if block.closing is not None:
        layers[parts.closing_norm if isinstance(parts.closing_norm, str) else "closing_norm"] = block.closing
    return layers


def _first(block: Block, start: Any, shape: tuple[int, ...]) -> tuple[torch.Tensor, str]:
    """Return the model's own start, and what it is in words."""
    entered = block.state[0]
    if start is not None:
        given = torch.as_tensor(start, dtype=entered.dtype, device=entered.device).detach()
        if tuple(given.shape) != shape:
            raise ShapeError(f"start has shape {tuple(given.shape)}, and the state {shape}; give one state")
        return given, "given"
    if block.injection is not None:
        with torch.no_grad():
            for candidate, said in ((entered, "the state that entered it"), (torch.zeros_like(entered), "0")):
                if gap(block.injection(candidate[None])[0], entered) <= tolerance(entered.dtype):
                    return candidate, said
    return entered, "the state that entered it"


def _summary(block: Block, parts: Parts, start: str, gives: str, inputs: Inputs) -> str:
    """Return the map in words."""
    injection = "no injection" if block.injection is None else "injection first"
    norm = "no closing norm" if parts.closing_norm is None else "closed by a norm"
    times = "once" if len(block.rounds) == 1 else f"{len(block.rounds)} times"
    rows = " · rows one by one" if any(layer.rows == "one by one" for layer in block.layers) else ""
    return (
        f"captured block that the model runs {times}, replayed to {block.gap:.1g}{rows}, {injection}, {norm}, "
        f"start = {start}, decode = {gives}, prompt = {inputs.said}"
    )


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run the model itself `loops` times, its own output fed back at the entry of the block."""
    if not isinstance(checkpoint, Captured):
        return None
    block, source = checkpoint.block, checkpoint.source
    if checkpoint.dtype is None or torch.promote_types(block.state.dtype, checkpoint.dtype) is not checkpoint.dtype:
        return None
    model, axis = stand_in(source.model).to(checkpoint.device), block.layers[0].batch_axis
    own, x, result = block.rounds[0][0].state.dtype, checkpoint.start(), None
    model = model.to(own)
    with torch.no_grad():
        for _ in range(loops):
            found = fed_back(
                model, block.recorded, checkpoint.inputs.forward, source.name, block.slots, block.entry,
                block.enter(x), batch_axis=axis, own=own,
            )  # fmt: skip
            x, result = block.leave(found.calls[len(block.layers) - 1].out.movedim(axis, 0)), found.result
        if len(block.rounds) > 1 or block.closing is not None or not isinstance(checkpoint._decode, Tail):
            return checkpoint.decode(x)
        out = output_of(result)
    return None if out is None else out[0].movedim(axis, 0) if axis and out[0].ndim > axis else out[0]


def _nothing(*_: Any) -> Any:
    raise InvalidArgumentError("a block of any model is opened with open_checkpoint(model, prompt, block=…)")


FAMILY = Family(
    name="generic",
    description="x ← closing_norm(modules(injection(x, e))), the modules of any PyTorch model, named by the user",
    identifies="a live model, opened with block=",
    recognises=lambda config, names: False,  # noqa: ARG005 - no folder is of this family
    open=_nothing,
)
