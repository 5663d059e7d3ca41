"""The largest Lyapunov exponent of an orbit, or of a prefix of its tokens, and what can be said of its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.calculus.averages import time_average
from dynloop.calculus.tangent import random_frames
from dynloop.calculus.token_growth import token_growth
from dynloop.maps.base import Array, LoopMap

__all__ = ["LeadingExponent", "leading_exponents"]

_ROUNDING = 1e-12  # of a mean of logarithms: a rigid rotation has −2e-17 ± 2e-18
_NUMBERS_AT_ONCE = 2**22  # in one batch of states, 32 MB; bounds the memory of the batch, not its speed
_MANY, _RECORDS = 64, 128  # orbits from which coarse records come first, and how many in a window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LeadingExponent:
    """The largest exponent over one window, and over the first half of it, natural log per loop.

    One of them (numbers), or those of many orbits and groups (arrays).
    """

    value: Any
    error: Any
    half: Any
    half_error: Any
    loops: int

    @property
    def doubt(self) -> Any:
        """Five standard errors, or 5·log n/n if that is more (an integrable twist grows like log n)."""
        return np.maximum(5 * self.error, 5 * np.log(self.loops) / self.loops)

    @property
    def positive(self) -> Any:
        """Whether it is positive beyond doubt, and did not change when the window doubled."""
        allowed = 5 * np.hypot(self.error, self.half_error) + np.log(self.loops) / self.loops
        return (self.value > self.doubt) & (np.abs(self.half - self.value) <= allowed)

    @property
    def negative(self) -> Any:
        """Whether it is negative beyond five standard errors."""
        return self.value < -5 * self.error - _ROUNDING

    @property
    def zero(self) -> Any:
        """Whether it cannot be told from zero: `doubt` above, where growth like log n lies, five errors below."""
        return (-5 * self.error - _ROUNDING <= self.value) & (self.value <= self.doubt)

    def at(self, *index: int) -> LeadingExponent:
        """Return one of many."""
        value, error, half, half_error = (
            float(each[index]) for each in (self.value, self.error, self.half, self.half_error)
        )
        return LeadingExponent(value=value, error=error, half=half, half_error=half_error, loops=self.loops)


def leading_exponents(m: LoopMap, states: Array, loops: int, rng: np.random.Generator) -> LeadingExponent:
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
    LeadingExponent
        Of arrays ``(count, groups)``; nan if the orbit left every bound.
    """
    found: list[Array] = []
    at_once = max(1, _NUMBERS_AT_ONCE // m.dimension)
    for first in range(0, len(states), at_once):
        part = m.native(states[first : first + at_once])
        if m.causal:
            found.append(_leading(_with_half(token_growth(m, part, loops, rng).logs[..., 0], loops)))
        else:
            found.append(_screened(m, part, loops, rng))
    value, error, half, half_error = np.concatenate(found, axis=1)
    return LeadingExponent(value=value, error=error, half=half, half_error=half_error, loops=loops)


def _leading(own: Array) -> Array:
    """Return the numbers of the largest exponent of groups 0 … i for every group i; nan is larger than any number."""
    found = own.copy()
    for g in range(1, own.shape[2]):
        before = found[..., g - 1]
        larger = np.isnan(before[0]) | (before[0] >= own[0, :, g])
        found[..., g] = np.where(larger, before, own[..., g])
    return found


def _screened(m: LoopMap, states: Any, loops: int, rng: np.random.Generator) -> Array:
    """Return the numbers of many orbits: from coarse records where they show chaos, else from every loop.

    The error rests on the lowest 36 frequencies, to which records of a few loops add little but work.
    """
    gather = loops // _RECORDS
    if len(states) < _MANY or gather < 2 or loops % gather:
        return _with_half(_growth(m, states, loops, 1, rng), loops)
    found = _with_half(_growth(m, states, loops, gather, rng) / gather, loops)
    value, error, half, half_error = found
    coarse = LeadingExponent(value=value, error=error, half=half, half_error=half_error, loops=loops)
    if len(unclear := np.flatnonzero(~coarse.positive.all(axis=1))):
        found[:, unclear] = _with_half(_growth(m, states[unclear], loops, 1, rng), loops)
    return found


def _with_half(logs: Array, loops: int) -> Array:
    """Return mean and error of the window and of its first half, ``(4, count, groups)``.

    Where the halves agree to the error of the window and its bias alone, no error of the half is asked for: 0.
    """
    with np.errstate(invalid="ignore"):
        whole, first = time_average(logs), logs[: len(logs) // 2]
        half, half_error = first.mean(axis=0), np.zeros_like(whole.mean)
        apart = ~(np.abs(half - whole.mean) <= 5 * whole.standard_error + np.log(loops) / loops)
        half_error[apart] = time_average(first[:, apart]).standard_error
    return np.array([whole.mean, whole.standard_error, half, half_error])


def _growth(m: LoopMap, states: Any, loops: int, gather: int, rng: np.random.Generator) -> Array:
    """Return the growth of one tangent a state by records of `gather` loops, ``(loops // gather, count, 1)``."""
    first = max(16, loops // 8)
    aligned = m.stretch(states, random_frames(m, len(states), 1, rng), first, gather=first)
    return m.stretch(aligned.states, aligned.frames, loops, gather=gather).logs
