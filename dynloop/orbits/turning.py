"""Whether a bounded motion that stretches nothing turns on a torus, returns late, or is not seen to do either.

Quasi-periodic is said only where lines at integer combinations of few frequencies, fitted to one half of the window,
predict the other half, one of the frequencies has been seen to slip past every simple fraction, and no fraction with a
denominator below `DENOMINATOR` lies within its error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.denominators import least_denominator
from dynloop.orbits.finding import Finding, undecided
from dynloop.orbits.quasiperiodic_fit import QuasiperiodicFit, quasiperiodic_fit
from dynloop.orbits.trajectory import stream
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["DENOMINATOR", "Turn", "on_a_torus", "projections", "turn"]

DENOMINATOR = 10_000  # periods up to this are excluded before a motion is called quasi-periodic
_PREDICTED, _ALIKE = 3e-4, 3.0  # most that lines may leave of the other half, and times what they leave of their own
_DRIFT = 10.0  # times the noise that what is left may give to a frequency
_FINEST = 1e-12  # error of a frequency below which nothing is said
_SIMPLE, _SLIP, _TURNS = 64, 1.0, 20  # fractions that must be slipped past, by how many turns; for 0 and 1/2 more


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Turn:
    """The frequency of a fit that says most.

    Attributes
    ----------
    predicts : bool
        Whether the lines of either half predict the other, and all frequencies are the same in both.
    frequency, error : float
        Cycles per loop.
    denominator : int
        Least denominator of a fraction within five errors: periods below are excluded. 0 without lines.
    slip : float
        Loops after which it has slipped past every simple fraction; a motion that slows down beside a resonance may
        yet stop there.
    """

    predicts: bool
    frequency: float
    error: float
    denominator: int
    slip: float

    @property
    def needs(self) -> float:
        """Loops of a window in which it slips past simple fractions and its error excludes long periods."""
        f = self.frequency % 1.0
        q = np.arange(1, DENOMINATOR + 1)
        nearest = np.abs(f - np.round(f * q) / q).min()
        return self.slip if 5 * self.error < nearest else float("nan")


def turn(fit: QuasiperiodicFit) -> Turn:
    """Judge a fit, by that of its frequencies which excludes most periods.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.orbits.quasiperiodic_fit import quasiperiodic_fit
    >>> from dynloop.orbits.turning import turn
    >>> t = np.arange(2048)[:, None]
    >>> turn(quasiperiodic_fit(np.cos(2 * np.pi * np.sqrt(2) * t))).denominator > 10000
    True
    >>> turn(quasiperiodic_fit(np.cos(2 * np.pi * 3 / 377 * t))).denominator
    377
    """
    alike = fit.prediction <= _PREDICTED and fit.prediction <= _ALIKE * fit.residual + 1e-7
    steady = bool(np.all(fit.errors <= _DRIFT * fit.noise + _FINEST))
    found = [
        Turn(
            predicts=alike and steady, frequency=float(f),
            error=max(float(drift), _FINEST), slip=_slip(float(f)),
            denominator=least_denominator(float(f), 5 * max(float(drift), _FINEST)),
        )
        for f, drift in zip(fit.frequencies, fit.errors, strict=True)
        if np.isfinite(f) and np.isfinite(drift)
    ]  # fmt: skip
    nothing = Turn(predicts=False, frequency=np.nan, error=np.nan, denominator=0, slip=np.nan)
    return max(found, key=lambda t: (t.predicts, t.slip <= fit.loops, t.denominator), default=nothing)


def _slip(f: float) -> float:
    """Return the loops that a frequency takes to slip past every simple fraction p/q: to gain a turn on it, q-fold."""
    q = np.arange(1, _SIMPLE + 1)
    turns = np.where(q <= 2, _TURNS, _SLIP)
    with np.errstate(divide="ignore"):
        return float((turns / np.abs(q * f - np.round(q * f))).max())


def on_a_torus(
    signals: Array, returns: Callable[[], tuple[int, float]], zero: str, numbers: dict[str, Any]
) -> Finding:  # fmt: skip
    """Decide a bounded orbit whose exponent is zero within its error.

    Parameters
    ----------
    signals : ndarray, (loops, count)
        Projections of the group that is asked about.
    returns : callable
        Its first return within `DENOMINATOR` loops, and the distance then, as `long_return.first_returns` has them;
        dear, and asked for only where a frequency is near a fraction.
    zero : str
        What was found of the exponent, in words; `numbers` hold it.
    """
    fit = quasiperiodic_fit(signals)
    found = turn(fit)
    bases = len(fit.frequencies)
    lines = f"{fit.lines} lines at combinations of {bases} frequenc{'y' if bases == 1 else 'ies'}"
    if not found.predicts:
        return undecided(
            f"bounded and moving, {zero}, and the motion is not seen to be a torus: {lines}, fitted to either half of "
            f"{fit.loops} loops, leave {fit.residual:.0e} of it and miss the other half by {fit.prediction:.0e}: edge "
            "of chaos, weak chaos, a long period, a slow transient, or a torus of more lines than the window resolves; "
            "how many loops would tell is not known",
            Status.OUT_OF_LOOPS, **numbers,
        )  # fmt: skip
    if found.denominator <= DENOMINATOR:
        period, gap = returns()
        if period:
            return Finding(
                regime=Regime.PERIODIC, period=period, numbers=numbers,
                reason=f"returns after {period} loops to within {gap:.1e} and not sooner; {zero}, so the cycle "
                "is neutral; T2 does not apply: the orbit does not converge",
            )  # fmt: skip
        return undecided(
            f"bounded and moving in {lines}, {zero}; the frequency {found.frequency:.12g} ± {found.error:.0e} lies "
            f"within five errors of a fraction with the denominator {found.denominator}, yet no state returned within "
            f"{DENOMINATOR} loops (the nearest came to {gap:.1e}): a cycle approached slowly, or a turn "
            "just beside it; a window of more loops tells the frequency more finely",
            Status.OUT_OF_LOOPS, **numbers,
        )  # fmt: skip
    if found.slip > fit.loops:
        return undecided(
            f"bounded and moving in {lines}, {zero}; but the frequency {found.frequency:.9f} lies so near a simple "
            f"fraction that {fit.loops} loops do not see it slip past, and the orbit may yet lock there; a window of "
            f"about {found.needs:.3g} loops would",
            Status.OUT_OF_LOOPS, **numbers, loops_to_decide=found.needs - fit.loops,
        )  # fmt: skip
    return Finding(
        regime=Regime.QUASIPERIODIC, numbers=numbers,
        reason=f"bounded, {zero}, and {lines} (one of {found.frequency:.9f} per loop, ± {found.error:.0e}, no fraction "
        f"with a denominator below {found.denominator} within its error), fitted to either half of {fit.loops} loops, "
        f"predict the other to {fit.prediction:.0e}; T2 does not apply: the orbit does not converge",
    )  # fmt: skip


def projections(m: LoopMap, state: Array, loops: int, rng: np.random.Generator) -> Array:
    """Record two random projections of every group over `loops` loops, ``(loops, groups, 2)``.

    Angles enter by their sines.
    """
    groups = m.state_shape[0] if m.causal else 1
    directions = rng.standard_normal((m.dimension // groups, 2))
    signals = np.empty((loops, groups, 2))
    on_circle = _circles(m)
    for t, now in stream(m, state[None]):
        if t == loops:
            break
        signals[t] = on_circle(m.numpy(now)[0]).reshape(groups, -1) @ directions
    return signals


def _circles(m: LoopMap) -> Callable[[Array], Array]:
    """Return what replaces angles by their sines, so that a turn makes no jump."""
    if m.periods is None:
        return lambda state: state
    angles = np.isfinite(m.periods)
    lengths = np.where(angles, m.periods, 1.0)
    return lambda state: np.where(angles, np.sin(2 * np.pi * state / lengths), state)
