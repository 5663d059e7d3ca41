"""What a check of a statement says: outcome, hypotheses, measured numbers with their bounds, and the report of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["Hypothesis", "Judgement", "Measured", "Outcome", "StatementReport"]


class Outcome(Enum):
    """What a statement says of one orbit, or of one token of it.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import Outcome, statement
    >>> statement("T0").check(dl.zoo.henon()).status[0] is Outcome.APPLIES_HOLDS
    True
    """

    APPLIES_HOLDS = "holds"
    VIOLATED = "violated"
    DOES_NOT_APPLY = "does not apply"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Hypothesis:
    """One hypothesis of a statement, tested on one orbit.

    Attributes
    ----------
    name : str
        The hypothesis, as a clause.
    holds : bool or None
        None where a finite computation does not establish it.
    reason : str
        What was measured, or why it is not known.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import orbits_of, statement
    >>> m = dl.zoo.logistic(3.2)
    >>> [orbit] = orbits_of(m, [[0.3]])
    >>> [(one.name, one.holds) for one in statement("T3").hypotheses(m, orbit)][:2]
    [('the loop is one map', True), ('the orbit converges', False)]
    """

    name: str
    holds: bool | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """One number of a conclusion.

    Attributes
    ----------
    quantity : str
        What was measured.
    value : float
        The number.
    bound : float
        What the statement allows; `value` must not exceed it.
    source : str
        Where the bound comes from.
    unclear : str
        Why the number decides nothing, where it decides nothing; else empty.

    Examples
    --------
    >>> from dynloop.testing.statements import Measured
    >>> Measured(quantity="closing error", value=3e-16, bound=1e-14, source="rounding").holds
    True
    """

    quantity: str
    value: float
    bound: float
    source: str
    unclear: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value keeps within the bound; None where that is not known."""
        if self.unclear or math.isnan(self.value) or math.isnan(self.bound):
            return None
        return self.value <= self.bound


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Judgement:
    """What a statement says of one orbit, or of one token of it: the fields are those of `StatementReport`."""

    status: Outcome
    hypothesis: str = ""
    quantity: str = ""
    value: float = math.nan
    bound: float = math.nan
    source: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class StatementReport(Result):
    """What one statement says of every start.

    Arrays have shape ``(starts,)``, or ``(starts, tokens)`` where the statement speaks of every token of a causal map.

    Attributes
    ----------
    name, title, claim : str
        Of the statement, such as ``"T3"``.
    status : object array of Outcome
        APPLIES_HOLDS ("holds"); VIOLATED: the hypotheses are met and the conclusion fails beyond its error, so that the
        library, the adapter or the mathematics is wrong; DOES_NOT_APPLY; UNDECIDED.
    hypothesis : array of str
        The hypothesis that fails, or that is not established; empty where all are met.
    quantity : array of str
        What was measured for the conclusion; empty where nothing was.
    value, bound : ndarray of float64
        The number, and what is allowed; nan where nothing was measured.
    source : array of str
        Where the bound comes from.
    reason : array of str
        One sentence.
    settings : dict
        The map, its dtype, and the regimes of the starts.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import statement
    >>> report = statement("T3").check(dl.zoo.logistic(2.8), [[0.3], [0.6]])
    >>> report.summary(), report.status.shape, report.violated
    ('T3 dichotomy: holds', (2,), False)
    """

    name: str
    title: str
    claim: str
    status: Array
    hypothesis: Array
    quantity: Array
    value: Array
    bound: Array
    source: Array
    reason: Array
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def violated(self) -> bool:
        """Whether it is violated anywhere."""
        return any(one is Outcome.VIOLATED for one in np.ravel(self.status))

    def counts(self) -> dict[str, int]:
        """Return how often each outcome occurs, violations first."""
        found = Counter(one.value for one in np.ravel(self.status))
        order = ("violated", "holds", "undecided", "does not apply")
        return {name: found[name] for name in order if found[name]}

    def summary(self) -> str:
        """Say in one line what was found, e.g. ``"T3 dichotomy: holds"``."""
        counts = self.counts()
        said = (
            ", ".join(f"{name} {count}×" for name, count in counts.items()) if len(counts) > 1 else next(iter(counts))
        )
        return f"{self.name} {self.title}: {said}"

    def __repr__(self) -> str:
        lines = [self.summary()]
        seen: set[str] = set()
        for one, reason in zip(np.ravel(self.status), np.ravel(self.reason), strict=True):
            if one.value not in seen:
                seen.add(one.value)
                lines.append(f"  {one.value}: {reason}")
        return "\n".join(lines)
