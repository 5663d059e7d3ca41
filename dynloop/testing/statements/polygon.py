"""T2 and T3: at the limit of an orbit the increments close a polygon, which is a point or has at least two edges."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.polygon import polygon
from dynloop.orbits.verdict import Regime
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, continuous, converges
from dynloop.testing.statements.limit import Limit
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import disturbed

__all__ = ["ClosedPolygon", "Dichotomy"]

_SOURCE = "residual and rounding of one loop"


class _AtTheLimit(Statement):
    by_token = True

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, the orbit (up to the token) converges, the layers are continuous."""
        yield autonomous(orbit)
        yield converges(orbit)
        if orbit.limit is not None:
            yield continuous(orbit)


class ClosedPolygon(_AtTheLimit):
    """T2: x_t → x* and every L_l continuous at x_l* ⇒ F(x*) = x* and Σ_l g_l(x_l*) = 0."""

    name, title = "T2", "closed polygon"
    claim = "At the limit of a converging orbit the increments add up to zero."

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Add up the increments at the solved limit, layer by layer."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        total = m.displacement(orbit.sections[1:], orbit.sections[:-1]).sum(axis=0)
        size = _scale(orbit)
        gap = row_norms(m, total[None])[0]
        known = disturbed(m, limit.point, m.layer_count)[-1] + 10 * limit.residual * size
        value, bound = _whole(orbit, gap / size, known / size)
        yield Measured(quantity="‖Σg_l‖ / largest ‖x_l‖", value=value, bound=bound, source=_SOURCE)


class Dichotomy(_AtTheLimit):
    """T3: either every increment is zero at the limit, or at least two are not; exactly one is impossible."""

    name, title = "T3", "dichotomy"
    claim = "At the limit all increments vanish, or at least two do not: never exactly one."

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Count the increments that are told from zero, and compare with the verdict."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        lengths, error = _edges(orbit, _error(orbit, limit))
        first, second = (float(x) for x in np.append(np.sort(lengths)[::-1], 0.0)[:2])
        regime = orbit.regimes[-1 if orbit.group is None else orbit.group]
        if first <= error:
            claimed = regime is Regime.CYCLIC  # the verdict says otherwise
            yield Measured(
                quantity=f"vanishing: largest of {m.layer_count} increments", value=np.inf if claimed else first,
                bound=error, source=_SOURCE,
            )  # fmt: skip
            return
        told = second > 10 * error or second <= error < first / 10
        claimed = regime is Regime.VANISHING and first > max(1e-6, 10 * error)
        active = int(np.sum(lengths > 10 * error))
        yield Measured(
            quantity=f"cyclic, {active} of {m.layer_count} increments are not zero: error / second largest",
            value=np.inf if claimed or second == 0 else error / second, bound=0.1,
            source=f"tenfold error; largest increment {first:.2g}",
            unclear="" if told else f"increments of size {second:.1e} cannot be told from their error, {error:.1e}",
        )  # fmt: skip


def _scale(orbit: Orbit) -> Array:
    """Return the largest norm of every row over the sections, never quite zero."""
    sizes = np.stack([orbit.sizes(x) for x in orbit.sections]).max(axis=0)
    return np.asarray(np.maximum(sizes, 1e-12 * max(float(sizes.max()), 1e-288)))


def _error(orbit: Orbit, limit: Limit) -> Array:
    """Return how well the increments at the limit are known, relative to the largest section, ``(rows,)``."""
    rate = float(np.nanmax(np.append(orbit.rates[: orbit.upto], 0.0)))
    slack = max(abs(1 - rate), 1e-4)  # a residual r leaves the point known to about r / (1 − ρ)
    known = disturbed(orbit.exact, limit.point, orbit.exact.layer_count, error=limit.residual / slack).max(axis=0)
    return np.asarray(known / _scale(orbit))


def _edges(orbit: Orbit, error: Array) -> tuple[Array, float]:
    """Return the increments relative to the largest section, ``(layers,)``, and their error."""
    m, group = orbit.exact, orbit.group
    # of a causal map that is spoken of as a whole, all rows together
    shape = polygon(m, m.native(orbit.point[None]), joint=group is None, largest=float(_scale(orbit).max()))
    return shape.increments[group or 0], float(error[orbit.rows].max())


def _whole(orbit: Orbit, value: Array, bound: Array) -> tuple[float, float]:
    """Return the pair of the row that comes nearest to its bound, of the rows that are spoken of."""
    value, bound = value[orbit.rows], bound[orbit.rows]
    i = int(np.argmax(value / np.maximum(bound, 1e-300)))
    return float(value[i]), float(bound[i])
