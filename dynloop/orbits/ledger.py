"""The verdicts of a batch while they are gathered, kept as columns: many orbits with one limit share one entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.finding import Finding
from dynloop.orbits.unfinished import Unfinished
from dynloop.orbits.verdict import Classification, Evidence, Regime
from dynloop.result import Status

__all__ = ["Ledger"]

_NUMBERS = tuple(n for n in Evidence.__dataclass_fields__ if n not in ("increments", "status"))


class Ledger:
    """One line a group of every start: its finding, and numbers of its own.

    Parameters
    ----------
    batch, groups, layers : int
        How many starts, verdicts a start, and layers of the map.

    Attributes
    ----------
    decided : ndarray of bool, (batch, groups)
        Which lines are written.
    count : int
        How many are.
    """

    def __init__(self, batch: int, groups: int, layers: int) -> None:
        self.decided = np.zeros((batch, groups), dtype=bool)
        self._layers = layers
        self.count = 0
        self._findings: list[Finding] = []
        self._which = np.zeros((batch, groups), dtype=np.int64)
        self._own: dict[str, Array] = {}

    @property
    def unfinished(self) -> Array:
        """Which lines more loops may decide: UNDECIDED, and not for a reason that stays, ``(batch, groups)``."""
        says = [f.regime is Regime.UNDECIDED and f.status is not Status.DECIDED for f in self._findings]
        return np.asarray(np.array(says or [True])[self._which] | ~self.decided)

    def write(self, starts: Array, group: int, finding: Finding, own: Mapping[str, Array] | None = None) -> None:
        """Write one finding for a group of many starts; `own` are numbers that differ by start, ``(starts,)``.

        Lines that are written already stay.
        """
        fresh = ~self.decided[starts, group]
        rows = starts[fresh]
        self.decided[rows, group] = True
        self.count += len(rows)
        self._which[rows, group] = len(self._findings)
        self._findings.append(finding)
        for name, values in (own or {}).items():
            self._column(name)[rows, group] = np.asarray(values)[fresh]

    def copy(self, starts: Array, other: Ledger, note: str) -> None:
        """Write the lines of another ledger, one a start, a remark added to their reasons; written lines stay."""
        fresh = ~self.decided[starts]
        offset = len(self._findings)
        self._findings += [finding.noting(note) for finding in other._findings]
        self._which[starts] = np.where(fresh, other._which + offset, self._which[starts])
        for name, values in other._own.items():
            column = self._column(name)
            column[starts] = np.where(fresh, values, column[starts])
        self.decided[starts] = True
        self.count += int(fresh.sum())

    def fill(self, numbers: Mapping[str, Array]) -> None:
        """Give numbers ``(batch, groups)`` to the lines that have none of that name yet."""
        for name, values in numbers.items():
            known = self._number(name)
            self._own[name] = np.where(np.isnan(known), values, known)

    def _column(self, name: str) -> Array:
        return self._own.setdefault(name, np.full(self.decided.shape, np.nan))

    def _number(self, name: str) -> Array:
        """Return a number of every line: its own, else that of its finding."""
        shared = np.array([f.numbers.get(name, np.nan) for f in self._findings] or [np.nan], dtype=np.float64)
        values: Array = shared[self._which]
        own = self._own.get(name)
        return values if own is None else np.where(np.isnan(own), values, own)

    def assemble(
        self, *, states: Any, shape: tuple[int, ...], settings: dict[str, Any], unfinished: Unfinished | None
    ) -> Classification:
        """Put all lines into one record whose arrays have the given shape; every line must be written."""
        which = self._which.reshape(shape)

        def column(values: list[Any], dtype: Any = None) -> Array:
            array = np.empty(len(values), dtype=object)
            array[:] = values
            return np.asarray((array if dtype is None else array.astype(dtype)).take(which))

        found = self._findings
        numbers = {name: self._number(name).reshape(shape) for name in _NUMBERS}
        none = np.full(self._layers, np.nan)
        evidence = Evidence(
            **numbers | {"loops": numbers["loops"].astype(np.int64)},
            increments=np.array([f.numbers.get("increments", none) for f in found])[which],
            status=column([f.status for f in found]),
        )
        return Classification(
            regime=column([f.regime for f in found]),
            period=column([f.period for f in found], np.int64),
            rate=column([f.rate for f in found], np.float64),
            rate_error=column([f.rate_error for f in found], np.float64),
            dichotomy=column([f.dichotomy for f in found], np.str_),
            reason=column([f.reason for f in found], np.str_),
            evidence=evidence,
            states=states,
            settings=settings,
            unfinished=unfinished,
        )
