"""What a mapper is, the labels it gives, and the record of an attractor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Regime
from dynloop.result import Result

__all__ = ["DIVERGED", "UNDECIDED", "UNMATCHED", "Attractor", "Mapper", "Progress", "numbered", "one_map"]

DIVERGED, UNDECIDED, UNMATCHED = -1, -2, -3
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Attractor(Result):
    """An attractor: a fixed point or cycle that was solved for, or a sample of another set.

    Attributes
    ----------
    label : int
        Its number, from 1. Numbers follow the position of `points`, never the order of starts.
    period : int
        1 of a fixed point, p of a cycle; −1 of a set that is neither.
    points : ndarray of float64, (rows, *state_shape)
        The points of the cycle in their order, rows = p; of another set, states of one orbit on it.
    regime : Regime
        What orbits on it do.
    spectral_radius : float
        ρ(DF^p) at the cycle; nan of another set.
    error : float
        How far a point may be off, as a distance; of another set, the typical distance from one of its states to the
        nearest point of the sample.
    log_volume : float
        Mean of log|det DF| along the sample, per loop; nan of a cycle, and where it was not taken: of more than 256
        coordinates, or by features. Then nobody looked whether F keeps volumes there, and nothing is attracted.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.basins(dl.zoo.newton(), (np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    >>> root = found.attractors[0]
    >>> root.label, root.period, root.regime.name, root.points.round(3).tolist()
    (1, 1, 'VANISHING', [[-0.5, -0.866]])
    """

    label: int
    period: int
    points: Array
    regime: Regime
    spectral_radius: float
    error: float
    log_volume: float = float("nan")

    def __repr__(self) -> str:
        kind = "fixed point" if self.period == 1 else f"cycle of period {self.period}"
        if self.period < 0:
            said = ", volumes not looked at" if np.isnan(self.log_volume) else ""
            return f"Attractor {self.label}: {self.regime.name}, a sample of {len(self.points)} states{said}"
        first = np.ravel(self.points[0])
        near = ", ".join(f"{value:.6g}" for value in first[:4]) + (", …" if first.size > 4 else "")
        return f"Attractor {self.label}: {self.regime.name}, {kind} at ({near}), ρ = {self.spectral_radius:.3g}"


class Mapper(ABC):
    """A function from starts to the labels of attractors, ``labels = mapper(starts)``.

    What a start is labelled depends on that start alone: not on the others of a batch, their order, or threads.

    Labels: attractors from 1; −1 the orbit diverged (not finite, or beyond 1e150); −2 undecided within the budget of
    loops; −3 settled on something that is not one of the known attractors: one that was not found, or a saddle.

    Attributes
    ----------
    map : LoopMap
        The map.
    attractors : tuple of Attractor
        The known attractors; ``attractors[i].label`` is i + 1.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: (2 * x).tanh()], (1,))
    >>> mapper = dl.by_classification(m, np.array([[0.5], [-0.5]]))
    >>> mapper(np.array([[2.0], [-3.0]])).tolist(), [one.label for one in mapper.attractors]
    ([2, 1], [1, 2])
    """

    map: LoopMap
    attractors: tuple[Attractor, ...]

    def __call__(self, starts: Any) -> Array:
        """Label starts ``(batch, *state_shape)``: int64 ``(batch,)``."""
        return self.label(starts)[0]

    @abstractmethod
    def label(self, starts: Any, *, progress: Progress | None = None) -> tuple[Array, Array]:
        """Label starts, and say how long each took.

        Parameters
        ----------
        starts : array, (batch, *state_shape)
            Where orbits begin.
        progress : callable, optional
            Called as ``progress(starts done, starts)``.

        Returns
        -------
        labels : ndarray of int64, (batch,)
            See the class.
        loops : ndarray of int64, (batch,)
            Loops until the orbit was captured by its attractor, or diverged; the loops spent where it did neither.
        """

    def settings(self) -> tuple[Any, ...]:
        """Return what decides labels beside the map and its attractors: numbers and arrays, such as the budget."""
        return ()

    def extended(self, starts: Any) -> Mapper:  # noqa: ARG002 - a mapper of given attractors learns none
        """Return a mapper that also knows the attractors which these starts lead to.

        Attractors may be numbered anew. The mapper itself where nothing new is found, or where it looks for nothing.
        """
        return self


def one_map(m: LoopMap) -> LoopMap:
    """Return the map if it is one, not one for each row of a batch; raise otherwise."""
    rows = len(getattr(m, "table", ()))
    if rows > 1:
        raise InvalidArgumentError(
            f"{m.name} has parameters of its own for each of {rows} states, so it is not one map; take m.with_row(b)"
        )
    return m


def numbered(m: LoopMap, found: Iterable[Attractor]) -> tuple[Attractor, ...]:
    """Give attractors numbers from 1 by the position of their lowest point, angles in [0, period).

    Cycles begin at their lowest point. Coordinates closer than 1e-6 of the largest coordinate are taken for equal, so
    that rounding decides no order.
    """
    ordered = [replace(one, points=_from_lowest(m, one)) for one in found]
    if not ordered:
        return ()
    size = max(float(np.abs(one.points).max(initial=0.0)) for one in ordered) + 1e-300
    keys = [_key(one.points[0] if one.period > 0 else one.points.min(axis=0), size) for one in ordered]
    order: Sequence[int] = sorted(range(len(ordered)), key=lambda i: (keys[i], ordered[i].period))
    return tuple(replace(ordered[i], label=number) for number, i in enumerate(order, 1))


def _from_lowest(m: LoopMap, one: Attractor) -> Array:
    points = wrapped(m, one.points)
    if one.period <= 1:
        return points
    size = float(np.abs(points).max()) + 1e-300
    lowest = min(range(len(points)), key=lambda i: _key(points[i], size))
    return np.roll(points, -lowest, axis=0)


def wrapped(m: LoopMap, points: Array) -> Array:
    """Return points with angles in [0, period), those within 1e-9 of a turn below the seam at 0."""
    if m.periods is None:
        return np.array(points, dtype=np.float64)
    lengths = np.broadcast_to(m.periods, points.shape)
    angle = np.isfinite(lengths)
    length = np.where(angle, lengths, 1.0)
    turned = points - np.floor(points / length + 1e-9) * length
    return np.where(angle, turned, points)


def _key(point: Array, size: float) -> tuple[float, ...]:
    return tuple(np.round(np.ravel(point) / (1e-6 * size)).tolist())
