"""Hypotheses that several statements share: one map, convergence, a solved limit, continuity at its sections."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Regime
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis

__all__ = ["autonomous", "continuous", "converges", "has_limit", "limit_point"]

AUTONOMOUS = "the loop is one map"
CONVERGES = "the orbit converges"
LIMIT = "the orbit comes to a fixed point or a cycle"
POINT = "the orbit comes to a point with F^p(x) = x"
CONTINUOUS = "every layer is continuous at its section of the limit"
_MOVING = (
    Regime.PERIODIC, Regime.QUASIPERIODIC, Regime.CHAOTIC, Regime.RAY, Regime.DRIFT, Regime.DIVERGENT,
)  # fmt: skip
_UNSETTLED = tuple(regime for regime in _MOVING if regime is not Regime.PERIODIC)
_STEPS = (1e-3, 1e-5, 1e-7, 1e-9)  # relative, at which a layer is tried for a jump


def autonomous(orbit: Orbit) -> Hypothesis:
    """Test that the same state gives the same result, also after another state was taken between."""
    gap, allowed = orbit.repeats, 8 * orbit.map.precision
    if gap > allowed:
        said = f"one state gave two results, {gap:.1e} apart (relative): the loop depends on more than its state"
        return Hypothesis(name=AUTONOMOUS, holds=False, reason=said)
    return Hypothesis(name=AUTONOMOUS, holds=True, reason=f"one state gave one result (gap {gap:.0e})")


def converges(orbit: Orbit) -> Hypothesis:
    """Test that the orbit converges, by its verdict and by the point that was solved for."""
    moving, open_one = orbit.first(*_MOVING), orbit.first(Regime.UNDECIDED)
    if moving is not None:
        return Hypothesis(name=CONVERGES, holds=False, reason=orbit.said_of(moving[0]))
    if open_one is not None:
        return Hypothesis(name=CONVERGES, holds=None, reason=orbit.said_of(open_one[0]))
    return _solved(CONVERGES, orbit)


def has_limit(orbit: Orbit) -> Hypothesis:
    """Test that the whole state comes to a fixed point or a cycle that was solved for."""
    moving, open_one = orbit.first(*_UNSETTLED), orbit.first(Regime.UNDECIDED)
    if moving is not None:
        return Hypothesis(name=LIMIT, holds=False, reason=orbit.said_of(moving[0]))
    if open_one is not None:
        return Hypothesis(name=LIMIT, holds=None, reason=orbit.said_of(open_one[0]))
    return _solved(LIMIT, orbit)


def limit_point(orbit: Orbit) -> Hypothesis:
    """Test that there is a solved fixed point or cycle, whether or not the orbit is known to converge to it."""
    if orbit.limit is not None and orbit.limit.rows >= orbit.exact.rows:
        said = f"solved to a residual of {orbit.limit.residual:.1e}"
        return Hypothesis(name=POINT, holds=True, reason=said)
    found = has_limit(orbit)
    return Hypothesis(name=POINT, holds=found.holds, reason=found.reason)


def _solved(name: str, orbit: Orbit) -> Hypothesis:
    limit = orbit.limit
    wanted = orbit.upto if orbit.map.causal else orbit.exact.rows
    if limit is None or limit.rows < wanted:
        why = "the map has no float64 twin to solve in" if not orbit.has_twin else "no solution was found there"
        return Hypothesis(name=name, holds=None, reason=f"the limit is not solved for: {why}")
    what = "" if limit.period == 1 else f" of period {limit.period}"
    return Hypothesis(name=name, holds=True, reason=f"limit{what} solved to a residual of {limit.residual:.1e}")


def continuous(orbit: Orbit) -> Hypothesis:
    """Test every layer at its section for a jump: its response must shrink with the perturbation, down to 1e-9."""
    m, sections = orbit.exact, orbit.sections
    for l, name in enumerate(m.layer_names):
        response = _responses(m, l, sections[l])
        size = np.linalg.norm(orbit.sizes(sections[l + 1])) + np.linalg.norm(orbit.sizes(sections[l]))
        if response[-1] > 1e-6 * size and response[-1] > 0.1 * response.max():
            said = f"layer {name!r} jumps by {response[-1]:.1e} under a perturbation of {_STEPS[-1]:.0e} (relative)"
            return Hypothesis(name=CONTINUOUS, holds=False, reason=said)
    return Hypothesis(name=CONTINUOUS, holds=True, reason=f"no jump is seen down to {_STEPS[-1]:.0e} (relative)")


def _responses(m: LoopMap, l: int, x: Array) -> Array:
    """Return how far layer l moves when its input is moved, the largest of four directions, by size of the step."""
    rng = np.random.default_rng(0)
    size = np.linalg.norm(x) / np.sqrt(x.size) or 1.0
    directions = rng.standard_normal((4, *x.shape)) * size
    states = np.concatenate([x[None], *(x + h * directions for h in _STEPS)])
    moved = m.numpy(m.layer(l, m.native(states)))
    gaps = m.displacement(moved[1:], moved[:1]).reshape(len(_STEPS), 4, -1)
    return np.asarray(np.linalg.norm(gaps, axis=2).max(axis=1))
