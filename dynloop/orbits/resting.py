"""Orbits that arrived: steps at the precision floor, or returns after p loops. Each limit is solved for once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.convergence import (
    AHEAD,
    FAR,
    Candidate,
    amplified,
    conclude,
    conclude_unpolished,
    loops_to_see,
    relative_distances,
)
from dynloop.orbits.finding import Finding
from dynloop.orbits.floor import row_norms
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.survey import surveyed
from dynloop.orbits.verdict import Regime

__all__ = [
    "FLOOR_AHEAD",
    "Limit",
    "Limits",
    "at_floor",
    "common_periods",
    "in_part_at_floor",
    "returning",
    "returning_in_part",
]

FLOOR_AHEAD = 1e-5  # how near a solution must be, in place of a floor that has not been reached


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A solved attracting point or cycle."""

    cycle: Array  # (p, *state_shape)
    findings: list[Finding]

    @classmethod
    def of(cls, m: LoopMap, findings: list[Finding], period: int) -> Limit:
        """Return the limit that was found, with all points of its cycle."""
        return cls(_cycle(m, findings[0], period), findings)

    @property
    def radius(self) -> Array:
        """ρ(DF^p) of every group."""
        return np.array([f.numbers["spectral_radius"] for f in self.findings])


class Limits:
    """The attracting points and cycles that were solved for, so that orbits with one limit share the work.

    An orbit shares a limit if its last state is as near to it as a solution of its own would have to be, and near
    enough that nothing more need be asked.
    """

    def __init__(self) -> None:
        self._known: list[Limit] = []

    def conclude(self, m: LoopMap, found: Candidate) -> list[Finding] | None:
        """Say what a candidate is: `convergence.conclude`, or what it said of an orbit with the same limit."""
        for limit in self._known:
            if len(limit.cycle) == found.period and len(limit.findings) == found.groups:
                (distance,), (which,), (near,) = _nearness(
                    m, limit, found.state[None], found.floor[None], np.array([found.largest.max()])
                )
                if near:
                    return [
                        replace(f, numbers={**f.numbers, "distance": d}, point=limit.cycle[which])
                        for f, d in zip(limit.findings, distance, strict=True)
                    ]
        fresh = conclude(m, found)
        if fresh and _attracts(fresh) and (found.period == 1 or not m.causal):
            self._known.append(Limit.of(m, fresh, found.period))
        return fresh

    def settle(
        self, q: Inquiry, starts: Array, *, solve: Callable[[int], object], period: int = 1,
        floor: float | None = None, fits: Callable[[Limit, Array], Array] | None = None, note: str = "",
    ) -> None:  # fmt: skip
        """Give each of the starts its limit: a known one, or one that ``solve(start)`` finds by `conclude`.

        Parameters
        ----------
        q : Inquiry
            The batch.
        starts : ndarray of int
            Whose candidates have this period; all groups of each are open.
        solve : callable
            Concludes for one start and records what it found.
        floor : float, optional
            In place of the measured floor.
        fits : callable, optional
            ``fits(limit, starts) -> bool (starts,)``, asked of those that are near; where it is false, there is
            no verdict.
        note : str
            Added to the reason.
        """
        seen = 0
        while len(starts):
            for limit in self._known[seen:]:
                fits_period = period % len(limit.cycle) == 0 and (period == 1) == (len(limit.cycle) == 1)
                if fits_period and len(limit.findings) == q.groups and len(starts):
                    starts = _shared(q, limit, starts, floor, fits, note)
            seen = len(self._known)
            if len(starts):
                solve(int(starts[0]))
                starts = starts[1:]


def _attracts(findings: list[Finding]) -> bool:
    return all(f.regime is not Regime.UNDECIDED and f.rate < 1 for f in findings)


def _cycle(m: LoopMap, finding: Finding, period: int) -> Array:
    assert finding.point is not None  # noqa: S101 - a conclusion always carries its point
    states = [finding.point]
    for _ in range(period - 1):
        states.append(m.numpy(m(m.native(states[-1][None])))[0])
    return np.stack(states)


def _nearness(m: LoopMap, limit: Limit, states: Array, floor: Array, largest: Array) -> tuple[Array, Array, Array]:
    """Compare states with a limit: the distance of every group, the nearest point, and whether it is near enough.

    `floor` is ``(batch, rows)``, `largest` the largest norm seen ``(batch,)``.
    """
    groups = len(limit.findings)
    nearest, which = np.full((len(states), groups), np.inf), np.zeros(len(states), dtype=int)
    for i, point in enumerate(limit.cycle):
        distance = relative_distances(m, states, point, largest, groups)
        nearer = distance.max(axis=1) < nearest.max(axis=1)
        nearest[nearer], which[nearer] = distance[nearer], i
    noise = floor[:, :groups] if m.causal else floor.max(axis=1, keepdims=True)
    allowed = np.minimum(amplified(noise, limit.radius), FAR)
    return nearest, which, np.asarray((nearest <= allowed).all(axis=1))


def _shared(
    q: Inquiry, limit: Limit, starts: Array, floor: float | None, fits: Callable[[Limit, Array], Array] | None,
    note: str,
) -> Array:  # fmt: skip
    """Record a limit for the starts that are near to it, and fit; return those that are not near."""
    largest = q.watcher.largest[starts].max(axis=1)
    noise = q.floor[starts] if floor is None else np.full((len(starts), q.m.rows), floor)
    distance, which, near = _nearness(q.ready_tangents(), limit, q.final[starts], noise, largest)
    good = near.copy()
    if fits is not None:
        if floor is not None and len(limit.cycle) == 1:
            good[~near] = near[~near] = _coming(q, limit, starts[~near])
        good[near] = fits(limit, starts[near])
    rows = starts[good]
    q.final[rows] = limit.cycle[which[good]]
    for g, finding in enumerate(limit.findings):
        said = replace(finding.noting(note) if note else finding, point=None)
        q.share(rows, g, said, distance=distance[good, g])
    return starts[~near]


def _coming(q: Inquiry, limit: Limit, starts: Array) -> Array:
    """Say which starts are near to a point by the largest norm seen, and are seen to come nearer, ``(starts,)``.

    A point at the origin has no size of its own. It is what `conclude` asks of one orbit that is solved ahead of.
    """
    m, point, largest = q.ready_tangents(), limit.cycle[0], q.watcher.largest[starts]
    size = np.maximum(row_norms(m, m.displacement(point, np.zeros_like(point))[None]), largest)
    gap = row_norms(m, m.displacement(q.final[starts], point)) / np.maximum(size, np.finfo(float).tiny)
    allowed = amplified(np.full(len(limit.findings), FLOOR_AHEAD), limit.radius)
    found = np.asarray((q.most(gap)[:, : len(allowed)] <= allowed).all(axis=1))
    rows = starts[found]
    if len(rows) == 0:
        return found
    loops = loops_to_see(float(limit.radius.max()), max(1024, 2 * int(q.watcher.loops[rows[0]])))
    if not loops:
        return np.zeros(len(starts), dtype=bool)
    states, most, groups = q.final[rows], q.watcher.largest[rows].max(axis=1), len(limit.findings)
    later = surveyed(m, m.native(states), loops, largest[found], lambda _: q.floor[rows], trend=False, rate=False)
    before, after = (relative_distances(m, x, point, most, groups) for x in (states, m.numpy(later.states)))
    found[found] = (after <= 0.1 * np.maximum(before, AHEAD)).all(axis=1)
    return found


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
