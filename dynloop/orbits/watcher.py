"""What is remembered of a batch of orbits while they are watched, in space that does not grow with loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.maps.measured import Survey
from dynloop.orbits.floor import row_norms

__all__ = ["Watcher", "windows"]

_BY_START = (
    "loops", "largest", "rate", "rate_error", "growth", "trend", "trend_before", "step", "absolute_step", "norm",
    "finite", "settled", "period", "near",
)  # fmt: skip
_LONGEST = 1024  # loops in one window: periods up to half of it can be seen


def windows(loops: int, done: int, first: int) -> Iterator[int]:
    """Yield window lengths that lead from `done` to `loops`; windows end at first·2^j and first·3·2^j.

    Octaves are sums of windows. Where an earlier budget ended between two of these ends, the first window is short.
    """
    while done < loops:
        octave = first * 2 ** int(np.log2(max(done, first) / first))
        length = min(max(octave // 2, first), _LONGEST)
        length = min(length - done % length, loops - done)
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
        self.rate, self.rate_error = np.full((2, batch, m.rows), np.nan)
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
        if seen.rate is not None and seen.rate_error is not None:
            none = np.isnan(seen.rate)
            self.rate[active] = np.where(none, self.rate[active], seen.rate)
            self.rate_error[active] = np.where(none, self.rate_error[active], seen.rate_error)
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

    def remember(self, starts: Array) -> dict[str, Array]:
        """Return what is known of some starts as arrays whose axis 0 is the start; `recall` reads it."""
        octaves = {"paths": self.paths, "shifts": self.shifts}
        mark = np.zeros((len(starts), *self.m.state_shape)) if self._mark is None else self._mark[starts]
        return (
            {name: getattr(self, name)[starts] for name in _BY_START}
            | {name: np.stack([o[starts] for o in found], axis=1) for name, found in octaves.items() if found}
            | {"path": self._path[starts], "mark": mark}
        )

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Go on from what `remember` returned for these starts."""
        for name in _BY_START:
            setattr(self, name, memory[name].copy())
        if self.loops[0] >= 32:
            self._mark = memory["mark"].copy()
        self._path = memory["path"].copy()
        self.paths, self.shifts = (
            list(np.moveaxis(memory[name], 1, 0)) if name in memory else [] for name in ("paths", "shifts")
        )

    def slowing(self, b: int, rows: slice) -> bool:
        """Say whether steps fell over the last two octaves: steady motion doubles the path, steps like 1/t keep it."""
        return bool(self.slow(np.array([b]), rows)[0])

    def slow(self, starts: Array, rows: slice) -> Array:
        """Say of which starts the rows are slowing, together: ``(starts,)``."""
        if len(self.paths) < 2:
            return np.zeros(len(starts), dtype=bool)
        last, before = (octave[starts, rows].max(axis=1) for octave in (self.paths[-1], self.paths[-2]))
        return np.asarray(last < 1.6 * before)
