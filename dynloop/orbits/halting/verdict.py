"""The record `HaltingRules`: when each rule would have stopped each orbit, whether it was right, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.verdict import Classification
from dynloop.result import Result

__all__ = ["HaltingRules"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class HaltingRules(Result):
    """When each halting rule would have stopped, and whether it was right.

    Arrays have shape ``(rules, batch)`` unless they say otherwise; no batch axis if the start had none.

    Attributes
    ----------
    rules : tuple of str
        ``relative_step``, ``kl``, ``acceleration``, ``argmax_stable``: the rows.
    stopped_at : ndarray of int64
        Loops done when the rule was first met; −1 where it never was, or is not applicable.
    right : ndarray of bool
        Whether it stopped, and rightly.
    judgement : array of str
        "right", "wrong", "never stopped", "unknown" or "not applicable".
    error : ndarray
        The error at the stop in the rule's own terms: `state_error` for the rules on states, `output_error` for
        ``kl``, `changed` for ``argmax_stable``. nan where nothing stopped or nothing is known.
    state_error : ndarray
        Relative distance from the state at the stop to the limit, the largest over tokens; where nothing converges, to
        the farthest later state.
    output_error : ndarray
        D(p ‖ p at the stop) in nats, the largest over answers, p the outputs at the limit; where nothing converges,
        the largest over later loops. nan without logits.
    changed : ndarray
        Share of answers that differ from those at the limit; where nothing converges, the largest over later loops.
    reason : array of str
        One sentence a judgement.
    regime : array of str, (batch,)
        The regimes of the orbit, as `classify` said.
    classification : Classification
        Its verdict in full.
    settings : dict
        Thresholds, tolerances, loops.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.halting_rules(dl.zoo.logistic(2.8), [[0.1], [0.3]])
    >>> found.stopped_at.shape == (len(found.rules), 2), found.regime.tolist()
    (True, ['VANISHING', 'VANISHING'])
    """

    rules: tuple[str, ...]
    stopped_at: Array
    right: Array
    judgement: Array
    error: Array
    state_error: Array
    output_error: Array
    changed: Array
    reason: Array
    regime: Array
    classification: Classification
    settings: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """Say for every rule how often it was right, wrong, and so on, one line a rule."""
        lines = []
        for i, rule in enumerate(self.rules):
            verdicts, counts = np.unique(np.ravel(self.judgement[i]), return_counts=True)
            order = np.argsort(-counts, kind="stable")
            said = ", ".join(f"{counts[j]} {verdicts[j]}" for j in order)
            stops = np.ravel(self.stopped_at[i])
            stops = stops[stops >= 0]
            when = f"; loop {stops.min()}–{stops.max()}, median {np.median(stops):.0f}" if len(stops) else ""
            lines.append(f"{rule}: {said}{when}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        text = self.summary().replace("\n", "\n  ")
        return f"HaltingRules of {self.settings.get('map', 'a map')}:\n  {text}"
