"""What is said of a record: `RecordedClassification`, and `RecordedTokens` for each of its tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["VERDICTS", "RecordedClassification", "RecordedTokens"]

VERDICTS = {
    "growing": "the norm grows steadily to the end of the record",
    "moving": "the steps at the end of the record are far above the floor of the dtype",
    "undecided": "the record does not decide; the reason says why and what would",
    "periodic": "every late state returns after p ≥ 2 loops, p minimal",
    "settled": "the steps fell geometrically to the floor of the dtype and stay there without order",
}
"""Verdicts with the claim each makes, in the order in which one token's verdict outweighs another's."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class RecordedTokens(Result):
    """Verdicts on the rows (tokens) of a record, each by its own norm.

    Every array has the shape of a state without its last axis: ``()`` for a record ``(loops, n)``, ``(tokens,)`` for
    ``(loops, tokens, width)``. nan and −1 stand where there is no number.

    Attributes
    ----------
    verdict, reason : array of str
        As in `RecordedClassification`, and so are the others.
    rate, rate_error, floor, drift, growth, growth_error, step, closure : ndarray of float64
        Numbers of that name.
    settled_at, period : ndarray of int64
        Numbers of that name.
    dichotomy : array of str
        Dichotomies.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=5)
    >>> found = dl.classify_trajectory(dl.trajectory(m, m.start(0)[0], 255).states)
    >>> found.tokens.verdict.tolist()
    ['settled', 'settled', 'settled', 'settled', 'settled']
    """

    verdict: Array
    rate: Array
    rate_error: Array
    floor: Array
    settled_at: Array
    period: Array
    drift: Array
    growth: Array
    growth_error: Array
    step: Array
    closure: Array
    dichotomy: Array
    reason: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class RecordedClassification(Result):
    """What a record of states supports, and no more.

    Numbers of the whole record are the largest over its tokens; nan and −1 stand where there is no number.

    Attributes
    ----------
    verdict : {"settled", "periodic", "growing", "moving", "undecided"}
        "settled" and "periodic" if all tokens are ("periodic" if some return and the others settled); else the verdict
        that weighs most, in the order growing, moving, undecided.
    rate, rate_error : float
        Factor by which steps fell per loop on the way to the floor (towards a cycle: distances after one period, per
        loop), and its standard error. Of the steps that were recorded: the asymptotic rate of the map may be slower.
    floor : float
        Median relative step at the floor (of a cycle: median relative distance after one period).
    settled_at : int
        Index into the record of the first state from which on the steps (returns) are at the floor.
    period : int
        1 if settled, p ≥ 2 if periodic, −1 otherwise.
    closure : float
        ‖Σ g_l‖ / Σ‖g_l‖ of the increments between recorded sections, averaged over the loops at the floor; nan without
        sections or where the record has not settled.
    dichotomy : str
        "vanishing" or "cyclic" where sections say so, "unclear" where they do not, else "not applicable".
    reason : str
        One sentence for the verdict.
    drift : float
        Net displacement per loop at the floor, relative: motion so slow that the steps hide it.
    growth, growth_error : float
        Factor by which the norm grew per loop.
    step : float
        Median relative step of the last quarter of the record.
    dtype : str
        The dtype in which the model worked, as given or as the numbers show.
    tokens : RecordedTokens
        The same for each token.
    settings : dict
        Shape of the record, how the dtype is known, the ceiling below which rounding explains steps.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify_trajectory(dl.trajectory(dl.zoo.logistic(2.8), [0.3], 255).states)
    >>> found.summary(), found.dtype, found.settled_at > 0
    ('settled', 'float64', True)
    """

    verdict: str
    rate: float
    rate_error: float
    floor: float
    settled_at: int
    period: int
    closure: float
    dichotomy: str
    reason: str
    drift: float
    growth: float
    growth_error: float
    step: float
    dtype: str
    tokens: RecordedTokens
    settings: Mapping[str, Any] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        """Return the share of every verdict over tokens, largest first; "periodic" with its period."""
        names = [
            f"periodic({p})" if v == "periodic" else str(v)
            for v, p in zip(np.ravel(self.tokens.verdict), np.ravel(self.tokens.period), strict=True)
        ]
        return {name: count / len(names) for name, count in Counter(names).most_common()}

    def summary(self) -> str:
        """Say the verdict in one line, with the shares of tokens where they differ."""
        shares = self.shares()
        if len(shares) == 1:
            return next(iter(shares))
        return f"{self.verdict}: " + ", ".join(f"{100 * s:.3g} % of tokens {name}" for name, s in shares.items())

    def __repr__(self) -> str:
        return f"RecordedClassification: {self.summary()}\n  {self.reason}"
