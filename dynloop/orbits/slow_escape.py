"""Orbits that leave the unstable fixed point of an affine map too slowly for their norms to show it."""

from __future__ import annotations

import numpy as np

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.finding import Finding
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.leading_multiplier import leading_multiplier
from dynloop.orbits.solvers.polish import polish
from dynloop.orbits.verdict import Regime
from dynloop.result import Status

__all__ = ["leaving_slowly"]

_DENSE = 256  # most coordinates of which all multipliers are asked
_DIRECTIONS = 16  # at random, and that of the orbit, in which the map is compared with its linear part
_SCALES = np.concatenate([2.0 ** (np.arange(-8, 160) / 8), 10.0 ** np.arange(7, 101, 3)])  # times the orbit's distance
_AFFINE = 1e-2  # of the growth per loop: how far the map may be off its linear part, relative to the distance
_THERE = 1e-6  # cosine of an orbit to the left eigenvector, below which rounding may have put it there
_EPS = float(np.finfo(np.float64).eps)


@np.errstate(over="ignore", invalid="ignore")  # a map that is not affine may overflow far out
def leaving_slowly(q: Inquiry, b: int) -> Finding | None:
    """Solve for the fixed point of an affine map, and look whether an orbit has a part in an unstable direction.

    Parameters
    ----------
    q : Inquiry
        The batch; its last window has been measured.
    b : int
        The start.

    Returns
    -------
    Finding or None
        None where the map is not affine, as seen from the orbit outwards to overflow in directions at random, where
        no multiplier lies outside the unit circle beyond doubt, or where the orbit has no part in its direction.

    Notes
    -----
    Of a map that is not affine the flow near the point tells nothing of what it does far out.
    """
    m = q.twin
    if m is None or m.causal or m.periods is not None or m.dimension > _DENSE:
        return None
    m, x = q.ready_tangents(), q.final[b]
    solved = polish(m, x, largest=float(q.watcher.largest[b].max()))
    if solved.status is not Status.SOLVED:
        return None
    point = solved.point
    J = dense_jacobian(m, point)
    if not np.isfinite(J).all():
        return None
    top = leading_multiplier(J)
    if not top.modulus - 1 > 10 * top.doubt:
        return None
    away = m.displacement(x, point)
    distance = float(np.linalg.norm(away))
    if not abs(np.vdot(top.left, away.reshape(-1))) > _THERE * distance:
        return None
    if not _is_affine(m, point, J, away, _AFFINE * (top.modulus - 1), q.rng):
        return None
    return Finding(
        regime=Regime.DIVERGENT, numbers={"growth": top.modulus},
        reason=f"the map is affine as far as it was seen ({_DIRECTIONS + 1} directions, from here to overflow), with "
        f"an unstable fixed point at the distance {distance:.3g}, which the orbit leaves by a factor "
        f"{top.modulus:.10g} per loop; T2 does not apply: the orbit does not converge",
    )  # fmt: skip


def _is_affine(m: LoopMap, point: Array, J: Array, away: Array, allowed: float, rng: np.random.Generator) -> bool:
    """Say whether F(x* + d) − x* = J·d to a relative error, for d along the orbit and at random, at every scale."""
    drawn = rng.standard_normal((_DIRECTIONS, *point.shape))
    size = np.linalg.norm(away)
    for direction in (away, *(d * (size / np.linalg.norm(d)) for d in drawn)):
        steps = _SCALES.reshape(-1, *[1] * point.ndim) * direction
        gaps = m.displacement(m.numpy(m(m.native(point + steps))), point).reshape(len(steps), -1)
        flat, length = steps.reshape(len(steps), -1), size * _SCALES
        rounding = 64 * m.layer_count * _EPS * np.linalg.norm(J, 2) * (length + np.linalg.norm(point))
        if not np.all(np.linalg.norm(gaps - flat @ J.T, axis=1) <= allowed * length + rounding):
            return False
    return True
