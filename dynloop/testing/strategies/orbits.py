"""Orbits whose regime is known by construction.

Each strategy draws a `KnownMap`: a map, a start, and what is right to say of that orbit. `known_maps` draws from all of
them. Sizes shrink towards few coordinates and few layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.testing import known as made
from dynloop.testing.known import KnownMap
from dynloop.testing.known.recurrent import CHAOS, WINDOWS
from dynloop.testing.known.tokens import TOKENS
from dynloop.testing.known.unbounded import SCALAR
from dynloop.testing.strategies.drawn import seeded

__all__ = [
    "chaotic", "converging", "cycles", "cyclic", "divergent", "drifts", "known_maps", "periodic", "quasiperiodic",
    "rays", "token_blocks", "vanishing",
]  # fmt: skip

Strategy = st.SearchStrategy[KnownMap]


def _drawn(make: Callable[..., KnownMap], **arguments: Any) -> Strategy:
    """Return a strategy of `make(rng, …)` with a drawn seed and drawn arguments; the name tells the seed."""

    def made_of(*, seed: int, **given: Any) -> KnownMap:
        row = make(np.random.default_rng(seed), **given)
        return replace(row, name=f"{row.name} seed {seed}")

    return seeded(made_of, **arguments)


def vanishing(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw orbits that converge to a point which every layer fixes.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> row = find(strategies.vanishing(), lambda row: row.map.layer_count > 1)
    >>> row.label
    'VANISHING'
    """
    return _converging("vanishing", _checked(max_dim), dtype)


def cyclic(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw orbits that converge while the layers trace a closed polygon.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.cyclic())
    ... def check(row):
    ...     assert row.label == "CYCLIC"
    >>> check()
    """
    return _converging("cyclic", _checked(max_dim), dtype)


def converging(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw from `vanishing` and `cyclic`.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.converging())
    ... def check(row):
    ...     assert row.period == (1,)
    >>> check()
    """
    return vanishing(max_dim, dtype) | cyclic(max_dim, dtype)


def _converging(kind: str, max_dim: int, dtype: torch.dtype) -> Strategy:
    layers, rate = st.integers(1 if kind == "vanishing" else 2, 4), st.floats(0.1, 0.97)
    return _drawn(
        made.affine, dim=st.integers(1, max_dim), layers=layers, kind=kind, rate=rate, shear=st.floats(0.0, 1.5),
        dtype=dtype,
    ) | _drawn(
        made.conjugated, dim=st.integers(2, max_dim), layers=layers, kind=kind, rate=rate, bend=st.floats(0.0, 0.5),
        dtype=dtype,
    )  # fmt: skip


def periodic(max_period: int = 12, max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw attracting cycles of known least period.

    Parameters
    ----------
    max_period : int
        Longest period of a single cycle, at least 2; windows have periods up to 8.
    max_dim : int
        Most coordinates, at least 2; cycles of attention are drawn from 4 on.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If the period or a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.periodic(max_dim=4))
    ... def check(row):
    ...     assert row.label == "PERIODIC" and row.map.dimension <= 4
    >>> check()
    """
    if max_period < 2:
        raise InvalidArgumentError(f"max_period must be at least 2; got {max_period!r}")
    dim, period = st.integers(2, _checked(max_dim)), st.integers(2, max_period)
    windows = [name for name, row in WINDOWS.items() if row[3] > 1]
    plain = _drawn(made.cycle, period=period, dim=dim, layers=st.integers(1, 3), dtype=dtype) | _drawn(
        made.window, name=st.sampled_from(windows), dim=st.integers(1, max_dim), dtype=dtype
    )
    if max_dim < 4:
        return plain
    of_attention = st.integers(4, min(12, max_dim))
    return plain | _drawn(made.attention_cycle, period=period, dim=of_attention, rate=st.floats(0.05, 0.9), dtype=dtype)


def cycles(period: int | None = None, max_dim: int = 4, max_layers: int = 3) -> Strategy:
    """Draw attracting p-cycles of one family, cheap to iterate: a star of p points of a circle, rate 0.7.

    Parameters
    ----------
    period : int, optional
        p; drawn from 2 to 9 if left out.
    max_dim, max_layers : int
        Largest sizes; at least 2 coordinates.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If the period or a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.cycles(5))
    ... def check(row):
    ...     assert row.label == "PERIODIC" and row.period == (5,)
    >>> check()
    """
    periods = st.integers(2, 9) if period is None else st.just(checked_int(period, "period", 2))
    layers = st.integers(1, checked_int(max_layers, "max_layers", 1))
    return _drawn(made.cycle, period=periods, dim=st.integers(2, _checked(max_dim)), layers=layers)


def quasiperiodic(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw attracting tori of one or two incommensurate tones, in at least four coordinates.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2; below 4 it counts as 4.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.quasiperiodic())
    ... def check(row):
    ...     assert row.label == "QUASIPERIODIC"
    >>> check()
    """
    return _drawn(made.torus, tones=st.integers(1, 2), dim=st.integers(4, max(4, _checked(max_dim))), dtype=dtype)


