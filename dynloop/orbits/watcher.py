"""What is remembered of a batch of orbits while they are watched, in space that does not grow with loops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import Array, LoopMap, Watch
from dynloop.orbits.floor import row_norms
from dynloop.orbits.recurrence import decay, growth, settled

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
        self.nominal = 4 * m.precision
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
        self.returns: dict[int, Array] = {}

    def see(self, active: Array, window: Watch, floor: Array) -> None:
        """Take in one window of the starts `active` (indices); `floor` is their precision floor, ``(active, rows)``."""
        steps, norms = window.steps, window.norms
        self.loops[active] += len(steps)
        with np.errstate(invalid="ignore"):
            self.finite[active] = np.isfinite(norms).all(axis=0) & np.isfinite(steps).all(axis=0)
            self.largest[active] = np.fmax(self.largest[active], np.nanmax(norms, axis=0, initial=0.0))
            scale = np.maximum(norms, self.nominal * self.largest[active] + np.finfo(float).tiny)
            relative, returns = steps / scale, window.returns / scale
        self.step[active], self.norm[active] = relative[-1], norms[-1]
        self.absolute_step[active] = steps[-max(1, len(steps) // 4) :].mean(axis=0)
        self.growth[active] = growth(norms)
        self.trend_before[active], self.trend[active] = self.trend[active], decay(steps)
        ceiling = 256.0 if self.m.precision <= np.finfo(float).eps else 8.0
        self.settled[active] = settled(relative, np.maximum(floor, self.nominal), ceiling=ceiling)
        self._fit(active, relative, floor)
        self.returns = {int(b): returns[:, i] for i, b in enumerate(active)}
        self._add_octave(active, window)

    def _fit(self, active: Array, relative: Array, floor: Array) -> None:
        """Fit a contraction factor to the steps that lie above the floor and below what they began with."""
        usable = relative > 10 * floor
        count = usable.sum(axis=0)
        times = np.arange(len(relative), dtype=float)[:, None, None]
        logs = np.where(usable, np.log(np.maximum(relative, np.finfo(float).tiny)), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = np.where(usable, times, 0.0).sum(axis=0) / count
            away = np.where(usable, times - middle, 0.0)
            slope = (away * logs).sum(axis=0) / (away**2).sum(axis=0)
        self.rate[active] = np.where(count >= 6, np.exp(slope), self.rate[active])

    def _add_octave(self, active: Array, window: Watch) -> None:
        """At loops 32, 64, 128, … close an octave: the path length since the last, and the net displacement."""
        self._path[active] += np.nan_to_num(window.steps.sum(axis=0), nan=0.0, posinf=0.0)
        done = int(self.loops[active[0]])
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
        if len(self.paths) < 2:
            return False
        last, before = self.paths[-1][b, rows].max(), self.paths[-2][b, rows].max()
        return bool(last < 1.6 * before)
