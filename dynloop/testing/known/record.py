"""`KnownMap`: a map, a start and what is true of that orbit, and where a classification departs from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Classification, Regime

__all__ = ["KnownMap", "known"]

_DICHOTOMY = {"VANISHING": "vanishing", "CYCLIC": "cyclic"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KnownMap:
    """An orbit whose regime is known by construction.

    Attributes
    ----------
    name : str
        What it is.
    map : LoopMap
        The map.
    start : ndarray, state_shape
        Where the orbit begins.
    truth : tuple of frozenset of str
        Regimes that are right, one set a token of a causal map, else one set. Empty where no regime fits, so that only
        UNDECIDED is right; UNDECIDED is honest everywhere and never listed.
    period : tuple of (int or None)
        Least period of each group, None where unknown; 1 at a fixed point, −1 where there is none.
    limit : ndarray, state_shape, or None
        The fixed point that the orbit tends to, where it is known.
    rate : float or None
        Exact ρ(DF^p)^(1/p) on the limit, where it is known.
    """

    name: str
    map: LoopMap
    start: Array
    truth: tuple[frozenset[str], ...]
    period: tuple[int | None, ...]
    limit: Array | None = None
    rate: float | None = None

    @property
    def label(self) -> str:
        """The regimes that are right as one word, the kinds of all tokens joined."""
        kinds = sorted({"/".join(sorted(t)) or "NONE FITS" for t in self.truth})
        return "+".join(kinds)

    def wrong(self, found: Classification) -> list[str]:
        """Return what is wrong in a classification of this orbit, a sentence each; nothing of what is UNDECIDED.

        Parameters
        ----------
        found : Classification
            What `dynloop.classify` says of `start`.
        """
        faults = []
        regimes, periods = np.ravel(found.regime), np.ravel(found.period)
        kinds, reasons, rates = np.ravel(found.dichotomy), np.ravel(found.reason), np.ravel(found.rate)
        for g, (truth, period) in enumerate(zip(self.truth, self.period, strict=True)):
            name = regimes[g].name
            where = f"token {g}: " if len(self.truth) > 1 else ""
            if regimes[g] is Regime.UNDECIDED:
                continue
            if name not in truth:
                faults.append(f"{where}{name}({periods[g]}), not {'/'.join(sorted(truth)) or 'any'}: {reasons[g]}")
            elif period is not None and int(periods[g]) != period:
                faults.append(f"{where}{name} of period {periods[g]}, not {period}: {reasons[g]}")
            elif kinds[g] != _DICHOTOMY.get(name, "not applicable"):
                faults.append(f"{where}dichotomy {kinds[g]!r} beside {name}")
            elif self.rate is not None and len(self.truth) == 1 and not self._near_rate(float(rates[g])):
                faults.append(f"{where}{name} with rate {rates[g]:.9g}, not {self.rate:.9g}: {reasons[g]}")
            elif name in _DICHOTOMY and len(self.truth) == 1 and (gap := self._gap(found)) > self._allowed(found):
                faults.append(f"{where}{name}, but the limit is {gap:.1e} away: {reasons[g]}")
        return faults

    def _near_rate(self, rate: float) -> bool:
        assert self.rate is not None  # noqa: S101 - callers look
        loose = 0.15 if "polish" in self.name else 1e-3
        return np.isnan(rate) or abs(rate - self.rate) <= loose * max(self.rate, 0.1)

    def _gap(self, found: Classification) -> float:
        if self.limit is None:
            return 0.0
        state: Any = self.map.numpy(found.states)
        gap = np.linalg.norm(self.map.displacement(state, self.limit))
        return float(gap / max(np.linalg.norm(self.limit), np.linalg.norm(self.start)))

    def _allowed(self, found: Classification) -> float:
        return {"float64": 1e-6, "float32": 1e-3}.get(str(found.settings["dtype"]), 0.3)


def known(
    name: str,
    m: LoopMap,
    start: Array,
    truth: str | tuple[str, ...],
    *,
    period: int | tuple[int | None, ...] | None = None,
    limit: Array | None = None,
    rate: float | None = None,
) -> KnownMap:
    """Make a `KnownMap`; `truth` names regimes, blank-separated, or is a tuple of such, one a token.

    A `period` that is left out is 1 where only convergence is right, and −1 where only motion without period is.
    """
    truths = (truth,) if isinstance(truth, str) else truth
    sets = tuple(frozenset(t.split()) for t in truths)
    for one in sets:
        for regime in one:
            Regime[regime]
    periods = period if isinstance(period, tuple) else tuple(_period(one, period) for one in sets)
    return KnownMap(
        name=name, map=m, start=np.asarray(start, dtype=np.float64), truth=sets, period=periods, limit=limit, rate=rate
    )


def _period(truth: frozenset[str], given: int | None) -> int | None:
    if given is not None:
        return given
    if truth and truth <= {"VANISHING", "CYCLIC"}:
        return 1
    return None if "PERIODIC" in truth or truth & {"VANISHING", "CYCLIC"} else -1
