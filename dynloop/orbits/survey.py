"""A window of loops read once into one line of numbers a row: compiled where a map can, else from its series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.maps.measured import Survey, Watch
from dynloop.orbits.recurrence import decay, growth, return_period, settled

__all__ = ["NEAR", "RETURN", "surveyed"]

RETURN = 1e-8  # a relative distance that counts as a return in float64
NEAR = 1e-3  # one from which a cycle may be solved for


def surveyed(
    m: LoopMap,
    states: Any,
    loops: int,
    largest: Array,
    floor: Callable[[Any], Array],
    *,
    trend: bool,
    rate: bool,
    kept: list[Watch] | None = None,
) -> Survey:
    """Iterate a map and sum up what it did.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : native array, (batch, *state_shape)
        Where the window begins; left alone.
    loops : int
        Its length.
    largest : ndarray, (batch, rows)
        The largest norm seen before.
    floor : callable
        ``floor(states) -> (batch, rows)``, the precision floor at the last states.
    trend, rate : bool
        Whether the decay of the steps must be measured, and their rate above the floor fitted.
    kept : list of Watch, optional
        To which the series is added, where there is one.
    """
    nominal, ceiling = 4 * m.precision, 256.0 if m.precision <= np.finfo(float).eps else 8.0
    if m.precision <= np.finfo(float).eps and not rate:
        found = m.survey(
            states, loops, largest, floor=nominal, ceiling=ceiling, returns=(RETURN, NEAR), trend=trend
        )  # fmt: skip
        if found is not None:
            return found
    copy = states[np.arange(len(states))]  # a layer that writes in place spoils no reference
    window = m.watch(copy, loops, states)
    if kept is not None:
        kept.append(window)
    return _read(m, window, largest, floor(window.states), nominal, ceiling)


def _read(m: LoopMap, window: Watch, largest: Array, floor: Array, nominal: float, ceiling: float) -> Survey:
    steps, norms = window.steps, window.norms
    with np.errstate(invalid="ignore"):
        finite = np.asarray((np.isfinite(norms) & np.isfinite(steps)).all(axis=0))
        largest = np.fmax(largest, np.nanmax(norms, axis=0, initial=0.0))
        scale = np.maximum(norms, nominal * largest + np.finfo(float).tiny)
        relative, returns = steps / scale, window.returns / scale
    rate, rate_error = _rate(relative, floor)
    return Survey(
        states=window.states, largest=largest, finite=finite, step=relative[-1], norm=norms[-1],
        mean_step=steps[-max(1, len(steps) // 4) :].mean(axis=0), growth=growth(norms), decay=decay(steps),
        rate=rate, rate_error=rate_error, path=steps.sum(axis=0),
        settled=settled(relative, np.maximum(floor, nominal), ceiling=ceiling),
        period=_periods(returns, RETURN, causal=m.causal), near=_periods(returns, NEAR, causal=m.causal),
    )  # fmt: skip


def _rate(relative: Array, floor: Array) -> tuple[Array, Array]:
    """Fit a contraction factor, and its error, to the steps that lie above the floor and below what they began with.

    The standard error allows for residuals that are correlated from loop to loop; added is what the later half of these
    steps says otherwise, since faster modes die out first.
    """
    usable = relative > 10 * floor
    count = usable.sum(axis=0)
    times = np.arange(len(relative), dtype=float)[:, None, None]
    logs = np.log(np.maximum(relative, np.finfo(float).tiny))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        slope, spread, left = _line(times, logs, usable)
        squares = (left**2).sum(axis=0)
        memory = np.clip((left[1:] * left[:-1]).sum(axis=0) / np.maximum(squares, 1e-300), 0.0, 0.9)
        error = np.sqrt(squares / (count - 2) / spread * (1 + memory) / (1 - memory))
        middle = np.where(usable, times, 0.0).sum(axis=0) / count
        error += np.abs(_line(times, logs, usable & (times >= middle))[0] - slope)
        rate = np.exp(slope)
    return np.where(count >= 6, rate, np.nan), np.where(count >= 6, rate * error, np.nan)


def _line(times: Array, logs: Array, usable: Array) -> tuple[Array, Array, Array]:
    """Fit a line along axis 0 where `usable`: its slope, the sum of squared times about their mean, what is left."""
    count = usable.sum(axis=0)
    away = np.where(usable, times - np.where(usable, times, 0.0).sum(axis=0) / count, 0.0)
    spread = (away**2).sum(axis=0)
    slope = (away * logs).sum(axis=0) / spread
    mean = np.where(usable, logs, 0.0).sum(axis=0) / count
    return slope, spread, np.where(usable, logs - mean - slope * away, 0.0)


def _periods(returns: Array, tolerance: float, *, causal: bool) -> Array:
    """Return the period of every group, ``(batch, groups)``, or −1 where not all its rows return."""
    hits = np.asarray((returns <= tolerance).any(axis=0))
    if not causal:
        returns = np.fmax.reduce(returns, axis=2, keepdims=True)
        hits = np.asarray(hits.all(axis=1, keepdims=True))
    found = np.full(returns.shape[1:], -1)
    for b, g in np.argwhere(hits):
        found[b, g] = return_period(returns[:, b, g], tolerance)
    return found
