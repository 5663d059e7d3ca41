"""Orbits that close in on a cycle without having arrived: solve ahead of them, as `falling` does for points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.inquiry import Inquiry, picked
from dynloop.orbits.limits import FLOOR_AHEAD, Limit, Limits
from dynloop.orbits.nearness import relative_distances
from dynloop.orbits.recurrence import divides
from dynloop.orbits.resting import common_periods
from dynloop.orbits.verdict import Regime

__all__ = ["closing_in"]

_NOTE = "solved ahead of the orbit, whose distance from it still falls as the spectral radius asks"
_ROUNDING = 1e-12  # relative distances below this do not tell a rate


def closing_in(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Solve for the cycle of orbits that nearly return.

    Certain only if the solution is near, attracts, and the distance from it fell over the last window as it must.
    """
    if q.twin is None or q.m.causal:
        return
    rows = starts[~q.decided[starts].any(axis=1)]
    periods = common_periods(q, rows, q.watcher.near)

    def solve(b: int) -> None:
        for least in [*(d for d in divides(p) if d > 1), p]:  # a flip brings an orbit back nearer after two rounds
            candidate = replace(q.candidate(b, period=least), floor=np.full(q.m.rows, FLOOR_AHEAD))
            findings = limits.conclude(q.ready_tangents(), candidate)
            if findings is None or any(f.regime is Regime.UNDECIDED for f in findings):
                continue
            if _contracts(q, Limit.of(q.ready_tangents(), findings), np.array([b]))[0]:
                q.put(b, range(q.groups), [f.noting(_NOTE) for f in findings])
            return

    for p in np.unique(periods[periods > 1]).tolist():
        limits.settle(
            q, rows[periods == p], solve=solve, period=p, floor=FLOOR_AHEAD, note=_NOTE,
            fits=lambda limit, near: _contracts(q, limit, near),
        )  # fmt: skip


def _contracts(q: Inquiry, limit: Limit, starts: Array) -> Array:
    """Say from which starts the distance to a cycle fell over the last window by its rate, ``(starts,)``.

    It must have halved at least, and its logarithm must agree to a tenth.
    """
    m, largest = q.ready_tangents(), q.watcher.largest[starts].max(axis=1)
    ends = [
        np.min([relative_distances(m, states, point, largest, q.groups).max(axis=1) for point in limit.cycle], axis=0)
        for states in (q.m.numpy(picked(q.before, starts)), q.final.take(starts, axis=0))
    ]
    rate = max(f.rate for f in limit.findings)
    with np.errstate(divide="ignore", invalid="ignore"):
        fallen = np.log(ends[1] / ends[0])
        alike = np.abs(fallen - q.watcher.window * np.log(rate)) <= 0.1 * np.abs(fallen)
    return np.asarray(alike & (fallen < -np.log(2)) & (ends[1] > _ROUNDING))
