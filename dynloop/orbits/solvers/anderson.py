"""Anderson acceleration of x ← F^p(x): one loop a step, many starts at once; of causal blocks preconditioned by token.

The Jacobian of a causal map is block triangular over tokens (theory T7). With the inverses of its diagonal blocks
I − ∂F_i/∂x_i as a preconditioner, what is left of the linearised iteration is nilpotent, so that a block of T tokens
needs some T steps however slowly it converges by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynloop.calculus.jacobian import diagonal_blocks
from dynloop.maps.base import Array, LoopMap

__all__ = ["anderson", "block_inverses", "blocks_worth"]

_MEMORY = 24  # differences remembered
_RANK = 1e-12  # directions of the remembered differences below this share of the largest are left out
_PLAIN = 16  # loops before the acceleration begins
_STALL = 20  # steps without a fall of the gap after which everything is begun anew
_RESTARTS = 3
_AT_REST = 8  # ulps of the state within which a gap is nothing but rounding
_WIDEST = 512  # a token's block is inverted up to here: 64 ms for each of the tokens
_ENTRIES = 2**24  # all blocks of a start take 128 MB at most


def blocks_worth(m: LoopMap) -> bool:
    """Say whether a map is preconditioned by its tokens' blocks."""
    width = m.dimension // m.state_shape[0]
    return m.causal and width <= _WIDEST and m.dimension * width <= _ENTRIES


def block_inverses(m: LoopMap, state: Array) -> Array:
    """Return (I − ∂F_i/∂x_i)⁻¹ of every token, ``(tokens, width, width)``: least norm, or where not finite I."""
    D = diagonal_blocks(m, state)
    A = np.eye(D.shape[1]) - D
    if not np.isfinite(A).all():
        return np.broadcast_to(np.eye(D.shape[1]), A.shape)
    return np.linalg.inv(A) if (np.linalg.cond(A, 1) < 1e10).all() else np.linalg.pinv(A, rcond=1e-10)


def anderson(
    orbit: LoopMap, states: Array, *, steps: int = 200, progress: Callable[[int], None] | None = None
) -> tuple[Array, Array, Array]:
    """Accelerate the iteration from every start until its gap is at rounding, or no longer falls.

    Parameters
    ----------
    orbit : LoopMap
        F^p.
    states : ndarray, (batch, *state_shape)
        Where to begin.
    steps : int
        Steps at most, each p loops.
    progress : callable, optional
        Called with the number of starts that are done.

    Returns
    -------
    states : ndarray, (batch, *state_shape)
        The state of the least gap.
    gaps : ndarray, (batch,)
        ‖F^p(x) − x‖ there; infinite where the map is not finite at the start.
    steps : ndarray of int, (batch,)
        Steps taken.

    Notes
    -----
    Walker & Ni, SIAM J. Numer. Anal. 49 (2011) 1715, "type II": the next state is the combination of the last ones
    whose gaps combine to the shortest vector, moved by that gap.
    """
    shape, batch = orbit.state_shape, len(states)
    x = np.array(states, dtype=np.float64).reshape(batch, orbit.dimension)
    best, least, taken = x.copy(), np.full(batch, np.inf), np.zeros(batch, dtype=int)
    runs = [_Run(orbit) for _ in range(batch)]
    active = np.arange(batch)
    for step in range(steps):
        with np.errstate(all="ignore"):
            moved = orbit.numpy(orbit(orbit.native(x[active].reshape(-1, *shape))))
            gaps = orbit.displacement(moved, x[active].reshape(moved.shape)).reshape(len(active), -1)
            sizes = np.linalg.norm(gaps, axis=1)
        taken[active] = step + 1
        better = sizes < least[active]
        best[active[better]], least[active[better]] = x[active[better]], sizes[better]
        at_rest = sizes <= _AT_REST * orbit.precision * np.linalg.norm(x[active], axis=1)
        on = []
        for b, gap, size, done in zip(active, gaps, sizes, at_rest, strict=True):
            tried = None if done else runs[b].next(x[b], gap, float(size), best[b])
            if tried is not None:
                x[b] = tried
                on.append(b)
        active = np.array(on, dtype=int)
        if progress is not None:
            progress(batch - len(active))
        if len(active) == 0:
            break
    return best.reshape(np.shape(states)), least, taken


class _Run:
    """The last states and preconditioned gaps of one start."""

    def __init__(self, orbit: LoopMap) -> None:
        self.orbit, self.blocks = orbit, blocks_worth(orbit)
        self.states: list[Array] = []
        self.gaps: list[Array] = []
        self.inverses: Array | None = None
        self.least, self.since, self.plain, self.restarts = np.inf, 0, _PLAIN, 0

    def next(self, x: Array, gap: Array, size: float, best: Array) -> Array | None:
        """Return the state to try after one with that gap; None where the start is given up."""
        self.since = 0 if size < 0.9 * self.least else self.since + 1
        self.least = min(self.least, size)
        if self.plain > 0 and np.isfinite(size):
            self.plain -= 1
            self.since = 0
            tried: Array = x + gap
            return tried
        if not np.isfinite(size) or size > 1e4 * self.least or self.since >= _STALL:
            if self.restarts == _RESTARTS or not np.isfinite(self.least):
                return None
            self.restarts, self.since, self.inverses = self.restarts + 1, 0, None
            self.states.clear()
            self.gaps.clear()
            return best.copy()
        return self._accelerated(x, self._preconditioned(x, gap))

    def _preconditioned(self, x: Array, gap: Array) -> Array:
        if not self.blocks:
            return gap
        tokens = self.orbit.state_shape[0]
        if self.inverses is None:
            self.inverses = block_inverses(self.orbit, x.reshape(self.orbit.state_shape))
        return np.asarray(np.einsum("tij,tj->ti", self.inverses, gap.reshape(tokens, -1))).reshape(-1)

    def _accelerated(self, x: Array, gap: Array) -> Array:
        self.states.append(x.copy())
        self.gaps.append(gap)
        if len(self.gaps) > _MEMORY + 1:
            del self.states[0], self.gaps[0]
        if len(self.gaps) < 2:
            return np.asarray(x + gap)
        dF, dX = (np.diff(np.stack(known, axis=1), axis=1) for known in (self.gaps, self.states))
        weights = np.linalg.lstsq(dF, gap, rcond=_RANK)[0]
        return np.asarray(x + gap - (dX + dF) @ weights)
