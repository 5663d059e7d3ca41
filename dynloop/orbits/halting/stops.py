"""What a batch of orbits was when the rules stopped it, what became of it, and so whether each rule was right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.halting.stopping import RULES, changed, divergence
from dynloop.orbits.paths.apart import apart
from dynloop.orbits.verdict import Regime

__all__ = ["Stops", "judge"]

_CONVERGES = (Regime.VANISHING, Regime.CYCLIC)
_ON_STATES = ("relative_step", "acceleration")
_NEARER = 1e-6  # a share of the distance to a limit, by which an orbit on its way to it comes nearer


class Stops:
    """States and outputs at every stop, and the errors they turned out to have.

    Parameters
    ----------
    m : LoopMap
        The map.
    regimes : object array of Regime, (batch, groups)
        What every orbit does.
    states : ndarray, (batch, *state_shape)
        The starts.
    ends : ndarray, (batch, *state_shape)
        The limits of those that converge.
    at_end : ndarray, (batch, answers, classes), or None
        Log-probabilities at `ends`.
    """

    def __init__(self, m: LoopMap, regimes: Array, states: Array, ends: Array, at_end: Array | None) -> None:
        self.m, self.ends, self.at_end = m, ends, at_end
        batch = len(states)
        self.converges = np.array([all(r in _CONVERGES for r in row) for row in regimes])
        self.at = np.full((len(RULES), batch), -1, dtype=np.int64)
        self.states = np.zeros((len(RULES), *states.shape))
        self.outputs = None if at_end is None else np.zeros((len(RULES), *at_end.shape))
        shape = (len(RULES), batch)
        self.state_error, self.output_error, self.changed = (np.full(shape, np.nan) for _ in range(3))
        self.largest = row_norms(m, states)
        self.halfway = self.gap = self._gap(states)
        self.near = np.full(batch, np.inf)

    @property
    def all_stopped(self) -> bool:
        """Whether every rule that can be asked has stopped every orbit."""
        asked = [i for i, name in enumerate(RULES) if name in _ON_STATES or self.outputs is not None]
        return bool((self.at[asked] >= 0).all())

    def pass_halfway(self, states: Array) -> None:
        """Measure how far the limits still are, half the loops done; what comes nearer afterwards is on its way."""
        self.halfway = self._gap(states)

    def _gap(self, states: Array) -> Array:
        """Return ‖x − limit‖, the largest over rows, ``(batch,)``."""
        with np.errstate(all="ignore"):
            return np.asarray(row_norms(self.m, self.m.displacement(states, self.ends)).max(axis=1))

    @property
    def least(self) -> Array:
        """What counts as zero on every orbit so far, ``(batch, rows)``."""
        return np.asarray(4 * self.m.precision * self.largest)

    def arrived(self, states: Array, tolerance: float) -> bool:
        """Say whether every orbit is near the end that was solved for."""
        return bool((apart(self.m, states, self.ends, self.least) <= tolerance).all())

    def take(self, t: int, met: Array, states: Array, outputs: Array | None) -> None:
        """Keep what the rules stopped at in loop `t`; `met` is ``(rules, batch)``."""
        for i, b in np.argwhere(met & (self.at < 0)):
            self.at[i, b], self.states[i, b] = t, states[b]
            if outputs is not None and self.outputs is not None:
                self.outputs[i, b] = outputs[b]
            if not self.converges[b]:  # nothing later has been seen yet
                self.state_error[i, b] = 0.0
                if outputs is not None:
                    self.output_error[i, b] = self.changed[i, b] = 0.0

    def later(self, states: Array, outputs: Array | None) -> None:
        """Compare stopped orbits that are not known to converge with a later state; the worst is kept."""
        with np.errstate(all="ignore"):
            self.largest = np.fmax(self.largest, row_norms(self.m, states))
        for i in range(len(RULES)):
            b = np.flatnonzero((self.at[i] >= 0) & ~self.converges)
            if len(b):
                self._worst(i, b, states[b], None if outputs is None else outputs[b])

    def finish(self, states: Array) -> None:
        """Compare stopped orbits that converge with their limits; `states` are the last ones."""
        self.gap, self.near = self._gap(states), apart(self.m, states, self.ends, self.least)
        for i in range(len(RULES)):
            b = np.flatnonzero((self.at[i] >= 0) & self.converges)
            if len(b):
                self._worst(i, b, self.ends[b], None if self.at_end is None else self.at_end[b])

    def _worst(self, i: int, b: Array, states: Array, outputs: Array | None) -> None:
        self.state_error[i, b] = np.fmax(
            self.state_error[i, b], apart(self.m, states, self.states[i, b], self.least[b])
        )
        if outputs is not None and self.outputs is not None:
            kept = self.outputs[i, b]
            self.output_error[i, b] = np.fmax(self.output_error[i, b], divergence(outputs, kept))
            self.changed[i, b] = np.fmax(self.changed[i, b], changed(outputs, kept))


def judge(stops: Stops, regimes: Array, tolerances: Mapping[str, float], *, exact: bool) -> dict[str, Array]:
    """Return the arrays of `HaltingRules`, each ``(rules, batch)``.

    Parameters
    ----------
    stops : Stops
        What was seen.
    regimes : object array of Regime, (batch, groups)
        What every orbit does.
    tolerances : mapping
        ``state`` and ``output``.
    exact : bool
        Whether the orbit was iterated in float64, so that it is the orbit that was classified.
    """
    judgement = np.empty(stops.at.shape, dtype=object)
    reason = np.empty(stops.at.shape, dtype=object)
    own = {"kl": stops.output_error, "argmax_stable": stops.changed}
    error = np.stack([own.get(name, stops.state_error)[i] for i, name in enumerate(RULES)])
    for i, b in np.ndindex(stops.at.shape):
        judgement[i, b], reason[i, b] = _one(stops, i, b, regimes[b], tolerances, exact=exact)
    unknown = judgement == "unknown"
    return {
        "stopped_at": stops.at,
        "right": judgement == "right",
        "judgement": judgement.astype(str),
        "error": np.where(unknown, np.nan, error),
        "state_error": stops.state_error,
        "output_error": stops.output_error,
        "changed": stops.changed,
        "reason": reason.astype(str),
    }


def _one(
    stops: Stops, i: int, b: int, regimes: Array, tolerances: Mapping[str, float], *, exact: bool
) -> tuple[str, str]:
    """Judge one rule on one orbit."""
    name = RULES[i]
    if name not in _ON_STATES and stops.outputs is None:
        return "not applicable", "no logits are at hand; pass logits=, a callable from states to logits"
    if stops.at[i, b] < 0:
        return "never stopped", "the threshold was not met"
    orbit = "the orbit is " + " + ".join(dict.fromkeys(r.name for r in regimes))
    if stops.converges[b]:
        approaching = exact and stops.gap[b] < (1 - _NEARER) * stops.halfway[b]
        if not (approaching or stops.near[b] <= tolerances["state"]):
            return "unknown", f"{orbit}, but it was not seen to come near the limit that was solved for"
        return _within(name, stops, i, b, tolerances, "the limit")
    if name in _ON_STATES:
        went = f"later states went {stops.state_error[i, b]:.2g} away"
        if all(r in (*_CONVERGES, Regime.UNDECIDED) for r in regimes):
            return "unknown", f"{orbit}: whether it converges is not known; {went}"
        return "wrong", f"{orbit}: nothing converged; {went}"
    return _within(name, stops, i, b, tolerances, "every later loop that was seen")


def _within(name: str, stops: Stops, i: int, b: int, tolerances: Mapping[str, float], where: str) -> tuple[str, str]:
    """Compare the error at a stop with the tolerance of the rule."""
    if name == "argmax_stable":
        share = stops.changed[i, b]
        return ("right" if share == 0 else "wrong"), f"{100 * share:.3g} % of answers are others at {where}"
    kind, value = ("output", stops.output_error[i, b]) if name == "kl" else ("state", stops.state_error[i, b])
    measure = f"{value:.2g} nats" if name == "kl" else f"a relative distance of {value:.2g}"
    verdict = "right" if value <= tolerances[kind] else "wrong"
    return verdict, f"{measure} from {where}, tolerance {tolerances[kind]:g}"
