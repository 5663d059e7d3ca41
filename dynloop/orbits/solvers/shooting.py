"""Multiple shooting: the equations F(x_i) = x_{i+1} of a closed orbit, for all its points and many orbits at once.

In one piece, F^p(x) = x is as badly scaled as F^p is sensitive; point by point every equation is as tame as F itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, onenormest, splu

from dynloop.calculus.jacobian import jacobians
from dynloop.maps.base import Array, LoopMap

__all__ = ["Shooting"]

_FULL = 256  # unknowns up to which the matrix of the equations is dense
_POINTS = 6  # of a table of differences
_LINES = ((1e-9, 0.0), (1e-9, 1e-3), (1e-6, 0.0), (1e-6, 1e-3))
_RANK = 1e-10  # singular values below this share of the largest are neutral directions


class Shooting:
    """The equations of p-cycles of a map.

    Orbits are arrays ``(batch, p, n)``, coordinates in C order; `gaps` and Jacobians are NumPy float64.

    Parameters
    ----------
    m : LoopMap
        F.
    period : int
        p.
    """

    def __init__(self, m: LoopMap, period: int) -> None:
        self.m, self.period, self.n = m, period, m.dimension
        self.unknowns = period * self.n

    def along(self, starts: Array) -> Array:
        """Return the orbits of p points from starts ``(batch, *state_shape)``; a start stands for what escaped."""
        states = self.m.numpy(starts)
        points = [states]
        with np.errstate(all="ignore"):
            for _ in range(self.period - 1):
                points.append(self.m.numpy(self.m(self.m.native(points[-1]))))
        orbits = np.stack(points, axis=1).reshape(len(states), self.period, self.n)
        first = np.linalg.norm(orbits[:, :1], axis=2)
        lost = ~(np.linalg.norm(orbits, axis=2) <= 1e3 * (1 + first)).all(axis=1)
        orbits[lost] = orbits[lost, :1]
        return self.folded(orbits)

    def folded(self, orbits: Array) -> Array:
        """Return orbits with every angle in [0, period)."""
        if self.m.periods is None:
            return orbits
        lengths = np.broadcast_to(self.m.periods, self.m.state_shape).reshape(-1)
        angles = np.isfinite(lengths)
        out = orbits.copy()
        turned = out[..., angles] % lengths[angles]
        out[..., angles] = np.where(turned < lengths[angles], turned, 0.0)  # −1e-20 % L is L in rounding
        return out

    def displacement(self, a: Array, b: Array) -> Array:
        """Return a − b on orbits, angles wrapped."""
        a, b = np.broadcast_arrays(a, b)
        wrapped = self.m.displacement(a.reshape(-1, *self.m.state_shape), b.reshape(-1, *self.m.state_shape))
        return np.asarray(wrapped.reshape(a.shape))

    def gaps(self, orbits: Array) -> Array:
        """Return F(x_i) − x_{i+1}, the last closing with the first; nan or infinite where F is."""
        with np.errstate(all="ignore"):
            return self._closing(orbits, self._images(orbits))

    def linearised(self, orbits: Array) -> tuple[Array, Array]:
        """Return the gaps and DF at every point, ``(batch, p, n, n)``."""
        with np.errstate(all="ignore"):
            new, J = jacobians(self.m, self._states(orbits))
            return self._closing(orbits, self.m.numpy(new)), J.reshape(*orbits.shape, self.n)

    def noise(self, orbits: Array, largest: Array, *, lines: Sequence[tuple[float, float]] = _LINES) -> Array:
        """Measure the rounding of F along orbits, ``(batch,)``: the largest of their points, at least an ulp of it.

        Third differences of F along a short line, which cancel what is smooth. The line has to be long enough to move
        what F computes on the way, of a size that the state at an origin does not show. `lines` are lengths relative to
        the state, or to a share of `largest` ``(batch,)`` where that is more; the least answer that is not zero counts.

        Notes
        -----
        Hamming's difference table, as in Moré & Wild, SIAM J. Sci. Comput. 33 (2011) 1292.
        """
        shape = orbits.shape
        size = np.linalg.norm(self.displacement(orbits, np.zeros_like(orbits)), axis=2, keepdims=True)
        direction = np.random.default_rng(0).choice([-1.0, 1.0], self.n) / np.sqrt(self.n)
        best, here = np.full(shape[:2], np.inf), self._images(orbits)
        for length, least in lines:
            h = length * np.maximum(size, least * largest[:, None, None])
            table = np.stack(
                [self.displacement(self._images(orbits + j * h * direction), here) for j in range(_POINTS)]
            )
            third = np.linalg.norm(np.diff(table, 3, axis=0), axis=3) / np.sqrt(20)
            found = np.sqrt(np.mean(third**2, axis=0))
            best = np.where((found > 0) & (found < best), found, best)
        most = 1e3 * self.m.precision * np.maximum(size[..., 0], 1e-3 * largest[:, None])  # more is a jump or a kink
        best = np.minimum(np.where(np.isfinite(best), best, 0.0), most)
        return np.asarray(np.maximum(best, 0.5 * self.m.precision * size[..., 0]).max(axis=1))

    def _images(self, orbits: Array) -> Array:
        """Return F at every point."""
        with np.errstate(all="ignore"):
            return self.m.numpy(self.m(self._states(orbits))).reshape(orbits.shape)

    def _states(self, orbits: Array) -> Any:
        return self.m.native(orbits.reshape(-1, *self.m.state_shape))

    def _closing(self, orbits: Array, new: Array) -> Array:
        return self.displacement(new.reshape(orbits.shape), np.roll(orbits, -1, axis=1))

    # -- linear algebra of the equations -----------------------------------------------------------------------------

    @property
    def dense(self) -> bool:
        """Whether the matrix of the equations is formed."""
        return self.period == 1 or self.unknowns <= _FULL

    def matrices(self, J: Array) -> Array:
        """Return the matrices of the equations, ``(batch, p·n, p·n)``: blocks DF(x_i) at (i, i), −1 at (i, i + 1)."""
        batch, p, n, _ = J.shape
        if p == 1:
            return np.asarray(J[:, 0] - np.eye(n))
        A = np.zeros((batch, p, n, p, n))
        eye = np.eye(n)
        for i in range(p):
            A[:, i, :, i] += J[:, i]
            A[:, i, :, (i + 1) % p] -= eye
        return A.reshape(batch, p * n, p * n)

    def products(self, J: Array, moves: Array) -> Array:
        """Return the linearised equations applied to moves ``(batch, p, n)``."""
        return np.asarray((J @ moves[..., None])[..., 0] - np.roll(moves, -1, axis=1))

    def newton_steps(self, J: Array, gaps: Array) -> Array:
        """Solve the linearised equations for the steps of orbits ``(batch, p, n)``; least norm where singular."""
        right = -gaps.reshape(len(gaps), -1)
        if not self.dense:
            return np.stack([self._sparse_step(one, b) for one, b in zip(J, right, strict=True)]).reshape(gaps.shape)
        A = self.matrices(J)
        probe = np.random.default_rng(0).choice([-1.0, 1.0], (1, self.unknowns, 1))  # shows how large the inverse is
        try:
            solved = np.linalg.solve(A, np.concatenate([right[..., None], np.repeat(probe, len(A), axis=0)], axis=2))
            steps, answers = solved[..., 0], solved[..., 1]
            condition = np.linalg.norm(A, axis=(1, 2)) * np.linalg.norm(answers, axis=1)
        except np.linalg.LinAlgError:
            condition, steps = np.full(len(A), np.inf), np.zeros_like(right)
        for b in np.flatnonzero(~(condition < 1 / _RANK)):
            steps[b] = np.linalg.lstsq(A[b], right[b], rcond=_RANK)[0]
        return np.asarray(steps.reshape(gaps.shape))

    def sensitivities(self, J: Array) -> Array:
        """Return the norm of the inverse of the equations, ``(batch,)``: how far a gap of 1 moves an orbit."""
        if self.dense:
            smallest = np.linalg.svd(self.matrices(J), compute_uv=False)[:, -1]
            with np.errstate(divide="ignore"):
                return np.asarray(1 / smallest)
        return np.array([self._sparse_sensitivity(one) for one in J])

    def _sparse(self, J: Array) -> Any:
        p, n, _ = J.shape
        rows, columns = np.indices((n, n))
        at = n * np.arange(p)[:, None, None]
        row, column = (at + rows).ravel(), (at + columns).ravel()
        along = np.arange(p * n)
        data = np.concatenate([J.ravel(), -np.ones(p * n)])
        where = (np.concatenate([row, along]), np.concatenate([column, (along + n) % (p * n)]))
        return scipy.sparse.csc_matrix((data, where), shape=(p * n, p * n))

    def _sparse_step(self, J: Array, right: Array) -> Array:
        A = self._sparse(J)
        try:
            step: Array = splu(A).solve(right)
        except RuntimeError:  # exactly singular
            return np.asarray(scipy.sparse.linalg.lsqr(A, right, atol=1e-14, btol=1e-14)[0])
        return step

    def _sparse_sensitivity(self, J: Array) -> float:
        try:
            factors = splu(self._sparse(J))
        except RuntimeError:
            return float("inf")
        solve = LinearOperator(
            (self.unknowns, self.unknowns), matvec=factors.solve, rmatvec=lambda v: factors.solve(v, trans="T")
        )
        return float(onenormest(solve))
