"""Orbits that come to a solved point or 2-cycle too slowly to arrive: at every scale between, the map leads inwards.

Beside a point with multipliers just inside the unit circle an orbit has hardly moved after thousands of loops. What it
will do is seen without waiting: the point attracts by its multipliers, and states at every scale between the orbit and
the point, in several directions, come nearer, in the end as fast as the multipliers ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eig

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.calculus.weighted_birkhoff import weighted_birkhoff
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.convergence import conclude
from dynloop.orbits.finding import Finding
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.nearness import relative_distance
from dynloop.orbits.solvers.polish import polish
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["coming_slowly"]

_DENSE = 256  # most coordinates of which all multipliers are asked
_TRIES = 64  # starts of one batch that are looked at
_ROUNDS = 1024, 4096  # over which a rate is measured, at least and at most
_THROUGH = 256, 1024  # rounds through which a limit is solved for that Newton does not find through one
_LATER = (0, 1, 2, 5, 13, 34, 89, 233)  # rounds after which the orbit gives a direction
_FINE, _OCTAVES = 4, 4  # scales an octave in the outermost octaves, where the map bends most, and how many those are
_LEAST, _AGREES = 0.1, 0.1  # share of the linear rate that every scale must show; error of the rate at the innermost
_APART = 2.0  # most by which rates at neighbouring scales may differ
_SEEN = 4  # octaves that must lie above rounding
_NEUTRAL = 1e-9  # distance of a modulus from one that is told, by a well-conditioned eigenvalue
_CONDITION = 1e6  # most of the eigenvectors, in which distances are measured
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class _Approach:
    """The rates at which states come nearer, natural log per round, and the distances at which that was seen."""

    slowest: float
    fastest: float
    innermost: float
    distance: float
    least: float


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # states that run away are no approach
def coming_slowly(q: Inquiry, b: int, *, contracts: bool = True) -> Finding | None:
    """Solve for the point or 2-cycle that an orbit comes to, and see that the map leads there from every scale.

    Parameters
    ----------
    q : Inquiry
        The batch; its last window has been measured.
    b : int
        The start; its exponent is not positive.
    contracts : bool
        Whether the exponent is seen to be negative, so that more may be spent on solving.

    Returns
    -------
    Finding or None
        None where anything remains open: no solution, one that does not attract beyond doubt, or a scale at which
        states do not come nearer.

    Notes
    -----
    Distances are those in the eigenvectors of DF^p, in which the linear part contracts at once. Rates are weighted
    Birkhoff averages, since the distance of a bent spiral swings with its angle. The evidence ends where rounding
    hides the rate; there it must be that of the multipliers, which rule below.
    """
    if q.twin is None or q.m.causal or q.m.periods is not None or q.m.dimension > _DENSE or q.slow >= _TRIES:
        return None
    q.slow += 1
    m, x, loops = q.ready_tangents(), q.final[b], int(q.watcher.loops[b])
    for period in (1, 2):
        candidate = q.candidate(b, period=period)
        solved = _solved(m, x, period, float(candidate.largest.max()), contracts=contracts)
        if solved is None:
            continue
        found = conclude(m, replace(candidate, state=solved), neutral=_NEUTRAL)
        if found is None or found[0].regime is Regime.UNDECIDED or found[0].rate >= 1 or found[0].point is None:
            continue
        seen = _approach(m, x, found[0].point, period, loops)
        if seen is not None:
            distance = float(relative_distance(m, candidate, found[0].point)[0])
            said = replace(found[0], numbers={**found[0].numbers, "distance": distance})
            each = "loop" if period == 1 else "round"
            return said.noting(
                f"solved ahead of an orbit that comes slowly: at every scale from the distance {seen.distance:.1e} "
                f"down to {seen.least:.1e}, in {len(_LATER)} directions, the log distance changes by "
                f"{seen.slowest:.4g} to {seen.fastest:.4g} a {each}, innermost by {seen.innermost:.4g}"
            )
    return None


def _solved(m: LoopMap, x: Array, period: int, largest: float, *, contracts: bool) -> Array | None:
    """Solve ``F^p(x) = x`` from afar, through many loops where Newton does not see the limit from one.

    A loop that changes little has a nearly singular DF − I, and Newton overshoots along the slow direction wherever it
    bends. Many loops contract more, and bring the state onto that direction.
    """
    for rounds in (0, *(_THROUGH if contracts else ())):
        nearer = polish(m, x, period=period * rounds, largest=largest).point if rounds else x
        solved = polish(m, nearer, period=period, largest=largest)
        if solved.status is Status.SOLVED:
            return solved.point
    return None


def _approach(m: LoopMap, x: Array, point: Array, period: int, loops: int) -> _Approach | None:
    """Return how states between an orbit and an attracting point come nearer; None if a scale is in doubt."""
    orbit = m.power(period)
    linear = _linear_part(orbit, point)
    if linear is None:
        return None
    inverse, rate = linear
    rounds = int(np.clip(loops // period, *_ROUNDS))
    states = _directions(orbit, x)
    sizes = np.linalg.norm(_gaps(m, states, point) @ inverse.T, axis=1)
    noise = m.layer_count * period * _EPS * np.linalg.norm(inverse, 2) * (np.linalg.norm(point) + np.linalg.norm(x))
    below = float(np.log2(0.01 * -rate * sizes.min() / (4 * noise)))  # octaves in which the rate is seen
    if not below >= _SEEN:
        return None
    steps = np.concatenate([np.arange(_FINE * _OCTAVES) / _FINE, np.arange(_OCTAVES, np.floor(below) + 1)])
    outermost = _rates(orbit, states, point, inverse, rounds)
    if outermost is None or np.any(outermost > _LEAST * rate):
        return None
    inner = (point + 2.0 ** -steps[1:].reshape(-1, 1, *[1] * x.ndim) * m.displacement(states, point)[None]).reshape(
        -1, *m.state_shape
    )
    rest = _rates(orbit, inner, point, inverse, rounds)
    if rest is None:
        return None
    rates = np.concatenate([outermost[None], rest.reshape(len(steps) - 1, -1)])
    last = rates[-2:]
    if np.any(rates > _LEAST * rate) or np.any(last > (1 - _AGREES) * rate):
        return None
    if np.any(np.abs(np.diff(np.log(-rates), axis=0)) > np.log(_APART)):
        return None
    return _Approach(
        slowest=float(rates.max()), fastest=float(rates.min()), innermost=float(last.max()),
        distance=float(sizes.max()), least=float(sizes.min() * 2.0 ** -steps[-1]),
    )  # fmt: skip


def _linear_part(orbit: LoopMap, point: Array) -> tuple[Array, float] | None:
    """Return the inverse of the eigenvectors of DF^p and the largest log modulus; None if they are badly conditioned.

    The modulus must be told from one by ten times what rounding and the error of the point may give it.
    """
    J = dense_jacobian(orbit, point)
    if not np.isfinite(J).all():
        return None
    values, vectors = eig(J)
    condition = float(np.linalg.cond(vectors))
    if not condition < _CONDITION:
        return None
    rate = float(np.log(np.abs(values).max()))
    doubt = 1e2 * len(J) * _EPS * float(np.linalg.norm(J, 2)) * condition
    return (np.linalg.inv(vectors), rate) if rate < -10 * doubt else None


def _directions(orbit: LoopMap, x: Array) -> Array:
    """Return the orbit now and some rounds later: a spiral is seen at several angles, a flip on both sides."""
    now, states = orbit.native(x[None]), []
    for t in range(_LATER[-1] + 1):
        if t in _LATER:
            states.append(orbit.numpy(now)[0])
        now = orbit(now)
    return np.stack(states)


def _gaps(m: LoopMap, states: Array, point: Array) -> Array:
    return m.displacement(states, point).reshape(len(states), -1)


def _rates(orbit: LoopMap, states: Array, point: Array, inverse: Array, rounds: int) -> Array | None:
    """Return the mean growth of distances per round, five errors added, ``(states,)``; None if a state is lost."""
    now, sizes = orbit.native(states), np.empty((rounds + 1, len(states)))
    for t in range(rounds + 1):
        sizes[t] = np.linalg.norm(_gaps(orbit, orbit.numpy(now), point) @ inverse.T, axis=1)
        now = orbit(now)
    logs = np.diff(np.log(sizes), axis=0)
    if not np.isfinite(logs).all():
        return None
    found = weighted_birkhoff(logs)
    return np.asarray(found.value + 5 * found.error)
