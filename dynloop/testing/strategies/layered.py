"""Loops of smooth layers of many kinds whose class is not known: for statements that need no hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop.arguments import checked_int
from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import Core, fixed, orthogonal
from dynloop.testing.strategies.drawn import STARTS, Drawn, seeded

__all__ = ["LAYERS", "closed_loops", "layered_maps"]


def _shift(rng: np.random.Generator, n: int) -> Core:
    b = fixed(rng.standard_normal(n))
    return lambda x: x + b(x)


def _linear(rng: np.random.Generator, n: int) -> Core:
    A = fixed(rng.standard_normal((n, n)))
    return lambda x: x @ A(x)


def _turn(rng: np.random.Generator, n: int) -> Core:
    Q = fixed(orthogonal(rng, n))
    return lambda x: x @ Q(x)


def _squash(rng: np.random.Generator, n: int) -> Core:
    A, b = fixed(rng.standard_normal((n, n))), fixed(rng.standard_normal(n))
    return lambda x: torch.tanh(x @ A(x) + b(x))


def _branch(rng: np.random.Generator, n: int) -> Core:
    A, B = fixed(rng.standard_normal((n, 2 * n))), fixed(rng.standard_normal((2 * n, n)))
    return lambda x: x + torch.nn.functional.gelu(x @ A(x)) @ B(x)


def _wave(rng: np.random.Generator, n: int) -> Core:
    size = fixed(rng.uniform(-2, 2, n))
    return lambda x: x + size(x) * torch.sin(x)


def _norm(rng: np.random.Generator, n: int) -> Core:
    weight = fixed(rng.uniform(0.5, 2.0, n))
    return lambda x: weight(x) * x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 0.1)


LAYERS: dict[str, Callable[[np.random.Generator, int], Core]] = {
    "shift": _shift, "linear": _linear, "turn": _turn, "squash": _squash, "branch": _branch, "wave": _wave,
    "norm": _norm,
}  # fmt: skip


def layered_maps(max_dim: int = 4, max_layers: int = 4) -> st.SearchStrategy[Drawn]:
    """Draw loops of layers of drawn kinds: shift, linear, turn, squash, branch, wave, norm.

    Parameters
    ----------
    max_dim, max_layers : int
        Largest sizes.

    Returns
    -------
    strategy
        Of `Drawn`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> find(strategies.layered_maps(), lambda row: row.map.layer_count > 1)
    <Drawn layers shift, shift dim 1 seed 0>
    """
    kinds = st.lists(st.sampled_from(list(LAYERS)), min_size=1, max_size=checked_int(max_layers, "max_layers", 1))
    return seeded(_layered, dim=st.integers(1, checked_int(max_dim, "max_dim", 1)), kinds=kinds)


def closed_loops(max_dim: int = 4, max_layers: int = 4) -> st.SearchStrategy[Drawn]:
    """Draw loops of which `start` is a fixed point, stable or not: one more layer shifts the orbit back to it.

    Parameters
    ----------
    max_dim : int
        Most coordinates.
    max_layers : int
        Most layers, the closing shift, which is the last, included; at least 2.

    Returns
    -------
    strategy
        Of `Drawn`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.closed_loops())
    ... def check(row):
    ...     assert np.allclose(row.map(row.start[None]), row.start)
    >>> check()
    """
    return layered_maps(max_dim, checked_int(max_layers, "max_layers", 2) - 1).map(_closed)


def _layered(*, dim: int, kinds: list[str], seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    name = f"layers {', '.join(kinds)} dim {dim} seed {seed}"
    m = TorchMap([LAYERS[kind](rng, dim) for kind in kinds], (dim,), name=name)
    return Drawn(name=name, map=m, starts=rng.standard_normal((STARTS, dim)))


def _closed(row: Drawn) -> Drawn:
    m, start = row.map, row.starts[:1]
    back = fixed(start[0] - m.numpy(m(m.native(start)))[0])
    closing: Core = lambda x: x + back(x)  # noqa: E731 - a layer
    name = f"closed {row.name}"
    return replace(row, name=name, map=TorchMap([*m.layers, closing], m.state_shape, name=name))
