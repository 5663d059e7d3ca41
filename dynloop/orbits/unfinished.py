"""Orbits that ran out of loops: what is remembered of them, so that classification can go on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.result import Result

if TYPE_CHECKING:
    from dynloop.orbits.inquiry import Inquiry

__all__ = ["Unfinished"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Unfinished(Result):
    """The orbits of a classification that more loops may decide.

    Attributes
    ----------
    starts : ndarray of int, (n,)
        Which starts of the batch.
    states : ndarray, (n, *state_shape)
        Their last states.
    images : ndarray, (n, *state_shape)
        One loop later: by them another map is refused.
    loops : int
        Loops done.
    dtype : str
        In which dtype they were iterated: that of the map, or of its twin.
    memory : dict of ndarray, (n, …)
        Sums over the loops done; their number does not grow with loops.

    Examples
    --------
    >>> import dynloop as dl
    >>> rest = dl.classify(dl.zoo.logistic(2.9995), [[0.3]], loops=64).unfinished
    >>> rest.starts.tolist(), rest.loops, rest.states.shape
    ([0], 64, (1, 1))
    """

    starts: Array
    states: Array
    images: Array
    loops: int
    dtype: str
    memory: Mapping[str, Array]

    @classmethod
    def of(cls, q: Inquiry) -> Unfinished | None:
        """Return the orbits of inquiry `q` that have undecided groups after the whole budget; None without any."""
        starts = np.flatnonzero(q.unfinished.any(axis=1) & (q.watcher.loops == q.budget))
        if len(starts) == 0:
            return None
        states = q.states[starts]
        return cls(
            starts=starts, states=q.m.numpy(states), images=q.m.numpy(q.m(states)), loops=q.budget,
            dtype=q.m.dtype_name, memory={"floor": q.floor[starts], **q.watcher.remember(starts)},
        )  # fmt: skip

    @classmethod
    def join(cls, parts: Sequence[Unfinished | None]) -> Unfinished | None:
        """Put together those of `parts` that stopped after equally many loops."""
        some = [part for part in parts if part is not None]
        if len(some) < 2:
            return some[0] if some else None
        order = np.argsort(np.concatenate([part.starts for part in some]), kind="stable")

        def gathered(arrays: list[Array]) -> Array:
            return np.asarray(np.concatenate(arrays)[order])

        return cls(
            starts=gathered([part.starts for part in some]), states=gathered([part.states for part in some]),
            images=gathered([part.images for part in some]), loops=some[0].loops, dtype=some[0].dtype,
            memory={name: gathered([part.memory[name] for part in some]) for name in some[0].memory},
        )  # fmt: skip

    def under(self, starts: Array) -> Unfinished:
        """Return the same orbits, its batch being the rows `starts` of another."""
        return replace(self, starts=starts[self.starts])

    def check(self, m: LoopMap) -> None:
        """Raise `InvalidArgumentError` if map `m` does not send the last states to where they went."""
        with np.errstate(all="ignore"):
            gap = row_norms(m, m.displacement(m.numpy(m(m.native(self.states))), self.images))
            size = row_norms(m, self.images) + row_norms(m, self.states)
            other = ~(gap <= 1e3 * m.precision * np.maximum(size, size.max(axis=1, keepdims=True)))  # also where nan
        if np.any(other):
            far = np.max(np.nan_to_num(gap / np.maximum(size, np.finfo(float).tiny), nan=np.inf))
            raise InvalidArgumentError(
                f"resume was made with another map: {m.name} sends its last states elsewhere (relative distance "
                f"{far:.1e}); give the map, prompt and weights that it was made with"
            )
