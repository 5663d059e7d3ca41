"""T9: steps that sum lead to a limit, which is no further than the steps that are left."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.calculus.spectrum import multipliers
from dynloop.maps.base import LoopMap
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, converges
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured

__all__ = ["SummableSteps"]

_BEYOND = 1e3  # times the tail, from which on the limit that was solved for cannot be that of the orbit
_LAST = 8  # steps from which the rest of the sum is estimated


class SummableSteps(Statement):
    """T9: R_t = Σ_{u≥t} ‖x_{u+1} − x_u‖ < ∞ ⇒ x_t → x*, and ‖x_t − x*‖ ≤ R_t."""

    name, title = "T9", "summable steps"
    claim = "If the steps of an orbit sum, it converges, and is no further from its limit than the steps left."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map and the steps sum: by ρ < 1 at the solved limit (T6), not by a window."""
        yield autonomous(orbit)
        name = "the steps sum"
        found = converges(orbit)
        if found.holds is not True or orbit.limit is None:
            yield Hypothesis(name=name, holds=found.holds, reason=found.reason)
            return
        watch = orbit.approach
        if watch is not None and not watch.steps[-1].any():
            yield Hypothesis(name=name, holds=True, reason="they are exactly zero in the end")
            return
        radius = multipliers(orbit.exact, orbit.exact.native(orbit.limit.point[None])[0], 1).radius
        said = f"ρ = {radius:.6g} at the solved limit"
        if radius < 1 - 1e-7:
            yield Hypothesis(name=name, holds=True, reason=f"{said}: they fall geometrically (T6)")
            return
        yield Hypothesis(
            name=name,
            holds=None,
            reason=f"{said}; no finite window of steps shows that they sum where ρ is not below 1",
        )

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Compare the distance to the solved limit with the steps that are left, loop by loop and row by row."""
        watch, limit = orbit.approach, orbit.limit
        if watch is None or limit is None:
            return
        steps, distances = watch.steps[:, 0], watch.returns[:, 0]
        rate = min(float(np.nanmax(np.append(orbit.rates, 0.0))), 0.9999)
        size = np.maximum(orbit.sizes(limit.point), watch.norms.max(axis=(0, 1)) * 1e-300)
        point = (10 * limit.residual + 4 * m.precision) * size / (1 - rate)  # how well the limit itself is known
        tail = 10 * steps[-_LAST:].max(axis=0) / (1 - rate)
        left = np.cumsum(steps[::-1], axis=0)[::-1]  # left[t] = Σ_{u≥t} of the window
        excess = distances[:-1] / np.maximum(left[1:] + tail + point, 1e-300)
        worst = int(np.unravel_index(np.argmax(excess), excess.shape)[0])
        unclear = ""
        if float((tail / np.maximum(size, 1e-300)).max()) > 0.1:
            unclear = f"the steps are still large after {len(steps)} loops"
        elif excess.max() > 1 and np.all(distances[-1] <= _BEYOND * (tail + point)):
            unclear = "the tail beyond the window is not known well enough"
        yield Measured(
            quantity=f"largest ‖x_t − x*‖ / R_t of {len(steps)} loops (at loop {worst + 1})", value=float(excess.max()),
            bound=1.0, source="R_t: steps of the window, then a geometric tail", unclear=unclear,
        )  # fmt: skip
