"""Uncertain starts, counted: those whose destination changes when they are moved by a little."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.boundaries.labels import known
from dynloop.basins.given import AnyMapper, Learner
from dynloop.basins.sampling import sampler_of, unit_directions
from dynloop.maps.base import Array, LoopMap, as_rng

__all__ = ["perturbed_counts"]

_TRIED = 512  # starts from which attractors are found


def perturbed_counts(
    m: LoopMap, starts: Any, sizes: Array, samples: int, mapper: AnyMapper | None, rng: Any
) -> tuple[Array, Array, float]:
    """Return how many starts are uncertain at every size, how many were known, and the share that was not.

    Each size has draws of its own, so that the counts are independent. A start is uncertain if it, or one of the two
    states a size away to both sides in a random direction, has another destination than the others.
    """
    samples = checked_int(samples, "samples", 2, meaning="the starts for every size")
    draw, generator = sampler_of(m, starts), as_rng(rng)
    ask = Learner(m, mapper, m.numpy(draw(generator, _TRIED)))
    counts, totals = np.zeros(len(sizes)), np.zeros(len(sizes), dtype=np.int64)
    for i, size in enumerate(sizes):
        centre = m.numpy(draw(generator, int(samples)))
        moved = size * unit_directions(generator, int(samples), m.state_shape)
        labels = ask(np.concatenate([centre + side * moved for side in (-1, 0, 1)])).reshape(3, -1)
        decided = known(labels).all(axis=0)
        uncertain = (labels != labels[1]).any(axis=0)
        counts[i], totals[i] = (uncertain & decided).sum(), decided.sum()
    return counts, totals, float(1 - totals.sum() / (samples * len(sizes)))
