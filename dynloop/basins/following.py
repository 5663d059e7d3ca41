"""Basin fractions along a parameter: attractors are followed from value to value, and keep their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynloop.arguments import checked_int, checked_numbers
from dynloop.basins.attractors import Attractor, Mapper
from dynloop.basins.drawn import REST, Drawn, handed_out
from dynloop.basins.finding import extents
from dynloop.basins.given import mapper_of
from dynloop.basins.matching import METRICS, matched
from dynloop.basins.proportions import standard_error
from dynloop.basins.sampling import sampler_of
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.maps.family import FamilyLike
from dynloop.orbits.branches.members import Members
from dynloop.result import Result

__all__ = ["FractionsBranch", "continue_fractions"]

_SHARE, _OWN = 0.1, 0.5  # of the diagonal of the region, and of itself, that an attractor may move between two values
_SEEDS = 4  # points of every attractor, from which it is looked for at the next value


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class FractionsBranch(Result):
    """Basin fractions along a parameter.

    Attributes
    ----------
    fractions : ndarray, (values, k)
        Share of the starts that goes to each attractor; column i belongs to number i + 1 at every value. 0 where it was
        not found. With `rest` a row sums to 1.
    standard_error : ndarray, (values, k)
        Of each; 1/(n + 1) where none or all of the starts went there. The same starts serve all values.
    found : ndarray of bool, (values, k)
        Whether the attractor was found at the value; one of a tiny basin may be, with a fraction of 0.
    moved : ndarray, (values, k)
        How far its points are from those at the last value where it was found; nan at the first.
    rest : ndarray, (values, 3)
        Shares that diverged, are undecided, and unmatched.
    values : ndarray, (values,)
        The parameter.
    attractors : tuple of tuples of Attractor
        For every value, with the numbers that they keep.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> tilted = lambda a: dl.TorchMap([lambda x: x + 0.25 * (x - x**3 + a)], (1,))
    >>> found = dl.continue_fractions(tilted, [0.0, 0.5], ((-2, 2),), samples=50)
    >>> found.fractions.shape, found.fractions[1].tolist(), found.values.tolist()
    ((2, 2), [0.0, 1.0], [0.0, 0.5])
    """

    fractions: Array
    standard_error: Array
    found: Array
    moved: Array
    rest: Array
    values: Array
    attractors: tuple[tuple[Attractor, ...], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows, k = self.fractions.shape
        lines = [f"FractionsBranch: {rows} values from {self.values[0]:.6g} to {self.values[-1]:.6g}, {k} attractors"]
        for i in range(min(k, 12)):
            at = self.values[self.found[:, i]]
            share = self.fractions[self.found[:, i], i]
            where = f"{at[0]:.6g} to {at[-1]:.6g}" if len(at) > 1 else f"{at[0]:.6g} alone"
            lines.append(f"  {i + 1}: found from {where}, fraction {share[0]:.4g} → {share[-1]:.4g}")
        return "\n".join(lines)


def continue_fractions(
    family: FamilyLike,
    values: Any,
    starts: Any = None,
    *,
    samples: int = 1000,
    metric: str = "hausdorff",
    threshold: float | None = None,
    parameter: int = 0,
    rng: int | np.random.Generator | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FractionsBranch:
    """Follow attractors and the fractions of their basins in a parameter.

    Parameters
    ----------
    family : KernelMap, or callable
        A compiled map, whose parameter number `parameter` takes the values; or ``family(value) -> LoopMap``.
    values : sequence of float
        In the order in which they are followed.
    starts : tuple or callable, optional
        Where starts are drawn, as in `basin_fractions`; the first map's own if left out.
    samples : int
        Starts.
    metric : {"hausdorff", "centroid"}
        The distance of two attractors: of the farthest of their points from the other, or of their means.
    threshold : float, optional
        Attractors farther apart are two. If left out: a tenth of the diagonal of the region of the starts, or half the
        diameter of the smaller of the two, whichever is more; bands of chaos merge, and cycles begin within them.
    parameter : int
        See `family`; counted from 0.
    rng : int or Generator
        For starts.
    progress : callable, optional
        ``progress(values done, values)``.

    Returns
    -------
    FractionsBranch
        Fractions, errors, and the attractors with their numbers.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the family.
    NoStartError
        If no starts are given and the map knows none.

    Notes
    -----
    Datseris, Rossi and Wagemakers, Chaos 33 (2023) 073151: attractors are found and matched at every value, nothing is
    followed by Newton's method, so chaotic ones are carried along too. At each value they are looked for from the
    starts and from the points of those of the value before. An attractor that was lost keeps its number, and has it
    again if one is found near where it was. What two numbers one value apart mean depends on the step and on
    `threshold`: see `moved`.

    Examples
    --------
    >>> import dynloop as dl
    >>> def step(x, params, out):
    ...     out[0] = x[0] + 0.25 * (x[0] - x[0] ** 3 + params[0])
    >>> tilted = dl.KernelMap(step, 1, params=(0.0,))
    >>> found = dl.continue_fractions(tilted, [0.0, 0.2, 0.5], ((-2, 2),), samples=200)
    >>> found.found.tolist()
    [[True, True], [True, True], [False, True]]
    """
    if metric not in METRICS:
        raise InvalidArgumentError(f'metric must be "hausdorff" or "centroid"; got {metric!r}')
    samples = checked_int(samples, "samples", 1, meaning="a number of starts")
    wanted = checked_numbers(values, "values").reshape(-1)
    if not len(wanted) or not np.isfinite(wanted).all():
        raise InvalidArgumentError(f"values must be one or more finite numbers; got {values!r}")
    members = Members(family, parameter)
    first = members.at(float(wanted[0]))
    states = first.numpy(sampler_of(first, starts)(as_rng(rng), int(samples)))
    reach = float(np.linalg.norm(extents(states))) * _SHARE if threshold is None else _positive(threshold)
    known = _Numbers(metric, reach, _OWN if threshold is None else 0.0)
    rows, rests = [], []
    for i, value in enumerate(wanted):
        m = members.at(float(value))
        drawn = Drawn(m, handed_out(m, states), _mapper(m, states, known), as_rng(0))
        drawn.grow(len(states))
        counts, k = drawn.counts(), len(drawn.attractors)
        known.number(m, drawn.attractors)
        rows.append(counts[:k])
        rests.append(counts[-len(REST) :] / len(states))
        if progress is not None:
            progress(i + 1, len(wanted))
    counts, found, moved = known.table(rows)
    return FractionsBranch(
        fractions=counts / len(states), standard_error=standard_error(counts, len(states)), found=found, moved=moved,
        rest=np.array(rests), values=wanted, attractors=tuple(known.attractors),
        settings={"map": first.name, "samples": len(states), "metric": metric, "threshold": reach},
    )  # fmt: skip


class _Numbers:
    """The numbers that attractors keep, and where each was last."""

    def __init__(self, metric: str, reach: float, share: float) -> None:
        self._metric, self._reach, self._share = metric, reach, share
        self.last: list[Array] = []
        self.attractors: list[tuple[Attractor, ...]] = []
        self._moved: list[Array] = []
        self._order: list[Array] = []

    def number(self, m: LoopMap, found: tuple[Attractor, ...]) -> None:
        """Match the attractors of a value to those known, and number the others from the last on."""
        points = [one.points for one in found]
        match, moved = matched(m, self.last, points, self._metric, self._reach, self._share)
        for one in (int(j) for j in np.flatnonzero(match < 0)):
            match[one] = len(self.last)
            self.last.append(found[one].points)
        for j, i in enumerate(match.tolist()):
            self.last[i] = found[j].points
        self.attractors.append(tuple(replace(one, label=int(i) + 1) for one, i in zip(found, match, strict=True)))
        self._moved.append(moved)
        self._order.append(match)

    def table(self, rows: list[Array]) -> tuple[Array, Array, Array]:
        """Return counts, whether an attractor was found, and how far it moved, ``(values, k)`` each."""
        shape = (len(rows), len(self.last))
        counts, found, moved = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool), np.full(shape, np.nan)
        for i, (own, order, gaps) in enumerate(zip(rows, self._order, self._moved, strict=True)):
            counts[i, order], found[i, order], moved[i, order] = own, True, gaps
        return counts, found, moved


def _mapper(m: LoopMap, states: Array, known: _Numbers) -> Any:
    """Return a mapper that has looked from the starts, and from the attractors of the value before."""
    mapper = mapper_of(m, None, m.native(states))
    if isinstance(mapper, Mapper) and known.attractors:
        seeds = [one.points[:_SEEDS] for one in known.attractors[-1]]
        if seeds:
            mapper = mapper.extended(m.native(np.concatenate(seeds)))
    return mapper


def _positive(threshold: Any) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold > 0:
        raise InvalidArgumentError(f"threshold must be a positive distance; got {threshold!r}")
    return float(threshold)
