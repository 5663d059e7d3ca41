"""How far DF is from normal: what its multipliers hide from a few loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from dynloop.arguments import checked_int
from dynloop.calculus.arnoldi import RESTARTS, tolerance
from dynloop.calculus.eigenvalues import block_eigenvalues
from dynloop.calculus.jacobian import DENSE, checked_state, dense_jacobian, diagonal_blocks, jacobian_products
from dynloop.calculus.singular import singular_values
from dynloop.calculus.spectrum import blocks_fit, point_multipliers
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.result import Result, Status

__all__ = ["Normality", "normality"]

_NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Normality(Result):
    """How far the Jacobian J = DF(x) is from normal; what is not known is nan, and `reason` says why.

    Attributes
    ----------
    spectral_radius : float
        ρ(J): the growth of a tangent a loop, in the long run.
    norm : float
        ‖J‖₂: its growth in the first loop, at most. ρ ≤ ‖J‖₂, with equality if J is normal. Between the two lies the
        numerical radius, at least ‖J‖₂ / 2.
    numerical_abscissa : float
        ω(J), the largest eigenvalue of (J + Jᵀ)/2. Of a flow it is the first growth rate. Of a map, ω(J) < 1 means that
        the damped loop x ← x + h (F(x) − x) contracts in norm near x for small h, even where F itself does not.
    frobenius, frobenius_error : float
        ‖J‖_F, and its standard error where it was estimated (else 0).
    departure, departure_error : float
        Henrici's departure from normality √(‖J‖_F² − Σ|λ|²), and its standard error. 0 if and only if J is normal.
    departure_ratio : float
        departure / ‖J‖_F, between 0 and 1.
    eigenbasis_condition : float
        Condition number of the matrix of unit eigenvectors: ‖J^t‖₂ ≤ condition · ρ^t. Infinite where J is defective.
    status : Status
        SOLVED; CONVERGED where a part is an estimate with an error; NOT_CONVERGED if an iteration stopped first;
        DIVERGED if the derivative is not finite.
    reason : str
        What is missing and why; empty where nothing is.
    probes : int
        Random vectors behind the estimates; 0 where all is exact.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> shear = dl.TorchMap([lambda x: x @ x.new_tensor([[0.5, 0.0], [1.0, 0.5]])], (2,))
    >>> found = dl.normality(shear, np.zeros(2))
    >>> round(found.spectral_radius, 6), round(found.norm, 6), round(found.departure, 6), found.status.name
    (0.5, 1.207107, 1.0, 'SOLVED')
    """

    spectral_radius: float
    norm: float
    numerical_abscissa: float
    frobenius: float
    frobenius_error: float
    departure: float
    departure_error: float
    departure_ratio: float
    eigenbasis_condition: float
    status: Status
    reason: str
    probes: int


def normality(m: LoopMap, state: Any, *, probes: int = 64, rng: int | np.random.Generator | None = 0) -> Normality:
    """Measure how far DF(x) is from normal.

    Parameters
    ----------
    m : LoopMap
        The map; pass ``m.power(p)`` for DF^p.
    state : array, state_shape
        The point.
    probes : int
        Random vectors for ‖J‖_F beyond dimension 1024, at least 2; the relative error falls as their square root.
    rng : int or Generator
        For the probes.

    Returns
    -------
    Normality
        Spectral radius, norms, departure, condition.

    Raises
    ------
    InvalidArgumentError
        If `probes` is no int of at least 2.
    ShapeError
        If `state` is not one state.

    Notes
    -----
    Up to dimension 1024 all is exact: the departure is the norm of the strictly upper part of the Schur form, so that
    nothing cancels. Beyond, ‖J‖_F² is the mean of ‖J z‖² over random signs z (M. F. Hutchinson, Commun. Stat. Simul.
    Comput. 19 (1990) 433). Of a causal map the diagonal blocks are exact, and the estimate is of the blocks below them
    alone: departure² = Σ_i departure(block i)² + ‖rest‖_F². Of other maps Σ|λ|² would need every eigenvalue; the
    departure stays nan.

    The Jacobian penalty ‖vᵀJ‖² of unit v, known from equilibrium models, estimates ‖J‖_F²/n, not ρ: normalisation
    makes J non-normal, and the two part.

    P. Henrici, Numer. Math. 4 (1962) 24; L. N. Trefethen & M. Embree, *Spectra and Pseudospectra* (2005).

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.normality(dl.zoo.henon(), [0.6313544770895, 0.1894063431269])
    >>> round(found.spectral_radius, 9), round(found.norm, 9), round(found.departure, 9)
    (1.923738858, 2.047835278, 0.7)
    """
    probes = checked_int(probes, "probes", 2, meaning="for an error", remedy="Pass probes=64.")
    generator = as_rng(rng)
    m, states = checked_state(m, state)
    if m.dimension <= DENSE:
        return _dense(dense_jacobian(m, states[0]))
    return _large(m, states[0], int(probes), generator)


def _dense(J: Array) -> Normality:
    if not np.isfinite(J).all():
        return _unknown(0)
    values, vectors = np.linalg.eig(J)
    departure, frobenius = float(np.sqrt(_departure_squared(J))), float(np.linalg.norm(J))
    return Normality(
        spectral_radius=float(np.abs(values).max()), norm=float(np.linalg.norm(J, ord=2)),
        numerical_abscissa=float(scipy.linalg.eigvalsh((J + J.T) / 2)[-1]), frobenius=frobenius, frobenius_error=0.0,
        departure=departure, departure_error=0.0, departure_ratio=departure / frobenius if frobenius else 0.0,
        eigenbasis_condition=float(np.linalg.cond(vectors)), status=Status.SOLVED, reason="", probes=0,
    )  # fmt: skip


def _unknown(probes: int) -> Normality:
    return Normality(
        spectral_radius=_NAN, norm=_NAN, numerical_abscissa=_NAN, frobenius=_NAN, frobenius_error=_NAN,
        departure=_NAN, departure_error=_NAN, departure_ratio=_NAN, eigenbasis_condition=_NAN, status=Status.DIVERGED,
        reason="the derivative is not finite", probes=probes,
    )  # fmt: skip


def _departure_squared(A: Array) -> float:
    """Return ‖A‖_F² − Σ|λ|² from the real Schur form, whose 2 × 2 blocks [[a, b], [c, a]] add (b + c)²."""
    T = scipy.linalg.schur(A)[0]
    below = np.append(np.diag(T, -1), 0.0)
    pairs = np.flatnonzero(below)
    inside = np.sum((T[pairs, pairs + 1] + below[pairs]) ** 2)
    upper = np.triu(T, 1)
    upper[pairs, pairs + 1] = 0.0
    return float(np.sum(upper**2) + inside)


def _large(m: LoopMap, state: Any, probes: int, rng: np.random.Generator) -> Normality:
    J, n = jacobian_products(m, state), m.dimension
    blocks = diagonal_blocks(m, state) if blocks_fit(m) else None
    Z = rng.choice([-1.0, 1.0], (n, probes))
    rest = J.matmat(Z)
    if not np.isfinite(rest).all():
        return _unknown(probes)
    inner = own = 0.0
    if blocks is not None:
        rest = rest - np.matmul(blocks, Z.reshape(len(blocks), -1, probes)).reshape(n, probes)
        inner, own = float(np.sum(blocks**2)), sum(_departure_squared(block) for block in blocks)
    samples = np.sum(rest**2, axis=0)
    squared, error = float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(probes))
    frobenius, frobenius_error = _root(inner + squared, error)
    departure, departure_error = _root(own + squared, error) if blocks is not None else (_NAN, _NAN)
    found = None if blocks is None else block_eigenvalues(blocks, m.precision)
    radius = point_multipliers(m, state, 1).radius if found is None else float(np.abs(found.values[0]))
    largest, abscissa = singular_values(m, state, 1), _abscissa(J, n, m.precision)
    norm = float(largest.values[0]) if largest.status is Status.SOLVED else _NAN
    known = bool(np.isfinite([radius, norm, abscissa]).all())
    return Normality(
        spectral_radius=radius, norm=norm, numerical_abscissa=abscissa, frobenius=frobenius,
        frobenius_error=frobenius_error, departure=departure, departure_error=departure_error,
        departure_ratio=departure / frobenius if frobenius else 0.0, eigenbasis_condition=_NAN,
        status=Status.CONVERGED if known else Status.NOT_CONVERGED, reason=_missing(n, blocks is not None, known),
        probes=probes,
    )  # fmt: skip


def _root(square: float, error: float) -> tuple[float, float]:
    """Return the root of a sum of squares, and how far its standard error takes it."""
    return float(np.sqrt(square)), float(np.sqrt(square + error) - np.sqrt(square))


def _abscissa(J: LinearOperator, n: int, precision: float) -> float:
    """Return the largest eigenvalue of (J + Jᵀ)/2 by Lanczos; nan if it did not settle."""
    start = np.random.default_rng(0).standard_normal(n)
    symmetric = LinearOperator((n, n), matvec=lambda v: (J.matvec(v) + J.rmatvec(v)) / 2, dtype=np.float64)
    if not symmetric.matvec(start).any():
        return 0.0
    try:
        found = eigsh(symmetric, k=1, which="LA", v0=start, ncv=min(n, 32), maxiter=RESTARTS, tol=tolerance(precision))[
            0
        ]
    except ArpackError:
        return _NAN
    return float(found[0])


def _missing(n: int, causal: bool, known: bool) -> str:
    needs = "the condition of the eigenbasis" if causal else "the departure and the condition of the eigenbasis"
    parts = [f"{needs} would take all eigenvectors and eigenvalues of a Jacobian of dimension {n} > {DENSE}"]
    return "; ".join(parts if known else [*parts, "an iteration for ρ, ‖J‖₂ or ω stopped before it settled"])
