"""What a spectrum of exponents says, in sentences that need no textbook, and no more certain than its error."""

from __future__ import annotations

import math

import numpy as np

from dynloop.calculus.dimension import entropy_bound, kaplan_yorke_dimension
from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.maps.base import Array
from dynloop.result import Status
from dynloop.views.digits import with_error

__all__ = ["errors", "how", "invariants", "margins", "reading", "sign"]

_SETTLED = 1e-6  # an exponent of a cycle nearer to zero than this is not told from zero


def errors(found: LyapunovSpectrum) -> Array:
    """Return the error of every exponent, statistical error and bias together, ``(k,)``."""
    return np.hypot(found.standard_error, found.bias)


def margins(found: LyapunovSpectrum) -> Array:
    """Return how far from every exponent its limit may lie, ``(k,)``.

    By QR a 95 % interval and twice the bias, and not less than log(loops) / loops: over one window, growth by a power
    of time, as on a ray or a sheared torus, looks like an exponent of that size.
    """
    margin = 1.96 * found.standard_error + 2 * found.bias
    least = _SETTLED if found.period else math.log(max(2, found.loops)) / max(2, found.loops)
    return np.where(np.isneginf(found.exponents), 0.0, np.maximum(margin, least))


def sign(found: LyapunovSpectrum) -> int:
    """Return the sign of the largest exponent: 1, −1, or 0 where its margin leaves both open."""
    largest = float(found.exponents[0])
    return 0 if not abs(largest) > margins(found)[0] else 1 if largest > 0 else -1


def reading(found: LyapunovSpectrum) -> str:
    """Say in one sentence what the largest exponent means for two states that start close.

    Parameters
    ----------
    found : LyapunovSpectrum
        Of any map.

    Returns
    -------
    str
        Never a regime: a positive exponent alone is no proof of chaos.
    """
    largest, error = float(found.exponents[0]), float(errors(found)[0])
    if found.status is Status.DIVERGED or math.isnan(largest):
        return "The orbit stopped being finite, so it has no exponents."
    cycle = "a fixed point" if found.period == 1 else f"a cycle of period {found.period}"
    on = f"The orbit has settled on {cycle}, and nearby states" if found.period else "Nearby states"
    so_far = " over this window; its halves disagree, and more loops would tell" * (
        found.status is Status.NOT_CONVERGED
    )
    if largest == -math.inf:
        to = "fall onto it" if found.period else "fall together"
        return f"{on} {to} faster than by any constant factor per loop{so_far}."
    if not math.isfinite(error):
        return f"{on} may separate or approach: the error of the largest exponent is not known{so_far}."
    factor = math.exp(min(largest, 700.0))
    mean = f"by {'a' if found.period == 1 else 'an average'} factor of {with_error(factor, factor * error)} per loop"
    if sign(found) > 0:
        return f"{on} separate: while it is small, their distance grows {mean}{_doubling(largest, error)}{so_far}."
    if sign(found) < 0:
        to = "approach it: their distance to it" if found.period else "approach each other: their distance"
        return f"{on} {to} shrinks {mean}{so_far}."
    if found.period:
        return f"{on} neither approach nor leave it at a rate that can be told from none{so_far}."
    if abs(largest) <= 1.96 * found.standard_error[0] + 2 * found.bias[0]:
        why = "the largest exponent is zero within its error and bias"
    else:
        why = "over so few, a change by a power of time shows an exponent as large"
    return f"{on} neither separate nor approach exponentially, as far as {_loops(found.loops)} can tell: {why}{so_far}."


def how(found: LyapunovSpectrum) -> str:
    """Say how the exponents were found, and what their error is."""
    if found.period:
        which = "DF at the fixed point" if found.period == 1 else f"DF^{found.period} on the cycle"
        return f"Found from the multipliers of {which} on which the orbit has settled; ± is a first-order bound."
    after = "every layer" if found.by_layer is not None else _loops(found.qr_every, "every ")
    return (
        f"Found by repeated QR, after {after}, over {_loops(found.loops)} after a transient of {found.transient}; ± is "
        "a standard error, bias that of a finite window."
    )


def invariants(found: LyapunovSpectrum, n: int) -> str:
    """Say what dimension and which entropy the exponents allow; empty where they do not tell.

    Parameters
    ----------
    found : LyapunovSpectrum
        Its k exponents.
    n : int
        Coordinates of a state.
    """
    said = []
    open_sign, margin = sign(found) == 0, margins(found)
    dimension, entropy = found.kaplan_yorke_dimension, found.entropy_bound
    if np.isnan(margin).any():
        return ""
    if open_sign:
        above = found.exponents + margin
        dimension, entropy = kaplan_yorke_dimension(above, n), entropy_bound(above, n)
    if not math.isnan(dimension):
        range_or_value = f"between 0 and {dimension:.3g}" if open_sign else _dimension(found)
        said.append(f"Kaplan–Yorke dimension {range_or_value}")
    if not math.isnan(entropy):
        error = float(errors(found)[found.exponents > 0].sum())
        bound = f"{entropy:.1g}" if open_sign else with_error(entropy, error)
        said.append(f"entropy at most {bound} nats per loop" if entropy > 0 else "entropy 0")
    text = "; ".join(said)
    return text[:1].upper() + text[1:] + "." if text else ""


def _dimension(found: LyapunovSpectrum) -> str:
    """Write j + Σ_{i≤j} λ_i / |λ_{j+1}| to the digits that the errors of the exponents leave, to first order."""
    dimension = found.kaplan_yorke_dimension
    j = math.floor(dimension)
    if j == 0 or j >= len(found.exponents) or not math.isfinite(found.exponents[j]):
        return f"{dimension:g}"
    of = errors(found)
    return with_error(dimension, float((of[:j].sum() + (dimension - j) * of[j]) / abs(found.exponents[j])))


def _doubling(largest: float, error: float) -> str:
    loops = math.log(2) / largest
    return f" and doubles in {with_error(loops, loops * error / largest)} loops" if loops > 1 else ""


def _loops(count: int, every: str = "") -> str:
    return f"{every}loop" if count == 1 else f"{every}{count} loops"
