"""When each halting rule of the literature would have stopped a loop, and whether it was right: `halting_rules`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.orbits.halting.stopping import RULES, Rules, log_probabilities, thresholds_for
from dynloop.orbits.halting.stops import Stops, judge
from dynloop.orbits.halting.verdict import HaltingRules
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification

__all__ = ["halting_rules"]

Progress = Callable[[int, int], None]


def halting_rules(
    m: LoopMap,
    starts: Any = None,
    *,
    loops: int = 256,
    thresholds: Mapping[str, float] | None = None,
    logits: Callable[[Any], Any] | None = None,
    state_tolerance: float = 0.05,
    output_tolerance: float = 0.01,
    classification: Classification | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> HaltingRules:
    """Say when each halting rule would have stopped, and whether it was right to.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where the orbits begin; ``m.start(rng)`` if left out.
    loops : int
        Loops for which the rules are followed. Where an orbit is not known to converge, as many loops again are
        iterated to see what became of states and outputs.
    thresholds : mapping, optional
        Thresholds in place of the defaults: ``relative_step`` (0.03), ``kl`` (5e-4 nats), ``acceleration`` (0.03),
        ``argmax_stable`` (5 loops).
    logits : callable, optional
        States ``(batch, *state_shape)`` to logits ``(batch, …, classes)``, for the rules on outputs. Left out, a
        checkpoint's own `decode` where it gives logits (``m.read_out == "logits"``); otherwise those two rules are not
        applicable.
    state_tolerance : float
        Relative distance to the limit up to which a rule on states is right.
    output_tolerance : float
        Divergence in nats up to which ``kl`` is right.
    classification : Classification, optional
        What `classify` said of the same map and starts, where it is at hand; it is asked for otherwise.
    rng : int or Generator
        For starts, and for `classify`.
    progress : callable, optional
        Called as ``progress(loops done, most loops)``.

    Returns
    -------
    HaltingRules
        Loop of the stop, judgement and errors: one row a rule, one column a start.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range.
    ShapeError
        If `starts`, the logits or `classification` do not fit.

    Notes
    -----
    A start stops in the first loop in which every token meets the rule:

    - ``relative_step``: ‖x_t − x_{t−1}‖ / ‖x_t‖ below the threshold. The default is that of the code of Geiping et al.
      2025 (arXiv 2502.05171), which averages over tokens.
    - ``kl``: D(p_{t−1} ‖ p_t) below the threshold, p the softmax of the logits (the same code, on the last token).
    - ``acceleration``: ‖Δ_t − Δ_{t−1}‖ / ‖x_t‖ below the threshold in two loops running, Δ_t = x_t − x_{t−1} (Pappone
      et al. 2025, arXiv 2509.23314, who do not divide by ‖x_t‖).
    - ``argmax_stable``: no answer changed in so many loops running (the code of Geiping et al.).

    The rules on states claim that the orbit has arrived. They are right only if it converges, by `classify`, and the
    state at the stop is near the limit; on a ray, a drift, a cycle or chaos they are wrong however small the step was,
    and the error says how far later states went. The rules on outputs claim that the outputs stay: they are judged by
    the outputs at the limit, or, where the orbit is not known to converge, by those of every later loop up to
    ``2·loops``, and nothing is said of what comes after. On UNDECIDED orbits the rules on states are not judged.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.halting_rules(dl.zoo.logistic(2.8), [[0.1], [0.3]])
    >>> found.rules[0], found.right[0].tolist()
    ('relative_step', [True, True])
    >>> turning = dl.halting_rules(dl.zoo.logistic(3.2), [[0.1]], thresholds={"relative_step": 1.0})
    >>> int(turning.stopped_at[0, 0]) > 0, str(turning.judgement[0, 0])
    (True, 'wrong')
    """
    limits = thresholds_for(thresholds)
    tolerances = {"state": state_tolerance, "output": output_tolerance}
    _check(loops, tolerances, logits)
    generator = as_rng(rng)
    states, single = as_map(m).batch(starts, generator)
    m = m.in_dtype_of(states)
    if logits is None and getattr(m, "read_out", None) == "logits":
        logits = m.decode  # type: ignore[attr-defined] # only a checkpoint has read_out
    said = classify(m, states, rng=generator) if classification is None else classification
    regimes, ends = _of_starts(m, said, len(states))
    stops = _follow(m, states, ends, regimes, limits, loops, logits, tolerances["state"], progress)
    ruled = judge(stops, regimes, tolerances, exact=m.precision <= float(np.finfo(np.float64).eps))
    names = np.array([" + ".join(dict.fromkeys(r.name for r in row)) for row in regimes])
    if single:
        ruled, names = {name: array[:, 0] for name, array in ruled.items()}, names[0]
    settings = {
        "map": m.name, "dtype": m.dtype_name, "loops": loops, "thresholds": limits, "tolerances": tolerances,
        "logits": logits is not None,
    }  # fmt: skip
    return HaltingRules(rules=RULES, regime=names, classification=said, settings=settings, **ruled)


def _check(loops: int, tolerances: Mapping[str, float], logits: Any) -> None:
    checked_int(loops, "loops", 8, meaning="the loops to follow", remedy="Leave it out for 256")
    for name, value in tolerances.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 < value < np.inf:
            raise InvalidArgumentError(f"{name}_tolerance must be a positive number; got {value!r}")
    if logits is not None and not callable(logits):
        raise InvalidArgumentError(
            f"logits must be a callable, states to logits; got {type(logits).__name__}. Pass logits=m.decode."
        )


def _of_starts(m: LoopMap, said: Classification, batch: int) -> tuple[Array, Array]:
    """Return the regimes ``(batch, groups)`` and final states of a classification, seen to fit the starts."""
    if not isinstance(said, Classification):
        raise InvalidArgumentError(
            f"classification must be what dynloop.classify returned; got {type(said).__name__}. Leave it out."
        )
    groups, shape = m.state_shape[0] if m.causal else 1, tuple(np.shape(said.states))
    if np.size(said.regime) != batch * groups or int(np.prod(shape)) != batch * m.dimension:
        raise ShapeError(
            f"classification is of states of shape {shape}, and the starts are {(batch, *m.state_shape)}; classify the "
            "same starts, or leave it out"
        )
    final = said.states if shape[1:] == m.state_shape else said.states[None]
    return np.reshape(said.regime, (batch, groups)), m.numpy(m.native(final))


def _follow(
    m: LoopMap, states: Any, ends: Array, regimes: Array, limits: Mapping[str, float], loops: int,
    logits: Callable[[Any], Any] | None, near: float, progress: Progress | None,
) -> Stops:  # fmt: skip
    """Iterate, ask the rules in every loop, and keep what they stopped at."""
    now = m.numpy(states)
    at_end = None if logits is None else log_probabilities(logits, m.native(ends))
    rules, stops = Rules(m, now, limits), Stops(m, regimes, now, ends, at_end)
    last = loops if stops.converges.all() else 2 * loops
    for t in range(1, last + 1):
        states = m.watch(states, 1, states).states
        now = m.numpy(states)
        outputs = None if logits is None else log_probabilities(logits, states)
        stops.later(now, outputs)
        if t <= loops:
            stops.take(t, rules.see(now, outputs), now, outputs)
        if t == last // 2:
            stops.pass_halfway(now)
        if progress is not None:
            progress(t, last)
        if stops.converges.all() and stops.all_stopped and stops.arrived(now, near):
            break
    stops.finish(now)
    return stops
