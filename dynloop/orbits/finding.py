"""A finding: the verdict on one orbit (or one token of it) while it is still being gathered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.verdict import Classification, Evidence, Regime
from dynloop.result import Status

__all__ = ["Finding", "assemble"]

_NUMBERS = tuple(n for n in Evidence.__dataclass_fields__ if n not in ("loops", "increments", "status"))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Finding:
    """One verdict with its numbers; the fields are those of `Classification`, the numbers those of `Evidence`."""

    regime: Regime
    reason: str
    period: int = -1
    rate: float = float("nan")
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


def assemble(
    findings: list[list[Finding]], layers: int, *, states: Any, shape: tuple[int, ...], settings: dict[str, Any]
) -> Classification:
    """Put the findings of a batch ``[start][group]`` into one record whose arrays have the given shape."""
    flat = [finding for start in findings for finding in start]

    def objects(values: list[Any]) -> Array:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.reshape(shape)

    def floats(name: str) -> Array:
        return np.array([f.numbers.get(name, np.nan) for f in flat], dtype=np.float64).reshape(shape)

    increments = np.array([f.numbers.get("increments", np.full(layers, np.nan)) for f in flat])
    evidence = Evidence(
        loops=np.array([f.numbers.get("loops", 0) for f in flat], dtype=np.int64).reshape(shape),
        increments=increments.reshape(*shape, layers),
        status=objects([f.status for f in flat]),
        **{name: floats(name) for name in _NUMBERS},
    )
    return Classification(
        regime=objects([f.regime for f in flat]),
        period=np.array([f.period for f in flat], dtype=np.int64).reshape(shape),
        rate=np.array([f.rate for f in flat], dtype=np.float64).reshape(shape),
        dichotomy=np.array([f.dichotomy for f in flat]).reshape(shape),
        reason=np.array([f.reason for f in flat]).reshape(shape),
        evidence=evidence,
        states=states,
        settings=settings,
    )
