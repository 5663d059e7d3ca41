"""Looped transformer blocks of random weights over norm × injection × gain × size × seed × causal; class not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.maps.synthetic import INJECTIONS, NORMS, looped_transformer
from dynloop.testing.strategies.drawn import STARTS, Drawn, seeded

__all__ = ["blocks"]

_GAINS = (1.0, 0.0, 0.3, 2.0, 4.0)


def blocks(
    max_layers: int = 2,
    max_tokens: int = 3,
    *,
    norms: Sequence[str] = NORMS,
    injections: Sequence[str] = INJECTIONS,
    gains: Sequence[float] = _GAINS,
    causal: bool | None = None,
    granularity: str | None = None,
    dtype: torch.dtype = torch.float64,
) -> st.SearchStrategy[Drawn]:
    """Draw small `dynloop.synthetic.looped_transformer` blocks: width 2 to 8, one or two heads.

    Parameters
    ----------
    max_layers, max_tokens : int
        Largest sizes.
    norms, injections : sequence of str
        To draw from.
    gains : sequence of float
        To draw from.
    causal : bool, optional
        Both are drawn if left out.
    granularity : {"layer", "sublayer"}, optional
        Both are drawn if left out.
    dtype : torch.dtype
        Working dtype.

    Returns
    -------
    strategy
        Of `Drawn`.

    Raises
    ------
    InvalidArgumentError
        If a size is out of range, or a name is not one of those known.

    Examples
    --------
    >>> from hypothesis import find
    >>> from dynloop.testing import strategies
    >>> find(strategies.blocks(), lambda row: True)
    <Drawn block pre+none gain 1 layers 1 heads 1 of 2 tokens 1 causal layer seed 0>
    """
    for argument, given, known in (("norms", norms, NORMS), ("injections", injections, INJECTIONS)):
        if not given or not set(given) <= set(known):
            raise InvalidArgumentError(f"{argument} must be one or more of {', '.join(known)}; got {given!r}")
    return seeded(
        _block, norm=st.sampled_from(list(norms)), injection=st.sampled_from(list(injections)),
        gain=st.sampled_from(list(gains)), layers=st.integers(1, checked_int(max_layers, "max_layers", 1)),
        heads=st.integers(1, 2), head_size=st.sampled_from([2, 4]),
        tokens=st.integers(1, checked_int(max_tokens, "max_tokens", 1)),
        causal=st.sampled_from([True, False]) if causal is None else causal, rope=st.booleans(),
        granularity=st.sampled_from(["layer", "sublayer"]) if granularity is None else granularity, dtype=dtype,
    )  # fmt: skip


def _block(*, heads: int, head_size: int, dtype: torch.dtype, seed: int, **options: Any) -> Drawn:
    m = looped_transformer(width=heads * head_size, heads=heads, seed=seed, dtype=dtype, **options)
    name = (
        f"block {options['norm']}+{options['injection']} gain {options['gain']:g} layers {options['layers']} heads "
        f"{heads} of {head_size} tokens {options['tokens']} {'causal' if options['causal'] else 'not causal'}"
        f"{' rope' if options['rope'] else ''} {options['granularity']} seed {seed}"
    )
    return Drawn(name=name, map=m, starts=np.random.default_rng(seed).standard_normal((STARTS, *m.state_shape)))
