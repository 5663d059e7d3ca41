"""Orbits that arrived: steps at the precision floor, or returns after p loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.convergence import conclude_unpolished
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.limits import Limits
from dynloop.orbits.verdict import Regime

__all__ = ["at_floor", "common_periods", "in_part_at_floor", "returning", "returning_in_part"]


def at_floor(q: Inquiry, starts: Array, limits: Limits) -> list[int]:
    """Conclude where every group without a verdict is at the floor; return the starts that were not solved."""
    at_rest = q.every(q.watcher.settled[starts])
    rows = starts[(at_rest | q.decided[starts]).all(axis=1) & ~q.decided[starts].all(axis=1)]
    return _settle(q, rows, limits) if len(rows) else []


def in_part_at_floor(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Conclude for the tokens that are at the floor where others are not: asked at the end of the budget."""
    for b in starts:
        at_rest = q.every(q.watcher.settled[b])
        if groups := [g for g in q.open(int(b)) if at_rest[g]]:
            _conclude_at_floor(q, int(b), groups, limits)


def _settle(q: Inquiry, starts: Array, limits: Limits) -> list[int]:
    """Conclude for starts whose groups are at rest; return those that were not solved."""
    unsolved: list[int] = []

    def solve(b: int) -> None:
        if not _conclude_at_floor(q, b, q.open(b), limits):
            unsolved.append(b)

    whole = ~q.decided[starts].any(axis=1) if q.twin is not None and not q.low else np.zeros(len(starts), dtype=bool)
    for b in starts[~whole]:
        solve(int(b))
    limits.settle(q, starts[whole], solve=solve)
    return unsolved


def _conclude_at_floor(q: Inquiry, b: int, groups: list[int], limits: Limits) -> bool:
    """Conclude for groups at rest: the leading ones are a map of their own, others follow tokens that move."""
    leading = sum(g == i for i, g in enumerate(groups))
    candidate = q.candidate(b)
    if q.twin is None:
        q.put(b, groups, [conclude_unpolished(q.m, candidate, g, q.why_no_twin) for g in groups])
        return True
    if leading:
        findings = limits.conclude(q.ready_tangents(), replace(candidate, groups=leading))
        if findings is None or (q.low and any(f.regime is Regime.UNDECIDED for f in findings)):
            return False
        if q.low:
            floor = f"the {q.m.dtype_name} orbit stalls at its floor, {q.floor[b].max():.1e}"
            findings = [f.noting(floor) for f in findings]
        q.put(b, groups[:leading], findings)
    why = "an earlier token is not at rest"
    q.put(b, groups[leading:], [conclude_unpolished(q.m, candidate, g, why) for g in groups[leading:]])
    return True


def returning(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Look for a common period of all groups of each start, and solve for the cycle."""
    if q.twin is None:
        return
    rows = starts[~q.decided[starts].any(axis=1)]
    periods = common_periods(q, rows, q.watcher.period)

    def solve(b: int) -> None:
        findings = limits.conclude(q.ready_tangents(), q.candidate(b, period=p))
        if findings is not None:
            q.put(b, range(q.groups), findings)

    for p in np.unique(periods[periods > 1]).tolist():
        limits.settle(q, rows[periods == p], solve=solve, period=p)


def returning_in_part(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Solve for the cycle of leading tokens that return where later ones do not: asked at the end of the budget."""
    if q.twin is None or not q.m.causal:
        return
    for b in starts:
        groups = int(np.append((q.watcher.period[b] > 0) | q.every(q.watcher.settled[b]), False).argmin())
        while groups and not q.decided[b, :groups].all() and not _solve_cycle(q, int(b), groups, limits):
            groups -= 1


def _solve_cycle(q: Inquiry, b: int, groups: int, limits: Limits) -> bool:
    """Solve for the cycle of the leading groups of a start."""
    period = int(common_periods(q, np.array([b]), q.watcher.period, groups)[0])
    if period < 2:
        return False
    findings = limits.conclude(q.ready_tangents(), replace(q.candidate(b, period=period), groups=groups))
    if findings is not None:
        q.put(b, range(groups), findings)
    return findings is not None


def common_periods(q: Inquiry, starts: Array, periods: Array, groups: int | None = None) -> Array:
    """Return the least common period of the leading groups of every start within its last window, or −1.

    `periods` ``(batch, groups)`` are those that were seen; all groups count if `groups` is left out.
    """
    periods = periods[starts]
    if not (periods > 1).any():
        return np.full(len(starts), -1)
    periods = np.where(q.every(q.watcher.settled[starts]), 1, periods)[:, :groups]
    common = np.where((periods > 0).all(axis=1), np.lcm.reduce(np.maximum(periods, 1), axis=1), -1)
    return np.where(2 * common <= q.watcher.window, common, -1)
