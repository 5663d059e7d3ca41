"""The searches behind `find_fixed_points`: by Newton, by Anderson, and on from what was found; each with its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.distinct import distinct
from dynloop.orbits.solvers.anderson import anderson, blocks_worth
from dynloop.orbits.solvers.newton import newton
from dynloop.orbits.solvers.newton_krylov import newton_krylov
from dynloop.orbits.solvers.shooting import Shooting
from dynloop.orbits.solvers.stabilised import MOST_COORDINATES, stabilised, switches
from dynloop.result import Status

__all__ = ["Solutions", "by_anderson", "by_newton", "few_coordinates", "seeded", "settled"]

_DENSE = 256  # coordinates up to which "auto" takes dense Jacobians
_DENSE_CAUSAL = 128  # of causal maps: beyond, blocks of tokens are worth more
_NEAR = 0.5  # a Newton step of so many √u, relative to the orbit, or more leads away from a slow point
_SLOW = 1e-2  # relative residual below which a point that is no solution is slow
_LEAST_REACH, _MOST_REACH = 1e-12, 1e-4  # how close copies of one orbit lie, relative to it
_ROUNDING = 4.0  # a gap of so many times the noise of the map is nothing but rounding
_RUNS = 4096  # runs of the stabilised iteration in one round
_ROUNDS = 4
_SINGULAR = 1e10  # a gap that moves an orbit by this much more than its size: singular to within rounding


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solutions:
    """What searches ended at.

    Attributes
    ----------
    orbits : ndarray, (batch, p, n)
        All points of every orbit.
    gap : ndarray, (batch,)
        The largest ‖F(x_i) − x_{i+1}‖.
    residual : ndarray, (batch,)
        The largest ‖F(x_i) − x_{i+1}‖ / ‖x_i‖.
    step : ndarray, (batch,)
        Length of the Newton step; nan where it is not known.
    error : ndarray, (batch,)
        How far the points may be off a solution, if there is one.
    met : ndarray, (batch,)
        Size of the start.
    noise : ndarray, (batch,)
        Rounding of the map along the orbit, measured.
    scale : ndarray, (batch,)
        Size of the orbit: the norm of its largest point.
    precision : float
        Unit roundoff.
    """

    orbits: Array
    gap: Array
    residual: Array
    step: Array
    error: Array
    met: Array
    noise: Array
    scale: Array
    precision: float

    @property
    def floor(self) -> Array:
        """Rounding of the start, ``(batch,)``: what is smaller is the origin."""
        return np.asarray(4 * self.precision * self.met)

    @property
    def reach(self) -> Array:
        """How close to an orbit its copies may lie, ``(batch,)``."""
        known = np.where(np.isfinite(self.error), self.error, 0.0)
        most = np.maximum(_MOST_REACH * self.scale, 100 * self.noise)
        found = np.clip(100 * known, _LEAST_REACH * self.scale, most)
        singular = 0.1 * _MOST_REACH * np.maximum(self.scale, 1e-2 * self.met)  # there, copies end far from each other
        found = np.where(np.isfinite(self.error), found, singular)
        return np.asarray(np.where(self.scale <= self.floor, np.maximum(found, self.floor), found))

    def part(self, mask: Array) -> Solutions:
        """Return those of a mask."""
        arrays = {name: getattr(self, name)[mask] for name in self._arrays()}
        return Solutions(**arrays, precision=self.precision)

    def joined(self, other: Solutions | None) -> Solutions:
        """Return these and others."""
        if other is None:
            return self
        arrays = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in self._arrays()}
        return Solutions(**arrays, precision=self.precision)

    def _arrays(self) -> list[str]:
        return [f.name for f in fields(self) if f.name != "precision"]


def few_coordinates(m: LoopMap) -> bool:
    """Say whether dense Jacobians are the cheaper way."""
    return m.dimension <= (_DENSE_CAUSAL if blocks_worth(m) else _DENSE)


def by_newton(system: Shooting, starts: Array, largest: Array, progress: Callable[[int], None] | None) -> Solutions:
    """Search by damped Newton from the orbits of starts ``(batch, *state_shape)``."""
    return _dense_solutions(system, newton(system, system.along(starts), progress=progress)[0], largest)


def by_anderson(system: Shooting, starts: Array, largest: Array, progress: Callable[[int], None] | None) -> Solutions:
    """Search by accelerated iteration from starts ``(batch, *state_shape)``, finished by Newton–Krylov."""
    orbit = system.m.power(system.period)
    states, _, _ = anderson(orbit, starts, progress=progress)
    steps = np.full(len(states), np.nan)
    amplified = np.full(len(states), np.nan)
    for b in range(len(states)):
        states[b], left, steps[b] = newton_krylov(orbit, states[b])
        amplified[b] = steps[b] / left if left > 0 else 1.0
    orbits = system.along(states)
    gap, residual, scale = _sizes(system, orbits, system.gaps(orbits), largest)
    noise = system.noise(orbits, largest, lines=((1e-9, 1e-3),))
    error = steps + 2 * noise * np.maximum(1.0, amplified)
    return Solutions(
        orbits=orbits,
        gap=gap,
        residual=residual,
        step=steps,
        error=error,
        met=largest,
        noise=noise,
        scale=scale,
        precision=orbit.precision,
    )


def seeded(system: Shooting, starts: Array, found: Solutions, tol: float) -> Solutions | None:
    """Search on in few dimensions by stabilised iterations: from the starts, then from beside what was found."""
    n, p = system.n, system.period
    if n > MOST_COORDINATES:
        return None
    orbit, rng = system.m.power(p), np.random.default_rng(0)
    most = max(1, _RUNS // (2 * len(switches(n))))
    seeds, everything, known = starts.reshape(-1, n), found, 0
    new: Solutions | None = None
    least = np.abs(starts.reshape(len(starts), -1)).max(axis=1).min()  # no size of its own is known of a seed's start
    for _ in range(_ROUNDS):
        if len(seeds) > most:
            seeds = seeds[rng.choice(len(seeds), most, replace=False)]
        ends = stabilised(orbit, seeds.reshape(-1, *system.m.state_shape))
        if len(ends):
            orbits = newton(system, system.along(ends), steps=12, descents=0)[0]
            more = _dense_solutions(system, orbits, np.full(len(orbits), least))
            everything, new = everything.joined(more), more if new is None else new.joined(more)
        solved = np.flatnonzero([s is Status.SOLVED for s in settled(everything, tol)])
        first, _ = distinct(system, everything.orbits[solved], everything.reach[solved])
        isolated = first[np.isfinite(everything.error[solved[first]])]
        if len(isolated) <= max(known, len(first) // 2):  # nothing new; or a continuum, where a seed finds another
            break
        known = len(isolated)
        points = everything.orbits[solved[isolated]].reshape(-1, n)
        size = 1e-3 * (np.abs(points).max() + 1e-300)
        seeds = points + size * rng.standard_normal(points.shape)
    return None if new is None else new.part(np.isfinite(new.error))


def settled(found: Solutions, tol: float) -> Array:
    """Return the status of every search: SOLVED, SLOW, NOT_CONVERGED or DIVERGED.

    A solution has a small residual and a small Newton step, or a residual at rounding, where no step can be trusted.
    """
    rounding = found.gap <= _ROUNDING * found.noise
    with np.errstate(invalid="ignore"):
        small = (found.residual <= tol) | rounding
        near = found.step <= np.maximum(_NEAR * np.sqrt(found.precision) * found.scale, found.floor)
        slow = found.residual <= _SLOW
    status = np.full(len(found.gap), Status.NOT_CONVERGED, dtype=object)
    status[slow] = Status.SLOW
    status[small & (near | rounding)] = Status.SOLVED
    status[~(np.isfinite(found.gap) & np.isfinite(found.scale))] = Status.DIVERGED
    return status


def _dense_solutions(system: Shooting, orbits: Array, largest: Array) -> Solutions:
    gaps, J = system.linearised(orbits)
    gap, residual, scale = _sizes(system, orbits, gaps, largest)
    step, error, noise = np.full(len(orbits), np.nan), np.full(len(orbits), np.inf), np.zeros(len(orbits))
    finite = np.isfinite(J).all(axis=(1, 2, 3)) & np.isfinite(gap) & np.isfinite(scale)
    good = np.flatnonzero(finite & (gap <= 1e-6 * np.maximum(scale, 1e-3 * largest)))
    if len(good):
        moves = system.newton_steps(J[good], gaps[good])
        left = np.linalg.norm(gaps[good] + system.products(J[good], moves), axis=2).max(axis=1)
        step[good] = np.linalg.norm(moves, axis=2).max(axis=1)
        step[good[left > 0.1 * gap[good]]] = np.inf  # singular, and no step closes the gap
        sensitivity = system.sensitivities(J[good])
        noise[good] = system.noise(orbits[good], largest[good])
        error[good] = np.linalg.norm(moves, axis=2).max(axis=1) + 2 * noise[good] * sensitivity
        error[good[sensitivity > _SINGULAR]] = np.inf
    return Solutions(
        orbits=orbits,
        gap=gap,
        residual=residual,
        step=step,
        error=error,
        met=largest,
        noise=noise,
        scale=scale,
        precision=system.m.precision,
    )


def _sizes(system: Shooting, orbits: Array, gaps: Array, largest: Array) -> tuple[Array, Array, Array]:
    """Return the largest gap of every orbit, the largest relative to its point, and the size of the orbit."""
    centred = system.displacement(orbits, np.zeros_like(orbits))
    with np.errstate(over="ignore", invalid="ignore"):
        points, sizes = np.linalg.norm(centred, axis=2), np.linalg.norm(gaps, axis=2)
        relative = sizes / np.maximum(points, 4 * system.m.precision * largest[:, None] + np.finfo(float).tiny)
    return sizes.max(axis=1), relative.max(axis=1), points.max(axis=1)
