"""The attracting points and cycles that were solved for, so that orbits with one limit share the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.candidate import Candidate
from dynloop.orbits.convergence import conclude
from dynloop.orbits.finding import Finding
from dynloop.orbits.floor import row_norms
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.nearness import AHEAD, FAR, amplified, loops_to_see, relative_distances
from dynloop.orbits.survey import surveyed
from dynloop.orbits.verdict import Regime

__all__ = ["FLOOR_AHEAD", "Limit", "Limits"]

FLOOR_AHEAD = 1e-5  # how near a solution must be, in place of a floor that has not been reached


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A solved attracting point or cycle."""

    cycle: Array  # (p, *state_shape)
    findings: list[Finding]

    @classmethod
    def of(cls, m: LoopMap, findings: list[Finding]) -> Limit:
        """Return the limit that was found, with all points of its cycle."""
        return cls(_cycle(m, findings[0], math.lcm(*(f.period for f in findings))), findings)

    def fits(self, period: int, groups: int) -> bool:
        """Say whether orbits that return after `period` loops may have it: a cycle of its divisor, but no point."""
        p = len(self.cycle)
        return len(self.findings) == groups and period % p == 0 and (period == 1) == (p == 1)

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
            if limit.fits(found.period, found.groups):
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
            self._known.append(Limit.of(m, fresh))
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
                if limit.fits(period, q.groups) and len(starts):
                    starts = _shared(q, limit, starts, floor, fits, note)
            seen = len(self._known)
            if len(starts):
                verdicts = q.verdicts
                solve(int(starts[0]))
                unsolved = period > 1 and q.verdicts == verdicts
                starts = self._without_coming(q, starts) if unsolved else starts[1:]

    def _without_coming(self, q: Inquiry, starts: Array) -> Array:
        """Drop the first of the starts, and those that come to the same point as it: they will be seen to rest there.

        An orbit that turns as it closes in on a point may return before its steps are at the floor.
        """
        candidate = replace(q.candidate(int(starts[0])), floor=np.full(q.m.rows, FLOOR_AHEAD))
        found = self.conclude(q.ready_tangents(), candidate)
        rest = starts[1:]
        if not found or not _attracts(found):
            return rest
        limit, largest = Limit.of(q.ready_tangents(), found), q.watcher.largest[rest].max(axis=1)
        ahead = np.full((len(rest), q.m.rows), FLOOR_AHEAD)
        return rest[~_nearness(q.ready_tangents(), limit, q.final[rest], ahead, largest)[2]]


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
    distance, which, near = _nearness(q.ready_tangents(), limit, q.final.take(starts, axis=0), noise, largest)
    good = near.copy()
    if fits is not None:
        if floor is not None and len(limit.cycle) == 1:
            good[~near] = near[~near] = _coming(q, limit, starts[~near])
        good[near] = fits(limit, starts[near])
    rows = starts[good]
    q.final[rows] = limit.cycle.take(which[good], axis=0)
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
