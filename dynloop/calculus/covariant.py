"""Covariant Lyapunov vectors: the directions that stretch by each exponent, carried into each other by DF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from dynloop.arguments import checked_int
from dynloop.calculus.averages import time_average
from dynloop.calculus.tangent import check_derivative, random_frames
from dynloop.errors import ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result, Status

__all__ = ["CovariantVectors", "covariant_vectors"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class CovariantVectors(Result):
    """Covariant Lyapunov vectors along a piece of an orbit.

    Attributes
    ----------
    vectors : ndarray, (loops, k, *state_shape)
        Unit vectors; DF(x_t) carries vector j at t into a multiple of vector j at t + 1. nan from the first direction
        on that is contracted to nothing.
    growth : ndarray, (loops, k)
        By how much each is stretched in one loop, natural log.
    exponents, standard_error : ndarray, (k,)
        Means of the growth, and their statistical errors. A piece of an orbit is short: the ends of the window add an
        error of order 1/loops. `lyapunov_spectrum` measures exponents with all of their error.
    angles : ndarray, (loops,)
        Smallest angle between two of the vectors, in radians; near 0 the orbit is not uniformly hyperbolic.
    states : ndarray, (loops, *state_shape)
        Where the vectors stand.
    status : Status
        CONVERGED; DIVERGED; BELOW_RANK_TOLERANCE where some of the k directions are contracted to nothing.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.covariant_vectors(dl.zoo.cat(), [0.3, 0.2], loops=4, transient=40, backward=40)
    >>> found.vectors.shape, found.growth[0].round(6).tolist(), found.status.name
    ((4, 2, 2), [0.962424, -0.962424], 'CONVERGED')
    """

    vectors: Array
    growth: Array
    exponents: Array
    standard_error: Array
    angles: Array
    states: Array
    status: Status


def covariant_vectors(
    m: LoopMap,
    start: Any = None,
    *,
    k: int | None = None,
    loops: int = 200,
    transient: int = 200,
    backward: int = 200,
    rng: int | np.random.Generator | None = 0,
) -> CovariantVectors:
    """Return the k leading covariant Lyapunov vectors along one orbit.

    Frames are carried forward by QR, then coefficients in them backward by the inverse of R, which aligns them with the
    directions that are covariant.

    Parameters
    ----------
    m : LoopMap
        The map.
    start : array, state_shape, optional
        Where the orbit begins; drawn by ``m.start(rng)`` if left out.
    k : int, optional
        How many; all n if left out.
    loops : int
        Length of the piece for which vectors are returned.
    transient, backward : int
        Loops before it, in which the frames align, and behind it, in which the coefficients do. The memory is
        ``(loops + backward) · k`` states.
    rng : int or Generator
        For the start, the first frame and the last coefficients.

    Returns
    -------
    CovariantVectors
        Unit vectors, by exponent downwards as far as the transient told the exponents apart.

    Raises
    ------
    InvalidArgumentError
        If k or a number of loops is out of range.
    DerivativeError
        If the map has no usable derivative.

    Notes
    -----
    Ginelli, Poggi, Turchi, Chaté, Livi and Politi, Phys. Rev. Lett. 99 (2007) 130601. Vectors of equal exponents are
    not unique: only the space that they span is.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.covariant_vectors(dl.zoo.cat(), [0.3, 0.2], loops=4, transient=40, backward=40)
    >>> abs(found.vectors[0, 0]).round(6)  # the unstable direction, the same everywhere
    array([0.525731, 0.850651])
    """
    n = as_map(m).dimension
    k = n if k is None else k
    _check(n, k=k, loops=loops, transient=transient, backward=backward)
    generator = as_rng(rng)
    states, single = m.batch(start, generator, argument="start")
    if not single and len(states) > 1:
        raise ShapeError(f"start must be one state of shape {m.state_shape}; got {len(states)}. Pass start[0].")
    m = m.in_dtype_of(states)
    check_derivative(m, states, generator)
    settled = m.stretch(states, random_frames(m, 1, int(k), generator), transient)
    points, frames, factors = _forward(m, settled.states, settled.frames, int(loops), int(backward))
    finite = all(np.isfinite(R).all() for R in factors)
    alive = _alive(factors, m.precision * n) if finite else 0
    vectors, growth = np.full((loops, n, k), np.nan), np.full((loops, k), np.nan)
    if alive:
        C = np.triu(generator.standard_normal((alive, alive))) + np.eye(alive)
        for t in range(loops + backward - 1, -1, -1):
            C = solve_triangular(factors[t][:alive, :alive], C / np.linalg.norm(C, axis=0))
            length = np.linalg.norm(C, axis=0)
            if t < loops:
                growth[t, :alive], vectors[t, :, :alive] = -np.log(length), frames[t][:, :alive] @ (C / length)
    average = time_average(growth)
    lost = Status.BELOW_RANK_TOLERANCE if finite else Status.DIVERGED
    return CovariantVectors(
        vectors=vectors.transpose(0, 2, 1).reshape(loops, k, *m.state_shape), growth=growth, exponents=average.mean,
        standard_error=average.standard_error, angles=_angles(vectors[:, :, :alive]), states=points,
        status=Status.CONVERGED if alive == k else lost,
    )  # fmt: skip


def _check(n: int, **numbers: Any) -> None:
    for name, value in numbers.items():
        if name == "k":
            checked_int(value, name, 1, n, meaning="the dimension", remedy="Leave it out for all")
        else:
            checked_int(value, name, 1 if name == "loops" else 0, remedy="Leave it out for 200")


def _forward(m: LoopMap, states: Any, frames: Any, loops: int, backward: int) -> tuple[Array, list[Array], list[Array]]:
    """Return the states and frames ``(n, k)`` of the first `loops` loops, and the R of all of them."""
    points, bases, factors = [], [], []
    k = frames.shape[1]
    Q = m.numpy(frames)[0].reshape(k, -1).T
    for t in range(loops + backward):
        if t < loops:
            points.append(m.numpy(states)[0])
            bases.append(Q)
        states, pushed = m.push(states, m.native(Q.T.reshape(k, *m.state_shape))[None])
        W = m.numpy(pushed)[0].reshape(k, -1).T
        Q, R = np.linalg.qr(W) if np.isfinite(W).all() else (np.full_like(W, np.nan), np.full((k, k), np.nan))
        factors.append(R)
    return np.stack(points), bases, factors


def _alive(factors: list[Array], tolerance: float) -> int:
    """Return how many leading directions are never contracted to nothing."""
    diagonals = np.abs(np.array([np.diag(R) for R in factors]))
    longest = np.array([np.linalg.norm(R, axis=0).max() for R in factors])
    gone = (diagonals <= tolerance * longest[:, None]).any(axis=0)
    return int(np.argmax(gone)) if gone.any() else len(gone)


def _angles(vectors: Array) -> Array:
    """Return the smallest angle between two of the vectors ``(loops, n, k)``; nan where there are no two."""
    if vectors.shape[2] < 2:
        return np.full(len(vectors), np.nan)
    cosines = np.abs(np.einsum("tni,tnj->tij", vectors, vectors))
    cosines[:, np.arange(vectors.shape[2]), np.arange(vectors.shape[2])] = 0
    return np.asarray(np.arccos(np.clip(cosines.max(axis=(1, 2)), 0, 1)))
