"""What a strategy draws where no class is known: a map with a few starts, named by what made it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap

__all__ = ["SEEDS", "STARTS", "Drawn", "seeded"]

STARTS = 3
SEEDS = st.integers(0, 2**32 - 1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Drawn:
    """A map whose class is not known.

    Attributes
    ----------
    name : str
        What made it: kind, sizes and seed.
    map : TorchMap
        The map, in float64 unless it was asked for otherwise.
    starts : ndarray, (3, *state_shape)
        Where orbits may begin.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.layered_maps())
    ... def check(row):
    ...     assert row.starts.shape == (3, row.map.dimension)
    >>> check()
    """

    name: str
    map: TorchMap
    starts: Array

    @property
    def start(self) -> Array:
        """The first of the starts."""
        return np.asarray(self.starts[0])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def seeded(make: Callable[..., T], **arguments: Any) -> st.SearchStrategy[T]:
    """Return a strategy of ``make(seed, …)``; arguments that are strategies are drawn, the seed last."""
    given = {k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in arguments.items()}
    return st.builds(make, **given, seed=SEEDS)
