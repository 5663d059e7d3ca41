"""T1: a fixed point of the loop is one for every cyclic permutation of its layers, seen from its section."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, limit_point
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import disturbed

__all__ = ["Rotation"]


class Rotation(Statement):
    """T1 (Proposition 4.1): F(x*) = x* ⇒ x_l* is fixed by the loop that begins at layer l; for F^p alike."""

    name, title = "T1", "fixed points rotate"
    claim = "The sections of a fixed point are fixed by the loops that begin there."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, and F^p(x*) = x* at a point that the orbit comes to."""
        yield autonomous(orbit)
        yield limit_point(orbit)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Run the rotated loops from the sections."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        k, p = m.layer_count, limit.period
        known = disturbed(m, limit.point, k * (p + 1), error=limit.residual)
        worst, allowed = 0.0, np.inf
        for l in range(k):
            x = m.native(orbit.sections[l][None])
            turned = m.rotate(l)
            moved = turned.watch(x, p, x).returns[-1, 0]
            bound = known[k * p + l]
            i = int(np.argmax(moved / np.maximum(bound, 1e-300)))
            size = max(float(row_norms(m, orbit.sections[l][None]).max()), 1e-300)
            if allowed == np.inf or moved[i] / max(bound[i], 1e-300) > worst / max(allowed, 1e-300):
                worst, allowed = float(moved[i]) / size, float(bound[i]) / size
        yield Measured(
            quantity="largest ‖F_l(x_l) − x_l‖ / ‖x_l‖", value=worst, bound=allowed,
            source="residual and rounding, carried through the layers",
        )  # fmt: skip
