"""T6: a spectral radius below 1 at the limit means that nearby states approach it, whatever one loop stretches."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.calculus.jacobian import DENSE, jacobian
from dynloop.calculus.spectrum import multipliers
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Status
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, limit_point
from dynloop.testing.statements.limit import Limit
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import disturbed

__all__ = ["Stability"]

_SMALL = 1e-6  # relative size of the disturbances
_SMALLER = 1e-3  # factor by which they are made smaller where they do not die out
_SHRUNK = 1e-2  # ‖DF^N‖ at which N is long enough
_PUSHES = 16384  # tangents that are pushed through a loop, at most, for the matrix DF^p
_LONGEST = 4096  # loops that a disturbance is followed


class Stability(Statement):
    """T6: ρ(DF^p(x*)) < 1 ⇒ x* is locally asymptotically stable, at the rate ρ^{1/p} a loop."""

    name, title = "T6", "stability"
    claim = "If every multiplier lies within the unit circle, small disturbances of the limit die out."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, with a solved fixed point or cycle, and ρ < 1 there beyond its error."""
        yield autonomous(orbit)
        yield limit_point(orbit)
        if orbit.limit is not None:
            yield _radius(orbit, orbit.limit)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Disturb the limit a little, and compare what is left after N loops with ‖DF^N‖."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        p, x = limit.period, limit.point
        rho = multipliers(m, m.native(x[None])[0], 1, period=p).radius
        if m.dimension <= DENSE and m.dimension * p <= _PUSHES:
            loops, growth, peak = _norms(jacobian(m.power(p), x))
        else:
            loops, growth, peak = int(np.clip(np.ceil(np.log(_SHRUNK) / np.log(max(rho, 1e-3))), 1, None)), np.nan, 1.0
        if loops * p > _LONGEST:
            yield Measured(
                quantity=f"loops until disturbances fall by {1 / _SHRUNK:.0f}", value=float(loops * p), bound=_LONGEST,
                source="loops that are followed", unclear="the decay is too slow to be seen",
            )  # fmt: skip
            return
        rounding = float(np.linalg.norm(disturbed(m, x, m.layer_count * p, error=limit.residual)[-1]))
        size = max(float(np.linalg.norm(x)), 1e-3 * float(np.linalg.norm(orbit.map.numpy(orbit.start)))) or 1.0
        step = _SMALL * size / max(1.0, peak / 10)
        left = _left(m, x, step, loops * p)
        if left > 2 * _SHRUNK:  # perhaps it left the small neighbourhood in which the map is nearly linear
            step *= _SMALLER
            left = _left(m, x, step, loops * p)
        noise = 10 * peak * rounding / step  # rounding of every loop, carried on
        unclear = f"loops stretch up to {peak:.1e}-fold, so that rounding hides the decay" if noise > 0.5 else ""
        known = bool(np.isfinite(growth))
        yield Measured(
            quantity=f"share of a disturbance left after {loops * p} loops, ρ = {rho:.4g}", value=left,
            bound=2 * _SHRUNK + noise if known else 0.5,
            source=f"‖DF^N‖₂ = {growth:.1e} and rounding" if known else "it has halved",
            unclear=unclear if known or left <= 0.5 else "‖DF^N‖ is not known; it may need more loops",
        )  # fmt: skip


def _radius(orbit: Orbit, limit: Limit) -> Hypothesis:
    """Test whether ρ(DF^p) < 1."""
    name = "ρ(DF^p) < 1"
    found = multipliers(orbit.exact, orbit.exact.native(limit.point[None])[0], 1, period=limit.period)
    if found.status is not Status.SOLVED:
        return Hypothesis(name=name, holds=None, reason="the multipliers were not found")
    error = 10 * float(found.errors[0]) + 1e-7
    said = f"ρ = {found.radius:.6g} ± {error:.0e}"
    holds = True if found.radius + error < 1 else False if found.radius - error >= 1 else None
    return Hypothesis(name=name, holds=holds, reason=said)


def _norms(A: Array) -> tuple[int, float, float]:
    """Return N = 2^j with ‖A^N‖₂ small, that norm, and the largest norm met on the way."""
    loops, peak, size = 1, 1.0, float(np.linalg.norm(A, 2))
    while size > _SHRUNK and loops < _LONGEST and np.isfinite(size):
        peak = max(peak, size)
        A, loops = A @ A, 2 * loops
        size = float(np.linalg.norm(A, 2))
    return (loops, size, max(peak, size)) if size <= _SHRUNK else (_LONGEST + 1, size, peak)


def _left(m: LoopMap, x: Array, step: float, loops: int) -> float:
    """Return the largest share of some random disturbances of length `step` that is left."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4, *x.shape))
    directions *= step / np.linalg.norm(directions.reshape(4, -1), axis=1).reshape(-1, *(1,) * x.ndim)
    states = m.native(np.concatenate([x[None], x + directions]))
    with np.errstate(all="ignore"):
        later = m.numpy(m.watch(states, loops, states).states)
    gaps = m.displacement(later[1:], x[None]).reshape(4, -1)
    return float(np.nan_to_num(np.linalg.norm(gaps, axis=1) / step, nan=np.inf).max())
