"""Orbits whose norms grow: the map far out says RAY or DIVERGENT, or neither."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.floor import row_norms
from dynloop.orbits.infinity import grows_without_bound, rays
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["LOST", "diverged", "growing", "grows"]


LOST = Finding(regime=Regime.DIVERGENT, reason="a state stopped being finite", status=Status.DIVERGED)
_AHEAD, _FAR = 8, 1e2  # loops, and times the state
_MANY = 8  # starts that grow, from which the map far out is asked of all at once first


def diverged(q: Inquiry, starts: Array) -> None:
    """Conclude where a state stopped being finite."""
    finite = q.every(q.watcher.finite[starts])
    if not q.m.causal:
        q.share(starts[~finite[:, 0]], 0, LOST)
        return
    for b, alive in zip(starts[~finite.all(axis=1)], finite[~finite.all(axis=1)], strict=True):
        groups = q.open(int(b))
        caught = undecided("another token left every bound before this one was decided", Status.DIVERGED)
        q.put(int(b), groups, [caught if alive[g] else LOST for g in groups])


def grows(q: Inquiry, starts: Array) -> Array:
    """Say which rows grow: ``(starts, rows)``.

    A ray grows by the share of one loop in all loops; less than a twentieth of that is no growth. Angles alone never
    grow, though the norm of an angle that creeps past a resonance does.
    """
    found = np.asarray(q.watcher.growth[starts] > 1 + 0.05 / q.watcher.loops[starts, None])  # false where nan
    if q.m.periods is not None:
        found &= np.isnan(q.m.periods).reshape(q.m.rows, -1).any(axis=1)
    return found


def growing(q: Inquiry, starts: Array, *, far: bool) -> None:
    """Ask the map far out where rows grow; `far` says whether to make the dear test for a ray."""
    rows = grows(q, starts)
    rows &= ~q.decided[starts] if q.m.causal else ~q.decided[starts].all(axis=1, keepdims=True)
    candidates = np.asarray(rows.any(axis=1))
    maybe = np.flatnonzero(candidates)
    for i in maybe[_may_leave(q, starts[maybe], rows[maybe])]:
        candidates[i] = not _leaves(q, int(starts[i]), rows[i])
    if far and not q.low and candidates.any():
        _follow_rays(q, starts[candidates], rows[candidates])


def _groups(q: Inquiry, rows: Array) -> list[int]:
    return [int(g) for g in np.flatnonzero(rows)] if q.m.causal else [0]


def _may_leave(q: Inquiry, starts: Array, rows: Array) -> Array:
    """Say of which starts growing rows go on growing alike at a hundred times the state, ``(starts,)``.

    It is part of what `grows_without_bound` asks of each by itself, a little less strict, asked of many in one go.
    """
    if len(starts) < _MANY or q.m.periods is not None:
        return np.ones(len(starts), dtype=bool)
    m, excess = q.twin or q.m, np.where(rows, q.watcher.growth[starts], np.inf).min(axis=1)[:, None] - 1
    select = np.repeat(rows, m.state_shape[-1], axis=1).reshape(-1, *m.state_shape)
    here, before = q.final[starts], np.where(select, _FAR * q.final[starts], q.final[starts])
    ends = []
    with np.errstate(all="ignore"):
        for states in (here, before):
            after = m.native(states)
            for _ in range(_AHEAD):
                after = m(after)
            ends.append(m.numpy(after))
        after = row_norms(m, ends[1])
        gain = (after / row_norms(m, before)) ** (1 / _AHEAD)
        odd = row_norms(m, np.where(select, ends[1] / _FAR - ends[0], 0.0))
        alike = odd <= 0.2 * excess * after / _FAR
    return np.asarray((~rows | (np.isfinite(gain) & (gain >= 1 + 0.4 * excess) & alike)).all(axis=1))


def _leaves(q: Inquiry, b: int, rows: Array) -> bool:
    """Conclude where the growth is exponential at every scale."""
    slowest = float(q.watcher.growth[b][rows].min())
    loops, tangents = int(q.watcher.loops[b]), q.twin is not None
    if not grows_without_bound(q.twin or q.m, q.final[b], slowest, rows, loops=loops, tangents=tangents):
        return False
    finding = Finding(
        regime=Regime.DIVERGENT, numbers={"growth": slowest},
        reason=f"grows by a factor {slowest:.6g} per loop, and still does at s·x for every s up to overflow, "
        "longer than a transient may; "
        "T2 does not apply: the orbit does not converge",
    )  # fmt: skip
    q.put(b, _groups(q, rows), [finding] * len(_groups(q, rows)))
    return True


def _follow_rays(q: Inquiry, starts: Array, rows: Array) -> None:
    """Conclude where the map far out has a ray that the orbit settles on; note why elsewhere."""
    found = rays(q.twin or q.m, q.final[starts], int(q.watcher.loops[starts[0]]), rows)
    for b, row, ray in zip(starts, rows, found, strict=True):
        q.remarks[int(b)] = ray.reason
        if not ray.holds:
            continue
        shape = polygon(q.m, q.m.native(q.final[b : b + 1]), joint=not q.m.causal)
        for g in _groups(q, row):
            own = q.rows(g)
            growth = float(np.nanmax(q.watcher.growth[b, own]))
            finding = Finding(
                regime=Regime.RAY, numbers={"growth": growth, **lengths(shape, g)},
                reason=f"the norm grows by {np.nanmin(ray.velocity[own]):.4g} per loop for ever and the direction "
                f"converges ({ray.reason}; cosine to the solved ray {np.nanmin(ray.cosine[own]):.4f} by now): the "
                "relative step falls as 1/t while the increments tend to constants that do not close; T2 does not "
                "apply: the orbit is unbounded",
            )  # fmt: skip
            q.put(int(b), [g], [finding])
