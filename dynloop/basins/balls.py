"""Neighbourhoods of an attracting cycle in few coordinates: ellipsoids that F^p was seen to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from dynloop.maps.base import Array, LoopMap

__all__ = ["Balls", "balls", "joined"]

_HALVINGS = 80
_SHARE = 0.7  # of the radius that was tried
_FACTORS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 0.001)  # of it, at which a ball is tried
_DIRECTIONS = 64, 256  # in the plane, in more dimensions
_ROUNDING = 1e6  # units of roundoff, relative to the state: the smallest ball
_POINTS = 20_000  # tried at once, of a long cycle


@dataclass(frozen=True, slots=True, eq=False)
class Balls:
    """Ellipsoids ``d·M d ≤ 1``, d the displacement from the centre.

    Attributes
    ----------
    centres, half : ndarray, (balls, n)
        Centres, and half widths of the boxes about them.
    metrics : ndarray, (balls, n, n)
        M.
    labels : ndarray of int64, (balls,)
        Whose they are.
    """

    centres: Array
    half: Array
    metrics: Array
    labels: Array


def balls(m: LoopMap, cycle: Array, others: Array, scale: Array, label: int = 0) -> Balls | None:
    """Return a ball for every point of an attracting cycle that F^p shrinks; None if none was found.

    Parameters
    ----------
    m : LoopMap
        The map.
    cycle : ndarray, (p, n)
        The points of the cycle.
    others : ndarray, (points, n)
        Points that a ball must not reach half way: those of the other attractors.
    scale : ndarray, (n,)
        Typical sizes of the coordinates; no ball is wider.

    Notes
    -----
    The norm is V(d)² = Σ_k ρ′^{−2k} ‖M^k d‖², M = DF^p and ρ′ half way from ρ(M) to 1: by it M shrinks by ρ′ or more.
    The radius is halved until F^p shrinks by (1 + ρ′)/2 at every one of some thousand points of the ball, in all
    directions and at thirteen radii; 0.7 of it is kept. That is evidence by sampling, no proof. Of a cycle with ρ = 1
    to within rounding the norm is the Euclidean one, and every point must come nearer.
    """
    p, n = cycle.shape
    loop = _products(m, cycle)
    radius = max(float(np.abs(np.linalg.eigvals(M)).max()) for M in loop)
    marginal = radius > 1 - 1e-6
    if radius > 1 + 1e-6 or not np.isfinite(radius):
        return None
    within = (1 + radius) / 2
    base = np.diag(1 / scale**2)
    metrics = np.array([base if marginal else solve_discrete_lyapunov((M / within).T, base) for M in loop])
    shrink = 1 - 1e-9 if marginal else (1 + within) / 2
    roots = np.linalg.cholesky(metrics)
    sizes = np.array([_largest(m, cycle, i, roots[i], others, scale) for i in range(p)])
    spokes = _spokes(n, max(8, _POINTS // (p * len(_FACTORS))))
    lengths = np.repeat(_FACTORS, len(spokes))
    rays = np.concatenate([factor * spokes for factor in _FACTORS])
    floor = 64 * m.precision * np.sqrt(np.einsum("ij,ij->", roots[0], roots[0])) * (np.abs(cycle).max() + 1e-300)
    # nearer than this, rounding alone brings states together
    width = np.array([np.sqrt(np.diag(np.linalg.inv(M)).min()) for M in metrics])
    least = _ROUNDING * m.precision * np.abs(cycle).max() / width
    left = np.arange(p)
    for _ in range(_HALVINGS):
        inverse = np.linalg.inv(roots[left])
        moved = np.einsum("rj,bjk->brk", rays, inverse) * sizes[left, None, None]
        ends = (cycle[left, None] + moved).reshape(-1, n)
        for _ in range(p):
            ends = m.numpy(m(ends.reshape(-1, *m.state_shape))).reshape(-1, n)
        gone = _displacement(m, ends.reshape(len(left), -1, n), cycle[left, None])
        with np.errstate(all="ignore"):
            after = np.linalg.norm(np.einsum("brj,bjk->brk", gone, roots[left]), axis=2)
            before = lengths * sizes[left, None]
            good = (after <= shrink * before + (0.0 if marginal else floor)).all(axis=1)
        left = left[~good]
        if len(left) == 0:
            break
        sizes[left] *= 0.5
        if (sizes[left] < least[left]).any():
            return None
    if len(left):
        return None
    metrics = metrics / (_SHARE * sizes[:, None, None]) ** 2
    half = np.sqrt(np.array([np.diag(np.linalg.inv(M)) for M in metrics]))
    return Balls(cycle.copy(), half, metrics, np.full(p, label, dtype=np.int64))


def joined(parts: Sequence[Balls], n: int) -> Balls:
    """Return the balls of several attractors as one; of none, no balls in n coordinates."""
    empty = Balls(np.empty((0, n)), np.empty((0, n)), np.empty((0, n, n)), np.empty(0, dtype=np.int64))
    parts = [empty, *parts]
    return Balls(*(np.concatenate([getattr(one, name) for one in parts]) for name in Balls.__slots__))


def _products(m: LoopMap, cycle: Array) -> Array:
    """Return DF^p at every point of the cycle, ``(p, n, n)``."""
    p, n = cycle.shape
    frames = np.broadcast_to(np.eye(n), (p, n, n)).reshape(p, n, *m.state_shape)
    states = m.native(cycle.reshape(p, *m.state_shape))
    _, columns = m.push(states, _like(states, frames))
    J = m.numpy(columns).reshape(p, n, n).transpose(0, 2, 1)
    found = np.empty_like(J)
    for i in range(p):
        found[i] = np.eye(n)
        for j in range(p):
            found[i] = J[(i + j) % p] @ found[i]
    return found


def _like(states: object, frames: Array) -> object:
    """Return frames in the array type of states."""
    return states.new_tensor(frames) if hasattr(states, "new_tensor") else np.ascontiguousarray(frames)


def _largest(m: LoopMap, cycle: Array, i: int, root: Array, others: Array, scale: Array) -> float:
    """Return the largest radius that is tried about point i: half way to any other, within scale and a quarter turn."""
    widths = np.sqrt(np.diag(np.linalg.inv(root @ root.T)))
    limit = scale.copy()
    if m.periods is not None:
        turns = m.periods.reshape(-1)
        limit = np.where(np.isfinite(turns), np.minimum(limit, turns / 4), limit)
    most = float((limit / widths).min())
    rest = np.concatenate([np.delete(cycle, i, axis=0), others])
    if len(rest):
        gaps = np.linalg.norm(_displacement(m, rest, cycle[i]) @ root, axis=1)
        most = min(most, float(gaps.min()) / 2)
    return most


def _displacement(m: LoopMap, a: Array, b: Array) -> Array:
    """Return a − b on flat states, angles wrapped."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    whole = (*shape[:-1], *m.state_shape)
    a, b = np.broadcast_to(a, shape).reshape(whole), np.broadcast_to(b, shape).reshape(whole)
    return m.displacement(a, b).reshape(shape)


def _spokes(n: int, most: int) -> Array:
    """Return unit vectors in n dimensions, evenly spread or drawn once for all."""
    if n == 1:
        return np.array([[-1.0], [1.0]])
    if n == 2:
        turn = 2 * np.pi * np.arange(min(most, _DIRECTIONS[0])) / min(most, _DIRECTIONS[0])
        return np.stack([np.cos(turn), np.sin(turn)], axis=1)
    drawn = np.random.default_rng(0).standard_normal((min(most, _DIRECTIONS[1]), n))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
