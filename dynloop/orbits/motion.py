"""Orbits that stay bounded and keep moving: the largest exponent, then frequencies where it is zero."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.algebraic import creeping_in
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.growing import LOST, grows
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.leading_exponent import LeadingExponent, leading_exponents
from dynloop.orbits.long_return import first_returns
from dynloop.orbits.slow_approach import coming_slowly
from dynloop.orbits.slow_escape import leaving_slowly
from dynloop.orbits.spectral_background import spectral_background
from dynloop.orbits.turning import DENOMINATOR, on_a_torus, projections
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["moving"]

_MANY = 64  # chaotic starts from which they share a sentence
_LEAST, _FIRST, _MOST = 256, 1024, 16384  # loops in the window of an exponent: at least, asked first, at most
_NO_NOISE = 1e-6  # share of power outside the lines of a motion below which nothing chaotic shows
_LONGEST = 16384  # loops in the window of frequencies at most


def moving(q: Inquiry, starts: Array) -> None:
    """Ask the exponents of orbits in bounded motion: at the end of the budget, from where the orbits are by then.

    Nothing tells chaos that a sink captures later from chaos for ever, before it is captured, so that the loops that
    the budget allows are spent first. A short window of tangents shows most chaos; the others get a long one.

    A token that moves after a chaotic one is driven by it (C13) and is chaotic too, whatever its own exponents, unless
    it returns all the same. A budget below half of the shortest window is no leave to spend that window.
    """
    if q.twin is None or 2 * q.budget < _LEAST:
        return
    moves = _moving(q, starts)
    rows = starts[moves.any(axis=1)]
    moves = moves[moves.any(axis=1)]
    for loops in (_FIRST, _MOST):
        if len(rows) == 0:
            return
        length = int(np.clip(q.watcher.loops[rows[0]], _LEAST, loops))
        unclear = _ask(q, rows, moves, length, longest=loops == _MOST)
        rows, moves = rows[unclear.any(axis=1)], unclear[unclear.any(axis=1)]


def _ask(q: Inquiry, starts: Array, moves: Array, length: int, *, longest: bool) -> Array:
    """Read exponents over one window; return what a longer one may decide, ``(starts, groups)``."""
    m = q.ready_tangents()
    exponents = leading_exponents(m, q.final[starts], length, q.rng)
    unclear = np.zeros_like(moves) if longest else np.asarray(moves & ~(exponents.positive | exponents.negative))
    for i in _share_chaos(q, starts, moves & ~unclear, exponents):
        b, groups = int(starts[i]), np.flatnonzero(moves[i] & ~unclear[i]).tolist()
        of_group = {g: exponents.at(i, g) for g in groups}
        if not q.m.causal and groups and (found := _slowly(q, b, of_group[0], longest=longest)):
            q.put(b, groups, [found])
            continue
        neutral = [g for g in groups if of_group[g].zero]
        signals = projections(m, q.final[b], _signal(q, b), q.rng) if longest and neutral else np.empty(0)
        same = [g for g in groups if g and exponents.value[i, g] == exponents.value[i, g - 1]]
        driven = [g for g in same if of_group[g].positive]  # by an earlier token, whose exponent it has
        paths = projections(m, q.final[b], length, q.rng) if driven else np.empty(0)
        back = _returns(m, q.final[b])
        for g in groups:
            one = of_group[g]
            if g in driven:
                q.put(b, [g], [_driven(q, b, g, one, paths[:, g])])
            elif one.positive:
                q.put(b, [g], [_chaotic(q, b, one)])
            elif longest and g in neutral and not np.isfinite(signals[:, g]).all():
                q.put(b, [g], [LOST.noting(f"within {len(signals)} loops after the budget")])
            elif longest and g in neutral:
                q.put(b, [g], [on_a_torus(signals[:, g], partial(back, g), _zero(one), _numbers(one))])
            elif one.negative or (longest and one.value <= 0):
                q.put(b, [g], [_transient(q, b, g, one)])
            elif longest and not np.isnan(one.value):
                q.put(b, [g], [_wavering(one)])
    return unclear


def _returns(m: LoopMap, state: Array) -> Callable[[int], tuple[int, float]]:
    """Return the first return of a group as a function, which iterates for all groups when it is asked first."""
    found = cache(lambda: first_returns(m, state, DENOMINATOR))
    return lambda g: (int(found()[0][g]), float(found()[1][g]))


def _slowly(q: Inquiry, b: int, one: LeadingExponent, *, longest: bool) -> Finding | None:
    """Solve for a point or cycle that an orbit comes to, or leaves, too slowly for its steps to show it."""
    if not (one.negative or (longest and one.zero)):
        return None
    found = coming_slowly(q, b, patient=bool(one.negative)) or creeping_in(q, b)
    if found is None and not one.negative:
        found = leaving_slowly(q, b)
    return found and found.knowing(**_numbers(one))


def _share_chaos(q: Inquiry, starts: Array, moves: Array, found: LeadingExponent) -> Array:
    """Give many chaotic starts one sentence, each with its own numbers; return the indices of the others."""
    sure = np.asarray(found.positive & moves)[:, 0] & (not q.m.causal)
    if sure.sum() < _MANY:
        return np.arange(len(starts))
    value, error = found.value[sure, 0], found.error[sure, 0]
    finding = Finding(
        regime=Regime.CHAOTIC,
        reason=f"bounded within {q.watcher.loops[starts[0]] + found.loops} loops, with a largest exponent (of "
        f"{sure.sum()} such starts between {value.min():.4g} and {value.max():.4g}, ± {error.max():.1g} at most) per "
        f"loop over the last {found.loops} of them, unchanged when the window doubled; T2 does not apply: the orbit "
        "does not converge",
    )
    q.share(starts[sure], 0, finding, exponent=value, exponent_error=error)
    return np.flatnonzero(~sure)


def _moving(q: Inquiry, starts: Array) -> Array:
    """Say which groups without a verdict are not at rest, do not slow down and do not grow, ``(starts, groups)``."""
    slow = np.stack([q.watcher.slow(starts, q.rows(g)) for g in range(q.groups)], axis=1)
    at_rest, grown = q.every(q.watcher.settled[starts]), q.every(grows(q, starts))
    return np.asarray(~(q.decided[starts] | at_rest | grown | slow))


def _transient(q: Inquiry, b: int, g: int, one: LeadingExponent) -> Finding:
    """Return the finding of an orbit that contracts but is not at rest: how long it takes, if that can be told."""
    step, floor = np.nanmax(q.watcher.step[b, q.rows(g)]), q.floor[b, q.rows(g)].max()
    more = np.log(floor / step) / one.value if step > floor > 0 and one.value < 0 else np.nan
    takes = f"; at that rate about {more:.3g} more loops reach the floor" if np.isfinite(more) else ""
    return undecided(
        f"still moving after {q.watcher.loops[b]} loops although the largest exponent is negative, {one.value:.3g} ± "
        f"{one.error:.1g} per loop: a slow transient, or a cycle longer than the window; give more loops{takes}",
        **_numbers(one),
        loops_to_decide=float(more),
    )


def _wavering(one: LeadingExponent) -> Finding:
    """Return the finding of an orbit whose exponent is above zero by its error, but did not keep its value."""
    return undecided(
        f"bounded and moving; the largest exponent over {one.loops} loops, {one.value:.3g} ± {one.error:.1g}, is "
        f"positive, but was {one.half:.3g} over the first half of them: chaos that has not shown its mean rate, or a "
        "transient; a window of some times as many loops would tell, how many is not known",
        **_numbers(one),
    )


def _zero(one: LeadingExponent) -> str:
    return f"largest exponent {one.value:.1e} ± {one.error:.1g} is zero within five errors"


def _signal(q: Inquiry, b: int) -> int:
    """Return the loops in which frequencies are looked for: as many as were spent, within bounds."""
    return int(np.clip(q.watcher.loops[b], _FIRST, _LONGEST))


def _numbers(one: LeadingExponent) -> dict[str, Any]:
    return {"exponent": one.value, "exponent_error": one.error}


def _driven(q: Inquiry, b: int, g: int, one: LeadingExponent, signals: Array) -> Finding:
    """Return the finding of a token after a chaotic one: chaotic too, unless it does not look at it."""
    if (period := int(q.watcher.period[b, g])) > 0:
        how = f"returns after {period} loops"
    elif any(w.share <= _NO_NOISE and w.lines <= len(signals) // 32 for w in map(spectral_background, signals.T)):
        how = "moves in a few lines"
    else:
        return _chaotic(q, b, one)
    return undecided(
        f"{how} while an earlier token is chaotic (exponent {one.value:.4g} ± {one.error:.1g} per loop): not driven by "
        "it, or too weakly to be seen",
        Status.DECIDED,
        **_numbers(one),
    )


def _chaotic(q: Inquiry, b: int, one: LeadingExponent) -> Finding:
    """Return the finding of a bounded orbit with a positive exponent."""
    whose = " of the tokens up to this one" if q.m.causal else ""
    exponent = f"largest exponent{whose} {one.value:.4g} ± {one.error:.1g} per loop"
    return Finding(
        regime=Regime.CHAOTIC,
        reason=f"bounded within {q.watcher.loops[b] + one.loops} loops, with {exponent} over the last {one.loops} of "
        "them, unchanged when the window doubled; T2 does not apply: the orbit does not converge",
        numbers=_numbers(one),
    )
