"""From a candidate limit to a verdict: solve for the point or cycle, test its stability there, read its polygon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.calculus.spectrum import point_multipliers
from dynloop.calculus.token_radius import token_radii
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.floor import row_norms
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.recurrence import divides
from dynloop.orbits.solvers.polish import Polished, polish, relative_residual
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = [
    "AHEAD",
    "FAR",
    "Candidate",
    "amplified",
    "close_enough",
    "conclude",
    "conclude_unpolished",
    "loops_to_see",
    "named",
    "relative_distance",
    "relative_distances",
]

_NEUTRAL = 1e-7  # |ρ − 1| below this is not told from 1: the accuracy of eigenvalues of a mildly non-normal Jacobian
_DENSE = 512  # most coordinates of which all multipliers are asked
FAR = 1e-3  # a relative distance from the solution that asks for more than nearness
AHEAD = 1e-8  # the same for an orbit that is solved ahead of, which must be seen to come nearer at any distance
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidate:
    """A state that looks like a limit, and what was measured on the way to it.

    Attributes
    ----------
    state : ndarray, state_shape
        The last state.
    groups : int
        How many groups (leading tokens of a causal map, or 1 for the whole state) are concerned.
    floor : ndarray, (rows,)
        Relative precision floor of the orbit.
    largest : ndarray, (rows,)
        Largest norm seen.
    rate : ndarray, (groups,)
        Contraction factor fitted to the steps; nan where there was no decay to fit.
    period : int
        Loops after which it returns.
    ahead : bool
        Whether it is solved for ahead of an orbit that is still on its way: nearness is then measured by the largest
        norm too (a limit at the origin has no size of its own), and the orbit must be seen to come nearer.
    patience : int
        Loops that may be spent on seeing that.
    """

    state: Array
    groups: int
    floor: Array
    largest: Array
    rate: Array
    period: int = 1
    ahead: bool = False
    patience: int = 1024


def conclude(m: LoopMap, found: Candidate) -> list[Finding] | None:
    """Solve for the limit near a candidate and say what it is, group by group.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    found : Candidate
        The candidate.

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
    radius = _radii(m, solved.point, p, found.groups)
    distance = relative_distance(m, found, solved.point)
    if np.any((_distance_ahead(m, found, solved.point) if found.ahead else distance) > close_enough(m, found, radius)):
        return None
    if (found.ahead or np.any(distance > FAR)) and not _attracted(m, found, solved.point, float(radius.max())):
        return None
    neutral = np.abs(radius - 1) <= _NEUTRAL
    continuum = bool(neutral.any()) and _is_continuum(m, solved.point, p, largest)
    if p > 1:
        if np.any(radius > 1 + _NEUTRAL):
            return None
        return _cycle(m, found, solved, radius, distance, continuum=continuum)
    return _fixed_point(m, found, solved, radius, distance, continuum=continuum)


def _fixed_point(
    m: LoopMap, found: Candidate, solved: Polished, radius: Array, distance: Array, *, continuum: bool
) -> list[Finding]:
    shape = polygon(m, m.native(solved.point[None]), joint=not m.causal, largest=float(found.largest.max()))
    residual = _group(m, solved.residual, found.groups)
    slack = np.maximum(np.abs(1 - radius), 1e-4)
    error = 1e2 * (m.layer_count * 4 * _EPS + residual / slack)
    kinds = shape.kind(np.concatenate([error, np.zeros(len(shape.perimeter) - len(error))]))
    findings = []
    for g in range(found.groups):
        numbers = {
            "residual": residual[g], "spectral_radius": radius[g], "distance": distance[g], **lengths(shape, g),
        }  # fmt: skip
        finding = _stable_point(kinds[g], numbers, float(radius[g]), continuum=continuum)
        findings.append(replace(finding, point=solved.point).knowing(**numbers))
    return findings


