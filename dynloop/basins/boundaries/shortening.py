"""The search for short critical shocks: some that are, and how they are made shorter."""

from __future__ import annotations

import numpy as np

from dynloop.basins.boundaries.labels import UNKNOWN
from dynloop.basins.given import AnyMapper, Learner
from dynloop.basins.sampling import unit_directions
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Status

__all__ = ["DOUBLINGS", "ROUGH", "Asked", "candidates_for", "lean_over", "refined", "size_of"]

DOUBLINGS = 30  # from the size that is tried first to the largest
_SHELLS = 8  # sizes from half of one to that one, between which the first critical shock lies
_SHORTENED, _COARSE = 64, 1e-2  # critical shocks that are cut, and how finely
_CANDIDATES, _APART, _WORTH = 6, 0.3, 1.5  # of them that are leaned; how far their directions differ; how long they are
ROUGH = 1e-3  # relative gain below which a candidate is left
_SHAKE, _LEANS = 0.1, 6  # of the radius, how far around the boundary is tried; and shares of a step to the normal
_WIDEST = 0.5  # of the radius, how far a refinement looks aside at first


class Asked:
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
        """States that were labelled."""
        return self._ask.spent

    @property
    def left(self) -> int:
        """What is left of the budget."""
        return self._budget - self.spent

    def label(self, shocks: Array) -> Array:
        """Label the state with each of some shocks added, ``(k, *state_shape)``."""
        labels = self._ask(self.centre + shocks)
        self._see_before()
        return labels

    def critical(self, shocks: Array) -> tuple[Array, Array]:
        """Say which shocks change the label, and which leave it unknown."""
        labels = self.label(shocks)
        unknown = np.isin(labels, UNKNOWN)
        return (labels != self.before) & ~unknown, unknown


def candidates_for(ask: Asked, rng: np.random.Generator, top: float, directions: int) -> tuple[list[Array], Array]:
    """Return critical shocks in different directions, the shortest first, and what was tried before.

    Sizes grow until one has a critical shock; below it, sizes are closer to each other.
    """
    safe: list[tuple[float, float]] = []
    found: list[Array] = []
    for k in range(DOUBLINGS, -1, -1):
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
    found = sorted(found, key=size_of)[:_SHORTENED]
    if found and ask.left > 8 * len(found):
        found = sorted(_cut(ask, np.stack(found), _COARSE), key=size_of)
    apart: list[Array] = []
    for shock in [one for one in found if size_of(one) < _WORTH * size_of(found[0])]:
        along = shock / np.linalg.norm(shock)
        if all(np.linalg.norm(along - other / np.linalg.norm(other)) > _APART for other in apart):
            apart.append(shock)
    return apart[:_CANDIDATES], np.array(sorted(safe)).reshape(-1, 2)


def _shell(ask: Asked, rng: np.random.Generator, size: float, directions: int) -> tuple[list[Array], float]:
    """Return the critical ones of random shocks of a size, and the share of them that leave the label unknown."""
    shocks = size * unit_directions(rng, directions, ask.m.state_shape)
    critical, unknown = ask.critical(shocks)
    return list(shocks[critical]), float(unknown.mean())


def size_of(shock: Array) -> float:
    """Return the Euclidean norm of a shock."""
    return float(np.linalg.norm(shock))


def _cut(ask: Asked, shocks: Array, tolerance: float) -> Array:
    """Return critical shocks, each shortened by halving towards a length that is not critical."""
    shape = (-1, *(1,) * (shocks.ndim - 1))
    low, high = np.zeros(len(shocks)), np.ones(len(shocks))
    while (high - low > tolerance * high).any() and ask.left >= len(shocks):
        middle = (low + high) / 2
        critical, _ = ask.critical(shocks * middle.reshape(shape))
        low, high = np.where(critical, low, middle), np.where(critical, middle, high)
    return np.asarray(shocks * high.reshape(shape))


def lean_over(ask: Asked, rng: np.random.Generator, best: Array, directions: int, tolerance: float) -> Array:
    """Shorten a critical shock by leaning it towards the normal of the boundary at its end.

    The normal is the mean of small displacements, weighed by whether they are critical; the point of its plane
    nearest to the state lies along it.
    """
    lean = (2.0 ** -np.arange(_LEANS)).reshape(-1, *(1,) * best.ndim)
    shake = _SHAKE
    while shake**2 > tolerance and ask.left > directions + _LEANS:
        radius = size_of(best)
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


def refined(
    ask: Asked, rng: np.random.Generator, best: Array, directions: int, tolerance: float
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
