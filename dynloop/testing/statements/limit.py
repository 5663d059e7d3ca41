"""`Limit`: the fixed point or cycle that an orbit comes to, solved for in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.floor import row_norms
from dynloop.orbits.solvers.polish import polish, relative_residual
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

if TYPE_CHECKING:
    from dynloop.testing.statements.orbit import Orbit

__all__ = ["Limit", "solved_limit"]

_SETTLED = (Regime.VANISHING, Regime.CYCLIC, Regime.PERIODIC)
_NEAR = 1e-6  # relative residual of a state without a verdict from which a fixed point is looked for
_FAR = 1e-2  # relative distance from the last state beyond which a solution is another point


class Limit:
    """A fixed point or a cycle that was solved for in float64.

    Attributes
    ----------
    point : ndarray, state_shape
        One point of it.
    period : int
        1 at a fixed point.
    residual : float
        ‖F^p(x) − x‖ / ‖x‖, the largest of all rows that are solved for.
    rows : int
        How many leading rows are at the limit (all of them, except of a causal map whose later tokens are not).
    """

    __slots__ = ("period", "point", "residual", "rows")

    def __init__(self, point: Array, period: int, residual: float, rows: int) -> None:
        self.point, self.period, self.residual, self.rows = point, period, residual, rows


def solved_limit(orbit: Orbit) -> Limit | None:
    """Solve for the limit of the leading groups that have one; of all if only a residual speaks for one."""
    m, x = orbit.exact, orbit.state
    if not np.isfinite(x).all():
        return None
    groups = len(orbit.regimes)
    settled = np.array([r in _SETTLED for r in orbit.regimes]) & orbit.solved | orbit.attracted
    leading = int(np.append(~settled, True).argmax())
    period = math.lcm(*(max(1, int(p)) for p in orbit.periods[:leading])) if leading else 1
    if not leading:
        if any(r is not Regime.UNDECIDED for r in orbit.regimes):
            return None
        with np.errstate(all="ignore"):
            gap = m.displacement(m.numpy(m(m.native(x[None])))[0], x)
            if not np.nanmax(relative_residual(m, x, gap, 0.0)) <= _NEAR:
                return None
        leading = groups
    partial = leading < groups
    largest = float(orbit.sizes(x).max(initial=0.0))
    solved = polish(m, x, period=period, rows=leading if partial else None, largest=max(largest, 1e-300))
    rows = leading if m.causal else m.rows
    moved = row_norms(m, m.displacement(solved.point, x)[None])[0, :rows]
    if solved.status is not Status.SOLVED or np.any(moved > _FAR * max(largest, 1e-300)):
        return None
    return Limit(solved.point, period, float(np.nanmax(solved.residual)), rows)