def _stable_point(kind: str, numbers: dict[str, Any], radius: float, *, continuum: bool) -> Finding:
    """Name a solved fixed point if it is stable; say why not otherwise."""
    solved_to = f"solved to a residual of {numbers['residual']:.1e}"
    if radius > 1 + _NEUTRAL:
        return undecided(
            f"settled on an unstable fixed point (spectral radius {radius:.6g} there, {solved_to}): the start lies on "
            "its stable manifold, or rounding put the orbit there; move the start a little",
            Status.DECIDED,
        )
    if radius < 1 - _NEUTRAL:
        return named(kind, numbers, radius, f"spectral radius {radius:.4g} < 1, {solved_to}")
    if continuum:
        return named(kind, numbers, radius, f"on a continuum of fixed points (not isolated), {solved_to}")
    return undecided(
        f"settled on a fixed point with spectral radius {radius:.9g}; terms beyond the linear ones decide its "
        "stability: start elsewhere, and see whether those orbits come to the same point",
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


def _cycle(
    m: LoopMap, found: Candidate, solved: Polished, radius: Array, distance: Array, *, continuum: bool
) -> list[Finding] | None:
    """Say which groups return after how many loops, on a solved cycle that is not unstable."""
    p = found.period
    residual = _group(m, solved.residual, found.groups)
    gaps = {q: _return_gap(m, solved.point, q, found) for q in divides(p)}
    noise = 1e3 * np.maximum(residual, 4 * _EPS)
    findings: list[Finding] = []
    for g in range(found.groups):
        if not (radius[g] < 1 - _NEUTRAL or continuum):
            return None
        own = next((q for q in divides(p) if gaps[q][g] <= noise[g]), p)
        numbers = {"residual": residual[g], "spectral_radius": radius[g], "distance": distance[g]}
        rate = radius[g] ** (1 / p)
        stable = f"spectral radius of DF^{p} {radius[g]:.4g} < 1"
        if radius[g] >= 1 - _NEUTRAL:
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
    if all(f.regime is not Regime.PERIODIC for f in findings):
        return None  # every divisor returned: the candidate was a multiple
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
    rate, floor = float(found.rate[group]), float(_group(m, found.floor, m.rows if m.causal else 1)[group])
    if not rate < 0.999:
        return undecided(
            f"steps are at the precision floor ({floor:.1e}) without a geometric decay before; {why}, so the point "
            "cannot be told from an unstable one or from motion below the floor",
            Status.NOT_CONVERGED,
        )
    shape = polygon(m, m.native(found.state[None]), joint=not m.causal, largest=float(found.largest.max()))
    kind = shape.kind(np.full(len(shape.perimeter), 10 * m.layer_count * floor))[group]
    numbers = lengths(shape, group)
    how = f"steps fell by {rate:.3g} per loop to the floor of {floor:.1e}; {why}"
    return replace(named(kind, numbers, rate, how), point=found.state).knowing(**numbers)


def _radii(m: LoopMap, point: Array, period: int, groups: int) -> Array:
    """Return ρ(DF^p) of every group: of the prefix 1..i for token i of a causal map (T7)."""
    orbit = m.power(period)
    if m.causal:
        return np.asarray(np.maximum.accumulate(token_radii(orbit, orbit.native(point[None]), groups)[0]))
    spectrum = point_multipliers(orbit, point, k=min(2, m.dimension))
    return np.array([spectrum.radius if spectrum.status is Status.SOLVED else np.nan])


def relative_distance(m: LoopMap, found: Candidate, point: Array) -> Array:
    """Return the distance of a candidate from a point, relative to the point, by group."""
    largest = np.array([found.largest.max()])
    return np.asarray(relative_distances(m, found.state[None], point, largest, found.groups)[0])


def relative_distances(m: LoopMap, states: Array, point: Array, largest: Array, groups: int) -> Array:
    """Return the distances of states from a point, relative to the point, ``(batch, groups)``.

    `largest` is the largest norm seen on the way to each state, ``(batch,)``.
    """
    gaps = row_norms(m, m.displacement(states, point))
    norms = row_norms(m, m.displacement(point, np.zeros_like(point))[None])
    least = 4 * _EPS * np.maximum(largest, norms.max()) + np.finfo(float).tiny
    rows = gaps / np.maximum(norms, least[:, None])
    return np.asarray(rows[:, :groups] if m.causal else np.fmax.reduce(rows, axis=1, keepdims=True))


def _distance_ahead(m: LoopMap, found: Candidate, point: Array) -> Array:
    """Return the distance of a candidate from a point, relative to the point or to the largest norm seen, by group."""
    gap = row_norms(m, m.displacement(found.state, point)[None])[0]
    size = np.maximum(row_norms(m, m.displacement(point, np.zeros_like(point))[None])[0], found.largest)
    return _group(m, gap / np.maximum(size, np.finfo(float).tiny), found.groups)


def close_enough(m: LoopMap, found: Candidate, radius: Array) -> Array:
    """Return how far from its solution a candidate may be, by group."""
    return amplified(_group(m, found.floor, found.groups), radius)


def amplified(floor: Array, radius: Array) -> Array:
    """Return how far noise at the floor leaves an orbit from its limit: it is amplified by 1/(1 − ρ)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.minimum(np.maximum(1e-6, 1e3 * floor / np.maximum(1 - radius, 1e-6)), 0.5))


def _attracted(m: LoopMap, found: Candidate, point: Array, radius: float) -> bool:
    """Say whether the orbit of the candidate really comes to the solution: asked where it is far away."""
    loops = found.period * loops_to_see(radius, found.patience)
    if not loops:
        return False
    later = m.numpy(m.watch(m.native(found.state[None]), loops, m.native(found.state[None])).states)[0]
    before, after = relative_distance(m, found, point), relative_distance(m, replace(found, state=later), point)
    return bool(np.all(after <= 0.1 * np.maximum(before, AHEAD if found.ahead else FAR)))


def loops_to_see(radius: float, patience: int) -> int:
    """Return in how many rounds an orbit must be seen to come nearer to a solution; 0 where `patience` is too short."""
    if not radius < 1:
        return 0
    loops = int(np.clip(np.ceil(np.log(1e-2) / np.log(max(radius, 1e-3))) + 16, 16, patience))
    return loops if radius**loops <= 0.1 else 0


def _return_gap(m: LoopMap, point: Array, q: int, found: Candidate) -> Array:
    """Return the relative distance between a state and the state q loops later."""
    later = m.numpy(m.watch(m.native(point[None]), q, m.native(point[None])).states)[0]
    gap = m.displacement(later, point)
    return _group(m, relative_residual(m, point, gap, float(found.largest.max())), found.groups)


def _group(m: LoopMap, rows: Array, groups: int) -> Array:
    """Reduce a number per row to one per group: the rows themselves, or their maximum."""
    return rows[:groups] if m.causal else np.array([np.nanmax(rows)])


def _is_continuum(m: LoopMap, point: Array, period: int, largest: float) -> bool:
    """Say whether the neutral directions at a solution lead to other solutions; no beyond some hundred dimensions.

    A shift of 1 % along a null direction of DF^p − I, polished, must stay where it was shifted to. At an isolated
    marginal point it does not: it falls back, or leaves a residual.
    """
    if m.dimension > _DENSE:
        return False
    A = dense_jacobian(m.power(period), point) - np.eye(m.dimension)
    _, sizes, rows = np.linalg.svd(A)
    values = np.linalg.eigvals(A) + 1
    null = rows[sizes <= 1e-6 * max(1.0, sizes[0])]
    if len(null) == 0 or len(null) < np.sum(np.abs(values) >= 1 - 1e-6):
        return False
    size = 1e-2 * max(largest, float(np.linalg.norm(point)), 1e-300)
    for direction in (null[0], null.sum(axis=0) / np.sqrt(len(null)), -null[-1]):
        shifted = point + size * direction.reshape(m.state_shape)
        again = polish(m, shifted, period=period, largest=largest, steps=6)
        moved = row_norms(m, m.displacement(again.point, point)[None]).max()
        if again.status is not Status.SOLVED or moved < 0.5 * size:
            return False
    return True
