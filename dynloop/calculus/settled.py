"""Exponents of an orbit that has settled on a fixed point or a cycle: logarithms of the multipliers of DF^p there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError, eigs

from dynloop.calculus.cycle import FACTORS_APART
from dynloop.calculus.jacobian import DENSE, dense_jacobian, diagonal_blocks, jacobian_products
from dynloop.calculus.layer_growth import LayerGrowth
from dynloop.calculus.spectrum import point_multipliers
from dynloop.maps.base import Array, LoopMap

__all__ = ["SettledExponents", "layer_shares", "settled_exponents", "settled_period", "settled_tokens"]

_LONGEST = 64  # loops: the longest cycle that is looked for
_COARSE = 1e-6  # a dtype of less precision than this never shows a state to the digits that a multiplier needs


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SettledExponents:
    """Exponents from multipliers, natural log per loop, sorted downwards; −inf where a multiplier is zero.

    Attributes
    ----------
    exponents, errors : ndarray, (…, k)
        Each with a first-order bound on its error; nan where a multiplier may be zero or any number below its error.
    """

    exponents: Array
    errors: Array


def settled_period(m: LoopMap, states: Any, loops: int, largest: Array, *, more: int = 0) -> tuple[Any, int, int]:
    """Iterate until the orbit repeats itself, or does not seem to settle.

    Returned are the state then, the least p such that the orbit repeats itself after p loops (0 if none), and how many
    loops were iterated.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : native array, (1, *state_shape)
        Where the orbit begins.
    loops : int
        How many to iterate. A cycle is looked for in the second half of them, up to 128 loops, and must be seen twice.
    largest : ndarray, (rows,)
        Norm of every row at the start: the scale of a row that shrinks to zero.
    more : int
        How many further loops an orbit may have that is still settling: as long as its nearest return halves at least
        from one look to the next.
    """
    late = min(2 * _LONGEST, loops // 2)
    early = m.watch(states, max(1, loops - late), states)
    if m.precision > _COARSE or late < 2:
        return early.states, 0, loops - late
    states, largest, nearest = early.states, np.maximum(largest, early.norms[-1, 0]), np.inf
    for done in range(loops, loops + more + 1, late):
        seen = m.watch(states, late, states)
        norms, returns, states = seen.norms[:, 0], seen.returns[:, 0], seen.states
        if not np.isfinite(norms).all():
            break
        largest = np.maximum(largest, norms.max(axis=0))
        tolerance = m.precision * (16 * norms.max(axis=0) + 4 * largest)
        period = _repeats(returns, tolerance)
        if period:
            return states, period, done
        gap = float((returns / np.maximum(tolerance, np.finfo(float).tiny)).max(axis=1).min())
        if not gap <= nearest / 2:
            break
        nearest = gap
    return states, 0, done


def _repeats(returns: Array, tolerance: Array) -> int:
    """Return the least p at whose multiples the state is back, of returns (loops, rows); 0 if none or unclear."""
    back: Array = np.all(returns <= tolerance, axis=1)  # after t + 1 loops
    for p in range(1, len(returns) // 2 + 1):
        if back[p - 1 :: p].all():
            divisors = [d for d in range(1, p) if p % d == 0]
            return p if all((returns[d - 1] > 1e3 * tolerance).any() for d in divisors) else 0
    return 0


def settled_exponents(m: LoopMap, state: Any, k: int, period: int) -> SettledExponents | None:
    """Return the k largest exponents at a point of a cycle; None if they are not to be had or the cycle is unstable.

    They are not to be had either where a small multiplier is lost in the rounding of DF^p.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : native array, state_shape
        A point of the cycle.
    k, period : int
        How many exponents, and the period of the cycle.
    """
    found = point_multipliers(m, state, k, period=period)
    if len(found.values) < k or not found.radius <= 1 + 1e-6 or _buried(m, found.values, period):
        return None
    return _logarithms(np.abs(found.values), found.errors, period)


def settled_tokens(m: LoopMap, state: Any, k: int, period: int) -> SettledExponents | None:
    """Return the k largest exponents of every token's own block at a point of a cycle, ``(tokens, k)``.

    None if the cycle is unstable. Arguments are those of `settled_exponents`; the map is causal.
    """
    blocks = diagonal_blocks(m.power(period), state)
    values, vectors = np.linalg.eig(blocks)
    with np.errstate(all="ignore"):
        try:
            left = np.linalg.inv(vectors)
            condition = np.linalg.norm(left, axis=2) * np.linalg.norm(vectors, axis=1)
        except np.linalg.LinAlgError:  # defective
            condition = np.full(values.shape, np.inf)
    rounding = blocks.shape[-1] * m.precision * np.linalg.norm(blocks, axis=(1, 2))[:, None]
    size = np.abs(values)
    order = np.argsort(-size, axis=1, kind="stable")[:, :k]
    size = np.take_along_axis(size, order, axis=1)
    errors = np.take_along_axis(condition * rounding, order, axis=1)
    size = np.where(size <= rounding, 0.0, size)
    if not size.max() <= 1 + 1e-6 or _buried(m, size, period):
        return None
    return _logarithms(size, errors, period)


def _buried(m: LoopMap, values: Array, period: int) -> bool:
    """Say whether a multiplier was lost in the rounding of a product of Jacobians, which QR loop by loop is not."""
    return period > 1 and m.dimension > FACTORS_APART and bool((values == 0).any())


def _logarithms(size: Array, errors: Array, period: int) -> SettledExponents:
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.log(size) / period
        relative = np.where(size > 0, errors / size, np.nan)
        bounds = np.where(relative < 1, -np.log1p(-relative), np.inf) / period
    return SettledExponents(exponents=exponents, errors=np.where(size > 0, bounds, np.where(errors > 0, np.nan, 0.0)))


def layer_shares(m: LoopMap, state: Any, exponents: Array, period: int) -> Array | None:
    """Return each layer's share of every exponent at a point of a cycle, ``(layers, k)``.

    The frame of Schur vectors, eigenvectors orthonormalised in the order of their moduli, is carried once round the
    cycle; QR after every layer then gives triangular factors whose product has the multipliers on its diagonal. The two
    directions of a complex pair share what the pair gets.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : native array, state_shape
        A point of the cycle.
    exponents : ndarray, (k,)
        The exponents whose shares are wanted.
    period : int
        Of the cycle.

    Returns
    -------
    ndarray or None
        None where the shares do not add up to the exponents within 1e-9, or what the dtype resolves: the eigenvectors
        nearly coincide.
    """
    k = len(exponents)
    basis, pairs = _real_eigenvectors(m.power(period), state, k)
    if basis is None:
        return None
    Q = np.linalg.qr(basis)[0].T.reshape(-1, *m.state_shape)
    frames = m.native(Q)[None]
    logs = LayerGrowth(m).stretch(m.native(state[None]), frames, period).logs[:, :, 0].sum(axis=0) / period
    with np.errstate(invalid="ignore"):
        for first in pairs:
            logs[:, first : first + 2] = logs[:, first : first + 2].mean(axis=1, keepdims=True)
        found = logs[:, :k]
        kept = np.isfinite(exponents)
        gap = np.abs(found.sum(axis=0) - exponents)[kept]
    allowed = max(1e-9, 64 * m.precision)
    return found if np.all(gap <= allowed * np.maximum(1, np.abs(exponents[kept]))) else None


def _real_eigenvectors(m: LoopMap, state: Any, k: int) -> tuple[Array | None, list[int]]:
    """Return k or k + 1 columns that span leading invariant subspaces, and where complex pairs begin."""
    n = m.dimension
    try:
        if n <= DENSE or k >= n - 2:
            values, vectors = np.linalg.eig(dense_jacobian(m, state))
        else:
            values, vectors = eigs(jacobian_products(m, state), k=k + 1, which="LM", tol=1e-12)
    except (np.linalg.LinAlgError, ArpackError):
        return None, []
    order = np.argsort(-np.abs(values), kind="stable")
    columns: list[Array] = []
    pairs: list[int] = []
    used: set[int] = set()
    for i in order:
        if len(columns) >= k:
            break
        if i in used:
            continue
        if values[i].imag == 0:
            columns.append(vectors[:, i].real)
            continue
        pairs.append(len(columns))
        columns += [vectors[:, i].real, vectors[:, i].imag]
        used |= {int(j) for j in order if values[j] == values[i].conj()}
    return np.stack(columns, axis=1), pairs
