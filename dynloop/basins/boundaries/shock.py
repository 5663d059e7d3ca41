"""The minimal critical shock: the smallest perturbation of a state that was found to change where it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.boundaries.labels import UNKNOWN
from dynloop.basins.boundaries.shortening import DOUBLINGS, ROUGH, Asked, candidates_for, lean_over, refined, size_of
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result, Status

__all__ = ["CriticalShock", "minimal_critical_shock"]


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

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> found = dl.minimal_critical_shock(m, [1.0], mapper=sides)
    >>> found.label_before, found.label_after, found.shock.round(4).tolist()
    (1, 2, [-1.0])
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
    ask = Asked(m, centre, mapper, int(budget))
    generator = as_rng(rng)
    candidates, safe = candidates_for(ask, generator, top, int(directions))
    if not candidates:
        return _none_found(ask, safe, Status.NOT_CONVERGED if len(safe) > DOUBLINGS else Status.OUT_OF_LOOPS)
    best = min((lean_over(ask, generator, one, int(directions), ROUGH) for one in candidates), key=size_of)
    best = lean_over(ask, generator, best, int(directions), float(tolerance))
    best, status = refined(ask, generator, best, int(directions), float(tolerance))
    after = int(ask.label(best[None])[0])
    size = size_of(best)
    if after == ask.before or after in UNKNOWN:  # the mapper has changed its mind
        return _none_found(ask, safe[safe[:, 0] < size], Status.NOT_CONVERGED)
    return CriticalShock(
        size=size, shock=best, label_before=ask.before, label_after=after, status=status, safe=safe[safe[:, 0] < size],
        evaluations=ask.spent,
    )  # fmt: skip


def _none_found(ask: Asked, safe: Array, status: Status) -> CriticalShock:
    nothing = np.full(ask.m.state_shape, np.nan)
    return CriticalShock(
        size=math.inf, shock=nothing, label_before=ask.before, label_after=0, status=status, safe=safe,
        evaluations=ask.spent,
    )  # fmt: skip


def _checked_state(m: LoopMap, state: Any) -> Array:
    states, single = m.batch(state)
    if not single:
        raise ShapeError(f"state must be one state of shape {m.state_shape}; got shape {np.shape(state)}")
    return np.asarray(m.numpy(states)[0])


def _checked_options(centre: Array, largest: float | None, directions: int, budget: int, tolerance: float) -> float:
    checked_int(directions, "directions", 2, remedy="Leave it out for 256")
    checked_int(budget, "budget", 1, remedy="Leave it out for 100000")
    if not isinstance(tolerance, int | float) or not 1e-14 <= tolerance < 1:
        raise InvalidArgumentError(f"tolerance must be a relative size between 1e-14 and 1; got {tolerance!r}")
    if largest is None:
        norm = float(np.linalg.norm(centre))
        return 1e3 * norm if norm > 0 else 1e3
    if isinstance(largest, bool) or not isinstance(largest, int | float) or not 0 < largest < math.inf:
        raise InvalidArgumentError(f"largest must be a positive, finite size; got {largest!r}")
    return float(largest)
