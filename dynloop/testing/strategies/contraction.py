"""Loops with a known Lipschitz constant below 1: what Banach's theorem is asked of (theory note T11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop.arguments import checked_int
from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import Core, fixed, orthogonal
from dynloop.testing.strategies.drawn import STARTS, Drawn, seeded

__all__ = ["Contraction", "contractions"]

_KINDS: dict[str, Core] = {"affine": lambda x: x, "tanh": torch.tanh, "sine": torch.sin, "softplus": lambda x: (
    torch.nn.functional.softplus(x))}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Contraction(Drawn):
    """A map with ‖F(x) − F(y)‖ ≤ q‖x − y‖ everywhere.

    Attributes
    ----------
    name, map, starts
        As in `Drawn`.
    q : float
        The constant, below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.contractions())
    ... def check(row):
    ...     x, y = row.starts[:2]
    ...     apart = np.linalg.norm(row.map(x[None]) - row.map(y[None]))
    ...     assert apart <= row.q * np.linalg.norm(x - y) + 1e-12
    >>> check()
    """

    q: float


def contractions(max_dim: int = 4, max_layers: int = 3, max_q: float = 0.9) -> st.SearchStrategy[Contraction]:
    """Draw layers ``x ← c U f(V x + b)``, U and V orthogonal, f with slopes up to 1, c^k = q.

    Parameters
    ----------
    max_dim, max_layers : int
        Largest sizes.
    max_q : float
        Largest Lipschitz constant of a loop.

    Returns
    -------
    strategy
        Of `Contraction`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> find(strategies.contractions(), lambda row: row.q > 0)
    <Contraction contraction affine dim 1 q 0.0091 seed 0>
    """
    kinds = st.lists(
        st.sampled_from(list(_KINDS)), min_size=1, max_size=checked_int(max_layers, "max_layers", 1)
    )  # fmt: skip
    return seeded(
        _contraction, dim=st.integers(1, checked_int(max_dim, "max_dim", 1)), kinds=kinds,
        q=st.integers(0, 99).map(lambda i: round(max_q * i / 99, 4)),
    )  # fmt: skip


def _contraction(*, dim: int, kinds: list[str], q: float, seed: int) -> Contraction:
    rng, size = np.random.default_rng(seed), q ** (1 / len(kinds))

    def layer(kind: str) -> Core:
        U, V, b = fixed(size * orthogonal(rng, dim)), fixed(orthogonal(rng, dim)), fixed(rng.standard_normal(dim))
        f = _KINDS[kind]
        return lambda x: f(x @ V(x) + b(x)) @ U(x)

    name = f"contraction {', '.join(kinds)} dim {dim} q {q:g} seed {seed}"
    m = TorchMap([layer(kind) for kind in kinds], (dim,), name=name)
    return Contraction(name=name, map=m, starts=3 * rng.standard_normal((STARTS, dim)), q=q)
