"""Carry frames over a transient and then over a window, in pieces, until the orbit is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.measured import Stretch

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
    logs : ndarray, (loops // every // gather, …)
        log R_jj of every QR, summed over `gather` of them; nan from where the orbit was lost.
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
    gather: int = 1,
    progress: Progress | None = None,
) -> Window:
    """Stretch frames over a transient, whose growth is dropped, and over a window.

    Parameters
    ----------
    stretch : callable
        ``stretch(states, frames, loops, every=…, gather=…, overwrite=…) -> Stretch``; the frames are overwritten.
    states, frames : native array
        Where to begin.
    loops, transient : int
        Lengths of the window, a multiple of ``every · gather``, and of what comes before it.
    every, gather : int
        Loops between two QR decompositions, and how many of these make one record of the window.
    progress : callable, optional
        ``progress(loops done, loops in all)``.
    """
    done, total = 0, transient + loops
    dropped, rest = transient - transient % every, transient % every
    logs: list[Array] = []
    for length, steps, together in ((rest, rest, 1), (dropped, every, 1), (loops, every, gather)):
        record = steps * together
        piece = record * -(-max(32, length // _PIECES) // record) if record else 1
        logs = []
        for first in range(0, length, piece):
            now = min(piece, length - first)
            found = stretch(states, frames, now, every=steps, gather=together, overwrite=True)
            states, frames = found.states, found.frames
            logs.append(found.logs)
            done += now
            if progress is not None:
                progress(done, total)
            if np.isnan(found.logs[-1]).all():
                known = logs if done > transient else []
                return Window(states=states, frames=frames, logs=_lost(found.logs[-1], known, loops // every // gather))
    return Window(states=states, frames=frames, logs=np.concatenate(logs))


def _lost(last: Array, known: list[Array], count: int) -> Array:
    """Fill up with nan the records of a window in which, or before which, an orbit was lost."""
    seen = sum(map(len, known))
    return np.concatenate([*known, np.broadcast_to(last, (count - seen, *last.shape))])
