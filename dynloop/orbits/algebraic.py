"""Orbits that come to a fixed point like a power of the loop: its multiplier is ±1, terms beyond it bring them in.

No finite window shows that steps sum. What is shown is the map itself between the orbit and the solved point: at every
scale down to rounding it leads inwards, by the same power of the distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eig

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.convergence import named
from dynloop.orbits.finding import Finding
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.solvers.polish import polish
from dynloop.orbits.verdict import Regime

__all__ = ["creeping_in"]

_TRIES = 256  # starts of one batch that are looked at
_EPS = float(np.finfo(np.float64).eps)
_DENSE = 256  # most coordinates of which all multipliers are asked
_NEUTRAL, _FAST = 1e-2, 0.98  # how near to modulus one the slow multiplier must be, and how far the others
_SCALES, _LEAST = 100, 9  # distances that are looked at, two an octave, and how many must lie above rounding
_POWER = 0.1  # by which the power of the law may differ from an integer, at any scale
_FORETOLD = 0.05  # relative error allowed of the distance that the law foretells


@dataclass(frozen=True, slots=True, eq=False)
class _Slow:
    """The slow direction of a marginal point: with multiplier ±1, the rest contracting by `rest` a loop."""

    multiplier: float
    left: Array  # (n,), its product with `right` is 1
    right: Array  # (n,), of length 1
    rest: float

    @property
    def rounds(self) -> int:
        """Loops after which an orbit is back on its side."""
        return 1 if self.multiplier > 0 else 2

    @property
    def relax(self) -> int:
        """Loops, a multiple of `rounds`, in which the rest dies out."""
        return self.rounds * int(np.ceil(np.log(1e-8) / np.log(max(self.rest, 1e-3)) / self.rounds))

    def along(self, m: LoopMap, states: Array, point: Array) -> Array:
        """Return how far states lie from a point along the direction, ``(batch,)``."""
        return np.asarray(m.displacement(states, point).reshape(len(states), -1) @ self.left)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # states far from the limit may run away
def creeping_in(q: Inquiry, b: int) -> Finding | None:
    """Solve for the marginal fixed point that a slowing orbit comes to, and test the law by which it does.

    Parameters
    ----------
    q : Inquiry
        The batch; its last window has been measured.
    b : int
        The start; its steps fall, but neither geometrically nor as slowly as drift.

    Returns
    -------
    Finding or None
        None where anything remains open: no solution at rounding, more than one slow direction, a distance of which no
        single power rules, a scale at which the map does not lead inwards.

    Notes
    -----
    On the slow direction F(u) = ±(u − c u^k + …): steps fall like t^(−k/(k − 1)). An odd k is asked for on both sides,
    so that an interval is mapped into itself and holds a fixed point whatever rounding does. An even k is one-sided,
    and the ghost of a fold looks the same until it is passed: F(x) = x must then hold to the last bit. Below a distance
    at which rounding hides the map nothing is claimed but that the limit lies there.
    """
    if q.twin is None or q.m.causal or q.m.dimension > _DENSE or q.algebraic >= _TRIES:
        return None
    q.algebraic += 1
    m, x, largest = q.ready_tangents(), q.final[b], float(q.watcher.largest[b].max())
    solved = polish(m, x, largest=largest, steps=100)
    point = _origin_if_fixed(m, solved.point, x)
    slow = _slow_direction(m, point)
    if slow is None:
        return None
    point = _sharpened(m, slow, x, point)
    gap = m.displacement(_after(m, point[None], 1)[0], point)
    residual, scale = float(np.linalg.norm(gap)), float(np.linalg.norm(point))
    loops = int(q.watcher.loops[b])
    law = _law(m, slow, x, point, loops)
    if law is None or residual > 64 * _EPS * scale or (law.power % 2 == 0 and residual > 0):
        return None
    shape = polygon(m, m.native(point[None]), joint=True, largest=largest)
    error = np.full(len(shape.perimeter), 1e2 * (m.layer_count * 4 * _EPS + law.least / max(scale, law.least)))
    numbers = {"residual": residual / max(scale, 4 * _EPS * largest), "spectral_radius": abs(slow.multiplier),
               "distance": law.distance / max(scale, law.distance), **lengths(shape, 0)}  # fmt: skip
    steps = law.power / (law.power - 1)
    finding = named(
        shape.kind(error)[0], numbers, 1.0,
        f"algebraic: step ~ t^-{steps:.3g}, multiplier {slow.multiplier:.6g}; from the distance {law.distance:.1e} "
        f"down to {law.least:.1e} the map leads to a fixed point by the power {law.power} of the distance"
        f"{'' if law.power % 2 else ' (from this side only)'}, and {loops} more loops came as near as that foretells",
    )  # fmt: skip
    if finding.regime is Regime.UNDECIDED:
        return None
    return replace(finding, point=point).knowing(**numbers)


@dataclass(frozen=True, slots=True, eq=False)
class _Law:
    power: int
    distance: float  # of the orbit from the point, along the slow direction
    least: float  # distance down to which the law was seen


def _law(m: LoopMap, slow: _Slow, x: Array, point: Array, loops: int) -> _Law | None:
    """Return the law by which the map leads inwards between the orbit and the point, if one power rules throughout."""
    rounds, relax = slow.rounds, slow.relax
    inside = _measured(m, slow, point, _between(point, x, m))
    if inside is None:
        return None
    u, step = inside
    powers = np.diff(np.log(np.abs(step))) / np.diff(np.log(np.abs(u)))
    power = round(float(np.median(powers)))
    if power < 2 or np.any(np.abs(powers - power) > _POWER):
        return None
    if power % 2:
        outside = _measured(m, slow, point, _between(point, x, m, -1.0))
        if outside is None:
            return None
    least = float(np.abs(u[-1]))
    strength = float(np.abs(step[-1] / u[-1]))  # c·u^(k−1) at the least distance
    if abs(abs(slow.multiplier) - 1) > max(1e-7, 2 * power * strength):
        return None
    begin = float(np.abs(slow.along(m, _after(m, x[None], relax), point)[0]))
    later = _after(m, x[None], relax + rounds * (loops // rounds))
    end = float(np.abs(slow.along(m, later, point)[0]))
    c = float(np.abs(step[0])) / float(np.abs(u[0])) ** power
    foretold = (begin ** (1 - power) + (power - 1) * c * (loops // rounds)) ** (-1 / (power - 1))
    if not abs(end - foretold) <= _FORETOLD * foretold:
        return None
    return _Law(power, float(np.abs(u[0])), least)


def _measured(m: LoopMap, slow: _Slow, point: Array, states: Array) -> tuple[Array, Array] | None:
    """Return distances and steps along the slow direction, largest first, once the fast ones have died out.

    Down to where steps drown in rounding; None if a step does not lead inwards, or too few can be seen.
    """
    states = _after(m, states, slow.relax)
    after = _after(m, states, slow.rounds)
    u = slow.along(m, states, point)
    step = slow.along(m, after, point) - u
    scale = np.linalg.norm(point) + np.linalg.norm(m.displacement(states, point).reshape(len(states), -1), axis=1)
    noise = 1e3 * slow.rounds * _EPS * scale * np.linalg.norm(slow.left)
    seen = np.isfinite(u) & np.isfinite(step) & (np.abs(step) >= noise)
    count = int(np.append(seen, False).argmin())
    if count < _LEAST:
        return None
    u, step = u[:count], step[:count]
    if np.any(u == 0) or np.any(step / u >= 0) or np.any(step / u <= -0.5):
        return None
    return u, step


def _between(point: Array, x: Array, m: LoopMap, side: float = 1.0) -> Array:
    """Return states ever nearer to a point, from a state on or across from it."""
    sizes = side * 0.5 ** (np.arange(_SCALES) / 2)
    return np.asarray(point + sizes.reshape(-1, *[1] * x.ndim) * m.displacement(x, point))


def _sharpened(m: LoopMap, slow: _Slow, x: Array, point: Array) -> Array:
    """Move a multiple root to where the law says it is: the k-th root of a step is proportional to the distance."""
    found = _measured(m, slow, point, _between(point, x, m))
    if found is None or slow.multiplier < 0 or not np.any(point):
        return point
    u, step = (each[: max(_LEAST, len(each) * 2 // 3)] for each in found)
    power = round(float(np.median(np.diff(np.log(np.abs(step))) / np.diff(np.log(np.abs(u))))))
    if power < 2:
        return point
    slope, intercept = np.polyfit(u[-_LEAST:], np.sign(u[-_LEAST:]) * np.abs(step[-_LEAST:]) ** (1 / power), 1)
    moved = point - intercept / slope * slow.right.reshape(point.shape)
    moved = _after(m, moved[None], slow.relax)[0]
    return moved if np.linalg.norm(m.displacement(moved, point)) < 0.1 * np.abs(u[0]) else point


def _slow_direction(m: LoopMap, point: Array) -> _Slow | None:
    """Return the one multiplier of modulus one, with its direction; None if there is none, or more than one."""
    if not np.isfinite(point).all():
        return None
    J = dense_jacobian(m, point)
    if not np.isfinite(J).all():
        return None
    values, left, right = eig(J, left=True, right=True)
    order = np.argsort(-np.abs(values))
    top, rest = order[0], float(np.abs(values[order[1]])) if len(order) > 1 else 0.0
    value = values[top]
    if value.imag != 0 or abs(abs(value) - 1) > _NEUTRAL or rest > _FAST:
        return None
    w, v = left[:, top].real, right[:, top].real
    if abs(w @ v) < 1e-6 * np.linalg.norm(w) * np.linalg.norm(v):
        return None
    return _Slow(float(value.real), w * (np.linalg.norm(v) / (w @ v)), v / np.linalg.norm(v), rest)


def _origin_if_fixed(m: LoopMap, point: Array, x: Array) -> Array:
    """Return the origin in place of a point that Newton brought near to it, if the map leaves it where it is.

    Newton comes to a multiple root by a factor a step and stops somewhere before it.
    """
    origin = np.zeros_like(point)
    if np.linalg.norm(point) <= 1e-2 * np.linalg.norm(x) and np.array_equal(_after(m, origin[None], 1)[0], origin):
        return origin
    return point


def _after(m: LoopMap, states: Array, loops: int) -> Array:
    now = m.native(np.asarray(states, dtype=np.float64))
    with np.errstate(all="ignore"):
        while loops > 0:
            now = m.watch(now, min(loops, 1024), now).states if loops > 16 else m(now)
            loops -= min(loops, 1024) if loops > 16 else 1
    return np.asarray(m.numpy(now), dtype=np.float64)
