"""`certify`: is there really a fixed point, or a cycle, here? A proof, or an estimate that says it is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.spectrum import multipliers
from dynloop.errors import InvalidArgumentError, NoTwinError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, check_power
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.certificates.kantorovich import NoEstimate, kantorovich
from dynloop.result import Result, Status

__all__ = ["PROVABLE", "Certificate", "certify"]

PROVABLE = 16  # coordinates, up to which a proof is tried unasked
_UNKNOWNS = 512  # coordinates of all points of a cycle, at most
_SMALL = 1024  # coordinates, up to which multipliers are added to an estimate


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Certificate(Result):
    """What is certain, or likely, about a fixed point or a cycle.

    Attributes
    ----------
    status : Status
        PROVED; ESTIMATED: numbers support it and prove nothing; UNPROVED: nothing is claimed, `reason` says why.
    kind : str
        ``"proof"`` or ``"estimate"``: what was tried.
    center : ndarray, (period, *state_shape)
        Near the points of the cycle, in order; those that were given, where nothing is claimed.
    existence_radius : float
        A cycle lies this near: each of its points within this distance of that of `center`.
    uniqueness_radius : float
        And no other cycle lies this near.
    norm : str
        ``"max"`` over all coordinates of all points (proof); ``"2"`` over those of the first (estimate).
    period : int
        p that was asked for.
    prime : bool or None
        Whether p is the least period; None where that is not proved.
    stability : str
        ``"sink"`` (all multipliers inside the unit circle), ``"source"`` (all outside), ``"saddle"`` (some inside, the
        others outside), each proved; else ``"unproved"``.
    multipliers : ndarray of complex128, (k,)
        Eigenvalues of DF^p on the cycle, largest modulus first; empty where they are not known.
    multiplier_radii : ndarray, (k,)
        How far each may be off: rigorous in a proof, first-order bounds in an estimate.
    contraction : float
        Proof: largest row sum of |I − Y·DG| in the box of uniqueness, below 1. Estimate: h of Newton and Kantorovich,
        at most ½.
    decimals : ndarray of str, (period, *state_shape)
        The coordinates, with the digits that are proved, the last to within one; empty if nothing is.
    reason : str
        One sentence.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.certify(dl.zoo.logistic(3.2), [0.6875])
    >>> found.status.name, found.kind, found.stability, float(found.multipliers.real.round(9)[0])
    ('PROVED', 'proof', 'source', -1.2)
    """

    status: Status
    kind: str
    center: Array
    existence_radius: float
    uniqueness_radius: float
    norm: str
    period: int
    prime: bool | None
    stability: str
    multipliers: Array
    multiplier_radii: Array
    contraction: float
    decimals: Array
    reason: str

    def __repr__(self) -> str:
        p, n = self.period, self.center[0].size
        what = "fixed point" if p == 1 else f"cycle of period {p}"
        lines = [f"Certificate: {self.status.name}, {what} in {n} coordinates", f"  {self.reason}"]
        if self.status is not Status.UNPROVED:
            near, far, norm = self.existence_radius, self.uniqueness_radius, self.norm
            lines.append(f"  exists within {near:.2g} of `center`, unique within {far:.2g} ({norm}-norm)")
            lines.append(f"  stability: {self.stability}; multipliers: {_listed(self.multipliers)}")
        for row in np.reshape(self.decimals, (-1, n))[:4] if n <= 4 and self.decimals.size else ():
            lines.append(f"  ({', '.join(row)})")
        return "\n".join(lines)


def certify(
    m: LoopMap,
    point: Any,
    *,
    period: int = 1,
    kind: Literal["proof", "estimate"] | None = None,
    digits: int = 20,
) -> Certificate:
    """Certify that a fixed point, or a cycle, lies at a point.

    Parameters
    ----------
    m : LoopMap
        The map.
    point : array, state_shape or (period, *state_shape)
        One state of the cycle, or all of them in order, as a solver returned them. A proof improves them by Newton's
        method, and refuses them where that leaves them; an estimate takes the first as it is.
    period : int
        p; 1 for a fixed point.
    kind : {"proof", "estimate"}, optional
        By default a proof for a `KernelMap` of up to 16 coordinates, an estimate for any other map.
    digits : int
        Decimal digits that a proof aims at; 1 to 100; it computes with twice as many.

    Returns
    -------
    Certificate
        With status PROVED, ESTIMATED or UNPROVED.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, a proof is asked of a map that is no `KernelMap`, or a step of it does what has
        no rigorous form on intervals.
    ShapeError
        If `point` is neither a state nor `period` states.
    MissingPackageError
        If a proof needs python-flint, an extra of dynloop.

    Notes
    -----
    A proof evaluates the step itself, and derivatives of it, in interval arithmetic (python-flint: F. Johansson, *Arb*,
    IEEE Trans. Comput. 66 (2017) 1281), and tests p-cycles by Krawczyk's operator on all p points at once (A. Neumaier,
    *Interval Methods for Systems of Equations* (1990), 5.1). It speaks of the map in exact arithmetic, with parameters
    and constants that are the doubles given; the doubles next to π and to 2π mean π and 2π. The rounded loop that a
    computer runs is another map. That a map is periodic in its angles is checked at the points only. The estimate is
    the theorem of Newton and Kantorovich with constants that were measured, not bounded.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.certify(dl.zoo.henon(), [0.6313544770895, 0.1894063431269])
    >>> found.status.name, found.stability, found.existence_radius < 1e-15, found.uniqueness_radius > 0.5
    ('PROVED', 'saddle', True, True)
    >>> dl.certify(dl.zoo.henon(), [0.5, 0.5]).status.name
    'UNPROVED'
    """
    m, p = as_map(m), check_power(period, "period")
    if kind not in (None, "proof", "estimate"):
        raise InvalidArgumentError(f'kind must be "proof", "estimate" or None for the best to be had; got {kind!r}')
    digits = checked_int(digits, "digits", 1, 100, remedy="Leave it out for 20")
    if kind is None:
        kind = "proof" if isinstance(m, KernelMap) and m.dimension <= PROVABLE else "estimate"
    if kind == "estimate":
        return _estimated(m, point, p)
    if not isinstance(m, KernelMap):
        raise InvalidArgumentError(
            f"a proof needs a KernelMap, whose steps can be run on intervals; {m.name} is a {type(m).__name__}. "
            'Leave out kind="proof" for an estimate'
        )
    if p * m.dimension > _UNKNOWNS:
        raise InvalidArgumentError(
            f"period {p} in {m.dimension} coordinates makes {p * m.dimension} unknowns, and a proof takes "
            f'{_UNKNOWNS} at most. Ask for kind="estimate"'
        )
    return _proved(m, _cycle_of(m, point, p), p, int(digits))


def _proved(m: KernelMap, points: Array, p: int, digits: int) -> Certificate:
    from dynloop.orbits.certificates.backend import workprec
    from dynloop.orbits.certificates.enclosure import BallMap
    from dynloop.orbits.certificates.proof import NoProof, prove

    B = BallMap(m)
    if not np.isfinite(points).all():
        return _nothing("proof", points, p, "the orbit of the point does not stay finite")
    with workprec(128):
        trouble = B.check_compiled(m, points)
    if trouble:
        return _nothing("proof", points, p, trouble)
    try:
        proof = prove(B, points, max(128, math.ceil(7 * digits)))
    except NoProof as error:
        return _nothing("proof", points, p, str(error))
    known, least = proof.multipliers, proof.least_period
    what = "a fixed point" if p == 1 else f"a cycle of {p} points"
    reason = f"interval arithmetic proves that {what} exists and is unique in the box"
    if least is not None and least < p:
        reason += f"; its least period is {least}"
    if known is None:
        reason += "; it may lie on a kink, so multipliers are not defined"
    decimals = np.array([[x.str(digits, radius=False) for x in row] for row in proof.boxes], dtype=object)
    return Certificate(
        status=Status.PROVED,
        kind="proof",
        center=proof.center,
        existence_radius=proof.existence,
        uniqueness_radius=proof.uniqueness,
        norm="max",
        period=p,
        prime=None if least is None else least == p,
        stability="unproved" if known is None else known.stability,
        multipliers=np.empty(0, dtype=complex) if known is None else known.values,
        multiplier_radii=np.empty(0) if known is None else known.radii,
        contraction=proof.rate,
        decimals=decimals,
        reason=reason,
    )


def _estimated(m: LoopMap, point: Any, p: int) -> Certificate:
    shape = tuple(np.shape(point))
    first = point[0] if shape == (p, *m.state_shape) and shape != m.state_shape else point
    states, single = m.batch(first, argument="point")
    if not single:
        raise _wrong_shape(m, shape, p)
    m = m.in_dtype_of(states)
    x = m.numpy(states)[0]
    try:
        twin = m.twin()
    except NoTwinError:
        twin = m
    cycle = _iterated(twin, x, p)
    try:
        if not np.isfinite(cycle).all():
            raise NoEstimate("the orbit of the point does not stay finite")
        found = kantorovich(twin.power(p), x, np.random.default_rng(0))
    except NoEstimate as error:
        return _nothing("estimate", cycle, p, str(error))
    constants = f"β = {found.inverse_norm:.2g}, η = {found.step:.2g}, K = {found.lipschitz:.2g}"
    if not math.isfinite(found.existence):
        why = f"h = βKη = {found.product:.2g} is above 1/2" if found.product > 0.5 else "the Newton step is long"
        return _nothing(
            "estimate", cycle, p, f"{why}, so nothing speaks for a solution here ({constants})", found.product
        )
    spectrum = multipliers(twin, twin.native(x[None])[0], k=6, period=p) if m.dimension <= _SMALL else None
    return Certificate(
        status=Status.ESTIMATED,
        kind="estimate",
        center=cycle,
        existence_radius=found.existence,
        uniqueness_radius=found.uniqueness,
        norm="2",
        period=p,
        prime=None,
        stability="unproved",
        multipliers=np.empty(0, dtype=complex) if spectrum is None else spectrum.values,
        multiplier_radii=np.empty(0) if spectrum is None else spectrum.errors,
        contraction=found.product,
        decimals=np.empty(0, dtype=object),
        reason="an estimate, no proof: with constants measured at a few points, the theorem of Newton and Kantorovich "
        f"gives a solution ({constants})",
    )


def _nothing(kind: str, points: Array, p: int, reason: str, contraction: float = math.nan) -> Certificate:
    return Certificate(
        status=Status.UNPROVED,
        kind=kind,
        center=points,
        existence_radius=math.nan,
        uniqueness_radius=math.nan,
        norm="max" if kind == "proof" else "2",
        period=p,
        prime=None,
        stability="unproved",
        multipliers=np.empty(0, dtype=complex),
        multiplier_radii=np.empty(0),
        contraction=contraction,
        decimals=np.empty(0, dtype=object),
        reason=reason,
    )


def _cycle_of(m: LoopMap, point: Any, p: int) -> Array:
    """Return p points of shape (p, *state_shape): as given, or the orbit of the one that is given."""
    shape = tuple(np.shape(point))
    if shape == (p, *m.state_shape):
        states, _ = as_map(m).batch(point, argument="point")
        return m.numpy(states)
    if shape != m.state_shape:
        raise _wrong_shape(m, shape, p)
    states, _ = as_map(m).batch(point, argument="point")
    return _iterated(m, m.numpy(states)[0], p)


def _iterated(m: LoopMap, x: Array, p: int) -> Array:
    points = [x]
    with np.errstate(all="ignore"):
        for _ in range(p - 1):
            points.append(m.numpy(m(m.native(points[-1][None])))[0])
    return np.stack(points)


def _listed(values: Array) -> str:
    if not values.size:
        return "not known"
    shown = ", ".join(f"{v.real:.6g}" if v.imag == 0 else f"{v.real:.6g}{v.imag:+.6g}j" for v in values[:4])
    return shown + (", …" if values.size > 4 else "")


def _wrong_shape(m: LoopMap, shape: tuple[int, ...], p: int) -> ShapeError:
    return ShapeError(
        f"point must be one state {m.state_shape} or the {p} states of a cycle {(p, *m.state_shape)}; got {shape}. "
        "Give it that shape, or the period of the cycle"
    )
