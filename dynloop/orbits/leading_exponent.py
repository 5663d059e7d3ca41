"""The largest Lyapunov exponent of an orbit, or of a prefix of its tokens, and what can be said of its sign."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from dynloop.calculus.averages import time_average
from dynloop.calculus.tangent import random_frames
from dynloop.calculus.token_growth import token_growth
from dynloop.maps.base import Array, LoopMap

__all__ = ["LeadingExponent", "leading_exponents"]

_ROUNDING = 1e-12  # of a mean of logarithms: a rigid rotation has −2e-17 ± 2e-18
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
    def negative(self) -> bool:
        """Whether it is negative beyond five standard errors."""
        return bool(self.value < -5 * self.error - _ROUNDING)

    @property
    def zero(self) -> bool:
        """Whether it cannot be told from zero: `doubt` above, where growth like log n lies, five errors below."""
        return bool(-5 * self.error - _ROUNDING <= self.value <= self.doubt)


def leading_exponents(m: LoopMap, states: Array, loops: int, rng: np.random.Generator) -> list[list[LeadingExponent]]:
    """Estimate the largest exponent of every group of each state, over `loops` loops from there.

    For a causal map DF restricted to tokens ≤ i is a map of its own whose exponents are the union of those of its
    tokens' cocycles (T7). So the exponent of group i is the largest of tokens 0 … i, one tangent a token, all pushed
    together.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    states : ndarray, (count, *state_shape)
        Where the windows begin; an eighth of a window is dropped first, so that the tangents align.
    loops : int
        Length of the windows.
    rng : Generator
        For the tangents.

    Returns
    -------
    list of list of LeadingExponent
        ``[state][group]``; nan if the orbit left every bound.
    """
    found: list[list[LeadingExponent]] = []
    at_once = max(1, _NUMBERS_AT_ONCE // m.dimension)
    for first in range(0, len(states), at_once):
        part = m.native(states[first : first + at_once])
        logs = token_growth(m, part, loops, rng).logs[..., 0] if m.causal else _growth(m, part, loops, rng)
        with np.errstate(invalid="ignore"):
            (value, error, _), (half, half_error, _) = time_average(logs), time_average(logs[: loops // 2])
        for b in range(len(part)):
            own = [
                LeadingExponent(value=v, error=e, half=h, half_error=d, loops=loops)
                for v, e, h, d in zip(value[b], error[b], half[b], half_error[b], strict=True)
            ]
            found.append(list(accumulate(own, _larger)))
    return found


def _larger(a: LeadingExponent, b: LeadingExponent) -> LeadingExponent:
    """Return the one with the larger value; nan is larger than any number."""
    return a if np.isnan(a.value) or a.value >= b.value else b


def _growth(m: LoopMap, states: Any, loops: int, rng: np.random.Generator) -> Array:
    """Return the growth of one tangent a state by loop, ``(loops, count, 1)``."""
    aligned = m.stretch(states, random_frames(m, len(states), 1, rng), max(16, loops // 8))
    return m.stretch(aligned.states, aligned.frames, loops).logs
