"""Orbits that arrived: steps at the precision floor, or returns after p loops. Each limit is solved for once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.convergence import FAR, Candidate, close_enough, conclude, conclude_unpolished, relative_distance
from dynloop.orbits.finding import Finding
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.recurrence import return_period
from dynloop.orbits.verdict import Regime

__all__ = ["RETURN", "Limits", "at_floor", "in_part_at_floor", "returning", "returning_in_part"]

RETURN = 1e-8  # a relative distance that counts as a return in float64


@dataclass(frozen=True, slots=True, eq=False)
class _Limit:
    """A solved attracting point or cycle."""

    cycle: Array  # (p, *state_shape)
    findings: list[Finding]


class Limits:
    """The attracting points and cycles that were solved for, so that orbits with one limit share the work.

    An orbit shares a limit if its last state is as near to it as a solution of its own would have to be, and near
    enough that nothing more need be asked.
    """

    def __init__(self) -> None:
        self._known: list[_Limit] = []

    def conclude(self, m: LoopMap, found: Candidate) -> list[Finding] | None:
        """Say what a candidate is: `convergence.conclude`, or what it said of an orbit with the same limit."""
        for limit in self._known:
            if (findings := _matched(m, limit, found)) is not None:
                return findings
        fresh = conclude(m, found)
        if fresh and _attracts(fresh) and (found.period == 1 or not m.causal):
            self._known.append(_Limit(_cycle(m, fresh[0], found.period), fresh))
        return fresh


def _attracts(findings: list[Finding]) -> bool:
    return all(f.regime is not Regime.UNDECIDED and f.rate < 1 for f in findings)


def _cycle(m: LoopMap, finding: Finding, period: int) -> Array:
    assert finding.point is not None  # noqa: S101 - a conclusion always carries its point
    states = [finding.point]
    for _ in range(period - 1):
        states.append(m.numpy(m(m.native(states[-1][None])))[0])
    return np.stack(states)


def _matched(m: LoopMap, limit: _Limit, found: Candidate) -> list[Finding] | None:
    if len(limit.cycle) != found.period or len(limit.findings) != found.groups:
        return None
    distances = np.stack([relative_distance(m, found, point) for point in limit.cycle])
    nearest = int(distances.max(axis=1).argmin())
    radius = np.array([f.numbers["spectral_radius"] for f in limit.findings])
    if np.any(distances[nearest] > np.minimum(close_enough(m, found, radius), FAR)):
        return None
    return [
        replace(f, numbers={**f.numbers, "distance": d}, point=limit.cycle[nearest])
        for f, d in zip(limit.findings, distances[nearest], strict=True)
    ]


def at_floor(q: Inquiry, starts: Array, limits: Limits) -> list[int]:
    """Conclude where every group without a verdict is at the floor; return the starts that were not solved."""
    at_rest = q.every(q.watcher.settled[starts])
    unsolved = []
    for b in starts[(at_rest | q.decided[starts]).all(axis=1) & ~q.decided[starts].all(axis=1)]:
        if not _conclude_at_floor(q, int(b), q.open(int(b)), limits):
            unsolved.append(int(b))
    return unsolved


def in_part_at_floor(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Conclude for the tokens that are at the floor where others are not: asked at the end of the budget."""
    for b in starts:
        at_rest = q.every(q.watcher.settled[b])
        if groups := [g for g in q.open(int(b)) if at_rest[g]]:
            _conclude_at_floor(q, int(b), groups, limits)


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
    hits = [(q.watcher.returns[int(b)] <= RETURN).any(axis=0).all() for b in starts]
    for b in starts[np.array(hits, dtype=bool) & ~q.decided[starts].any(axis=1)]:
        _solve_cycle(q, int(b), q.groups, limits)


def returning_in_part(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Solve for the cycle of leading tokens that return where later ones do not: asked at the end of the budget."""
    if q.twin is None or not q.m.causal:
        return
    for b in starts:
        hits = np.append((q.watcher.returns[int(b)] <= RETURN).any(axis=0), False)
        groups = int(hits.argmin())
        while groups and not q.decided[b, :groups].all() and not _solve_cycle(q, int(b), groups, limits):
            groups -= 1


def _solve_cycle(q: Inquiry, b: int, groups: int, limits: Limits) -> bool:
    period = _common_period(q, b, groups)
    if period < 2:
        return False
    candidate = replace(q.candidate(b, period=period), groups=groups)
    findings = limits.conclude(q.ready_tangents(), candidate)
    if findings is not None:
        q.put(b, range(groups), findings)
    return findings is not None


def _common_period(q: Inquiry, b: int, groups: int) -> int:
    """Return the least common period of the leading groups of a start within its last window, or −1."""
    returns, at_rest = q.most(q.watcher.returns[b]), q.every(q.watcher.settled[b])
    periods = [1 if at_rest[g] else return_period(returns[:, g], RETURN) for g in range(groups)]
    if min(periods) < 1:
        return -1
    period = lcm(*periods)
    return period if 2 * period <= len(returns) else -1
