"""Generalised alignment indices: the volume that k normalised tangents span, as they turn towards each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.tangent import check_derivative, random_frames
from dynloop.errors import ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result, Status

__all__ = ["Gali", "gali"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Gali(Result):
    """The index GALI_k along one orbit.

    Attributes
    ----------
    log : ndarray, (loops,)
        Natural logarithm of GALI_k after 1, 2, … loops; it does not underflow. −inf once a direction is lost.
    rate : float
        Its slope over the second half of the window, per loop. In the long run −Σ_{i=2}^{k} (λ_1 − λ_i).
    exponents : ndarray, (k,)
        Finite-time Lyapunov exponents over the second half, to read `rate` against.
    sali : ndarray, (loops,), or None
        The smaller alignment index min ‖v̂_1 ± v̂_2‖; for k = 2 alone.
    status : Status
        CONVERGED; DIVERGED if the orbit was lost; BELOW_RANK_TOLERANCE if a direction was.
    loops, transient : int
        Length of the window, and loops dropped before it.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.gali(dl.zoo.cat(), [0.3, 0.2], loops=200)
    >>> found.exponents.round(6).tolist(), found.status.name, found.log.shape
    ([0.962424, -0.962424], 'CONVERGED', (200,))
    """

    log: Array
    rate: float
    exponents: Array
    sali: Array | None
    status: Status
    loops: int
    transient: int


def gali(
    m: LoopMap,
    start: Any = None,
    *,
    k: int = 2,
    loops: int = 1000,
    transient: int = 100,
    rng: int | np.random.Generator | None = 0,
) -> Gali:
    """Follow the volume of the parallelepiped of k unit tangents that begin orthonormal.

    Parameters
    ----------
    m : LoopMap
        The map.
    start : array, state_shape, optional
        Where the orbit begins; drawn by ``m.start(rng)`` if left out.
    k : int
        How many tangents, 2 ≤ k ≤ n.
    loops, transient : int
        Length of the window, and loops dropped before it.
    rng : int or Generator
        For the start and the tangents.

    Returns
    -------
    Gali
        The index by loop, its rate, and the exponents.

    Raises
    ------
    InvalidArgumentError
        If k or a number of loops is out of range.
    ShapeError
        If `start` is not one state.
    DerivativeError
        If the map has no usable derivative.

    Notes
    -----
    Skokos, Bountis and Antonopoulos, Physica D 231 (2007) 30; SALI: Skokos, J. Phys. A 34 (2001) 10029.

    GALI tells chaos from order on maps that preserve volume: exponential decay against a constant or a power. On a map
    that contracts it decays as exponentially towards a stable fixed point whose multipliers differ in modulus, and is
    no sign of chaos: read `rate` beside `exponents`, of which the first must be positive.

    log GALI_k is the growth of the volume of all k tangents less the growth of each, so no vector is ever compared with
    another that it nearly equals.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.gali(dl.zoo.cat(), [0.3, 0.2], loops=200)
    >>> round(found.rate, 6)  # −2 · 0.962424
    -1.924847
    """
    n = as_map(m).dimension
    remedy = "Leave it out for 2" if n > 1 else "Give a map on two coordinates or more"
    k = checked_int(k, "k", 2, n, meaning="the dimension", remedy=remedy)
    loops = checked_int(loops, "loops", 4, remedy="Leave it out for 1000")
    transient = checked_int(transient, "transient", 0, remedy="Leave it out for 100")
    generator = as_rng(rng)
    states, single = m.batch(start, generator, argument="start")
    if not single and len(states) > 1:
        raise ShapeError(f"start must be one state of shape {m.state_shape}; got {len(states)}. Pass start[0].")
    m = m.in_dtype_of(states)
    check_derivative(m, states, generator)
    if transient:
        states = m.watch(states, transient, states).states
    frames = random_frames(m, 1, k, generator)
    together = m.stretch(states, frames, loops).logs[:, 0]
    copies = m.native(np.repeat(m.numpy(states), k, axis=0))
    alone = m.stretch(copies, frames.reshape(k, 1, *m.state_shape), loops).logs[:, :, 0]
    with np.errstate(invalid="ignore"):
        log = np.minimum(np.cumsum(together.sum(axis=1) - alone.sum(axis=1)), 0.0)
        gone = np.isneginf(together).any(axis=1) | np.isneginf(alone).any(axis=1)
        log[np.logical_or.accumulate(gone)] = -np.inf
        half = loops // 2
        slope = (log[-1] - log[half - 1]) / (loops - half)
        exponents = -np.sort(-together[half:].mean(axis=0))
        sali = np.sqrt(2 - 2 * np.sqrt(np.maximum(1 - np.exp(2 * log), 0))) if k == 2 else None
    status = Status.BELOW_RANK_TOLERANCE if gone.any() else Status.CONVERGED
    status = Status.DIVERGED if np.isnan(together).any() else status
    return Gali(
        log=log, rate=float(slope), exponents=exponents, sali=sali, status=status, loops=int(loops),
        transient=int(transient),
    )  # fmt: skip
