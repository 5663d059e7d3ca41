"""A drawn map beside itself in other coordinates: what does not depend on them must agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import Coordinates, Core, fixed, orthogonal
from dynloop.testing.strategies.drawn import SEEDS

__all__ = ["KINDS", "Conjugated", "conjugations"]

KINDS = ("orthogonal", "linear", "bent")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Conjugated:
    """A map F and ``h ∘ F ∘ h⁻¹``, layer by layer.

    Attributes
    ----------
    name : str
        What made it.
    original : KnownMap or Drawn
        F, with its start.
    map : TorchMap
        The same in coordinates h.
    start : ndarray, state_shape
        h of the start.
    matrix : ndarray, (n, n), or None
        Of h where it is linear: h(x) = matrix · x.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.conjugations(strategies.layered_maps(), ["linear"]))
    ... def check(row):
    ...     after = np.asarray(row.original.map(row.original.start[None]))[0]
    ...     assert np.allclose(row.map(row.start[None])[0], row.matrix @ after)
    >>> check()
    """

    name: str
    original: Any
    map: TorchMap
    start: Array
    matrix: Array | None

    def __repr__(self) -> str:
        return f"<Conjugated {self.name}>"


def conjugations(rows: st.SearchStrategy[Any], kinds: Sequence[str] = KINDS) -> st.SearchStrategy[Conjugated]:
    """Draw a map on vectors and a change of coordinates.

    Parameters
    ----------
    rows : strategy
        Of `KnownMap` or `Drawn`, with states ``(n,)``.
    kinds : sequence of str
        Of changes to draw from: "orthogonal", "linear" (well conditioned), "bent" (tanh shears, a rotation, a shift).

    Returns
    -------
    strategy
        Of `Conjugated`.

    Raises
    ------
    InvalidArgumentError
        If a kind is not one of those.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> find(strategies.conjugations(strategies.layered_maps()), lambda row: True)
    <Conjugated layers shift dim 1 seed 0 in orthogonal coordinates of seed 0>
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise InvalidArgumentError(f"kinds must be one or more of {', '.join(KINDS)}; got {kinds!r}")
    return st.builds(_conjugated, row=rows, kind=st.sampled_from(list(kinds)), seed=SEEDS)


def _conjugated(row: Any, kind: str, seed: int) -> Conjugated:
    rng, n = np.random.default_rng(seed), row.map.dimension
    matrix: Array | None = None
    if kind == "bent":
        change = Coordinates(rng, n, 0.3)
        to, back = change.to, change.back
    else:
        matrix = orthogonal(rng, n)
        if kind == "linear":
            matrix = (matrix * rng.uniform(0.5, 2.0, n)) @ orthogonal(rng, n)
        forth, inverse = fixed(matrix.T), fixed(np.linalg.inv(matrix).T)

        def to(z: torch.Tensor) -> torch.Tensor:
            return z @ forth(z)

        def back(x: torch.Tensor) -> torch.Tensor:
            return x @ inverse(x)

    def moved(f: Core) -> Core:
        return lambda x: to(f(back(x)))

    name = f"{row.name} in {kind} coordinates of seed {seed}"
    m = TorchMap([moved(f) for f in row.map.layers], (n,), name=name)
    start = m.numpy(to(torch.as_tensor(np.array(row.start))[None]))[0]
    return Conjugated(name=name, original=row, map=m, start=start, matrix=matrix)
