"""The halting rules of the literature, loop by loop: what each measures, and for how many loops it must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import log_softmax

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["RULES", "THRESHOLDS", "Rules", "changed", "divergence", "log_probabilities", "thresholds_for"]

RULES = ("relative_step", "kl", "acceleration", "argmax_stable")
THRESHOLDS: Mapping[str, float] = {"relative_step": 0.03, "kl": 5e-4, "acceleration": 0.03, "argmax_stable": 5}
_TWICE = 2  # loops in a row for which the acceleration must be small


def thresholds_for(given: Mapping[str, float] | None) -> dict[str, float]:
    """Return the threshold of every rule, the defaults replaced by what is given."""
    found = dict(THRESHOLDS)
    for name, value in (given or {}).items():
        if name not in found:
            raise InvalidArgumentError(f"thresholds names the rule {name!r}; the rules are {', '.join(RULES)}")
        real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not real or not np.isfinite(value) or value <= 0:
            raise InvalidArgumentError(f"thresholds[{name!r}] must be a positive number; got {value!r}")
        if name == "argmax_stable" and value != int(value):
            raise InvalidArgumentError(f"thresholds['argmax_stable'] counts loops, so it must be an int; got {value!r}")
        found[name] = value
    return found


def log_probabilities(logits: Callable[[Any], Any], states: Any) -> Array:
    """Return log-probabilities ``(batch, answers, classes)`` of states in float64, from logits ``(batch, …, classes)``.

    Raises
    ------
    ShapeError
        If the logits have no axis of two classes or more, or another batch.
    """
    read = logits(states)
    if hasattr(read, "detach"):
        read = read.detach().cpu().double().numpy()
    values = np.asarray(read, dtype=np.float64)
    if values.ndim < 2 or len(values) != len(states) or values.shape[-1] < 2:
        raise ShapeError(
            f"logits must give (batch, …, classes) with two classes at least for {len(states)} states; got "
            f"{values.shape}"
        )
    with np.errstate(all="ignore"):
        return np.asarray(log_softmax(values.reshape(len(values), -1, values.shape[-1]), axis=-1))


def divergence(p: Array, q: Array) -> Array:
    """Return the largest Kullback–Leibler divergence D(p‖q) over the answers, in nats; from log-probabilities.

    What is not a number (logits that overflowed) is at infinity.
    """
    with np.errstate(all="ignore"):
        terms = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))
        found = np.maximum(terms.sum(axis=-1).max(axis=-1), 0.0)
    return np.where(np.isnan(found), np.inf, found)


def changed(p: Array, q: Array) -> Array:
    """Return the share of answers whose likeliest class differs, ``(batch,)``; a NaN is no answer."""
    lost = np.isnan(p).any(axis=-1) | np.isnan(q).any(axis=-1)
    return np.asarray((lost | (p.argmax(axis=-1) != q.argmax(axis=-1))).mean(axis=-1))


class Rules:
    """The four rules over a batch of orbits; a start meets a rule once all its tokens meet it in the same loop.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : ndarray, (batch, *state_shape)
        The starts x_0.
    thresholds : mapping
        See `thresholds_for`.
    """

    def __init__(self, m: LoopMap, states: Array, thresholds: Mapping[str, float]) -> None:
        self.m, self.thresholds, self.last = m, thresholds, states
        self.step: Array | None = None
        self.outputs: Array | None = None
        self.largest = row_norms(m, states)
        self.times = np.zeros((len(RULES), len(states)), dtype=np.int64)
        self.needed = np.array([1, 1, _TWICE, int(thresholds["argmax_stable"])])

    def see(self, states: Array, outputs: Array | None) -> Array:
        """Take in the states after one more loop, and their log-probabilities; return which rules are met.

        Returns
        -------
        ndarray of bool, (rules, batch)
        """
        m, holds = self.m, np.zeros((len(RULES), len(states)), dtype=bool)
        with np.errstate(all="ignore"):
            step, norms = m.displacement(states, self.last), row_norms(m, states)
            self.largest = np.fmax(self.largest, norms)
            scale = np.maximum(norms, 4 * m.precision * self.largest + np.finfo(float).tiny)
            holds[0] = ((row_norms(m, step) / scale) < self.thresholds["relative_step"]).all(axis=1)
            if self.step is not None:
                change = row_norms(m, step - self.step) / scale
                holds[2] = (change < self.thresholds["acceleration"]).all(axis=1)
            if outputs is not None and self.outputs is not None:
                holds[1] = divergence(self.outputs, outputs) < self.thresholds["kl"]
                holds[3] = changed(self.outputs, outputs) == 0
        self.last, self.step, self.outputs = states, step, outputs
        self.times = np.where(holds, self.times + 1, 0)
        return np.asarray(self.times >= self.needed[:, None])
