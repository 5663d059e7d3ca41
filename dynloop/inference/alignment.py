"""A looped model beside a feed-forward one: which depth each layer of each loop resembles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.inference.curves import InferenceStages, shaped
from dynloop.maps.base import Array, as_rng
from dynloop.result import Result

__all__ = ["StageAlignment", "align_stages"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class StageAlignment(Result):
    """Which depth of a feed-forward model each layer of a looped one matches.

    Attributes
    ----------
    depth : ndarray of int64, (loops, attentions)
        Index of the matched attention of the feed-forward model, never decreasing over a loop; −1 where no curve has a
        shape to be matched.
    distance : ndarray, (loops,)
        Mean squared distance of matched points, each metric standardised within its curve and averaged over metrics.
    by_chance : ndarray, (loops,)
        The same with the layers of the loop in random order, on average.
    p_value : ndarray, (loops,)
        Share of orders of the layers that match as well as theirs.
    p_joint : float
        The same for the mean over the loops, reordered alike.
    least_p : float
        The smallest p-value that so many layers and permutations can give.
    metrics : tuple of str
        What was compared.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=5, width=16, heads=2, tokens=6, norm="none", gain=2.0)
    >>> found = dl.align_stages(dl.inference_stages(m, loops=3), dl.inference_stages(m, loops=1))
    >>> found.depth.shape, found.p_value.shape, bool(found.p_value[0] <= 1)
    ((3, 5), (3,), True)
    """

    depth: Array
    distance: Array
    by_chance: Array
    p_value: Array
    p_joint: float
    least_p: float
    metrics: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [
            f"StageAlignment of {self.settings.get('looped')} with {self.settings.get('feed_forward')}: "
            f"p = {self.p_joint:.3g} over all loops (least possible {self.least_p:.2g})"
        ]
        for t in list(range(len(self.distance)))[:8]:
            depths = " ".join(map(str, self.depth[t]))
            lines.append(
                f"  loop {t}: depths {depths}; distance {self.distance[t]:.2g}, by chance {self.by_chance[t]:.2g}, "
                f"p = {self.p_value[t]:.2g}"
            )
        return "\n".join(lines)


def align_stages(
    looped: InferenceStages,
    feed_forward: InferenceStages,
    *,
    metrics: Sequence[str] | None = None,
    permutations: int = 9999,
    rng: int | np.random.Generator | None = 0,
) -> StageAlignment:
    """Match the layers of every loop to depths of a feed-forward model by their stage curves.

    Parameters
    ----------
    looped : InferenceStages
        Of the looped model.
    feed_forward : InferenceStages
        Of a model that is iterated once (``loops=1``), best under the same prompts.
    metrics : sequence of str, optional
        The curves to compare; those that both have if left out.
    permutations : int
        How many orders of the layers are tried; all of them where there are no more.
    rng : int or Generator
        For the orders.

    Returns
    -------
    StageAlignment
        Matched depths, distances and p-values.

    Raises
    ------
    InvalidArgumentError
        If `feed_forward` has more than one loop, or a metric is missing.

    Notes
    -----
    Curves are taken at the layers that attend. Each is standardised within its loop, so shapes are compared, not
    levels; a curve without shape in a loop drops out there, on both sides. Depths are those of the closest match that
    goes down the feed-forward model or stays, found by dynamic programming.

    The p-value answers one question: would the layers of the loop match as well in another order? It is small for any
    two curves with a common trend, so it supports "in the same order", not "by the same computation". Loops are not
    independent of each other, and the p-values of single loops are not corrected for their number: `p_joint` is one
    test.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=5, width=16, heads=2, tokens=6, norm="none", gain=2.0)
    >>> looped, once = (dl.inference_stages(m, loops=t) for t in (3, 1))
    >>> found = dl.align_stages(looped, once)
    >>> found.depth[0].tolist(), float(found.distance[0])
    ([0, 1, 2, 3, 4], 0.0)
    """
    used = _checked(looped, feed_forward, metrics, permutations)
    count = len(looped.attentions)
    orders, exact = _orders(count, int(permutations), as_rng(rng))
    loops = len(looped.curves[used[0]])
    depth = np.full((loops, count), -1, dtype=np.int64)
    distance, chance, p_value = (np.full(loops, np.nan) for _ in range(3))
    own, others = np.zeros(0), np.zeros(0)
    theirs = np.stack([feed_forward.at_attentions(name)[0] for name in used])
    for t in range(loops):
        curves = np.stack([looped.at_attentions(name)[t] for name in used])
        both = shaped(curves) & shaped(theirs)
        if not both.any():
            continue
        a, b = (_standard(one[both]) for one in (curves, theirs))
        gaps = ((a[:, :, None] - b[:, None, :]) ** 2).mean(axis=0)
        depth[t] = _matched(gaps)
        distance[t] = gaps[np.arange(count), depth[t]].mean()
        tried = _costs(gaps, orders)
        chance[t], p_value[t] = tried.mean(), _share(tried, distance[t], exact)
        own = distance[t] if not own.size else own + distance[t]
        others = tried if not others.size else others + tried
    joint = _share(others, float(own), exact) if others.size else math.nan
    return StageAlignment(
        depth=depth, distance=distance, by_chance=chance, p_value=p_value, p_joint=joint,
        least_p=1.0 / (len(orders) + (0 if exact else 1)), metrics=used,
        settings={"looped": looped.settings.get("map"), "feed_forward": feed_forward.settings.get("map"),
                  "permutations": len(orders), "exact": exact},
    )  # fmt: skip


def _orders(count: int, most: int, rng: np.random.Generator) -> tuple[Array, bool]:
    """Return orders of the layers ``(orders, layers)``, and whether these are all there are."""
    if count < 10 and math.factorial(count) <= most:
        return np.array(list(itertools.permutations(range(count)))), True
    return np.stack([rng.permutation(count) for _ in range(most)]), False


def _share(tried: Array, own: float, exact: bool) -> float:
    as_good = int((tried <= own + 1e-12 * max(own, 1.0)).sum())
    return as_good / len(tried) if exact else (as_good + 1) / (len(tried) + 1)


def _standard(curves: Array) -> Array:
    centred = curves - curves.mean(-1, keepdims=True)
    return np.asarray(centred / centred.std(-1, keepdims=True))


def _matched(gaps: Array) -> Array:
    """Return the never decreasing depths ``(layers,)`` of the least sum of gaps ``(layers, depths)``."""
    best, back = gaps[0], []
    for row in gaps[1:]:
        lowest = np.minimum.accumulate(best)
        # where the minimum so far was first reached
        back.append(np.maximum.accumulate(np.where(np.append(True, lowest[1:] < lowest[:-1]), np.arange(len(best)), 0)))
        best = lowest + row
    path = [int(np.argmin(best))]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.array(path[::-1], dtype=np.int64)


def _costs(gaps: Array, orders: Array) -> Array:
    """Return the least mean gap of every order ``(orders, layers)`` of the layers."""
    best = gaps[orders[:, 0]]
    for l in range(1, orders.shape[1]):
        best = np.minimum.accumulate(best, axis=1) + gaps[orders[:, l]]
    return np.asarray(best.min(axis=1) / orders.shape[1])


def _checked(looped: Any, feed_forward: Any, metrics: Sequence[str] | None, permutations: Any) -> tuple[str, ...]:
    for name, given in (("looped", looped), ("feed_forward", feed_forward)):
        if not isinstance(given, InferenceStages):
            raise InvalidArgumentError(
                f"{name} must be what inference_stages returned; got {type(given).__name__}. Pass "
                "dl.inference_stages(m)."
            )
    if len(next(iter(feed_forward.curves.values()))) != 1:
        raise InvalidArgumentError(
            "feed_forward must have one loop; got "
            f"{len(next(iter(feed_forward.curves.values())))}. Measure it with inference_stages(m, loops=1)."
        )
    checked_int(permutations, "permutations", 1, remedy="Leave it out for 9999")
    both = [name for name in looped.curves if name in feed_forward.curves]
    used = tuple(both if metrics is None else metrics)
    missing = [name for name in used if name not in both]
    if missing or not used:
        raise InvalidArgumentError(f"metrics must be among {', '.join(both)}, which both have; got {used!r}")
    return used
