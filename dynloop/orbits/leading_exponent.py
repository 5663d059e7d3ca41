"""The largest Lyapunov exponent of an orbit, or of a prefix of its tokens, and what can be said of its sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynloop.calculus.lyapunov import mean_and_error
from dynloop.calculus.tangent import random_frames
from dynloop.maps.base import Array, LoopMap

__all__ = ["LeadingExponent", "leading_exponents"]

_NUMBERS_AT_ONCE = 2**22  # in one batch of states, 32 MB; bounds the memory of the batch, not its speed


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LeadingExponent:
    """The largest exponent over one window, and over the first half of it, natural log per loop."""

    value: float
    error: float
    half: float
    half_error: float
    loops: int

    @property
    def doubt(self) -> float:
        """Five standard errors, or 5·log n/n if that is more (an integrable twist grows like log n)."""
        return float(max(5 * self.error, 5 * np.log(self.loops) / self.loops))

    @property
    def positive(self) -> bool:
        """Whether it is positive beyond doubt, and did not change when the window doubled."""
        allowed = 5 * np.hypot(self.error, self.half_error) + np.log(self.loops) / self.loops
        return bool(self.value > self.doubt and abs(self.half - self.value) <= allowed)

    @property
    def zero(self) -> bool:
        """Whether it cannot be told from zero."""
        return bool(abs(self.value) <= self.doubt)


def leading_exponents(
    m: LoopMap, states: Array, groups: Sequence[int], loops: int, rng: np.random.Generator
) -> list[LeadingExponent]:
    """Estimate the largest exponent of one prefix of each state, over `loops` loops from there.

    For a causal map DF restricted to tokens ≤ i is a map of its own (T7), so one tangent masked to that prefix gives
    its exponent. A map that is not causal has one group, the whole state.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    states : ndarray, (count, *state_shape)
        Where the windows begin; an eighth of a window is dropped first, so that the tangents align.
    groups : sequence of int, (count,)
        The token that each prefix ends with.
    loops : int
        Length of the windows.
    rng : Generator
        For the tangents.

    Returns
    -------
    list of LeadingExponent
        One a state; nan if the orbit left every bound.
    """
    found: list[LeadingExponent] = []
    at_once = max(1, _NUMBERS_AT_ONCE // m.dimension)
    for first in range(0, len(groups), at_once):
        part = slice(first, first + at_once)
        logs = _logs(m, states[part], groups[part], loops, rng)
        with np.errstate(invalid="ignore"):
            (value, error), (half, half_error) = mean_and_error(logs), mean_and_error(logs[: loops // 2])
        found += [
            LeadingExponent(value=v, error=e, half=h, half_error=d, loops=loops)
            for v, e, h, d in zip(value, error, half, half_error, strict=True)
        ]
    return found


def _logs(m: LoopMap, states: Array, groups: Sequence[int], loops: int, rng: np.random.Generator) -> Array:
    """Return the growth of the tangent of each prefix by loop, ``(loops, count)``."""
    weights = None
    frames = random_frames(m, len(groups), 1, rng)
    if m.causal:
        mask = np.ones((len(groups), *m.state_shape))
        for i, g in enumerate(groups):
            mask[i, g + 1 :] = 0
        weights = m.native(mask)
        frames = frames * weights[:, None]
    aligned = m.stretch(m.native(states), frames, max(16, loops // 8), weights)
    return m.stretch(aligned.states, aligned.frames, loops, weights).logs[:, :, 0]
