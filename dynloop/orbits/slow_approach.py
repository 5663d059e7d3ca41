"""Orbits that come to a solved point or 2-cycle too slowly to arrive: followed on one slow direction, scale by scale.

Beside a point with one multiplier (or one complex pair) just inside the unit circle an orbit has hardly moved after
thousands of loops. All others having died out, it runs along a curve, or winds in on a surface, on which its distance
alone changes slowly. So what it will do is seen without waiting: states at every scale between the orbit and the point
come nearer, in the end as fast as the multipliers ask.
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
from dynloop.orbits.nearness import distance_ahead
from dynloop.orbits.solvers.polish import polish
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["coming_slowly"]

_DENSE = 256  # most coordinates of which all multipliers are asked
_TRIES = 32  # starts of one batch that are looked at
_THROUGH = 256, 1024  # rounds through which a limit is solved for that Newton does not find through one
_NEUTRAL = 1e-9  # distance of a modulus from one that is told, by a well-conditioned eigenvalue
_CONDITION = 1e6  # most of the eigenvectors, in which distances are measured
_FASTER, _FAST = 20.0, 0.995  # times as fast as the slow direction, and most of a modulus, that all others must be
_ROUNDS = 1024, 4096  # over which a rate is measured, at least and at most
_OCTAVE = 8  # scales an octave
_SEEN = 4  # octaves that must lie above rounding
_ANGLES = 0, 1, 5  # rounds after which the orbit gives a direction in which a pair is looked at
_LEAST, _AGREES = 0.1, 0.1  # share of the linear rate that every scale must show; how far the innermost may be off it
_APART = 1.25  # most by which rates at neighbouring scales may differ, as a ratio
_BESIDE = 0.25  # most by which neighbours may be apart in the end, of their distance: they are on one curve
_RESONANT, _PAST = 16, 4.0  # denominators of turns at which phases matter, and turns by which each must be slipped past
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """The linear part at a point: its eigenvectors, and the direction that is slow."""

    inverse: Array  # rows are left eigenvectors, the slow ones first
    rate: float  # log modulus of the slow multiplier
    turn: float  # its argument, in turns
    turns: bool  # whether it is one of a complex pair

    def sizes(self, gaps: Array) -> Array:
        """Return lengths in eigenvectors of ``(batch, n)`` displacements: the linear part shortens them at once."""
        return np.asarray(np.linalg.norm(gaps @ self.inverse.T, axis=1))

    def phases(self, gaps: Array) -> Array:
        """Return the angle of the slow coordinate, in turns."""
        return np.asarray(np.angle(gaps @ self.inverse[0]) / (2 * np.pi))


@dataclass(frozen=True, slots=True, eq=False)
class _Rates:
    """How distances change, natural log per round, and by how many turns a round phases move; ``(states,)``."""

    rate: Array
    error: Array
    turn: Array
    ends: Array  # displacements from the point after the last round, (states, n)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # states that run away are no approach
def coming_slowly(q: Inquiry, b: int, *, patient: bool) -> Finding | None:
    """Solve for the point or 2-cycle that an orbit comes to, and see that the map leads there from every scale.

    Parameters
    ----------
    q : Inquiry
        The batch; its last window has been measured.
    b : int
        The start.
    patient : bool
        Whether more may be spent on solving: through many loops, where Newton fails through one.

    Returns
    -------
    Finding or None
        None where anything remains open: no solution, one that does not attract beyond doubt, more than one slow
        direction, a turn near a resonance, a scale at which states do not come nearer.

    Notes
    -----
    With two slow directions an orbit curves away from the line to the point, to other limits that may lie there: what
    happens on that line tells nothing (a random MLP slowed down by 1e-6 shows it). One slow direction leaves a curve.
    Beside one pair phases average out, so that a distance is left, unless the turn is near a fraction of small
    denominator at some scale; rates must then be those of the linear part to a tenth throughout. A feature of the map
    that is narrower than the scales are apart (a twelfth of the distance) is not seen.
    """
    if q.twin is None or q.m.causal or q.m.periods is not None or q.m.dimension > _DENSE or q.slow >= _TRIES:
        return None
    q.slow += 1
    m, x, loops = q.ready_tangents(), q.final[b], int(q.watcher.loops[b])
    for period in (1, 2):
        candidate = q.candidate(b, period=period)
        solved = _solved(m, x, period, float(candidate.largest.max()), patient=patient)
        if solved is None:
            continue
        found = conclude(m, replace(candidate, state=solved), neutral=_NEUTRAL)
        if found is None or found[0].regime is Regime.UNDECIDED or found[0].rate >= 1 or found[0].point is None:
            continue
        point = found[0].point
        seen = _approach(m.power(period), m.layer_count * period, x, point, loops // period)
        if seen is not None:
            distance = float(distance_ahead(m, candidate, point)[0])
            said = replace(found[0], numbers={**found[0].numbers, "distance": distance})
            return said.noting(
                f"solved ahead of an orbit that comes slowly: {seen} a {'loop' if period == 1 else 'round'}"
            )
    return None


def _solved(m: LoopMap, x: Array, period: int, largest: float, *, patient: bool) -> Array | None:
    """Solve ``F^p(x) = x`` from afar, through many loops where Newton does not see the limit from one.

    A loop that changes little has a nearly singular DF − I, and Newton overshoots along the slow direction wherever it
    bends. Many loops contract more, and bring the state onto that direction.
    """
    for rounds in (0, *(_THROUGH if patient else ())):
        nearer = polish(m, x, period=period * rounds, largest=largest).point if rounds else x
        solved = polish(m, nearer, period=period, largest=largest)
        if solved.status is Status.SOLVED:
            return solved.point
    return None


def _approach(orbit: LoopMap, layers: int, x: Array, point: Array, rounds: int) -> str | None:
    """Say how states between an orbit and an attracting point of F^p come nearer; None if a scale is in doubt."""
    linear = _linear_part(orbit, point)
    if linear is None:
        return None
    rounds = int(np.clip(rounds, *_ROUNDS))
    directions = orbit.displacement(_later(orbit, x, _ANGLES if linear.turns else (0,)), point)
    far = linear.sizes(directions.reshape(len(directions), -1))
    noise = layers * _EPS * np.linalg.norm(linear.inverse, 2) * (np.linalg.norm(point) + np.linalg.norm(x))
    octaves = float(np.log2(0.01 * -linear.rate * far.min() / (4 * noise)))  # in which the rate is seen
    if not octaves >= _SEEN:
        return None
    scales = 0.5 ** (np.arange(int(octaves) * _OCTAVE + 1) / _OCTAVE)
    states = point + scales.reshape(-1, 1, *[1] * x.ndim) * directions
    found = _measured(orbit, linear, states.reshape(-1, *x.shape), point, rounds)
    if found is None:
        return None
    shape = len(scales), len(directions)
    rate, slowest, turn = (v.reshape(shape) for v in (found.rate, found.rate + 5 * found.error, found.turn))
    if np.any(slowest > _LEAST * linear.rate) or np.any(slowest[-_OCTAVE:] > (1 - _AGREES) * linear.rate):
        return None
    if np.any(np.abs(np.diff(np.log(-rate), axis=0)) > np.log(_APART)):
        return None
    if linear.turns:
        off = np.abs(rate / linear.rate - 1) > _AGREES
        if off.any() or _meets_a_resonance(float(turn.min()), float(turn.max()), _PAST / rounds):
            return None
    else:
        ends = found.ends.reshape(*shape, -1)
        apart = linear.sizes((ends[1:] - ends[:-1]).reshape(-1, ends.shape[-1]))
        if np.any(apart > _BESIDE * linear.sizes(ends[:-1].reshape(-1, ends.shape[-1]))):
            return None
    away = float(np.linalg.norm(directions[0]))
    return (
        f"at {len(scales)} scales from the distance {away:.2g} down to {away * scales[-1]:.1g} the log distance "
        f"changes by {rate.max():.4g} to {rate.min():.4g}, innermost by {rate[-1].max():.4g}"
    )


def _linear_part(orbit: LoopMap, point: Array) -> _Linear | None:
    """Return the linear part at a point, if it has one slow direction, told from neutral beyond doubt.

    Its log modulus must be ten times what rounding may give it; the others must die out much faster.
    """
    J = dense_jacobian(orbit, point)
    if not np.isfinite(J).all():
        return None
    values, vectors = eig(J)
    order = np.argsort(-np.abs(values))
    values, vectors = values[order], vectors[:, order]
    turns = bool(values[0].imag != 0)
    condition = float(np.linalg.cond(vectors))
    if not condition < _CONDITION:
        return None
    rate, rest = float(np.log(np.abs(values[0]))), np.abs(values[1 + turns :]).max(initial=0.0)
    doubt = 1e2 * len(J) * _EPS * float(np.linalg.norm(J, 2)) * condition
    if rate >= -10 * doubt or rest > min(_FAST, float(np.exp(_FASTER * rate))):
        return None
    return _Linear(np.linalg.inv(vectors), rate, float(np.angle(values[0]) / (2 * np.pi)), turns)


def _later(orbit: LoopMap, x: Array, rounds: tuple[int, ...]) -> Array:
    """Return the states after these rounds."""
    now, states = orbit.native(x[None]), []
    for t in range(rounds[-1] + 1):
        if t in rounds:
            states.append(orbit.numpy(now)[0])
        now = orbit(now)
    return np.stack(states)


def _measured(orbit: LoopMap, linear: _Linear, states: Array, point: Array, rounds: int) -> _Rates | None:
    """Return weighted Birkhoff averages of the change of distances and phases; None if a state is lost."""
    now = orbit.native(states)
    sizes, phases = np.empty((2, rounds + 1, len(states)))
    gaps: Array = np.empty(0)
    for t in range(rounds + 1):
        gaps = orbit.displacement(orbit.numpy(now), point).reshape(len(states), -1)
        sizes[t], phases[t] = linear.sizes(gaps), linear.phases(gaps)
        now = orbit(now) if t < rounds else now
    logs = np.diff(np.log(sizes), axis=0)
    if not np.isfinite(logs).all():
        return None
    beyond = (np.diff(phases, axis=0) - linear.turn + 0.5) % 1.0 - 0.5  # what a round turns more than the linear part
    change, turn = weighted_birkhoff(logs), linear.turn + weighted_birkhoff(beyond).value
    return _Rates(rate=change.value, error=change.error, turn=turn, ends=gaps)


def _meets_a_resonance(low: float, high: float, slip: float) -> bool:
    """Say whether a fraction p/q of small denominator lies between two turns, or is slipped past by less than `slip`.

    A turn slips past a fraction by its q-fold less p, a loop.
    """
    q = np.arange(1, _RESONANT + 1)
    return bool(np.any(np.floor(high * q + slip) >= np.ceil(low * q - slip)))
