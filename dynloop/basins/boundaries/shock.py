"""The minimal critical shock: the smallest perturbation of a state that was found to change where it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.basins.boundaries.labels import UNKNOWN
from dynloop.basins.given import AnyMapper, Learner
from dynloop.basins.sampling import unit_directions
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result, Status

__all__ = ["CriticalShock", "minimal_critical_shock"]

_DOUBLINGS = 30  # from the size that is tried first to the largest
_SHELLS = 8  # sizes from half of one to that one, between which the first critical shock lies
_SHORTENED, _COARSE = 64, 1e-2  # critical shocks that are cut, and how finely
_CANDIDATES, _APART, _WORTH = 6, 0.3, 1.5  # of them that are leaned; how far their directions differ; how long they are
_ROUGH = 1e-3  # relative gain below which a candidate is left
_SHAKE, _LEANS = 0.1, 6  # of the radius, how far around the boundary is tried; and shares of a step to the normal
_WIDEST = 0.5  # of the radius, how far a refinement looks aside at first


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class CriticalShock(Result):
    """A perturbation that changes the destination of a state, as small as one was found.

    Attributes
    ----------
    size : float
        Its Euclidean norm. The least critical shock is no larger: this one was tried. Whether a smaller one exists a
        search cannot exclude. inf where none was found.
    shock : ndarray, state_shape
        The perturbation; nan where none was found.
    label_before, label_after : int
        Where the state goes, and where the perturbed one goes; `label_after` is 0 where none was found.
    status : Status
        CONVERGED if the last refinements gained less than the tolerance; OUT_OF_LOOPS if the budget of starts ran out;
        NOT_CONVERGED if no shock up to the largest size changed the label, or the mapper labelled the same state in two
        ways.
    safe : ndarray, (k, 2)
        Sizes of random shocks that were tried before, below the one that was found, and the share of them that changed
        the label to an unknown one (−2 or −3), which does not count as a change.
    evaluations : int
        Starts that were labelled.
    """

    size: float
    shock: Array
    label_before: int
    label_after: int
    status: Status
    safe: Array
    evaluations: int


def minimal_critical_shock(
    m: LoopMap,
    state: Any,
    *,
    mapper: Callable[[Any], Array] | None = None,
    largest: float | None = None,
    directions: int = 256,
    budget: int = 100_000,
    tolerance: float = 1e-6,
    rng: int | np.random.Generator | None = 0,
) -> CriticalShock:
    """Search for the smallest perturbation of a state that changes the attractor it goes to.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : array, state_shape
        The state, an attractor's for instance.
    mapper : callable, optional
        ``labels = mapper(starts)``; made for the map if left out.
    largest : float, optional
        The largest size tried; 1000 times that of the state (1000, of a state at the origin) if left out.
    directions : int
        Random directions tried at every size.
    budget : int
        Starts labelled, at most.
    tolerance : float
        Relative gain below which the search stops.
    rng : int or Generator
        For directions.

    Returns
    -------
    CriticalShock
        The shock, tried, and what was tried below it.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, or the state itself has no known destination.
    ShapeError
        If `state` is not one state.

    Notes
    -----
    The *minimal fatal shock* of Halekotte and Feudel, Sci. Rep. 10 (2020) 11783. Random shocks are tried, each
    size double the last, until some are critical. The shortest in several directions are leaned towards the normal of
    the boundary, found from small displacements of their ends (as adversarial examples are found from decisions alone:
    Chen, Jordan and Wainwright, arXiv 1904.02144); the best is shortened by random draws around it, at all scales.
    A tongue of another basin narrower than the directions are dense is missed; raise `directions`. At a fractal
    boundary there is a smaller shock at every scale. An escape to divergence (−1) is a change.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> round(dl.minimal_critical_shock(m, [1.0], mapper=sides).size, 5)
    1.0
    """
    centre = _checked_state(as_map(m), state)
    top = _checked_options(centre, largest, directions, budget, tolerance)
    ask = _Asked(m, centre, mapper, int(budget))
    generator = as_rng(rng)
    candidates, safe = _candidates(ask, generator, top, int(directions))
    if not candidates:
        return _none_found(ask, safe, Status.NOT_CONVERGED if len(safe) > _DOUBLINGS else Status.OUT_OF_LOOPS)
    best = min((_leaned(ask, generator, one, int(directions), _ROUGH) for one in candidates), key=_size)
    best = _leaned(ask, generator, best, int(directions), float(tolerance))
    best, status = _refined(ask, generator, best, int(directions), float(tolerance))
    after = int(ask.label(best[None])[0])
    size = _size(best)
    if after == ask.before or after in UNKNOWN:  # the mapper has changed its mind
        return _none_found(ask, safe[safe[:, 0] < size], Status.NOT_CONVERGED)
    return CriticalShock(
        size=size, shock=best, label_before=ask.before, label_after=after, status=status, safe=safe[safe[:, 0] < size],
        evaluations=ask.spent,
    )  # fmt: skip


def _none_found(ask: _Asked, safe: Array, status: Status) -> CriticalShock:
    nothing = np.full(ask.m.state_shape, np.nan)
    return CriticalShock(
        size=math.inf, shock=nothing, label_before=ask.before, label_after=0, status=status, safe=safe,
        evaluations=ask.spent,
    )  # fmt: skip


class _Asked:
    """The labels around one state, and how many were asked for."""

    def __init__(self, m: LoopMap, centre: Array, mapper: AnyMapper | None, budget: int) -> None:
        self.m, self.centre, self._budget = m, centre, budget
        self._ask = Learner(m, mapper, centre[None])
        self._version, self.before = -1, 0
        self._see_before()

    def _see_before(self) -> None:
        while self._version != self._ask.version:
            self._version = self._ask.version
            self.before = int(self._ask(self.centre[None])[0])
        if self.before in UNKNOWN:
            raise InvalidArgumentError(
                f"state has no known destination (label {self.before}), so none can change; give one that has, or a "
                "mapper with more loops"
            )

    @property
    def spent(self) -> int:
        return self._ask.spent

    @property
    def left(self) -> int:
        return self._budget - self.spent

    def label(self, shocks: Array) -> Array:
        labels = self._ask(self.centre + shocks)
        self._see_before()
        return labels

    def critical(self, shocks: Array) -> tuple[Array, Array]:
        """Say which shocks change the label, and which leave it unknown."""
        labels = self.label(shocks)
        unknown = np.isin(labels, UNKNOWN)
        return (labels != self.before) & ~unknown, unknown


def _candidates(ask: _Asked, rng: np.random.Generator, top: float, directions: int) -> tuple[list[Array], Array]:
    """Return critical shocks in different directions, the shortest first, and what was tried before.

    Sizes grow until one has a critical shock; below it, sizes are closer to each other.
    """
    safe: list[tuple[float, float]] = []
    found: list[Array] = []
    for k in range(_DOUBLINGS, -1, -1):
        if ask.left < directions:
            return [], np.array(safe).reshape(-1, 2)
        size = top * 2.0**-k
        found, unknown = _shell(ask, rng, size, directions)
        if found:
            break
        safe.append((size, unknown))
    for share in 2.0 ** (-np.arange(1, _SHELLS) / _SHELLS) if found else ():
        if ask.left < 2 * directions:
            break
        more, unknown = _shell(ask, rng, size * share, directions)
        if not more:
            safe.append((size * share, unknown))
        found += more
    found = sorted(found, key=_size)[:_SHORTENED]
    if found and ask.left > 8 * len(found):
        found = sorted(_cut(ask, np.stack(found), _COARSE), key=_size)
    apart: list[Array] = []
    for shock in [one for one in found if _size(one) < _WORTH * _size(found[0])]:
        along = shock / np.linalg.norm(shock)
        if all(np.linalg.norm(along - other / np.linalg.norm(other)) > _APART for other in apart):
            apart.append(shock)
    return apart[:_CANDIDATES], np.array(sorted(safe)).reshape(-1, 2)


def _shell(ask: _Asked, rng: np.random.Generator, size: float, directions: int) -> tuple[list[Array], float]:
    """Return the critical ones of random shocks of a size, and the share of them that leave the label unknown."""
    shocks = size * unit_directions(rng, directions, ask.m.state_shape)
    critical, unknown = ask.critical(shocks)
    return list(shocks[critical]), float(unknown.mean())


def _size(shock: Array) -> float:
    return float(np.linalg.norm(shock))


def _cut(ask: _Asked, shocks: Array, tolerance: float) -> Array:
    """Return critical shocks, each shortened by halving towards a length that is not critical."""
    shape = (-1, *(1,) * (shocks.ndim - 1))
    low, high = np.zeros(len(shocks)), np.ones(len(shocks))
    while (high - low > tolerance * high).any() and ask.left >= len(shocks):
        middle = (low + high) / 2
        critical, _ = ask.critical(shocks * middle.reshape(shape))
        low, high = np.where(critical, low, middle), np.where(critical, middle, high)
    return np.asarray(shocks * high.reshape(shape))


def _leaned(ask: _Asked, rng: np.random.Generator, best: Array, directions: int, tolerance: float) -> Array:
    """Shorten a critical shock by leaning it towards the normal of the boundary at its end.

    The normal is the mean of small displacements, weighed by whether they are critical; the point of its plane
    nearest to the state lies along it.
    """
    lean = (2.0 ** -np.arange(_LEANS)).reshape(-1, *(1,) * best.ndim)
    shake = _SHAKE
    while shake**2 > tolerance and ask.left > directions + _LEANS:
        radius = _size(best)
        aside = unit_directions(rng, directions, best.shape)
        critical, _ = ask.critical(best + shake * radius * aside)
        weight = (critical - critical.mean()).reshape(-1, *(1,) * best.ndim)
        normal = (weight * aside).sum(axis=0)
        length = float(np.linalg.norm(normal))
        gain = 0.0
        if length > 0:
            normal /= length
            leaned = best + lean * ((best * normal).sum() * normal - best)
            norms = np.linalg.norm(leaned.reshape(_LEANS, -1), axis=1).reshape(-1, *(1,) * best.ndim)
            leaned = leaned * (radius / np.where(norms > 0, norms, np.inf))
            critical, _ = ask.critical(leaned)
            if critical.any():
                cut = _cut(ask, leaned[critical], max(tolerance, shake**2 / 64))
                lengths = np.linalg.norm(cut.reshape(len(cut), -1), axis=1)
                if lengths.min() < radius:
                    best, gain = cut[np.argmin(lengths)], 1 - lengths.min() / radius
        if gain < max(tolerance, shake**2 / 8):
            shake /= 2
    return best


def _refined(
    ask: _Asked, rng: np.random.Generator, best: Array, directions: int, tolerance: float
) -> tuple[Array, Status]:
    """Shorten a critical shock until refinements gain less than the tolerance."""
    wide, shape = _WIDEST, (-1, *(1,) * best.ndim)
    while wide > tolerance:
        if ask.left < directions + 1:
            return best, Status.OUT_OF_LOOPS
        radius = np.linalg.norm(best)
        aside = best / radius + wide * rng.uniform(0, 1, directions).reshape(shape) * unit_directions(
            rng, directions, best.shape
        )
        aside[0] = best  # straight back, too
        norms = np.linalg.norm(aside.reshape(directions, -1), axis=1)
        shorter = radius * (1 - wide * rng.uniform(0, 1, directions))
        shocks = aside * (shorter / norms).reshape(shape)
        critical, _ = ask.critical(shocks)
        if critical.any():
            lengths = np.where(critical, shorter, np.inf)
            best = shocks[np.argmin(lengths)]
            if 1 - lengths.min() / radius > wide / 4:
                continue
        wide /= 2
    return best, Status.CONVERGED


def _checked_state(m: LoopMap, state: Any) -> Array:
    states, single = m.batch(state)
    if not single:
        raise ShapeError(f"state must be one state of shape {m.state_shape}; got shape {np.shape(state)}")
    return np.asarray(m.numpy(states)[0])


def _checked_options(centre: Array, largest: float | None, directions: int, budget: int, tolerance: float) -> float:
    for name, value, least in (("directions", directions, 2), ("budget", budget, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InvalidArgumentError(f"{name} must be an int of {least} or more; got {value!r}")
    if not isinstance(tolerance, int | float) or not 1e-14 <= tolerance < 1:
        raise InvalidArgumentError(f"tolerance must be a relative size between 1e-14 and 1; got {tolerance!r}")
    if largest is None:
        norm = float(np.linalg.norm(centre))
        return 1e3 * norm if norm > 0 else 1e3
    if isinstance(largest, bool) or not isinstance(largest, int | float) or not 0 < largest < math.inf:
        raise InvalidArgumentError(f"largest must be a positive, finite size; got {largest!r}")
    return float(largest)
