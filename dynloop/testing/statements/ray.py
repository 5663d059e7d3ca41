"""T12: on a ray the increments tend to constants that do not close, though relative to the state they vanish."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.verdict import Regime
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import EPS

__all__ = ["Ray"]

_FAR = (1e4, 1e6)  # loops' worth of distance at which increments are compared
_TURNS = 400  # steps of direction ← c(direction)
_LOOPS = 16
_CONSTANT = 1e-2


class Ray(Statement):
    """T12: ‖x_i‖ → ∞ along u_i*, increments depending on directions up to O(1/‖x‖) ⇒ u* = c/‖c‖, ‖x_t‖ ~ t‖c‖."""

    name, title = "T12", "ray"
    claim = "On a ray the increments tend to constants that add up to the velocity: the polygon does not close."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, all of the state runs along a ray, and increments far out are constants."""
        yield autonomous(orbit)
        name = "every ‖x_i‖ → ∞ and directions converge"
        others = [i for i, regime in enumerate(orbit.regimes) if regime is not Regime.RAY]
        if others:
            i = next((i for i in others if orbit.regimes[i] is not Regime.UNDECIDED), others[0])
            holds = None if orbit.regimes[i] is Regime.UNDECIDED else False
            yield Hypothesis(name=name, holds=holds, reason=orbit.said_of(i))
            return
        yield Hypothesis(name=name, holds=True, reason="the verdict is RAY")
        sums, velocity, _ = _far(orbit)
        size = float(np.linalg.norm(velocity))
        odd = max(float(np.linalg.norm(b - a)) for a, b in zip(*sums, strict=True)) / max(size, 1e-300)
        said = f"from distance {_FAR[0]:.0e} to {_FAR[1]:.0e} increments change by {odd:.1e} of the velocity"
        yield Hypothesis(name="each increment far out depends on directions alone", holds=odd <= _CONSTANT, reason=said)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Follow the loop far out along the ray, and add up the increments there."""
        m = orbit.exact
        (_, increments), velocity, x = _far(orbit)
        speed = float(np.linalg.norm(velocity))
        with np.errstate(all="ignore"):
            step = m.displacement(m.numpy(m(m.native(x[None])))[0], x)
            later = m.numpy(m.watch(m.native(x[None]), _LOOPS, m.native(x[None])).states)[0]
        rounding = 1e2 * EPS * (m.layer_count + 1) * float(np.linalg.norm(x)) / speed
        yield Measured(
            quantity="‖Σc_l − c‖ / ‖c‖ far out", value=float(np.linalg.norm(increments.sum(axis=0) - step)) / speed,
            bound=rounding, source="rounding of the far state",
        )  # fmt: skip
        moved = float(np.linalg.norm(m.displacement(later, x) - _LOOPS * velocity)) / (_LOOPS * speed)
        yield Measured(
            quantity=f"‖x_{_LOOPS} − x_0 − {_LOOPS}c‖ / ({_LOOPS}‖c‖) far out", value=moved, bound=_CONSTANT + rounding,
            source="increments are constant to 1 %",
        )  # fmt: skip
        cosine = _cosines(m, x, velocity)
        yield Measured(
            quantity="1 − least cosine of u* and c(u*)", value=float(1 - cosine.min()), bound=1e-4,
            source="directions solved to 1 %",
        )  # fmt: skip


def _far(orbit: Orbit) -> tuple[tuple[Array, Array], Array, Array]:
    """Return the layers' increments at two distances ``(k, *s)``, their sum at the further, and the state there."""
    m = orbit.exact
    state = orbit.state / max(1, int(orbit.loops.max()))
    velocity = state
    for _ in range(_TURNS):
        far = _FAR[1] * velocity
        with np.errstate(all="ignore"):
            new = m.displacement(m.numpy(m(m.native(far[None])))[0], far)
        if not np.isfinite(new).all() or not new.any():
            break
        change = float(np.linalg.norm(new - velocity)) / max(float(np.linalg.norm(new)), 1e-300)
        velocity = 0.5 * (velocity + new)
        if change < 1e-6:
            break
    states = [s * velocity for s in _FAR]
    found = []
    for x in states:
        sections = m.numpy(m.sections(m.native(x[None])))[:, 0]
        found.append(m.displacement(sections[1:], sections[:-1]))
    return (found[0], found[1]), found[1].sum(axis=0), states[1]


def _cosines(m: LoopMap, x: Array, velocity: Array) -> Array:
    """Return the cosine of every row of the state with its velocity; rows whose velocity is zero say nothing."""
    along = (x * velocity).reshape(m.rows, -1).sum(axis=1)
    sizes = row_norms(m, x[None])[0] * row_norms(m, velocity[None])[0]
    told = row_norms(m, velocity[None])[0] > 1e-6 * np.linalg.norm(velocity)
    return np.where(told, along / np.maximum(sizes, 1e-300), 1.0)