def chaotic(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw chaos known by theory, hidden in nonlinear coordinates.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.chaotic())
    ... def check(row):
    ...     assert row.label == "CHAOTIC"
    >>> check()
    """
    dim = st.integers(2, _checked(max_dim))
    return _drawn(made.chaos, kind=st.sampled_from(CHAOS), dim=dim, layers=st.integers(1, 2), dtype=dtype)


def rays(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw orbits that run to infinity along a direction at constant speed.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.rays())
    ... def check(row):
    ...     assert row.label == "RAY"
    >>> check()
    """
    dim = st.integers(2, _checked(max_dim))
    return _drawn(made.translation, dim=dim, layers=st.integers(1, 3), dtype=dtype) | _drawn(
        made.weighted_ray, dim=dim, second=st.floats(-0.4, 0.5), dtype=dtype
    )


def drifts(dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw orbits whose steps shrink to zero without a limit, in up to four coordinates.

    Parameters
    ----------
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.drifts())
    ... def check(row):
    ...     assert row.label == "DRIFT"
    >>> check()
    """
    kinds = [kind for kind, row in SCALAR.items() if row[2] == "DRIFT"]
    return _drawn(made.line, kind=st.sampled_from(kinds), dim=st.integers(1, 4), dtype=dtype)


def divergent(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw affine blocks that leave every bound exponentially.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.divergent())
    ... def check(row):
    ...     assert row.label == "DIVERGENT"
    >>> check()
    """
    dim = st.integers(1, _checked(max_dim))
    return _drawn(made.divergent, dim=dim, layers=st.integers(1, 3), rate=st.floats(1.01, 2.0), dtype=dtype)


def token_blocks(kinds: Sequence[str] = TOKENS, max_tokens: int = 4, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw causal blocks whose tokens have classes of their own.

    Parameters
    ----------
    kinds : sequence of str
        Kinds of tokens to draw from; the first token is no "follow".
    max_tokens : int
        Most tokens; their states have width 4.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a kind is not one of those known, there is none beside "follow", or `max_tokens` is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.token_blocks(["two", "chaos"]))
    ... def check(row):
    ...     assert row.map.causal and row.map.state_shape == (len(row.truth), 4)
    >>> check()
    """
    leaders = [kind for kind in kinds if kind != "follow"]
    if not leaders or not set(kinds) <= set(TOKENS):
        raise InvalidArgumentError(f"kinds must be of {', '.join(TOKENS)}, one beside 'follow' at least; got {kinds!r}")
    others = st.lists(st.sampled_from(list(kinds)), max_size=checked_int(max_tokens, "max_tokens", 1) - 1)
    chains = st.builds(lambda first, rest: (first, *rest), st.sampled_from(leaders), others)
    return _drawn(made.token_chain, kinds=chains, layers=st.integers(1, 2), dtype=dtype)


def known_maps(max_dim: int = 16, dtype: torch.dtype = torch.float64) -> Strategy:
    """Draw from every class.

    Parameters
    ----------
    max_dim : int
        Most coordinates, at least 2; tori have 4 at least, drifts 4 at most, and blocks of tokens as many as theirs.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `KnownMap`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from dynloop.testing import strategies
    >>> @settings(max_examples=5, deadline=None)
    ... @given(row=strategies.known_maps())
    ... def check(row):
    ...     assert row.start.shape == row.map.state_shape
    >>> check()
    """
    return st.one_of(
        vanishing(max_dim, dtype), cyclic(max_dim, dtype), periodic(12, max_dim, dtype), quasiperiodic(max_dim, dtype),
        chaotic(max_dim, dtype), rays(max_dim, dtype), drifts(dtype), divergent(max_dim, dtype),
        token_blocks(dtype=dtype),
    )  # fmt: skip


def _checked(max_dim: int) -> int:
    return checked_int(max_dim, "max_dim", 2)
