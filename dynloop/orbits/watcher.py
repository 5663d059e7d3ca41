"""What is remembered of a batch of orbits while they are watched, in space that does not grow with loops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import Array, LoopMap, Survey
from dynloop.orbits.floor import row_norms

__all__ = ["Watcher", "windows"]

_LONGEST = 1024  # loops in one window: periods up to half of it can be seen


def windows(loops: int, first: int = 32) -> Iterator[int]:
    """Yield window lengths that add up to `loops`; windows end at first·2^j and first·3·2^j, so octaves are sums."""
    done = 0
    while done < loops:
        octave = first * 2 ** int(np.log2(max(done, first) / first))
        length = min(max(octave // 2, first), _LONGEST, loops - done)
        yield length
        done += length


class Watcher:
    """Series of the last window, and summaries of all that came before.

    Parameters
    ----------
    m : LoopMap
        The map.
    batch : int
        Number of starts.
    norms : ndarray, (batch, rows)
        Norms of the starts.
    """

    def __init__(self, m: LoopMap, batch: int, norms: Array) -> None:
        self.m = m
        self.loops = np.zeros(batch, dtype=np.int64)
        self.largest = norms.copy()
        self.rate = np.full((batch, m.rows), np.nan)
        self.growth = np.full((batch, m.rows), np.nan)
        self.trend = np.full((batch, m.rows), np.nan)
        self.trend_before = np.full((batch, m.rows), np.nan)
        self.step = np.full((batch, m.rows), np.nan)
        self.absolute_step = np.full((batch, m.rows), np.nan)
        self.norm = norms.copy()
        self.finite = np.ones((batch, m.rows), dtype=bool)
        self.settled = np.zeros((batch, m.rows), dtype=bool)
        self.paths: list[Array] = []
        self.shifts: list[Array] = []
        self._path = np.zeros((batch, m.rows))
        self._mark: Array | None = None
        self.window = 0  # loops in the last window
        self.period, self.near = np.full((2, batch, m.state_shape[0] if m.causal else 1), -1)

    def see(self, active: Array | slice, done: int, loops: int, seen: Survey) -> None:
        """Take in one window, of `loops` loops that end at loop `done`, of the starts `active` (indices)."""
        self.window = loops
        self.loops[active] += loops
        self.finite[active], self.settled[active], self.largest[active] = seen.finite, seen.settled, seen.largest
        self.step[active], self.norm[active], self.absolute_step[active] = seen.step, seen.norm, seen.mean_step
        self.growth[active], self.period[active], self.near[active] = seen.growth, seen.period, seen.near
        if seen.decay is not None:
            self.trend_before[active], self.trend[active] = self.trend[active], seen.decay
        if seen.rate is not None:
            self.rate[active] = np.where(np.isnan(seen.rate), self.rate[active], seen.rate)
        self._add_octave(active, done, seen)

    def _add_octave(self, active: Array | slice, done: int, window: Survey) -> None:
        """At loops 32, 64, 128, … close an octave: the path length since the last, and the net displacement."""
        self._path[active] += np.where(window.path < np.inf, window.path, 0.0)  # also where nan
        if done < 32 or done & (done - 1):
            return
        now = np.zeros((len(self._path), *self.m.state_shape)) if self._mark is None else self._mark.copy()
        now[active] = self.m.numpy(window.states)
        if self._mark is not None:
            self.paths.append(self._path.copy())
            with np.errstate(invalid="ignore", over="ignore"):
                self.shifts.append(row_norms(self.m, self.m.displacement(now, self._mark)))
        self._mark = now
        self._path[:] = 0.0

    def slowing(self, b: int, rows: slice) -> bool:
        """Say whether steps fell over the last two octaves: steady motion doubles the path, steps like 1/t keep it."""
        return bool(self.slow(np.array([b]), rows)[0])

    def slow(self, starts: Array, rows: slice) -> Array:
        """Say of which starts the rows are slowing, together: ``(starts,)``."""
        if len(self.paths) < 2:
            return np.zeros(len(starts), dtype=bool)
        last, before = (octave[starts, rows].max(axis=1) for octave in (self.paths[-1], self.paths[-2]))
        return np.asarray(last < 1.6 * before)
