"""Regimes against a parameter, or from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynloop.diagrams.family import FamilyLike, Member, members
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.regime import classify
from dynloop.result import Result

__all__ = ["RegimeDiagram", "regime_diagram"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class RegimeDiagram(Result):
    """The regime of one orbit for each value of a parameter.

    Attributes
    ----------
    regime : object array of Regime, (rows,) or, of causal maps, (rows, tokens)
        The verdicts.
    period, rate, dichotomy, reason : ndarray
        As in `Classification`, of the same shape.
    values : ndarray, (rows,)
        The values of the parameter.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.regime_diagram(dl.zoo.logistic(), [2.5, 3.2])
    >>> found.period.tolist(), found.rate.shape, found.values.tolist()
    ([1, 2], (2,), [2.5, 3.2])
    """

    regime: Array
    period: Array
    rate: Array
    dichotomy: Array
    reason: Array
    values: Array


def regime_diagram(
    family: FamilyLike,
    values: Any,
    *,
    starts: Any = None,
    loops: int | None = None,
    polish: Literal["auto", "never"] = "auto",
    parameter: int = 0,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> RegimeDiagram:
    """Classify one orbit of every map of a family.

    Parameters
    ----------
    family, values, starts, parameter, rng, progress
        As in `orbit_diagram`; values may be whatever `family` takes, such as paths of checkpoints.
    loops, polish
        As in `classify`.

    Returns
    -------
    RegimeDiagram
        A verdict for every value, with its reason. `dynloop.draw_regime_diagram` plots them.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the family.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.regime_diagram(dl.zoo.logistic(), [2.5, 3.2, 3.9])
    >>> [regime.name for regime in found.regime]
    ['VANISHING', 'PERIODIC', 'CHAOTIC']
    """
    values, made = members(family, values, parameter=parameter, starts=starts, rng=rng)
    found = []
    for member in made:
        for m, state in _apart(member):
            found.append(classify(m, state, loops=loops, polish=polish, rng=rng))
            if progress is not None:
                progress(len(found), len(values))
    regime, period, rate, dichotomy, reason = (
        np.stack([np.asarray(getattr(one, name)) for one in found])
        for name in ("regime", "period", "rate", "dichotomy", "reason")
    )
    return RegimeDiagram(regime=regime, period=period, rate=rate, dichotomy=dichotomy, reason=reason, values=values)


def _apart(member: Member) -> Iterator[tuple[LoopMap, Any]]:
    """Yield the maps of a member one by one, each with its start."""
    for row, state in enumerate(member.states):
        yield (member.map.with_row(row) if isinstance(member.map, KernelMap) else member.map), state
