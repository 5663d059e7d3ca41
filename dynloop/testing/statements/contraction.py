"""T11: a contraction of a closed set has one fixed point there, approached from everywhere by its factor."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.calculus.singular import singular_values
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Status
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, converges
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured

__all__ = ["Contraction"]

_DIMENSIONS = 4096  # coordinates up to which ‖DF‖₂ is asked for
_RADII = (1.0, 0.5, 0.1)  # of the ball, at which it is sampled
_LOOPS, _LONGEST = 64, 1024  # fewest and most loops of the comparison


class Contraction(Statement):
    """T11 (Banach): ‖F(x) − F(y)‖ ≤ q‖x − y‖, q < 1, on a closed set that F keeps ⇒ one fixed point there.

    The error is at most qᵗ/(1−q)·‖x₁−x₀‖. The set is the ball about the solved limit that reaches to the orbit, which F
    keeps where it contracts. Its factor is sampled, not proved: the largest ‖DF‖₂ at the limit and in the ball.
    """

    name, title = "T11", "contraction"
    claim = "Where the loop shortens every distance by q < 1 there is one fixed point, and the error falls as qᵗ."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, the orbit converges, and ‖DF‖₂ < 1 where it is sampled about the limit."""
        yield autonomous(orbit)
        name = "‖F(x) − F(y)‖ ≤ q‖x − y‖ with q < 1 on a closed set that F keeps"
        found = converges(orbit)
        if orbit.limit is None or found.holds is not True:
            holds = None if found.holds is not False else _no_contraction(orbit)
            yield Hypothesis(name=name, holds=holds, reason=found.reason)
            return
        if m.dimension > _DIMENSIONS:
            said = f"‖DF‖₂ is not asked for beyond {_DIMENSIONS} coordinates"
            yield Hypothesis(name=name, holds=None, reason=said)
            return
        q = _norm(orbit.exact, orbit.limit.point)
        said = f"‖DF‖₂ = {q:.4g} at the limit"
        if not q < 1:
            said += ": no contraction in the Euclidean norm; another norm may do"
            yield Hypothesis(name=name, holds=None, reason=said)
            return
        factor, radius = _factor(orbit)
        said = f"q = {factor:.4g}, the largest ‖DF‖₂ sampled on a ball of radius {radius:.2g}"
        yield Hypothesis(name=name, holds=True if factor < 1 else None, reason=said)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Follow the orbit from the edge of the ball, and compare its error with Banach's."""
        if orbit.limit is None:
            return
        exact, x = orbit.exact, orbit.limit.point
        q, radius = _factor(orbit)
        edge = _edge(orbit, radius)
        loops = int(np.clip(np.log(1e-13) / np.log(max(q, 1e-3)), _LOOPS, _LONGEST))  # until the bound is rounding
        watch = exact.watch(exact.native(edge[None]), loops, exact.native(x[None]))
        steps, errors = (np.linalg.norm(a[:, 0], axis=1) for a in (watch.steps, watch.returns))
        first = max(float(steps[0]), 1e-300)
        rounding = 1e2 * (exact.precision + orbit.limit.residual) * max(float(np.linalg.norm(x)), radius) / (1 - q)
        bound = q ** np.arange(1, loops + 1) / (1 - q) * first + rounding
        told = steps[:-1] > 1e2 * rounding
        faster = bool(np.any(steps[1:][told] > q * (1 + 1e-9) * steps[:-1][told]))
        yield Measured(
            quantity=f"largest error / (qᵗ/(1−q)·‖x₁−x₀‖) of {loops} loops, q = {q:.4g}",
            value=float((errors / bound).max()), bound=1.0, source="q sampled, rounding",
            unclear="steps fall more slowly than the sampled q" if faster else "",
        )  # fmt: skip


def _no_contraction(orbit: Orbit) -> bool | None:
    """Return False where the orbit itself excludes a contraction of a bounded set about it: it does not converge."""
    return False if orbit.trouble == "" else None


def _norm(m: LoopMap, x: Array) -> float:
    found = singular_values(m, m.native(x[None])[0], 1)
    return float(found.values[0]) if found.status is Status.SOLVED else np.inf


def _edge(orbit: Orbit, radius: float) -> Array:
    """Return the point of the ball's edge that lies towards the start."""
    assert orbit.limit is not None  # noqa: S101 - callers look
    x = orbit.limit.point
    away = orbit.exact.displacement(orbit.map.numpy(orbit.start)[0], x)
    size = float(np.linalg.norm(away))
    if size == 0:
        away, size = np.ones_like(x), float(np.sqrt(x.size))
    return np.asarray(x + radius / size * away)


def _factor(orbit: Orbit) -> tuple[float, float]:
    """Return the largest ‖DF‖₂ that is sampled, and the radius of the ball: the largest on which it stays below 1."""
    assert orbit.limit is not None  # noqa: S101 - callers look
    m, x = orbit.exact, orbit.limit.point
    reach = float(np.linalg.norm(m.displacement(orbit.map.numpy(orbit.start)[0], x)))
    rng = np.random.default_rng(0)
    centre = _norm(m, x)
    q, radius = np.inf, reach or 1.0
    for radius in (reach or 1.0) * np.array([1.0, 0.1, 0.01]):
        random = rng.standard_normal((len(_RADII), *x.shape))
        random /= np.linalg.norm(random.reshape(len(_RADII), -1), axis=1).reshape(-1, *(1,) * x.ndim)
        towards = (_edge(orbit, radius) - x) / radius
        sampled = [x + r * radius * d for r, d in zip((*_RADII, 1.0, 0.5), (*random, towards, towards), strict=True)]
        q = max(centre, *(_norm(m, point) for point in sampled))
        if q < 1:
            break
    return float(q), float(radius)
