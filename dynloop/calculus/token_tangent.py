"""Push tangents through one loop within each token of a causal map: every diagonal block ∂F_i/∂x_i at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["token_push"]


def token_push(m: LoopMap, states: Any) -> Callable[[Array], Array]:
    """Return the function that applies every token's own block ∂F_i/∂x_i to that token's tangents.

    Where attention is all that mixes tokens, k tangents cost one push of k (`LoopMap.within_tokens`); where a
    comparison with the full product shows that it is not, they cost a push of k × tokens, each masked to its token.

    Parameters
    ----------
    m : LoopMap
        A causal map.
    states : native array, (1, tokens, width)
        The point.

    Returns
    -------
    callable
        Takes and returns ndarray ``(k, tokens, width)``; other tokens' tangents never enter.

    Raises
    ------
    InvalidArgumentError
        If the map is not causal: its Jacobian is not block triangular over tokens.
    """
    if not m.causal:
        raise InvalidArgumentError(f"token blocks need a causal map; {m.name} is not. Use multipliers(m, state).")
    own = m.within_tokens(states, np.random.default_rng(0))
    if own is not None:
        return lambda tangents: m.numpy(own.push(states, m.native(tangents)[None])[1][0])
    return lambda tangents: _masked(m, states, tangents)


def _masked(m: LoopMap, states: Any, tangents: Array) -> Array:
    """Push every token's tangents by themselves, the slow way that holds for any causal map."""
    pushed = np.empty_like(tangents)
    for token in range(m.state_shape[0]):
        alone = np.zeros_like(tangents)
        alone[:, token] = tangents[:, token]
        pushed[:, token] = m.numpy(m.push(states, m.native(alone)[None])[1][0])[:, token]
    return pushed
