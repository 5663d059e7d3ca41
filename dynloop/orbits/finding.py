"""A finding: the verdict on one orbit (or one token of it) while it is still being gathered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dynloop.maps.base import Array
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["Finding", "undecided"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Finding:
    """One verdict with its numbers; the fields are those of `Classification`, the numbers those of `Evidence`."""

    regime: Regime
    reason: str
    period: int = -1
    rate: float = float("nan")
    rate_error: float = float("nan")
    dichotomy: str = "not applicable"
    status: Status = Status.DECIDED
    numbers: dict[str, Any] = field(default_factory=dict)
    point: Array | None = None

    def noting(self, note: str) -> Finding:
        """Return the finding with a remark added to its reason."""
        return replace(self, reason=f"{self.reason}; {note}")

    def knowing(self, **numbers: Any) -> Finding:
        """Return the finding with more numbers; those it has already stay."""
        return replace(self, numbers={**numbers, **self.numbers})


def undecided(reason: str, status: Status = Status.OUT_OF_LOOPS, **numbers: Any) -> Finding:
    """Return a finding that says why nothing was decided."""
    return Finding(regime=Regime.UNDECIDED, reason=reason, status=status, numbers=numbers)
