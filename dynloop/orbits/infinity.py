"""What the map does far out: evaluate it at s·x to tell a ray from exponential growth from growth that saturates.

A window of growing norms proves nothing (0.9999 x + c looks like a ray for thousands of loops). The claim "ray" is
about s → ∞, so it is tested there (theory note T12).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.lasting_growth import lasting_growth

__all__ = ["Ray", "grows_without_bound", "rays"]

_HUGE = 1e140  # norms beyond this may overflow where they are squared
_FAR = (1e2, 1e4, 1e6)
_FURTHER = 1e3  # beyond the present state the flow at infinity is followed; more would only add rounding
_PATIENCE = 4096  # loops that are always allowed for that
_RELAX = 256  # most loops in which bounded coordinates beside a ray come to rest
_EPS = float(np.finfo(float).eps)
_STEP, _TRIES = 0.5, 200  # length in log t, and most steps, of the flow at infinity
_AT_REST = 1e-4  # relative speed of the flow at which directions have settled
_AHEAD = 4  # loops over which a growth factor is taken, so that rotation and non-normality average out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ray:
    """Whether the growing rows of a state follow a ray.

    Attributes
    ----------
    holds : bool
        Whether every test passed.
    reason : str
        Which test failed, or what passed.
    velocity : ndarray, (rows,)
        ‖c‖, the length that a growing row gains per loop at infinity; nan for other rows, and where no ray was solved.
    cosine : ndarray, (rows,)
        Between the state and the solved ray direction; nan likewise.
    """

    holds: bool
    reason: str
    velocity: Array
    cosine: Array


def rays(m: LoopMap, states: Array, loops: int, growing: Array) -> list[Ray]:
    """Test whether growing rows run along a ray, by evaluating increments at s·x, s = 10², 10⁴, 10⁶.

    Three things must hold: the increments at s·x tend to constants c(u) as s grows; the present increment is already
    such a constant, so that the orbit is in its far regime; and the flow dv/dτ = c(v) − v, which x_t/t obeys in
    logarithmic time τ = log t, settles on a v* = c(v*) ≠ 0 from the present state. Directions may still be far from v*:
    in logarithmic time even a fast approach takes many loops.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    states : ndarray, (batch, *state_shape)
        The last states.
    loops : int
        Loops done.
    growing : ndarray of bool, (batch, rows)
        Which rows grow; the others are left as they are.

    Returns
    -------
    list of Ray
        One a state.
    """
    select = _selection(m, growing)
    far = [_increment(m, states, s, select)[0] for s in _FAR]
    size = row_norms(m, far[-1])
    first, second = (row_norms(m, b - a) for a, b in pairwise(far))
    noise = 1e3 * np.finfo(float).eps * _FAR[-1] * row_norms(m, states)
    constant = (first <= 0.05 * size) & (second <= np.maximum(0.2 * first, noise)) & (size > 0)
    present = row_norms(m, far[0] - _step(m, states)) <= 0.02 * size
    ready = (constant & present | ~growing).all(axis=1)
    nothing = np.full(m.rows, np.nan)
    found = [
        Ray(
            holds=False, velocity=nothing, cosine=nothing,
            reason="the orbit has not reached its far regime yet"
            if (c | ~g).all()
            else "increments at s·x do not tend to constants",
        )
        for c, g in zip(constant, growing, strict=True)
    ]  # fmt: skip
    if ready.any():
        solved = _settle(m, states[ready], loops, select[ready], growing[ready])
        for b, ray in zip(np.flatnonzero(ready), solved, strict=True):
            found[b] = ray
    return found


def _settle(m: LoopMap, states: Array, loops: int, select: Array, growing: Array) -> list[Ray]:
    """Follow dv/dτ = c(v) − v by Heun's method from the mean velocities x_t/t until each stops, or does not."""
    far, spent = _FURTHER * max(loops, 1), 0
    v = np.where(select, states / max(loops, 1), 0.0)
    settled = np.zeros(len(v), dtype=bool)
    for _ in range(_TRIES):
        active = np.flatnonzero(~settled)
        now, chosen = v[active], select[active]
        slope, first = _slope(m, now, states[active], far, chosen)
        speed = row_norms(m, slope) / np.maximum(row_norms(m, now), np.finfo(float).tiny)
        ahead, second = _slope(m, now + _STEP * slope, states[active], far, chosen)
        v[active] += 0.5 * _STEP * (slope + ahead)
        spent += first + second
        settled[active] = np.where(growing[active], speed, 0.0).max(axis=1) <= _AT_REST
        if settled.all() or spent > max(_PATIENCE, 4 * loops) or not np.isfinite(v).all():
            break
    speed, here = row_norms(m, v), row_norms(m, states)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = (states * v).reshape(len(v), m.rows, -1).sum(axis=2)
        cosine = np.where(growing, along / (here * speed), np.nan)
    moved = (speed > 1e-3 * row_norms(m, _slope(m, v, states, far, select)[0] + v)) | ~growing
    found = []
    for b in range(len(v)):
        holds = bool(settled[b] and moved[b].all())
        velocity = np.where(growing[b], speed[b], np.nan)
        reason = "increments at s·x tend to constants, directions settle"
        if not holds:
            reason = (
                "increments at s·x tend to constants, but directions keep turning in logarithmic time or settle late"
            )
        found.append(Ray(holds=holds, velocity=velocity, cosine=cosine[b], reason=reason))
    return found


