"""The block of one loop, captured: its modules, what they are given, and what stands at its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from dynloop.adapters.captured.between import check_between
from dynloop.adapters.captured.ends import End, Parts, check_ends, ends_of
from dynloop.adapters.captured.layer import CapturedLayer
from dynloop.adapters.captured.names import named_module
from dynloop.adapters.captured.nearby import nearby
from dynloop.adapters.captured.recording import OTHER_SEED, Call, Forward, Recording, Slot, record, same_randomness
from dynloop.adapters.captured.replay import check_replay, choose_rows
from dynloop.adapters.captured.rounds import check_arguments, check_chain, check_state, gap, rounds_of
from dynloop.adapters.captured.untied import check_untied
from dynloop.errors import InvalidArgumentError, ShapeError

__all__ = ["Block", "capture"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """A captured loop.

    Attributes
    ----------
    injection, closing : End or None
        What is done at the ends by something else than modules of the block.
    layers : list of CapturedLayer
        One a module.
    names : list of str
        One a layer, no two alike.
    recorded : list of str
        The modules whose calls the recording holds.
    slots : list of tuples
        Where each of these takes the state.
    recording : Recording
        The real pass.
    rounds : list of loops
        The same, cut into loops.
    entry, last : int
        Which calls of the recording take and give the state.
    e : tensor, (1, *state_shape)
        What the prompt contributes.
    gap : float
        By how much replayed layers differ from the model's.
    """

    injection: End | None
    closing: End | None
    layers: list[CapturedLayer]
    names: list[str]
    recorded: list[str]
    slots: list[tuple[Slot, ...]]
    recording: Recording
    rounds: list[list[Call]]
    entry: int
    last: int
    e: torch.Tensor
    gap: float

    @property
    def state(self) -> torch.Tensor:
        """The state that entered the block, ``(1, *state_shape)``."""
        return self._first(self.rounds[0][0].state)

    def _first(self, x: torch.Tensor) -> torch.Tensor:
        return x.movedim(self.layers[0].batch_axis, 0)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the injection."""
        found: torch.Tensor = x if self.injection is None else self.injection(x)
        return found

    def leave(self, y: torch.Tensor) -> torch.Tensor:
        """Apply the closing norm, where it is no layer of the block."""
        found: torch.Tensor = y if self.closing is None else self.closing(y)
        return found

    def after(self, loop: Sequence[Call]) -> torch.Tensor:
        """Return the state after a recorded loop, ``(1, *state_shape)``."""
        return self.leave(self._first(loop[-1].out))


def capture(model: nn.Module, parts: Parts, forward: Forward, where: str) -> Block:
    """Capture a block of a stand-in.

    Raises
    ------
    InvalidArgumentError
        If the names do not describe a block of modules that hand on one state.
    NotAutonomousError
        If its loop is not one map.
    """
    unique = list(dict.fromkeys(parts.block))
    order = [unique.index(name) for name in parts.block]
    norm = parts.closing_norm if isinstance(parts.closing_norm, str) else None
    if norm is not None:
        named_module(model, norm, "closing_norm", where)
    recorded = [*unique, *([norm] if norm is not None and norm not in unique else [])]
    recording = record(model, recorded, forward, where)
    closes = len(recorded) > len(unique) and _closes(recording, order, recorded, where)
    if not closes:
        recorded = unique
        recording.calls = [call for call in recording.calls if call.module < len(unique)]
    order = [*order, len(unique)] if closes else order
    rounds = rounds_of(recording, order, recorded, where)
    _part_entry(rounds)
    slots = [next(c.slots for c in recording.calls if c.module == i) for i in range(len(recorded))]
    entry = next(i for i, call in enumerate(recording.calls) if call is rounds[0][0])
    _check_state(rounds[0][0], parts, where)
    again = rounds_of(_nearby(model, recorded, forward, where, slots, recording, entry), order, recorded, where)
    for loop in (*rounds, *again):
        check_chain(loop, recorded, where)
    check_arguments(rounds, again, recorded, where)
    check_state(rounds, [type(model.get_submodule(name)) for name in recorded], recorded, where)
    layers = [CapturedLayer(model.get_submodule(recorded[c.module]), c, parts.batch_axis) for c in rounds[0]]
    names = _distinct([recorded[i] for i in order])
    worst = check_replay(layers, [*rounds, *again], names, where)
    check_untied(model, layers, forward, rounds[0], names, where)
    with torch.no_grad():
        for layer, call in zip(layers, rounds[0], strict=True):
            layer.rows = choose_rows(layer, call.state.movedim(parts.batch_axis, 0))
        block = Block(
            **ends_of(model, parts, forward, where, rounds[0][0], closes=closes), layers=layers, names=names,
            recorded=recorded, slots=slots, recording=recording, rounds=rounds, entry=entry,
            last=len(recording.calls) - 1, gap=worst,
        )  # fmt: skip
        check_ends([block.injection, block.closing], block.state, where)
        check_between((block.injection, block.closing), [rounds, again], parts.batch_axis, where)
    return block


def _closes(recording: Recording, order: Sequence[int], names: Sequence[str], where: str) -> bool:
    """Say whether the norm, the last of the modules, follows the block in every loop of the real pass."""
    try:
        rounds = rounds_of(recording, [*order, len(names) - 1], names, where)
    except InvalidArgumentError:
        return False
    pairs = [(loop[-2].out, loop[-1].state) for loop in rounds]
    return all(y.shape == x.shape and gap(x, y) == 0 for y, x in pairs)


def _part_entry(rounds: Sequence[Sequence[Call]]) -> None:
    """Let what the first module is given beside the state be an argument, where the same tensor is one elsewhere.

    A model that begins at e and hands e to every module gives the first one e twice; self-attention, too, is given one
    tensor more than once. It is an argument if a later loop, or another module, is given that tensor beside its state.
    """
    first, others = rounds[0][0], [call for loop in rounds for call in loop][1:]
    for call in others:
        again = [v for v in call.others.values() if isinstance(v, torch.Tensor) and v.shape == first.state.shape]
        if any(torch.equal(value, first.state) for value in again):
            first.slots, first.rivals = first.slots[:1], (*first.rivals, *first.slots[1:])


def _check_state(call: Call, parts: Parts, where: str) -> None:
    shape = tuple(call.state.shape)
    if len(shape) <= max(1, parts.batch_axis) or shape[parts.batch_axis] != 1:
        raise ShapeError(
            f"{where}: {parts.block[0]} takes a state of shape {shape}, whose axis {parts.batch_axis} is no batch of "
            "one; give one prompt, and batch_axis= if the batch is another axis"
        )
    if not torch.isfinite(call.state).all():
        raise InvalidArgumentError(
            f"{where}: the state that enters {parts.block[0]} holds NaN or infinity; see its weights"
        )


def _nearby(
    model: nn.Module,
    recorded: Sequence[str],
    forward: Forward,
    where: str,
    slots: Sequence[tuple[Slot, ...]],
    recording: Recording,
    entry: int,
) -> Recording:
    """Run the model with the state at the entry of the block moved, and with other random numbers."""
    near = nearby(recording.calls[entry].state, 0)
    with same_randomness(OTHER_SEED):
        return record(
            model, recorded, forward, where, slots=slots, replace=lambda i, state: near if i == entry else state
        )


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names with the 2nd, 3rd … use of one numbered."""
    return [f"{n} ({names[:i].count(n) + 1})" if names.count(n) > 1 else n for i, n in enumerate(names)]
