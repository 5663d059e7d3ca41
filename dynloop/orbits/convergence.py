"""From a candidate limit to a verdict: solve for the point or cycle, test its stability there, read its polygon."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dynloop.calculus.spectrum import point_multipliers
from dynloop.calculus.token_radius import token_radii
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.candidate import Candidate
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.kinks import repels_beside_a_kink
from dynloop.orbits.marginal import is_continuum, powers_vanish
from dynloop.orbits.nearness import FAR, adds_up, attracted, by_group, close_enough, distance_ahead, relative_distance
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.recurrence import divides
from dynloop.orbits.solvers.polish import Polished, polish, relative_residual
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["conclude", "conclude_unpolished", "named"]

_NEUTRAL = 1e-7  # |ρ − 1| below this is not told from 1: the accuracy of eigenvalues of a mildly non-normal Jacobian
_RESOLVED = 1e-3  # increments that are known no better than this, relative to the state, are not called zero
_EPS = float(np.finfo(np.float64).eps)


def conclude(m: LoopMap, found: Candidate, *, neutral: float = _NEUTRAL) -> list[Finding] | None:
    """Solve for the limit near a candidate and say what it is, group by group.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    found : Candidate
        The candidate.
    neutral : float
        Distance of the spectral radius from 1 within which it is not told from 1, if its own error is no larger.

    Returns
    -------
    list of Finding, or None
        None if there is no solution near the candidate, or if a candidate cycle is unstable, so that the orbit must be
        something else.
    """
    p, largest = found.period, float(found.largest.max())
    partial = m.causal and found.groups < m.rows
    solved = polish(m, found.state, period=p, rows=found.groups if partial else None, largest=largest)
    if solved.status is not Status.SOLVED:
        return None
    gaps = {q: _return_gap(m, solved.point, q, found) for q in divides(p)}
    owns = _own_periods(m, gaps, solved, found)
    if (least := int(np.lcm.reduce(owns))) < p:  # the candidate was a multiple
        return None if least == 1 else conclude(m, replace(found, period=least), neutral=neutral)
    radius, error = _radii(m, solved.point, p, found.groups)
    distance = relative_distance(m, found, solved.point)
    if np.any((distance_ahead(m, found, solved.point) if found.ahead else distance) > close_enough(m, found, radius)):
        return None
    if (found.ahead or np.any(distance > FAR)) and not attracted(m, found, solved.point, float(radius.max())):
        return None
    slack = np.maximum(neutral, error)
    if not m.causal and 1 - slack[0] <= radius[0] < 1 - neutral and powers_vanish(m, solved.point, p):
        slack = np.array([neutral])
    marginal = np.abs(radius - 1) <= slack
    continuum = bool(marginal.any()) and is_continuum(m, solved.point, p, largest)
    if continuum and adds_up(m, found, solved.point):
        return None
    if p > 1 and np.any(radius > 1 + slack):
        return None
    if np.any(radius < 1 - slack) and repels_beside_a_kink(m, solved.point, p, found.groups):
        return None if p > 1 else [_at_a_kink(float(r), float(solved.residual.max())) for r in radius]
    findings: list[Finding] | None
    if p == 1:
        findings = _fixed_point(m, found, solved, radius, slack, distance, continuum=continuum)
    else:
        findings = _cycle(m, found, solved, radius, slack, distance, gaps, owns, continuum=continuum)
    if findings is None:
        return None
    spread = error if p == 1 else (radius + error) ** (1 / p) - radius ** (1 / p)
    return [f if np.isnan(f.rate) else replace(f, rate_error=float(e)) for f, e in zip(findings, spread, strict=True)]


def _fixed_point(
    m: LoopMap, found: Candidate, solved: Polished, radius: Array, neutral: Array, distance: Array, *, continuum: bool
) -> list[Finding]:
    shape = polygon(m, m.native(solved.point[None]), joint=not m.causal, largest=float(found.largest.max()))
    residual = by_group(m, solved.residual, found.groups)
    slack = np.maximum(np.abs(1 - radius), 1e-4)
    error = 1e2 * (m.layer_count * 4 * _EPS + residual / slack)
    kinds = shape.kind(np.concatenate([error, np.zeros(len(shape.perimeter) - len(error))]))
    findings = []
    for g in range(found.groups):
        numbers = {
            "residual": residual[g], "spectral_radius": radius[g], "distance": distance[g], **lengths(shape, g),
        }  # fmt: skip
        finding = _stable_point(kinds[g], numbers, float(radius[g]), float(neutral[g]), continuum=continuum)
        findings.append(replace(finding, point=solved.point).knowing(**numbers))
    return findings


def _stable_point(kind: str, numbers: dict[str, Any], radius: float, neutral: float, *, continuum: bool) -> Finding:
    """Name a solved fixed point if it is stable; say why not otherwise. Radii within `neutral` of 1 do not tell."""
    solved_to = f"solved to a residual of {numbers['residual']:.1e}"
    if radius > 1 + neutral:
        return undecided(
            f"settled on an unstable fixed point (spectral radius {radius:.6g} there, {solved_to}): the start lies on "
            "its stable manifold, or rounding put the orbit there; move the start a little",
            Status.DECIDED,
        )
    if radius < 1 - neutral:
        return named(kind, numbers, radius, f"spectral radius {_below_one(radius)}, {solved_to}")
    if continuum:
        return named(kind, numbers, radius, f"on a continuum of fixed points (not isolated), {solved_to}")
    return undecided(
        f"settled on a fixed point with spectral radius {radius:.9g} ± {neutral:.0e}; terms beyond the linear ones "
        "decide its stability: start elsewhere, and see whether those orbits come to the same point",
        Status.DECIDED,
    )


def _below_one(radius: float) -> str:
    return f"{radius:.4g} < 1" if radius < 0.9995 else f"1 - {1 - radius:.2g} < 1"


def _at_a_kink(radius: float, residual: float) -> Finding:
    return undecided(
        f"settled on a fixed point at a kink of the map (residual {residual:.1e}): its multipliers are those of one "
        f"side (spectral radius {radius:.4g}), and states on the other side leave: a limit from one side at most",
        Status.DECIDED,
    )


def named(kind: str, numbers: dict[str, Any], rate: float, how: str) -> Finding:
    """Name a limit by its polygon."""
    if kind == "vanishing":
        reason = f"converges, {how}; every increment is zero to within rounding"
        return Finding(regime=Regime.VANISHING, reason=reason, period=1, rate=rate, dichotomy="vanishing")
    if kind == "cyclic":
        size = f"perimeter {numbers['perimeter']:.3g}"
        reason = f"converges, {how}; the increments do not vanish ({size}) and close to {numbers['closure']:.1e}"
        return Finding(regime=Regime.CYCLIC, reason=reason, period=1, rate=rate, dichotomy="cyclic")
    return undecided(
        f"converges, {how}, but increments of relative size {numbers['largest_increment']:.1e} cannot be told from "
        "rounding, so neither can vanishing from cyclic",
        Status.DECIDED,
    )


def _own_periods(m: LoopMap, gaps: dict[int, Array], solved: Polished, found: Candidate) -> list[int]:
    """Return after how many loops each group returns to within rounding, given the gaps after every divisor of p."""
    noise = 1e3 * np.maximum(by_group(m, solved.residual, found.groups), 4 * _EPS)
    return [next((q for q in gaps if gaps[q][g] <= noise[g]), found.period) for g in range(found.groups)]


def _cycle(
    m: LoopMap, found: Candidate, solved: Polished, radius: Array, neutral: Array, distance: Array,
    gaps: dict[int, Array], owns: list[int], *, continuum: bool,
) -> list[Finding] | None:  # fmt: skip
    """Say which groups return after how many loops, on a solved cycle that is not unstable."""
    p = found.period
    residual = by_group(m, solved.residual, found.groups)
    findings: list[Finding] = []
    for g in range(found.groups):
        if not (radius[g] < 1 - neutral[g] or continuum):
            return None
        own = owns[g]
        numbers = {"residual": residual[g], "spectral_radius": radius[g], "distance": distance[g]}
        rate = radius[g] ** (1 / p)
        stable = f"spectral radius of DF^{p} {_below_one(float(radius[g]))}"
        if radius[g] >= 1 - neutral[g]:
            stable = "one of a continuum of cycles"
        if own == 1:
            shape = polygon(m, m.native(solved.point[None]), joint=not m.causal, largest=float(found.largest.max()))
            error = np.full(len(shape.perimeter), 1e2 * (m.layer_count * 4 * _EPS + residual[g]))
            numbers |= lengths(shape, g)
            how = f"{stable}, at rest while other tokens return after {p} loops"
            finding = named(shape.kind(error)[g], numbers, rate, how)
        else:
            least = min(gaps[q][g] for q in divides(own))
            finding = Finding(
                regime=Regime.PERIODIC, period=own, rate=rate,
                reason=f"returns after {own} loops ({stable}, solved to a residual of {residual[g]:.1e}) and not "
                f"sooner (least gap {least:.1e}); T2 does not apply: the orbit does not converge",
            )  # fmt: skip
        findings.append(replace(finding, point=solved.point).knowing(**numbers))
    return findings


def conclude_unpolished(m: LoopMap, found: Candidate, group: int, why: str) -> Finding:
    """Say what a state at the precision floor shows by itself, without solving for the limit.

    Parameters
    ----------
    m : LoopMap
        The map, in its own dtype.
    found : Candidate
        The candidate; a fitted rate below 1 is required, since steps that stop at once (or stall after algebraic decay)
        say nothing about stability.
    group : int
        Which group.
    why : str
        Why it was not polished.
    """
    rate, floor = float(found.rate[group]), float(by_group(m, found.floor, m.rows if m.causal else 1)[group])
    if not rate < 0.999:
        return undecided(
            f"steps are at the precision floor ({floor:.1e}) without a geometric decay before; {why}, so the point "
            "cannot be told from an unstable one or from motion below the floor",
            Status.NOT_CONVERGED,
        )
    shape = polygon(m, m.native(found.state[None]), joint=not m.causal, largest=float(found.largest.max()))
    error = 10 * m.layer_count * floor
    kind = shape.kind(np.full(len(shape.perimeter), error))[group]
    if kind == "vanishing" and error > _RESOLVED:
        kind = "unclear"
    numbers = lengths(shape, group)
    how = f"steps fell by {rate:.3g} per loop to the floor of {floor:.1e}; {why}"
    said = replace(named(kind, numbers, rate, how), point=found.state).knowing(**numbers)
    return replace(said, rate_error=float(found.rate_error[group])) if np.isfinite(said.rate) else said


def _radii(m: LoopMap, point: Array, period: int, groups: int) -> tuple[Array, Array]:
    """Return ρ(DF^p) of every group, of the prefix 1..i for token i of a causal map (T7), and its error."""
    orbit = m.power(period)
    if m.causal:
        own = token_radii(orbit, orbit.native(point[None]), groups)
        radius = np.maximum.accumulate(own.radius)
        return np.asarray(radius), np.asarray(np.maximum.accumulate(own.radius + own.error) - radius)
    spectrum = point_multipliers(orbit, point, k=min(2, m.dimension))
    if spectrum.status is not Status.SOLVED:
        return np.array([np.nan]), np.array([np.nan])
    upper = np.max(np.abs(spectrum.values) + spectrum.errors)
    return np.array([spectrum.radius]), np.array([upper - spectrum.radius])


def _return_gap(m: LoopMap, point: Array, q: int, found: Candidate) -> Array:
    """Return the relative distance between a state and the state q loops later."""
    later = m.numpy(m.watch(m.native(point[None]), q, m.native(point[None])).states)[0]
    gap = m.displacement(later, point)
    return by_group(m, relative_residual(m, point, gap, float(found.largest.max())), found.groups)
