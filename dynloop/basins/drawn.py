"""Starts that were drawn, and their labels by a mapper that learns from those it could not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.basins.attractors import DIVERGED, UNDECIDED, UNMATCHED, Attractor, Mapper
from dynloop.basins.given import mapper_of
from dynloop.basins.sampling import Sampler
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["REST", "Drawn", "handed_out"]

Progress = Callable[[int, int], None]
REST = (DIVERGED, UNDECIDED, UNMATCHED)
_LEARNS = 16  # times that a mapper is asked to learn more attractors
_KEPT = 2**30  # bytes of starts, beyond which it learns no more


class Drawn:
    """Starts drawn until now and their labels.

    Parameters
    ----------
    m : LoopMap
        The map.
    draw : callable
        ``draw(generator, n)``.
    mapper : callable, optional
        Made from the first draws if left out.
    rng : Generator
        For draws.
    budget : int, optional
        What progress counts to; what is drawn if left out.
    """

    def __init__(
        self, m: LoopMap, draw: Sampler, mapper: Callable[[Any], Array] | None, rng: np.random.Generator,
        budget: int | None = None,
    ) -> None:  # fmt: skip
        self.m, self._draw, self.mapper, self._rng, self._budget = m, draw, mapper, rng, budget
        self._states: list[Any] = []
        self._learnt = 0
        self.labels = np.empty(0, dtype=np.int64)

    @property
    def attractors(self) -> tuple[Attractor, ...]:
        """What the mapper knows."""
        return tuple(getattr(self.mapper, "attractors", ()))

    def grow(self, n: int, progress: Progress | None = None) -> None:
        """Draw until there are n starts, and label them."""
        fresh = self._draw(self._rng, n - len(self.labels))
        self.mapper = mapper_of(self.m, self.mapper, fresh)
        self.labels = np.concatenate([self.labels, self._ask(fresh)])
        if isinstance(self.mapper, Mapper):
            self._states.append(self.m.numpy(fresh))
            if sum(states.nbytes for states in self._states) > _KEPT:
                self._states, self._learnt = [], _LEARNS
            self._learn()
        if progress is not None:
            progress(n, self._budget or n)

    def _learn(self) -> None:
        while self._learnt < _LEARNS and isinstance(self.mapper, Mapper):
            lost = np.isin(self.labels, (UNDECIDED, UNMATCHED))
            if not lost.any():
                return
            states = np.concatenate(self._states)
            larger = self.mapper.extended(self.m.native(states[lost]))
            self._learnt += 1
            if larger is self.mapper:
                return
            self.mapper = larger
            self.labels = self._ask(self.m.native(states))

    def _ask(self, states: Any) -> Array:
        assert self.mapper is not None  # noqa: S101 - made before it is asked
        labels = np.asarray(self.mapper(states))
        if labels.shape != (len(states),) or labels.dtype.kind not in "iu":
            raise InvalidArgumentError(
                f"mapper must return one integer a start, shape ({len(states)},); got {labels.dtype} of shape "
                f"{labels.shape}"
            )
        if ((labels < min(REST)) | (labels == 0)).any():
            raise InvalidArgumentError(
                "mapper returned labels below −3 or 0; attractors are numbered from 1, −1 diverged, −2 undecided, −3 "
                "unmatched"
            )
        return labels.astype(np.int64)

    def counts(self) -> Array:
        """Return how many starts have each label: 1 … k, then −1, −2, −3."""
        k = max(len(self.attractors), int(self.labels.max(initial=0)))
        return np.array([(self.labels == label).sum() for label in (*range(1, k + 1), *REST)])


def handed_out(m: LoopMap, starts: Any) -> Sampler:
    """Return a sampler that gives the first of some starts."""
    states = m.batch(starts)[0]
    return lambda _rng, n: states[:n]
