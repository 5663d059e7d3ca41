"""What the map does far out: evaluate it at s·x to tell a ray from exponential growth from growth that saturates.

A window of growing norms proves nothing (0.9999 x + c looks like a ray for thousands of loops). The claim "ray" is
about s → ∞, so it is tested there (theory note T12).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["Ray", "grows_without_bound", "ray"]

_FAR = (1e2, 1e4, 1e6)
_TRIES = 200  # steps of the flow at infinity, of length 1/2 in log t
_AHEAD = 4  # loops over which a growth factor is taken, so that rotation and non-normality average out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ray:
    """Whether the growing rows of a state follow a ray.

    Attributes
    ----------
    holds : bool
        Whether every test passed.
    velocity : ndarray, (rows,)
        ‖c‖, the length that a growing row gains per loop at infinity; nan for other rows.
    cosine : ndarray, (rows,)
        Between the state and the solved ray direction; nan for other rows.
    reason : str
        Which test failed, or what passed.
    """

    holds: bool
    velocity: Array
    cosine: Array
    reason: str


def ray(m: LoopMap, state: Array, loops: int, growing: Array) -> Ray:
    """Test whether the growing rows run along a ray, by evaluating increments at s·x, s = 10², 10⁴, 10⁶.

    Three things must hold: the increments at s·x tend to constants c(u) as s grows; the present increment is already
    such a constant, so that the orbit is in its far regime; and the flow dv/dτ = c(v) − v, which x_t/t obeys in
    logarithmic time τ = log t, settles on a v* = c(v*) ≠ 0 from the present state. Directions may still be far from v*:
    in logarithmic time even a fast approach takes many loops.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    state : ndarray, state_shape
        The last state.
    loops : int
        Loops done.
    growing : ndarray of bool, (rows,)
        Which rows grow; the others are left as they are.
    """
    nothing = np.full(m.rows, np.nan)
    select = _selection(m, growing)
    far = [_increment(m, state, s, select) for s in _FAR]
    size = row_norms(m, far[-1][None])[0]
    first, second = (row_norms(m, (b - a)[None])[0] for a, b in itertools.pairwise(far))
    noise = 1e3 * np.finfo(float).eps * _FAR[-1] * row_norms(m, state[None])[0]
    with np.errstate(invalid="ignore"):
        constant = (first <= 0.05 * size) & (second <= np.maximum(0.2 * first, noise)) & (size > 0)
        if not np.all(constant[growing]):
            return Ray(
                holds=False, velocity=nothing, cosine=nothing, reason="increments at s·x do not tend to constants"
            )
    present = row_norms(m, (far[0] - _increment(m, state, 1.0, select))[None])[0]
    if not np.all((present <= 0.02 * size)[growing]):
        return Ray(holds=False, velocity=nothing, cosine=nothing, reason="the orbit has not reached its far regime yet")
    velocity, settled = _settle(m, state, loops, select, growing)
    speed, here = row_norms(m, velocity[None])[0], row_norms(m, state[None])[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(growing, (_rows(m, state) * _rows(m, velocity)).sum(axis=1) / (here * speed), np.nan)
    speed = np.where(growing, speed, np.nan)
    if not settled or not np.all(speed[growing] > 1e-3 * size[growing]):
        return Ray(holds=False, velocity=speed, cosine=cosine, reason="directions do not settle at infinity")
    return Ray(
        holds=True, velocity=speed, cosine=cosine, reason="increments at s·x tend to constants, directions settle"
    )


def _settle(m: LoopMap, state: Array, loops: int, select: Array, growing: Array) -> tuple[Array, bool]:
    """Follow dv/dτ = c(v) − v by Heun's method from the mean velocity x_t/t until it stops."""
    far = _FAR[-1] * max(loops, 1)
    v = np.where(select, state / max(loops, 1), 0.0)

    def slope(v: Array) -> Array:
        c = _increment(m, np.where(select, v, state), far, select)
        return np.where(select, c - v, 0.0)

    for _ in range(_TRIES):
        first = slope(v)
        with np.errstate(invalid="ignore"):
            if np.all(row_norms(m, first[None])[0][growing] <= 1e-4 * row_norms(m, v[None])[0][growing]):
                return v, True
        v = v + 0.25 * (first + slope(v + 0.5 * first))
    return v, False


def grows_without_bound(m: LoopMap, state: Array, factor: float, growing: Array) -> bool:
    """Say whether growth by `factor` per loop persists at s·x for every s up to overflow.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    state : ndarray, state_shape
        The last state.
    factor : float
        Growth per loop of the slowest growing row, measured.
    growing : ndarray of bool, (rows,)
        Which rows grow.
    """
    if not factor > 1 + 1e-9:
        return False
    select = _selection(m, growing)
    size = float(np.abs(state[select]).max())
    scales = 10.0 ** np.array([0, 2, 4, 8, 16, 32, 64, 100])
    here = _later(m, state)
    for s in scales[scales * size < 1e140]:
        x = np.where(select, s * state, state)
        later = _later(m, x)
        before, after = (row_norms(m, v[None])[0][growing] for v in (x, later))
        # an orbit that leaves exponentially is homogeneous of degree one far out: F(s·x) = s·F(x) to leading order
        odd = row_norms(m, np.where(select, later / s - here, 0.0)[None])[0][growing]
        with np.errstate(invalid="ignore"):
            gain = (after / before) ** (1 / _AHEAD)
            alike = odd <= 0.1 * (factor - 1) * after / s
        if not (np.all(np.isfinite(gain)) and np.all(gain >= 1 + 0.5 * (factor - 1)) and np.all(alike)):
            return False
    return True


def _later(m: LoopMap, state: Array) -> Array:
    x = m.native(state[None])
    with np.errstate(all="ignore"):
        for _ in range(_AHEAD):
            x = m(x)
    later: Array = m.numpy(x)[0]
    return later


def _selection(m: LoopMap, growing: Array) -> Array:
    """Return which coordinates to scale: those of growing rows that are no angles."""
    rows = np.repeat(growing, m.state_shape[-1]).reshape(m.state_shape)
    return rows if m.periods is None else np.asarray(rows & np.isnan(m.periods))


def _increment(m: LoopMap, state: Array, s: float, select: Array) -> Array:
    x = np.where(select, s * state, state)
    return m.displacement(m.numpy(m(m.native(x[None])))[0], x)


def _rows(m: LoopMap, state: Array) -> Array:
    return state.reshape(m.rows, m.state_shape[-1])
