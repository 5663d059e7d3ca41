"""How fast a tangent grows within each token of a causal map: the leading exponent of every token's own cocycle."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.maps.own_token import OwnToken
from dynloop.maps.torch import TorchMap

__all__ = ["token_growth"]


def token_growth(m: LoopMap, states: Any, loops: int, rng: np.random.Generator) -> Array:
    """Return the growth of one tangent in each token by loop, natural log.

    The cocycle of token i is the product of the blocks ∂F_i/∂x_i along the orbit (theory note T7). All tokens share a
    push where attention is all that mixes them; else each has a copy of the state and a tangent of its own.

    Parameters
    ----------
    m : LoopMap
        A causal map.
    states : native array, (count, *state_shape)
        Where the windows begin; max(16, loops / 8) loops are dropped first, so that the tangents align.
    loops : int
        Length of the window.
    rng : Generator
        For the tangents.

    Returns
    -------
    ndarray, (loops, count, tokens)
        Their means are the tokens' own, *conditional*, exponents; nan once the orbit is lost.
    """
    drawn = rng.standard_normal((len(states), *m.state_shape))
    frames = m.native(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))
    aligned = max(16, loops // 8)
    if isinstance(m, TorchMap):
        own = OwnToken(m)
        if own.exact(states, rng):
            states, frames, _ = own.stretch(states, frames, aligned)
            return own.stretch(states, frames, loops)[2]
    masks = np.zeros((len(states), m.state_shape[0], *m.state_shape))
    tokens = np.arange(m.state_shape[0])
    masks[:, tokens, tokens] = 1
    weights = m.native(masks.reshape(-1, *m.state_shape))
    copies = m.native(np.repeat(m.numpy(states), len(tokens), axis=0))
    one = m.native(np.repeat(m.numpy(frames), len(tokens), axis=0)) * weights
    found = m.stretch(copies, one[:, None], aligned, weights)
    return m.stretch(found.states, found.frames, loops, weights).logs.reshape(loops, len(states), len(tokens))
