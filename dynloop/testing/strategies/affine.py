"""Affine layers with a contracting product: limit, sections and increments are linear algebra (theory notes T2, T3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from hypothesis import strategies as st

from dynloop.arguments import checked_int
from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import affine_layer
from dynloop.testing.strategies.drawn import STARTS, Drawn, seeded

__all__ = ["Affine", "affine_cycles"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Affine(Drawn):
    """Layers ``x ← A_l x + b_l``, the spectral radius of whose product is below 1.

    Attributes
    ----------
    name, map, starts
        As in `Drawn`.
    matrices : ndarray, (k, n, n)
        A_l.
    shifts : ndarray, (k, n)
        b_l.
    rate : float
        ρ of the product A_k ⋯ A_1.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.affine_cycles())
    ... def check(row):
    ...     assert np.allclose(row.map(row.limit[None]), row.limit)
    >>> check()
    """

    matrices: Array
    shifts: Array
    rate: float

    @property
    def matrix(self) -> Array:
        """DF = A_k ⋯ A_1, ``(n, n)``."""
        return np.asarray(reduce(lambda J, A: A @ J, self.matrices))

    @property
    def sections(self) -> Array:
        """The states before every layer and after the last at the limit, ``(k + 1, n)``."""
        n = self.shifts.shape[1]
        c = reduce(lambda x, layer: layer[0] @ x + layer[1], zip(self.matrices, self.shifts, strict=True), np.zeros(n))
        found = [np.linalg.solve(np.eye(n) - self.matrix, c)]
        for A, b in zip(self.matrices, self.shifts, strict=True):
            found.append(A @ found[-1] + b)
        return np.stack(found)

    @property
    def limit(self) -> Array:
        """The fixed point x* = (I − DF)⁻¹ c, ``(n,)``."""
        return np.asarray(self.sections[0])


def affine_cycles(
    max_dim: int = 4, max_layers: int = 4, max_rate: float = 0.95, *, idle: bool = True
) -> st.SearchStrategy[Affine]:
    """Draw affine loops that converge; some layers may be idle (the identity).

    Parameters
    ----------
    max_dim, max_layers : int
        Largest sizes.
    max_rate : float
        Largest spectral radius of a loop.
    idle : bool
        Whether idle layers are drawn.

    Returns
    -------
    strategy
        Of `Affine`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> find(strategies.affine_cycles(), lambda row: row.map.layer_count > 1)
    <Affine affine dim 1 layers 2 rate 0 seed 0>
    """
    layers = st.integers(1, checked_int(max_layers, "max_layers", 1))
    return seeded(
        _affine, dim=st.integers(1, checked_int(max_dim, "max_dim", 1)), layers=layers,
        rate=st.integers(0, 99).map(lambda i: round(max_rate * i / 99, 4)),
        at_rest=st.integers(0, 2) if idle else st.just(0),
    )  # fmt: skip


def _affine(*, dim: int, layers: int, rate: float, at_rest: int, seed: int) -> Affine:
    rng = np.random.default_rng(seed)
    A = np.round(rng.standard_normal((layers, dim, dim)), 2)
    b = np.round(rng.standard_normal((layers, dim)), 2)
    for l in rng.permutation(layers)[: min(at_rest, layers - 1)]:
        A[l], b[l] = np.eye(dim), 0.0
    moving = next(l for l in range(layers) if not np.array_equal(A[l], np.eye(dim)) or b[l].any())
    radius = float(np.abs(np.linalg.eigvals(reduce(lambda J, B: B @ J, A))).max())
    A[moving] *= rate / radius if radius > 1e-3 else 0.0
    name = f"affine dim {dim} layers {layers} rate {rate:g}{f' idle {at_rest}' if at_rest else ''} seed {seed}"
    m = TorchMap([affine_layer(A[l], b[l]) for l in range(layers)], (dim,), name=name)
    starts = 3 * rng.standard_normal((STARTS, dim))
    return Affine(name=name, map=m, starts=starts, matrices=A, shifts=b, rate=rate if radius > 1e-3 else 0.0)
