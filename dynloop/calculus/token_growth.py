"""How tangents grow within each token of a causal map: the cocycle of every token by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dynloop.calculus.tangent import orthonormal
from dynloop.calculus.window import Progress, Window, carry
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import LoopMap

__all__ = ["token_growth"]


def token_growth(
    m: LoopMap,
    states: Any,
    loops: int,
    rng: np.random.Generator,
    *,
    k: int = 1,
    transient: int | None = None,
    every: int = 1,
    gather: int = 1,
    progress: Progress | None = None,
) -> Window:
    """Measure the growth of k orthonormal tangents in each token by loop, natural log.

    The cocycle of token i is the product of the blocks ∂F_i/∂x_i along the orbit (theory note T7). All tokens share a
    push where attention is all that mixes them; else each has a copy of the state and tangents of its own.

    Parameters
    ----------
    m : LoopMap
        A causal map.
    states : native array, (count, *state_shape)
        Where the orbits begin.
    loops : int
        Length of the window.
    rng : Generator
        For the tangents.
    k : int
        How many tangents a token has, at most its width.
    transient : int, optional
        Loops dropped first, so that the tangents align; max(16, loops / 8) if left out.
    every : int
        Loops between two QR decompositions.
    gather : int
        How many decompositions make one record; ``every · gather`` divides `loops`.
    progress : callable, optional
        ``progress(done, all)``, called now and then.

    Returns
    -------
    Window
        `logs` is ``(loops // every // gather, count, tokens, k)``: log R_jj within each token, by QR, summed over a
        record. Divided by its loops, the means are the tokens' own, *conditional*, exponents; nan once the orbit is
        lost.

    Raises
    ------
    InvalidArgumentError
        If the map is not causal: its tokens have no cocycles of their own.
    """
    if not m.causal:
        raise InvalidArgumentError(f"growth within tokens needs a causal map; {m.name} is not. Leave per_token out.")
    tokens, count = m.state_shape[0], len(states)
    dropped = max(16, loops // 8) if transient is None else transient
    settings: dict[str, Any] = {"transient": dropped, "every": every, "gather": gather, "progress": progress}
    drawn = orthonormal(rng.standard_normal((count, tokens, k, m.dimension // tokens))).swapaxes(1, 2)
    frames = m.native(drawn.reshape(-1, *m.state_shape)).reshape(count, k, *m.state_shape)
    own = m.within_tokens(states, rng)
    if own is not None:
        found = carry(own.stretch, states, m.detached(frames).clone(), loops, **settings)
        if not np.isfinite(m.numpy(found.states)).all() or m.within_tokens(found.states, rng) is not None:
            return found  # what it was right at the start, it is right where the orbit went
    masks = np.zeros((count, tokens, *m.state_shape))
    masks[:, np.arange(tokens), np.arange(tokens)] = 1
    weights = m.native(masks.reshape(-1, *m.state_shape))
    copies = m.native(np.repeat(m.numpy(states), tokens, axis=0))
    alone = m.native(np.repeat(m.numpy(frames), tokens, axis=0).reshape(-1, *m.state_shape))
    alone = alone.reshape(count * tokens, k, *m.state_shape) * weights[:, None]

    found = carry(partial(m.stretch, mask=weights), copies, alone, loops, **settings)
    logs = found.logs.reshape(len(found.logs), count, tokens, k)
    return Window(states=found.states[::tokens], frames=found.frames, logs=logs)