def _slope(m: LoopMap, v: Array, states: Array, far: float, select: Array) -> tuple[Array, int]:
    """Return c(v) − v, and how many loops that took."""
    c, loops = _increment(m, np.where(select, v, states), far, select)
    return np.where(select, c - v, 0.0), loops


def grows_without_bound(
    m: LoopMap, state: Array, factor: float, growing: Array, *, loops: int = 0, tangents: bool = True
) -> bool:
    """Say whether growth by `factor` per loop persists at s·x for every s up to overflow, and for ever there.

    At every scale F(s·x) must be s·F(x) to leading order. A linear map is homogeneous at every scale whatever it does
    later, so the map far out is then followed with its size taken out (`lasting_growth`).

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
    loops : int
        Loops done.
    tangents : bool
        Whether the derivative may be used.
    """
    if not factor > 1 + 1e-9:
        return False
    select = _selection(m, growing[None])[0]
    if not select.any():
        return False  # angles alone
    size = float(np.abs(state[select]).max())
    scales = 10.0 ** np.array([0, 2, 4, 8, 16, 32, 64, 100])
    here = _later(m, state)
    for s in scales[scales * size < _HUGE]:
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
    return lasting_growth(m, state, select, growing, loops, tangents=tangents)


def _later(m: LoopMap, state: Array) -> Array:
    x = m.native(state[None])
    with np.errstate(all="ignore"):
        for _ in range(_AHEAD):
            x = m(x)
    later: Array = m.numpy(x)[0]
    return later


def _selection(m: LoopMap, growing: Array) -> Array:
    """Return which coordinates to scale, ``(batch, *state_shape)``: those of growing rows that are no angles."""
    rows = np.repeat(growing, m.state_shape[-1], axis=1).reshape(-1, *m.state_shape)
    return rows if m.periods is None else np.asarray(rows & np.isnan(m.periods))


def _increment(m: LoopMap, states: Array, s: float, select: Array) -> tuple[Array, int]:
    """Return the increments at s·x after as many loops as bring them to rest, and how many.

    Coordinates that contract beside a ray were scaled with the others, or are known there to the rounding of s·x only:
    they come to where they belong within some loops, in which a ray moves by a share 1/s.
    """
    x = np.where(select, s * states, states)
    now = _step(m, x)
    norms, scaled = row_norms(m, x), select.reshape(len(x), m.rows, -1).any(axis=2)
    loops = 1
    while loops < _RELAX:
        x, loops = x + now, loops + 1
        before, now = now, _step(m, x)
        change, size = row_norms(m, now - before), row_norms(m, now)
        with np.errstate(divide="ignore", invalid="ignore"):  # a ray that turns rests no more than it moves on
            moves = size * np.where(scaled, np.fmax(1e-6, size / norms), 1e-6)
        if not np.any(change > np.maximum(moves, 1e2 * _EPS * norms)):
            break
    return now, loops


def _step(m: LoopMap, x: Array) -> Array:
    with np.errstate(all="ignore"):
        return m.displacement(m.numpy(m(m.native(x))), x)
