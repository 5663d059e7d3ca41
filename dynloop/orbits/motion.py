"""From bounded motion to a verdict: the largest exponent of a prefix, then frequencies where it is zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.calculus.lyapunov import mean_and_error
from dynloop.calculus.tangent import random_frames
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.frequencies import spectral_lines
from dynloop.orbits.trajectory import stream
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["LeadingExponent", "chaotic", "exponents", "quasiperiodic"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LeadingExponent:
    """The largest exponent of one prefix over one window, and over the first half of it."""

    value: float
    error: float
    half: float
    half_error: float
    loops: int

    @property
    def doubt(self) -> float:
        """Five standard errors, or 5·log n/n if that is more (an integrable twist grows like log n)."""
        return max(5 * self.error, 5 * np.log(self.loops) / self.loops)

    @property
    def positive(self) -> bool:
        """Whether it is positive beyond doubt, and did not change when the window doubled."""
        same = (
            abs(self.half - self.value) <= 5 * np.hypot(self.error, self.half_error) + np.log(self.loops) / self.loops
        )
        return bool(self.value > self.doubt and same)

    @property
    def zero(self) -> bool:
        """Whether it cannot be told from zero."""
        return bool(abs(self.value) <= self.doubt)


def exponents(
    m: LoopMap, state: Array, groups: list[int], loops: int, rng: np.random.Generator
) -> tuple[list[LeadingExponent], Array]:
    """Estimate the largest exponent of the prefix that ends with each of `groups`, along one orbit.

    For a causal map DF restricted to tokens ≤ i is a map of its own (T7), so one tangent masked to that prefix gives its
    exponent. A map that is not causal has one group.

    Returns
    -------
    found : list of LeadingExponent
        One a group; nan if the orbit left every bound.
    state : ndarray, state_shape
        Where the orbit is after the window.
    """
    count = len(groups)
    states = m.native(np.broadcast_to(state, (count, *m.state_shape)).copy())
    mask = np.ones((count, *m.state_shape))
    if m.causal:
        for i, g in enumerate(groups):
            mask[i, g + 1 :] = 0
    weights = m.native(mask)
    frames = random_frames(m, count, 1, rng) * weights[:, None]
    settled = m.stretch(states, frames, max(16, loops // 8), weights)
    found = m.stretch(settled.states, settled.frames, loops, weights)
    with np.errstate(invalid="ignore"):
        value, error = mean_and_error(found.logs[:, :, 0])
        half, half_error = mean_and_error(found.logs[: loops // 2, :, 0])
    results = [
        LeadingExponent(value=value[i], error=error[i], half=half[i], half_error=half_error[i], loops=loops)
        for i in range(count)
    ]
    return results, m.numpy(found.states)[0]


def chaotic(exponent: LeadingExponent, *, prefix: bool) -> Finding:
    """Return the finding of a bounded orbit with a positive exponent."""
    whose = " of the tokens up to this one" if prefix else ""
    return Finding(
        regime=Regime.CHAOTIC,
        reason=f"bounded, with largest exponent{whose} {exponent.value:.4g} ± {exponent.error:.1g} per loop over "
        f"{exponent.loops} loops, unchanged when the window doubled; T2 does not apply: the orbit does not converge",
        numbers={"exponent": exponent.value, "exponent_error": exponent.error},
    )


def quasiperiodic(
    m: LoopMap, state: Array, group: int, exponent: LeadingExponent, loops: int, rng: np.random.Generator
) -> Finding:
    """Decide a bounded orbit whose exponent is zero within its error, by the lines of two projections of it."""
    width = m.state_shape[-1]
    directions = rng.standard_normal((2, width if m.causal else m.dimension))
    signal = np.empty((loops, 2))
    for t, now in stream(m, state[None]):
        if t == loops:
            break
        flat = (
            m.displacement(m.numpy(now)[0], np.zeros(m.state_shape))
            if m.periods is None
            else _on_circle(m, m.numpy(now)[0])
        )
        signal[t] = directions @ (flat[group] if m.causal else flat.ravel())
    lines = [spectral_lines(s) for s in signal.T]
    numbers = {"exponent": exponent.value, "exponent_error": exponent.error}
    if all(one.quasiperiodic for one in lines):
        return Finding(
            regime=Regime.QUASIPERIODIC,
            reason=f"bounded, never returns, largest exponent {exponent.value:.1e} ± {exponent.error:.1g} is zero within its "
            f"error, and the motion has few stable lines (frequency {lines[0].frequency:.9f} per loop, incommensurate, drift "
            f"{max(one.drift for one in lines):.0e}); T2 does not apply: the orbit does not converge",
            numbers=numbers,
        )
    return undecided(
        f"bounded and moving, the largest exponent {exponent.value:.1e} ± {exponent.error:.1g} cannot be told from zero, and "
        f"the motion is not a few incommensurate lines ({lines[0].count} lines, background {lines[0].background:.0e}): edge of "
        "chaos, a long period or a slow transient; more loops would tell",
        Status.OUT_OF_LOOPS,
        **numbers,
    )


def _on_circle(m: LoopMap, state: Array) -> Array:
    """Return a state whose angles are replaced by their sines, so that a turn makes no jump."""
    assert m.periods is not None  # noqa: S101 - the caller asked
    angles = np.isfinite(m.periods)
    return np.where(angles, np.sin(2 * np.pi * state / np.where(angles, m.periods, 1.0)), state)
