"""How far a study is: cells done, how many a second, and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Meter", "Progress"]

_WINDOW = 200  # cells that the rate is taken over


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress callback is called with.

    Attributes
    ----------
    done : int
        Cells that have ended, failed ones and those of earlier runs included.
    total : int
        Cells of the plan; equal cells count once.
    failed : int
        Those of `done` that failed.
    running : int
        Cells that this run has sent out.
    rate : float
        Cells that end in a second, over the last ones of this run; nan before the second.
    remaining : float
        Seconds left at that rate; nan where it is not known.
    """

    done: int
    total: int
    failed: int
    running: int
    rate: float
    remaining: float


class Meter:
    """Calls a callback as cells end, at most ten times a second and once at the end."""

    def __init__(self, callback: Callable[[Progress], None] | None, total: int) -> None:
        self._callback, self._total = callback, total
        self._times: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_WINDOW)
        self._ended, self._last = 0, float("-inf")

    def ended(self, count: int) -> None:
        """Note that so many cells have ended in this run."""
        self._ended += count
        self._times.append((time.monotonic(), self._ended))

    def soon(self) -> int:
        """Return how many cells will end in half a second, 64 at most: so many may be claimed at once."""
        rate = self._rate()
        return max(1, min(64, int(0.5 * rate))) if rate == rate else 1

    def _rate(self) -> float:
        """Return how many cells ended in a second of late; nan before the first."""
        (began, before), now = self._times[0], time.monotonic()
        count = self._ended - before
        return count / (now - began) if count and now > began else float("nan")

    def show(self, done: int, failed: int, running: int, *, last: bool = False) -> None:
        """Call the callback, unless it was called just now."""
        now = time.monotonic()
        if self._callback is None or (now - self._last < 0.1 and not last):
            return
        self._last = now
        rate = self._rate()
        left = self._total - done
        self._callback(Progress(done, self._total, failed, running, rate, left / rate if left else 0.0))
