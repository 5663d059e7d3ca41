"""Orbits that stay bounded and keep moving: the largest exponent, then frequencies where it is zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.frequencies import spectral_lines
from dynloop.orbits.growing import grows
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.leading_exponent import LeadingExponent, leading_exponents
from dynloop.orbits.trajectory import stream
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["moving"]

_MANY = 64  # chaotic starts from which they share a sentence
_LEAST, _MOST = 256, 4096  # loops in the window of an exponent


def moving(q: Inquiry, starts: Array, *, last: bool) -> None:
    """Ask the exponents of orbits in bounded motion; a zero or negative one is read at the end of the budget only.

    A token that moves after a chaotic one is driven by it (C13) and is chaotic too, whatever its own exponents.
    """
    if q.twin is None:
        return
    moves = _moving(q, starts)
    rows, moves = starts[moves.any(axis=1)], moves[moves.any(axis=1)]
    if len(rows) == 0:
        return
    m = q.ready_tangents()
    loops = int(np.clip(q.watcher.loops[rows[0]], _LEAST, _MOST))
    exponents = leading_exponents(m, q.final[rows], loops, q.rng)
    for i in _share_chaos(q, rows, moves, exponents):
        b, groups = int(rows[i]), np.flatnonzero(moves[i]).tolist()
        of_group = {g: exponents.at(i, g) for g in groups}
        neutral = [g for g in groups if of_group[g].zero] if last else []
        signals = _projections(m, q.final[b], max(loops, 1024), q.rng) if neutral else np.empty(0)
        for g in groups:
            one = of_group[g]
            finding = _quasiperiodic(one, signals[:, g]) if g in neutral else _read(q, b, one, last=last)
            if finding is not None:
                q.put(b, [g], [finding])


def _share_chaos(q: Inquiry, starts: Array, moves: Array, found: LeadingExponent) -> Array:
    """Give many chaotic starts one sentence, each with its own numbers; return the indices of the others."""
    sure = np.asarray(found.positive & moves)[:, 0] & (not q.m.causal)
    if sure.sum() < _MANY:
        return np.arange(len(starts))
    value, error = found.value[sure, 0], found.error[sure, 0]
    finding = Finding(
        regime=Regime.CHAOTIC,
        reason=f"bounded, with a largest exponent positive beyond its error (of {sure.sum()} such starts between "
        f"{value.min():.4g} and {value.max():.4g}, ± {error.max():.1g} at most, per loop over {found.loops} loops), "
        "unchanged when the window doubled; T2 does not apply: the orbit does not converge",
    )
    q.share(starts[sure], 0, finding, exponent=value, exponent_error=error)
    return np.flatnonzero(~sure)


def _moving(q: Inquiry, starts: Array) -> Array:
    """Say which groups without a verdict are not at rest, do not slow down and do not grow, ``(starts, groups)``."""
    slow = np.stack([q.watcher.slow(starts, q.rows(g)) for g in range(q.groups)], axis=1)
    at_rest, grown = q.every(q.watcher.settled[starts]), q.every(grows(q, starts))
    return np.asarray(~(q.decided[starts] | at_rest | grown | slow))


def _read(q: Inquiry, b: int, one: LeadingExponent, *, last: bool) -> Finding | None:
    """Read the exponent of one moving group, of the tokens up to it."""
    if one.positive:
        return _chaotic(one, prefix=q.m.causal)
    if not last or not one.value <= 0:
        return None
    return undecided(
        f"still moving after {q.watcher.loops[b]} loops although the largest exponent is {one.value:.3g} ± "
        f"{one.error:.1g}: a slow transient, or a cycle longer than the window; give more loops",
        **_numbers(one),
    )


def _numbers(one: LeadingExponent) -> dict[str, Any]:
    return {"exponent": one.value, "exponent_error": one.error}


def _chaotic(one: LeadingExponent, *, prefix: bool) -> Finding:
    """Return the finding of a bounded orbit with a positive exponent."""
    whose = " of the tokens up to this one" if prefix else ""
    return Finding(
        regime=Regime.CHAOTIC,
        reason=f"bounded, with largest exponent{whose} {one.value:.4g} ± {one.error:.1g} per loop over {one.loops} "
        "loops, unchanged when the window doubled; T2 does not apply: the orbit does not converge",
        numbers=_numbers(one),
    )


def _quasiperiodic(one: LeadingExponent, signals: Array) -> Finding:
    """Decide a bounded orbit whose exponent is zero within its error, by the lines of projections ``(loops, 2)``."""
    lines = [spectral_lines(signal) for signal in signals.T]
    if all(line.quasiperiodic for line in lines):
        return Finding(
            regime=Regime.QUASIPERIODIC,
            reason=f"bounded, never returns, largest exponent {one.value:.1e} ± {one.error:.1g} is zero within its "
            f"error, and the motion has few stable lines (frequency {lines[0].frequency:.9f} per loop, incommensurate, "
            f"drift {max(line.drift for line in lines):.0e}); T2 does not apply: the orbit does not converge",
            numbers=_numbers(one),
        )
    return undecided(
        f"bounded and moving, the largest exponent {one.value:.1e} ± {one.error:.1g} cannot be told from zero, and the "
        f"motion is not a few incommensurate lines ({lines[0].count} lines, background {lines[0].background:.0e}): "
        "edge of chaos, a long period or a slow transient; more loops would tell",
        Status.OUT_OF_LOOPS,
        **_numbers(one),
    )


def _projections(m: LoopMap, state: Array, loops: int, rng: np.random.Generator) -> Array:
    """Record two random projections of every group over `loops` loops, ``(loops, groups, 2)``.

    Angles enter by their sines.
    """
    groups = m.state_shape[0] if m.causal else 1
    directions = rng.standard_normal((m.dimension // groups, 2))
    signals = np.empty((loops, groups, 2))
    for t, now in stream(m, state[None]):
        if t == loops:
            break
        signals[t] = _on_circle(m, m.numpy(now)[0]).reshape(groups, -1) @ directions
    return signals


def _on_circle(m: LoopMap, state: Array) -> Array:
    """Return a state whose angles are replaced by their sines, so that a turn makes no jump."""
    if m.periods is None:
        return state
    angles = np.isfinite(m.periods)
    return np.where(angles, np.sin(2 * np.pi * state / np.where(angles, m.periods, 1.0)), state)
