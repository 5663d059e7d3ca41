"""Orbits whose norms grow: the map far out says RAY or DIVERGENT, or neither."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.infinity import grows_without_bound, ray
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["diverged", "growing", "grows"]


def diverged(q: Inquiry, starts: Array) -> None:
    """Conclude where a state stopped being finite."""
    finite = q.every(q.watcher.finite[starts])
    for b, alive in zip(starts[~finite.all(axis=1)], finite[~finite.all(axis=1)], strict=True):
        groups = q.open(int(b))
        lost = Finding(regime=Regime.DIVERGENT, reason="a state stopped being finite", status=Status.DIVERGED)
        caught = undecided("another token left every bound before this one was decided", Status.DIVERGED)
        q.put(int(b), groups, [caught if alive[g] else lost for g in groups])


def grows(q: Inquiry, starts: Array) -> Array:
    """Say which rows grow: ``(starts, rows)``.

    A ray grows by the share of one loop in all loops; less than a twentieth of that is no growth.
    """
    factor = np.nan_to_num(q.watcher.growth[starts], nan=1.0)
    return np.asarray(factor > 1 + 0.05 / q.watcher.loops[starts, None])


def growing(q: Inquiry, starts: Array, *, octave: bool) -> None:
    """Ask the map far out where rows grow; the ray test is dear, and is made at octaves only."""
    rows = grows(q, starts)
    rows &= ~q.decided[starts] if q.m.causal else ~q.decided[starts].all(axis=1, keepdims=True)
    for b, growing_rows in zip(starts[rows.any(axis=1)], rows[rows.any(axis=1)], strict=True):
        _far_out(q, int(b), growing_rows, octave=octave)


def _far_out(q: Inquiry, b: int, rows: Array, *, octave: bool) -> None:
    m, state, factor = q.twin or q.m, q.final[b], q.watcher.growth[b]
    groups = np.flatnonzero(rows).tolist() if q.m.causal else [0]
    slowest = float(factor[rows].min())
    if grows_without_bound(m, state, slowest, rows):
        finding = Finding(
            regime=Regime.DIVERGENT, numbers={"growth": slowest},
            reason=f"grows by a factor {slowest:.6g} per loop, and still does at s·x for every s up to overflow; "
            "T2 does not apply: the orbit does not converge",
        )  # fmt: skip
        q.put(b, groups, [finding] * len(groups))
        return
    if not octave or q.low:
        return
    found = ray(m, state, int(q.watcher.loops[b]), rows)
    if not found.holds:
        return
    shape = polygon(q.m, q.m.native(state[None]), joint=not q.m.causal)
    for g in groups:
        speed = float(np.nanmin(found.velocity[q.rows(g)]))
        finding = Finding(
            regime=Regime.RAY, numbers={"growth": float(np.nanmax(factor[q.rows(g)])), **lengths(shape, g)},
            reason=f"the norm grows by {speed:.4g} per loop for ever and the direction converges ({found.reason}; "
            f"cosine to the solved ray {np.nanmin(found.cosine[q.rows(g)]):.4f} by now): the relative step falls as "
            "1/t while the increments tend to constants that do not close; T2 does not apply: the orbit is unbounded",
        )  # fmt: skip
        q.put(b, [g], [finding])
