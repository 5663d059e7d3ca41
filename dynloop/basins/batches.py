"""A batch of orbits that are iterated together until each is captured, settles elsewhere, or is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from dynloop.basins.attractors import DIVERGED, UNDECIDED, UNMATCHED
from dynloop.basins.ranges import Range
from dynloop.basins.separation import Box
from dynloop.maps.base import Array, LoopMap

__all__ = ["capture"]

_WANTED = 0.7  # factor by which distances shrink between two looks, for the slowest attractor
_RARELY = 16  # loops between two looks at most
_STAY = 32  # looks over which the first mean of distances to a set is taken; then twice as many, and so on
_LEAVE = 8  # the batch is made smaller when one in so many has left
_PAIRS = 2**23  # of states and points, whose distances are held at once
_REST = 8.0  # units of roundoff, relative to the state: an orbit that moves by less has settled
_FAR = 1e150


def capture(
    m: LoopMap, states: Any, ranges: Sequence[Range], loops: int, left: Callable[[int], None] = lambda _: None
) -> tuple[Array, Array]:
    """Iterate native states until each is decided; return labels and loops ``(batch,)``.

    A state is captured by a cycle when it is in its range and twice in a row came nearer by as much as half of what the
    multipliers ask for, or is as near as rounding allows; by a set where the mean distance over the looks from 2^k to
    2^{k+1}, k ≥ 5, is in its range, and all of them lie within its bounds. It has settled elsewhere, −3, when it is
    back within rounding where it was at the last look whose number was a power of two. Orbits that are decided leave
    the batch.
    """
    every = _between(ranges)
    labels = np.full(len(states), UNDECIDED, dtype=np.int64)
    taken = np.full(len(states), loops, dtype=np.int64)
    rows = np.arange(len(states))
    centres = [_tensor(m.native(one.points)) for one in ranges]
    lengths = None if m.periods is None else torch.as_tensor(m.periods)
    before = torch.full((len(ranges), len(states)), math.inf, dtype=torch.float64)
    runs = torch.zeros((len(ranges), len(states)), dtype=torch.int64)
    gone = torch.zeros(len(states), dtype=torch.bool)
    reference, power, looks, done = None, 1, 0, 0
    with torch.no_grad():
        while True:
            now = _reduced(_tensor(states), lengths)
            flat = now.reshape(len(now), -1)
            size = torch.linalg.vector_norm(flat, dim=1, dtype=_wide(flat)).double().cpu()
            lost = ~gone & ~(size < _FAR)
            _decide(lost, DIVERGED, done, rows, labels, taken, gone)
            for k, one in enumerate(ranges):
                if one.cycle:
                    near = _nearest(now, centres[k], lengths)
                    inside = near <= one.radius
                    shrunk = near <= before[k] * (1 + one.rate**every) / 2
                    runs[k] = torch.where(inside & shrunk & torch.isfinite(before[k]), runs[k] + 1, 0)
                    before[k] = near
                    caught = (runs[k] >= 2) | (inside & (near <= one.floor))
                elif looks >= _STAY and one.radius > 0:
                    near = _nearest(now, centres[k], lengths) + (before[k] if looks > power // 2 else 0)
                    if one.box is not None:
                        near[_outside(now, one.box)] = math.inf
                    before[k] = near
                    caught = near <= (power // 2 * one.radius if looks + 1 == power else -1)
                else:
                    continue
                _decide(caught & ~gone, one.label, done, rows, labels, taken, gone)
            if reference is not None:
                moved = _apart(now, reference, lengths)
                _decide(~gone & (moved <= _REST * m.precision * size), UNMATCHED, done, rows, labels, taken, gone)
            looks += 1
            if looks == power:
                reference, power = now.clone(), 2 * power
            stayed = int((~gone).sum())
            if stayed == 0 or done >= loops:
                break
            if len(rows) - stayed >= max(1, len(rows) // _LEAVE):
                kept = torch.nonzero(~gone).ravel()
                states = states[kept.to(now.device)] if isinstance(states, torch.Tensor) else states[kept.numpy()]
                reference = None if reference is None else reference[kept.to(now.device)]
                rows, before, runs, gone = rows[kept.numpy()], before[:, kept], runs[:, kept], gone[kept]
                left(len(labels) - len(rows))
            step = min(every, loops - done)
            for _ in range(step):
                states = m(states)
            done += step
    left(len(labels))
    return labels, taken


def _between(ranges: Sequence[Range]) -> int:
    """Return the loops between two looks: few for fast attractors, more for slow ones."""
    slowest = max((one.rate for one in ranges if one.cycle), default=0.5)
    return int(min(_RARELY, max(1, math.ceil(math.log(_WANTED) / math.log(max(slowest, 1e-3))))))


def _decide(
    which: torch.Tensor, label: int, done: int, rows: Array, labels: Array, taken: Array, gone: torch.Tensor
) -> None:
    if bool(which.any()):
        index = rows[which.numpy()]
        labels[index], taken[index] = label, done
        gone |= which


def _tensor(states: Any) -> torch.Tensor:
    return states if isinstance(states, torch.Tensor) else torch.as_tensor(np.ascontiguousarray(states))


def _wide(states: torch.Tensor) -> torch.dtype:
    return states.dtype if states.dtype in (torch.float32, torch.float64) else torch.float32


def _apart(a: torch.Tensor, b: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Return ‖a − b‖ of whole states, angles wrapped, ``(batch,)`` in float64 on the host."""
    difference = a - b
    if lengths is not None:
        turns = lengths.to(difference.device)
        difference = difference - torch.nan_to_num(torch.round(difference / turns)) * torch.nan_to_num(turns)
    flat = difference.reshape(len(a), -1)
    found: torch.Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=_wide(flat)).double().cpu()
    return found


