"""Whether every loop begins where the map says that the one before ended."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dynloop.adapters.captured.ends import End
from dynloop.adapters.captured.recording import Call
from dynloop.adapters.captured.rounds import tolerance
from dynloop.errors import NotAutonomousError

__all__ = ["check_between"]

_DRAWS = 8  # of signs: all terms of a sum add up in one of them at nearly every coordinate


def check_between(
    ends: tuple[End | None, End | None],
    passes: Sequence[Sequence[Sequence[Call]]],
    batch_axis: int,
    where: str,
) -> None:
    """Raise `NotAutonomousError` unless the ends make of what a loop returned what the next one was given.

    Parameters
    ----------
    ends : (injection, closing)
        What stands between two loops; nothing does if both are None, and then not even rounding is allowed for.
    passes : sequence of rounds
        Recorded at different states.
    batch_axis : int
        Of the recorded states.
    where : str
        What the message calls the model.

    Notes
    -----
    Every coordinate is compared by itself, relative to the terms that make it up: a coordinate that is large says
    nothing about the rounding of the others, and one that is small by cancellation is rounded as its terms are. The
    terms are measured, by moving what goes into the ends by small relative amounts.
    """
    for rounds in passes:
        for t in range(len(rounds) - 1):
            out, begun = (x.movedim(batch_axis, 0) for x in (rounds[t][-1].out, rounds[t + 1][0].state))
            exact = ends == (None, None)
            off = _off(begun, out, out) if exact else _off(begun, _between(ends, out), _terms(ends, out))
            if not off <= (0.0 if exact else _allowed(begun.dtype)):
                raise NotAutonomousError(
                    f"{where}: between loop {t} and loop {t + 1} the model does something that the block leaves out "
                    f"(relative gap {off:.2g}); name all modules of a loop, or give injection= and closing_norm="
                )


def _allowed(dtype: torch.dtype) -> float:
    """Return the roundoff of the same step written otherwise; few digits are lost only when results are stored.

    In float32 and float64 a linear injection of 4096 coordinates, split in two, was 55 eps off in its worst coordinate.
    """
    return 2 * torch.finfo(dtype).eps if dtype in (torch.bfloat16, torch.float16) else tolerance(dtype)


def _off(begun: torch.Tensor, found: torch.Tensor, terms: torch.Tensor) -> float:
    """Return the largest difference of a coordinate, relative to its terms; nan where a number is not finite."""
    if begun.shape != found.shape:
        return float("inf")
    begun, found = begun.double(), found.double()
    scale = torch.maximum(torch.maximum(begun.abs(), found.abs()), terms.double().abs())
    apart = (found - begun).abs()
    return float(torch.where(apart == 0, apart, apart / scale).max())


def _between(ends: tuple[End | None, End | None], y: torch.Tensor) -> torch.Tensor:
    injection, closing = ends
    for end in (closing, injection):
        y = y if end is None else end(y)
    return y


def _terms(ends: tuple[End | None, End | None], y: torch.Tensor) -> torch.Tensor:
    """Return how far every coordinate moves for inputs moved by a small part of themselves, over that part."""
    injection, closing = ends
    generator = torch.Generator().manual_seed(4)
    part = torch.finfo(y.dtype).eps ** 0.5

    def moved(x: torch.Tensor) -> torch.Tensor:
        signs = torch.randint(2, (_DRAWS, *x.shape[1:]), generator=generator).to(x) * 2 - 1
        near: torch.Tensor = x * (1 + part * signs)
        return near

    x: torch.Tensor = moved(y) if closing is None else moved(closing(moved(y)))
    if injection is not None:
        e = None if injection.e is None else moved(injection.e)
        x = End(injection.f, injection.own, injection.argument, e)(x)
    terms: torch.Tensor = (x.double() - _between(ends, y).double()).abs() / part
    return terms.amax(0, keepdim=True)
