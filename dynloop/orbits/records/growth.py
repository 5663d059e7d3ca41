"""A record whose norm grows to its end: by a factor per loop, or by a length per loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.orbits.records.approach import factor_per_loop
from dynloop.orbits.records.series import Series
from dynloop.orbits.recurrence import growth

__all__ = ["Growth", "growing"]


_RESOLVED = 2.0  # eps


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Growth:
    """Steady growth over the second half of a record.

    Attributes
    ----------
    factor, error : float
        By which the norm grew per loop, and its standard error.
    law : str
        In words.
    """

    factor: float
    error: float
    law: str


def growing(record: Series, eps: float) -> Growth | None:
    """Say how the norm grows over the second half of a record; None if it does not grow steadily.

    Steps must not fall on the way: growth that slows down may have a limit; and they must be longer than a unit in the
    last place, to which rounding lengthens shorter ones. Either the path must lead somewhere, or the
    norm must follow an exponential closely.
    """
    half = len(record.norms) // 2
    norms, lengths, states = record.norms[half:], record.lengths[half:], record.states[half:]
    if (
        np.median(record.steps[half:]) < _RESOLVED * eps
        or norms[0] <= 0
        or not np.isfinite(growth(norms))
        or _falls(lengths)
    ):
        return None
    times = np.arange(len(norms), dtype=float)
    away, logs = times - times.mean(), np.log(norms)
    slope = float(away @ logs / (away @ away))
    left = logs - logs.mean() - slope * away
    gain, regular = float(norms[-1] / norms[0]), float(left @ left) <= 0.03 * float(np.sum((logs - logs.mean()) ** 2))
    led = float(np.linalg.norm(states[-1] - states[0])) / float(lengths.sum())
    if not ((led >= 0.5 and gain >= 1.2) or (regular and gain >= 4)):
        return None
    factor, error = factor_per_loop(norms[::-1], 0.0)
    factor, error = 1 / factor, error / factor**2
    change = float(np.median(lengths[-len(lengths) // 4 :]) / np.median(lengths[: len(lengths) // 4]))
    if change <= 1.25 and led >= 0.9:
        law = f"along a straight line, by {np.median(lengths):.4g} per loop"
    elif change >= 0.5 * gain and regular:
        law = f"by a factor {factor:.6g} ± {error:.1g} per loop"
    else:
        law = "neither by a constant factor nor along a straight line"
    return Growth(factor=factor, error=error, law=law)


def _falls(lengths: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """Say whether steps became shorter from one quarter of a window to the next, the last two at least."""
    quarters = [float(np.median(part)) for part in np.array_split(lengths, 4)]
    slower = quarters[3] < 0.97 * quarters[2] and quarters[2] < 1.03 * quarters[1]
    return slower or quarters[3] < 0.9 * quarters[0]