def _reduced(states: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Return states with angles in [0, period): a turn more is no farther, and no larger."""
    if lengths is None:
        return states
    turns = lengths.to(states)
    return states - torch.nan_to_num(torch.floor(states / turns)) * torch.nan_to_num(turns)


def _nearest(states: torch.Tensor, centres: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Return the distance of every state to the nearest of some points, ``(batch,)`` in float64 on the host."""
    if len(centres) <= 64:
        found = _apart(states, centres[:1], lengths)
        for i in range(1, len(centres)):
            found = torch.minimum(found, _apart(states, centres[i : i + 1], lengths))
        return found
    piece = max(1, _PAIRS // len(centres))
    if len(states) > piece:
        return torch.cat([_nearest(rows, centres, lengths) for rows in torch.split(states, piece)])
    wide = _wide(states)
    flat, points = states.reshape(len(states), -1).to(wide), centres.reshape(len(centres), -1).to(wide)
    if lengths is None:
        return _exact(flat, points).amin(dim=1).double().cpu()
    turns = lengths.reshape(-1).to(flat)
    angle = torch.isfinite(turns)
    square = _exact(flat[:, ~angle], points[:, ~angle]).square()
    for j in torch.nonzero(angle).ravel().tolist():
        moved = flat[:, j, None] - points[None, :, j]
        square += (moved - torch.round(moved / turns[j]) * turns[j]).square()
    return square.amin(dim=1).sqrt().double().cpu()


def _outside(states: torch.Tensor, box: Box) -> torch.Tensor:
    """Say which states lie beyond the bounds of a set, ``(batch,)`` on the host."""
    flat = states.reshape(len(states), -1)
    flat = flat.to(_wide(flat))
    along = flat @ torch.as_tensor(box.lines).to(flat).T
    low, high = (torch.as_tensor(bound).to(flat) for bound in (box.low, box.high))
    return ((along < low) | (along > high)).any(dim=1).cpu()


def _exact(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return distances ``(rows, points)``; by products they would err by √u of the size of the states."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
