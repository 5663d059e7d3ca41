"""The vocabulary of verdicts: `Regime`, and the records `Evidence` and `Classification` that carry one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.unfinished import Unfinished
from dynloop.result import Result

__all__ = ["Classification", "Evidence", "Regime"]


class Regime(Enum):
    """What an orbit does for ever; the value is the claim in one sentence.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify(dl.zoo.logistic(2.8), [[0.3]])
    >>> found.regime[0] is dl.Regime.VANISHING, found.regime[0].name
    (True, 'VANISHING')
    """

    VANISHING = "converges; every increment is zero, so all sections are one point"
    CYCLIC = "converges; increments are non-zero and sum to zero, so the layers trace one closed cycle for ever"
    PERIODIC = "returns after p ≥ 2 loops, p minimal"
    QUASIPERIODIC = "bounded, never returns, largest exponent zero"
    CHAOTIC = "bounded, largest exponent positive beyond its error"
    RAY = "the norm grows linearly and the direction converges: the contribution vanishes relative to the state"
    DRIFT = "steps shrink to zero but do not sum: no limit is being approached"
    DIVERGENT = "leaves every bound exponentially, or is not finite"
    UNDECIDED = "the evidence does not decide; the reason says why and what would"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Evidence(Result):
    """The numbers behind a verdict.

    Every array has the shape of `Classification.regime` (``(batch,)``, or ``(batch, tokens)`` for a causal map) unless
    it says otherwise; nan where a number was not needed or could not be had. Relative numbers divide by
    max(‖x‖, floor × the largest norm seen on the orbit), row by row.

    Attributes
    ----------
    loops : ndarray of int
        Loops iterated before the verdict.
    step : ndarray
        Relative step ‖F(x) − x‖ / ‖x‖ of the last loop.
    norm : ndarray
        ‖x‖ after the last loop.
    floor : ndarray
        Relative precision floor: the step below which rounding hides the dynamics.
    growth : ndarray
        Factor by which the norm grew per loop over the last window.
    residual : ndarray
        Relative residual ‖F^p(x) − x‖ / ‖x‖ at the polished point.
    spectral_radius : ndarray
        ρ(DF^p) at the polished point.
    distance : ndarray
        Relative distance from the last state to the polished orbit.
    exponent, exponent_error : ndarray
        Largest Lyapunov exponent (natural log per loop) and its standard error.
    perimeter : ndarray
        Σ‖g_l‖ over the layers of one loop, relative to the largest section.
    closure : ndarray
        ‖Σ g_l‖ / Σ‖g_l‖: 0 for a closed polygon.
    largest_increment : ndarray
        max‖g_l‖, relative to the largest section.
    section_distance : ndarray
        Least distance between two of the k sections, relative to the largest section.
    increments : ndarray, (…, layers)
        ‖g_l‖ of every layer, relative to the largest section.
    loops_to_decide : ndarray
        For UNDECIDED: about how many more loops would decide, where that can be told; `reason` says why.
    status : object array of Status
        Why the computation stopped.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify(dl.zoo.logistic(2.8), [[0.3]])
    >>> found.evidence.status[0].name, found.evidence.spectral_radius.round(6).tolist()
    ('DECIDED', [0.8])
    >>> sorted(found.evidence.at(0))[:3]
    ['closure', 'distance', 'floor']
    """

    loops: Array
    step: Array
    norm: Array
    floor: Array
    growth: Array
    residual: Array
    spectral_radius: Array
    distance: Array
    exponent: Array
    exponent_error: Array
    perimeter: Array
    closure: Array
    largest_increment: Array
    section_distance: Array
    increments: Array
    loops_to_decide: Array
    status: Array

    def at(self, *index: int) -> dict[str, Any]:
        """Return the numbers at `index`, one start (and token), as a dictionary, nan left out."""
        row = {name: getattr(self, name)[index] for name in self.__dataclass_fields__}
        row["status"] = row["status"].value
        return {k: v for k, v in row.items() if not (np.ndim(v) == 0 and isinstance(v, float) and np.isnan(v))}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Classification(Result):
    """Which regime each orbit is in, with the evidence.

    Attributes
    ----------
    regime : object array of Regime
        Shape ``(batch,)``, or ``(batch, tokens)`` if the map is causal; no batch axis if the start had none.
    period : ndarray of int64
        1 at a fixed point, p ≥ 2 when PERIODIC, −1 where there is none.
    rate : ndarray of float64
        Asymptotic contraction factor per loop, ρ(DF^p)^(1/p); nan where there is none.
    rate_error : ndarray of float64
        How far the rate may be off: a first-order bound on the error of the eigenvalue, or the standard error of a fit
        where no limit was solved for (`reason` says which).
    dichotomy : array of str
        ``"vanishing"``, ``"cyclic"`` or ``"not applicable"`` (then `reason` names the hypothesis that fails).
    reason : array of str
        One sentence for the verdict.
    evidence : Evidence
        The numbers behind it.
    states : native array, (batch, *state_shape)
        Where the analysis ended: the polished point, or the last state.
    settings : dict
        What made this result: the map, its layers, dtype, budget, polish, and the tokens that a checkpoint has read.
    unfinished : Unfinished or None
        What is remembered of orbits that more loops may decide: ``classify(m, resume=this, loops=more)`` goes on from
        there.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify(dl.zoo.logistic(2.8), [[0.3], [0.6]])
    >>> found.summary(), found.rate.round(6).tolist(), found.states.round(6).ravel().tolist()
    ('100 % of starts VANISHING', [0.8, 0.8], [0.642857, 0.642857])
    """

    regime: Array
    period: Array
    rate: Array
    rate_error: Array
    dichotomy: Array
    reason: Array
    evidence: Evidence
    states: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    unfinished: Unfinished | None = None

    def names(self) -> Array:
        """Return the name of every regime as text, in the shape of `regime`; PERIODIC with its period."""
        names = [
            f"PERIODIC({p})" if r is Regime.PERIODIC else r.name
            for r, p in zip(np.ravel(self.regime), np.ravel(self.period), strict=True)
        ]
        return np.reshape(np.array(names, dtype=np.str_), np.shape(self.regime))

    def shares(self) -> dict[str, float]:
        """Return the share of every regime that occurs over starts and tokens, largest first; PERIODIC by period."""
        names = self.names().ravel()
        return {name: count / len(names) for name, count in Counter(names).most_common()}

    def summary(self) -> str:
        """Say in one line which regimes occur, e.g. ``"97 % of tokens CYCLIC, 3 % UNDECIDED"``."""
        what = "tokens" if self.settings.get("causal") else "starts"
        if np.ndim(self.regime) == 0:
            return next(iter(self.shares()))
        parts = [f"{100 * share:.3g} % of {what} {name}" for name, share in self.shares().items()]
        return ", ".join([parts[0], *(p.replace(f" of {what}", "") for p in parts[1:])])

    def __repr__(self) -> str:
        lines = [f"Classification of {self.settings.get('map', 'a map')}: {self.summary()}"]
        regimes, reasons = np.ravel(self.regime), np.ravel(self.reason)
        for i in _one_of_each(regimes, np.ravel(self.period))[:6]:
            lines.append(f"  {regimes[i].name}: {reasons[i]}")
        return "\n".join(lines)


def _one_of_each(regimes: Array, periods: Array) -> list[int]:
    """Return the first index of every kind of verdict."""
    seen: dict[tuple[str, int], int] = {}
    for i, (regime, period) in enumerate(zip(regimes, periods, strict=True)):
        seen.setdefault((regime.name, int(period)), i)
    return list(seen.values())
