"""Carry frames over a transient and then over a window, in pieces, until the orbit is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, Stretch

__all__ = ["Progress", "Window", "carry"]

Progress = Callable[[int, int], None]
_PIECES = 64  # in which progress is told


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Window:
    """What was measured over a window.

    Attributes
    ----------
    states, frames : native array
        After the last loop; the frames are orthonormal.
    logs : ndarray, (loops // every, …)
        log R_jj of every QR; nan from where the orbit was lost.
    """

    states: Any
    frames: Any
    logs: Array


def carry(
    stretch: Callable[..., Stretch],
    states: Any,
    frames: Any,
    loops: int,
    *,
    transient: int = 0,
    every: int = 1,
    progress: Progress | None = None,
) -> Window:
    """Stretch frames over a transient, whose growth is dropped, and over a window.

    Parameters
    ----------
    stretch : callable
        ``stretch(states, frames, loops, every=…, overwrite=…) -> Stretch``; the frames are overwritten.
    states, frames : native array
        Where to begin.
    loops, transient : int
        Lengths of the window and of what comes before it; `every` divides `loops`.
    every : int
        Loops between two QR decompositions.
    progress : callable, optional
        ``progress(loops done, loops in all)``.
    """
    done, total = 0, transient + loops
    logs: list[Array] = []
    for length in (transient, loops):
        piece = every * -(-max(32, length // _PIECES) // every)
        logs = []
        for first in range(0, length, piece):
            now = min(piece, length - first)
            found = stretch(states, frames, now, every=every, overwrite=True)
            states, frames = found.states, found.frames
            logs.append(found.logs)
            done += now
            if progress is not None:
                progress(done, total)
            if len(found.logs) and np.isnan(found.logs[-1]).all():
                return Window(states=states, frames=frames, logs=_lost(found.logs, logs, length, loops, every))
    return Window(states=states, frames=frames, logs=np.concatenate(logs))


def _lost(last: Array, logs: list[Array], length: int, loops: int, every: int) -> Array:
    """Fill up with nan the window of an orbit that was lost, in the window or before it."""
    found = np.full((loops // every, *last.shape[1:]), np.nan)
    if length == loops:
        known = np.concatenate(logs)
        found[: len(known)] = known[: len(found)]
    return found
