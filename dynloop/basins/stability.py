"""Basin stability of a perturbation size: how likely an attractor's states come back after a push of that size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.attractors import UNDECIDED, Attractor
from dynloop.basins.given import Learner
from dynloop.basins.proportions import checked_confidence, standard_error, wilson
from dynloop.basins.sampling import unit_directions
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result

__all__ = ["BasinStability", "basin_stability"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class BasinStability(Result):
    """Shares of perturbed states that come back.

    Attributes
    ----------
    stability : ndarray, (k,)
        Share that goes to the attractor again, for every size.
    standard_error : ndarray, (k,)
        Of each; 1/(samples + 1) where none or all came back. Sizes share their directions, so that neighbouring ones
        err alike.
    interval : ndarray, (k, 2)
        Wilson's interval of each by itself.
    undecided : ndarray, (k,)
        Shares that are undecided within the budget of loops, counted as not back: the true share is larger by that at
        most.
    sizes : ndarray, (k,)
        Euclidean sizes of the perturbations.
    label : int
        The mapper's number of the attractor.
    samples : int
        Perturbed states for every size.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> found = dl.basin_stability(m, [1.0], [0.5, 3.0], mapper=sides)
    >>> found.label, found.sizes.tolist(), found.interval.shape
    (1, [0.5, 3.0], (2, 2))
    """

    stability: Array
    standard_error: Array
    interval: Array
    undecided: Array
    sizes: Array
    label: int
    samples: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def basin_stability(
    m: LoopMap,
    attractor: Any,
    sizes: Any,
    *,
    mapper: Callable[[Any], Array] | None = None,
    within: str = "ball",
    samples: int = 1000,
    confidence: float = 0.95,
    rng: int | np.random.Generator | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> BasinStability:
    """Push the states of an attractor, and see how many come back.

    Parameters
    ----------
    m : LoopMap
        The map.
    attractor : Attractor, or array, state_shape or (rows, *state_shape)
        The attractor, or states on it; one of them is drawn for every perturbation.
    sizes : float or sequence of float, (k,)
        Euclidean sizes of perturbations.
    mapper : callable, optional
        ``labels = mapper(starts)``; made for the map from the perturbed states if left out.
    within : {"ball", "sphere"}
        Whether perturbations are uniform in the ball of a size, or on its surface.
    samples : int
        Perturbed states for every size.
    confidence : float
        Of the intervals.
    rng : int or Generator
        For states and directions.
    progress : callable, optional
        ``progress(sizes done, sizes)``.

    Returns
    -------
    BasinStability
        One share a size.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, or the states given do not all go to one known attractor.
    ShapeError
        If they do not fit the map.

    Notes
    -----
    Menck, Heitzig, Marwan and Kurths, Nat. Phys. 9 (2013) 89. In n dimensions nearly all of a ball lies near its
    surface, so "ball" and "sphere" agree for large n.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> dl.basin_stability(m, [1.0], [0.5, 3.0], mapper=sides).stability.round(1).tolist()
    [1.0, 0.7]
    """
    as_map(m)
    checked_confidence(confidence)
    points = m.numpy(m.batch(attractor.points if isinstance(attractor, Attractor) else attractor)[0])
    lengths = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
    if lengths.ndim != 1 or not len(lengths) or not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise InvalidArgumentError(f"sizes must be positive, finite numbers; got {sizes!r}")
    if within not in ("ball", "sphere"):
        raise InvalidArgumentError(f'within must be "ball" or "sphere"; got {within!r}')
    n, generator = checked_int(samples, "samples", 1), as_rng(rng)
    centres = points[generator.integers(0, len(points), n)]
    pushes = unit_directions(generator, n, m.state_shape)
    if within == "ball":
        pushes *= (generator.uniform(0, 1, n) ** (1 / m.dimension)).reshape(-1, *(1,) * len(m.state_shape))
    ask = Learner(m, mapper, np.concatenate([points, centres + lengths.max() * pushes]))
    label = _own(ask(points))
    counts, undecided = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths))
    for i, size in enumerate(lengths):
        version, labels = ask.version, ask(centres + size * pushes)
        if ask.version != version:
            label = _own(ask(points))
        counts[i], undecided[i] = (labels == label).sum(), (labels == UNDECIDED).mean()
        if progress is not None:
            progress(i + 1, len(lengths))
    return BasinStability(
        stability=counts / n, standard_error=standard_error(counts, n), interval=wilson(counts, n, confidence),
        undecided=undecided, sizes=lengths, label=label, samples=n,
        settings={"map": m.name, "within": within, "confidence": confidence},
    )  # fmt: skip


def _own(labels: Array) -> int:
    """Return the one label of the attractor's own states."""
    found = np.unique(labels)
    if len(found) > 1 or found[0] < 1:
        raise InvalidArgumentError(
            f"the states of the attractor have the labels {found.tolist()}, and one of an attractor is wanted; give "
            "states of one attractor, or a mapper that knows it"
        )
    return int(found[0])
