"""One run of an ablation: what one block does from one start, as numbers that can be averaged over seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.maps.measured import Watch
from dynloop.orbits.polygon import polygon
from dynloop.orbits.regime import followed
from dynloop.orbits.verdict import Regime

__all__ = ["NUMBERS", "Run", "run"]

NUMBERS = ("rate", "step", "fall", "closure", "distinctness")
_AT_REST = 1e3  # units of roundoff below which a step is at the floor, and a polygon has shrunk to a point


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """What one block does from one start.

    Attributes
    ----------
    shares : dict of str to float
        Share of tokens (of the one start, where the map is not causal) in every regime that occurs.
    period : int
        The largest period that occurs; −1 where there is none.
    reason : str
        The most frequent reason.
    numbers : dict of str to float
        See `Ablation`; nan where one is not defined.
    """

    shares: dict[str, float]
    period: int
    reason: str
    numbers: dict[str, float]


def run(
    make: Callable[..., LoopMap],
    setting: Mapping[str, Any],
    seed: int,
    loops: int,
    polish: Any,
    options: Mapping[str, Any],
) -> Run:
    """Make a block, iterate it from one start, and classify the orbit.

    Parameters
    ----------
    make : callable
        ``make(**setting, seed=seed, **options) -> LoopMap``.
    setting, options : mapping
        What is varied, and what is not.
    seed : int
        Of the block and of its start.
    loops, polish
        As in `classify`; the numbers are measured after exactly so many loops.
    """
    m = make(**setting, seed=seed, **options)
    if not isinstance(m, LoopMap):
        raise InvalidArgumentError(f"make must return a map, such as a TorchMap; got {type(m).__name__} for {setting}")
    start = m.start(as_rng(seed), 1)
    found, kept = followed(m, start, loops, polish, seed)
    numbers = _measured(m, start, loops, kept)
    converged = all(regime in (Regime.CYCLIC, Regime.VANISHING) for regime in np.ravel(found.regime))
    rates = np.ravel(found.rate)
    numbers["rate"] = float(rates.max()) if converged and np.isfinite(rates).all() else math.nan
    names = [regime.name for regime in np.ravel(found.regime)]
    return Run(
        shares={name: count / len(names) for name, count in Counter(names).items()},
        period=int(np.ravel(found.period).max()),
        reason=Counter(str(one) for one in np.ravel(found.reason)).most_common(1)[0][0],
        numbers=numbers,
    )


def _measured(m: LoopMap, start: Any, loops: int, kept: Sequence[Watch]) -> dict[str, float]:
    """Measure steps over the second half of the loops, and the polygon of the loop after the last; the worst token.

    The orbit goes on from the windows that are `kept` of it.
    """
    half, end = loops // 2, kept[-1].states if kept else start
    done = sum(len(window.steps) for window in kept)
    windows = [*kept, m.watch(end, loops - done, end)] if done < loops else kept
    norms, moves = (np.concatenate([getattr(window, name) for window in windows]) for name in ("norms", "steps"))
    largest, end = float(norms.max()), windows[-1].states
    with np.errstate(all="ignore"):
        sizes = np.maximum(norms[half:], 4 * m.precision * largest + np.finfo(np.float64).tiny)
        steps: Array = (moves[half:] / sizes)[:, 0].max(axis=1)
    if not np.isfinite(steps).all() or not np.isfinite(m.numpy(end)).all():
        return dict.fromkeys(("step", "fall", "closure", "distinctness"), math.nan)
    rest = _AT_REST * m.precision
    times = np.arange(half + 1, loops + 1)
    fall = float(np.polyfit(np.log(times), np.log(steps), 1)[0]) if steps.min() > rest else math.nan
    with np.errstate(all="ignore"):
        shape = polygon(m, end, joint=False, largest=largest)
    known = np.isfinite(shape.perimeter) & (shape.perimeter > rest)
    return {
        "step": float(steps[-1]),
        "fall": fall,
        "closure": float(shape.closure[known].max()) if known.any() else math.nan,
        "distinctness": float(shape.section_distance.min()),
    }
