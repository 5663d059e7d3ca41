"""Orbits whose steps fall without having arrived: solve ahead of them, or read the law of octaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.algebraic import creeping_in
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.growing import grows
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.limits import FLOOR_AHEAD, Limits
from dynloop.orbits.recurrence import octave_law
from dynloop.orbits.slow_approach import coming_slowly
from dynloop.orbits.slow_escape import leaving_slowly
from dynloop.orbits.verdict import Regime

__all__ = ["octaves", "solving_ahead"]

_NEAR = 0.05  # steps above this share of the largest norm are too far from a limit to solve for it
_AHEAD = "solved ahead of the orbit, whose steps still fall per loop as the spectral radius asks"


def solving_ahead(q: Inquiry, starts: Array, limits: Limits) -> None:
    """Solve for the limit of orbits whose steps fall geometrically but slowly.

    Certain only if the solution is near, attracts this orbit, and contracts as the steps do. A step is measured by the
    largest norm seen: beside a limit at the origin it never becomes small relative to the state.
    """
    if q.twin is None:
        return
    w = q.watcher
    with np.errstate(invalid="ignore"):
        falls = ((w.trend[starts] < 1) & (w.trend[starts] > 0)) | w.settled[starts]
        near = w.absolute_step[starts] <= _NEAR * w.largest[starts]

    def solve(b: int) -> None:
        patience, floor = max(1024, 2 * int(w.loops[b])), np.full(q.m.rows, FLOOR_AHEAD)
        candidate = replace(q.candidate(b), floor=floor, ahead=True, patience=patience)
        findings = limits.conclude(q.ready_tangents(), candidate)
        if findings is None or any(f.regime is Regime.UNDECIDED for f in findings):
            return
        if _as_fast(w.trend[b], max(f.rate for f in findings)):
            q.put(b, range(q.groups), [f.noting(_AHEAD) for f in findings])

    rows = starts[(falls & near).all(axis=1) & ~q.decided[starts].any(axis=1)]
    limits.settle(
        q, rows, solve=solve, floor=FLOOR_AHEAD, note=_AHEAD,
        fits=lambda limit, b: _as_fast(w.trend[b], max(f.rate for f in limit.findings)),
    )  # fmt: skip


def _as_fast(trend: Array, rate: float) -> Array:
    """Say whether steps fell by `rate` per loop, to a tenth of its logarithm; trends are ``(…, rows)``."""
    seen = np.log(np.fmax.reduce(trend, axis=-1))
    return np.asarray(np.abs(seen - np.log(rate)) <= 0.1 * np.abs(seen))


def octaves(q: Inquiry, b: int) -> None:
    """At the end of the budget: say what was seen, by the law of octaves where steps fall, and what would decide."""
    w = q.watcher
    still_growing = q.most(grows(q, np.array([b]))[0].astype(float)) > 0
    for g in q.open(b):
        rows = q.rows(g)
        paths = np.array([octave[b, rows].max() for octave in w.paths])
        shifts = np.array([octave[b, rows].max() for octave in w.shifts])
        falling, law = w.slowing(b, rows), octave_law(paths)
        more, said = _loops_to_floor(q, b, rows) if falling else (np.nan, "")
        solved = None
        if still_growing[g] or (falling and law != "drift"):
            solved = coming_slowly(q, b, patient=bool(np.isfinite(more)))
        if solved is None and still_growing[g]:
            solved = leaving_slowly(q, b)
        if solved is not None:
            finding = solved
        elif falling and law == "drift" and octave_law(shifts) == "drift" and q.twin is not None:
            finding = Finding(
                regime=Regime.DRIFT,
                reason=f"steps fall to zero (now {w.absolute_step[b, rows].max():.1e}) but the net displacement over "
                f"every octave of loops stays the same or grows ({', '.join(f'{v:.4g}' for v in shifts[-4:])}): "
                "no limit is approached, T2 does not apply",
            )  # fmt: skip
        elif falling and np.isfinite(more):
            finding = undecided(f"steps still fall after {w.loops[b]} loops{said}", loops_to_decide=more)
        elif falling and (found := creeping_in(q, b)):
            finding = found
        elif falling and law == "summable":
            finding = undecided(
                "steps fall like a power of the loop and seem to sum (algebraic convergence), but no marginal fixed "
                "point was solved near the last state to which the map leads at every scale: the ghost of a fold looks "
                "the same, and no number of loops would tell"
            )
        elif still_growing[g]:
            finding = undecided(
                "the norm still grows, but neither exponentially at every scale nor provably along a ray "
                f"({q.remarks.get(b, 'not tested')}): unbounded without a ray, or growth that will saturate; give more "
                "loops"
            )
        elif falling:
            finding = undecided(f"steps still fall after {w.loops[b]} loops{said}")
        else:
            finding = undecided(f"bounded and moving after {w.loops[b]} loops; {q.why_no_twin or 'give more loops'}")
        q.put(b, [g], [finding])


def _loops_to_floor(q: Inquiry, b: int, rows: slice) -> tuple[float, str]:
    """Return the loops in which geometric decay would reach the floor, and say so; nan of decay that slows down."""
    w = q.watcher
    rate, before = np.nanmax(w.trend[b, rows]), np.nanmax(w.trend_before[b, rows])
    step, floor = np.nanmax(w.step[b, rows]), q.floor[b, rows].max()
    if np.isnan(rate) or np.isnan(before):
        return np.nan, ", and are still large; give more loops"
    if not (0 < rate < 1 and step > floor) or abs(np.log(before / rate)) > 0.1 * abs(np.log(rate)):
        return np.nan, ", more slowly than geometrically; give more loops"
    fall = np.log(floor / step)
    if abs(np.log(step / (1 - rate))) < 0.1:  # the state falls with its steps: its limit is the origin
        fall += np.log(floor * w.largest[b, rows].max() / w.norm[b, rows].max())
    more = int(np.ceil(fall / np.log(rate)))
    return more, f"; at {rate:.6g} per loop about {more} more reach the floor"
