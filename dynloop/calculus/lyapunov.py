"""Lyapunov exponents along one orbit: by repeated QR, or from the multipliers where the orbit has settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.averages import halves_disagree, straying, time_average
from dynloop.calculus.dimension import entropy_bound, kaplan_yorke_dimension
from dynloop.calculus.layer_growth import LayerGrowth
from dynloop.calculus.settled import layer_shares, settled_exponents, settled_period, settled_tokens
from dynloop.calculus.tangent import check_derivative, checked_frame, random_frames
from dynloop.calculus.token_growth import token_growth
from dynloop.calculus.window import Progress, carry
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.result import Result, Status

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum", "rounding_error", "turning_bias"]

_RECORDS = 8192  # of a window, whatever its length
_POINTS = 64  # of the history, and windows of the finite-time exponents
_APART = 5.0  # nats that two directions grow apart until one is lost beside the other
_DIGITS = 30.0  # nats that a frame may spread between two QR decompositions, in float64 (theory note T8)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class LyapunovSpectrum(Result):
    """Finite-time Lyapunov exponents, natural log per loop, sorted downwards.

    Attributes
    ----------
    exponents : ndarray, (k,)
        λ_1 ≥ … ≥ λ_k; −inf where a direction falls below rank tolerance, nan if the orbit was lost.
    standard_error : ndarray, (k,)
        Of each. By QR: statistical, from the low frequencies of the stretches (`time_average`), and what rounding does
        to a direction beside the longest. From multipliers: a first-order bound. nan where the exponent is −inf by
        rounding, or the window is shorter than 8 decompositions.
    bias : ndarray, (k,)
        Size of the error of order 1/loops that the ends of the window make, which no standard error covers: how far
        the running sum of the stretches strays from a straight line, and, for exponents too near to each other to be
        told apart in the transient, how much their directions may still turn. On an orbit that does not settle and is
        not chaotic it is the larger error. It knows nothing of exponents beyond k, nor of a transient growth longer
        than the window (a far from normal map). 0 from multipliers.
    status : Status
        CONVERGED, NOT_CONVERGED (the two halves of the window disagree beyond their errors, an error is unknown, or a
        derivative is not finite on an orbit that is), DIVERGED or BELOW_RANK_TOLERANCE (settled apart from exponents
        that are −inf).
    kaplan_yorke_dimension : float
        j + Σ_{i≤j} λ_i / |λ_{j+1}|, capped at n; nan if the k exponents do not reach a negative sum.
    entropy_bound : float
        Sum of the positive exponents, which the Kolmogorov–Sinai entropy does not exceed; nan if more than k may be.
    by_layer : ndarray, (layers, k), or None
        Each layer's share of each exponent; a column adds up to the exponent.
    by_token : ndarray, (tokens, k), or None
        Exponents of every token's own cocycle. They are *conditional*: a token whose own exponents are negative still
        moves chaotically if an earlier token drives it (theory note T7).
    history : ndarray, (points, k)
        Running estimates at evenly spaced loops; the last row is `exponents`. One row from multipliers.
    finite_time : ndarray, (windows, k)
        Exponents over consecutive windows of equal length.
    effective_size : ndarray, (k,)
        How many independent loops the window is worth; nan from multipliers.
    period : int
        0 by QR; from multipliers the period p of the cycle on which the orbit has settled.
    loops, transient, qr_every : int
        Length of the window (0 from multipliers), loops iterated before it, loops between two QR decompositions.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.lyapunov_spectrum(dl.zoo.cat(), [0.3, 0.2], loops=500)
    >>> found.exponents.round(6).tolist(), found.status.name, found.finite_time.shape[1]
    ([0.962424, -0.962424], 'CONVERGED', 2)
    """

    exponents: Array
    standard_error: Array
    bias: Array
    status: Status
    kaplan_yorke_dimension: float
    entropy_bound: float
    by_layer: Array | None = None
    by_token: Array | None = None
    history: Array
    finite_time: Array
    effective_size: Array
    period: int
    loops: int
    transient: int
    qr_every: int


def lyapunov_spectrum(
    m: LoopMap,
    start: Any = None,
    *,
    k: int | None = None,
    loops: int = 1000,
    transient: int = 100,
    qr_every: int = 1,
    per_layer: bool = False,
    per_token: bool = False,
    frame: Any = None,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> LyapunovSpectrum:
    """Estimate the k largest Lyapunov exponents along one orbit.

    Where the orbit has settled on a fixed point or a cycle, after the transient or by the end of the window, the
    exponents are logarithms of the moduli of the multipliers of DF^p there, exact to rounding; else they are averages
    over the window by repeated QR. An orbit that is still settling after the transient is followed, without tangents,
    for up to `loops` loops more.

    Parameters
    ----------
    m : LoopMap
        The map.
    start : array, state_shape, optional
        Where the orbit begins; drawn by ``m.start(rng)`` if left out.
    k : int, optional
        How many exponents; all n if left out.
    loops, transient : int
        Length of the window (rounded up to a multiple of `qr_every`, and above 8192 decompositions, where records
        gather several, to a multiple of that), and loops dropped before it.
    qr_every : int
        Loops between two QR decompositions. Refused where ``qr_every · (λ_1 − λ_k)`` comes near the digits of the
        dtype: the small exponents would be rounding.
    per_layer : bool
        Whether to give each layer's share of each exponent, by a QR decomposition after every layer.
    per_token : bool
        Whether to give every token's own exponents, k ≤ width of them (all if `k` is left out); `exponents` is then
        their union, for a causal block the spectrum (T7). Costs k tangents instead of k × tokens.
    frame : array, (k, *state_shape), optional
        The first tangents; drawn at random if left out.
    rng : int or Generator
        For the start and the first frame.
    progress : callable, optional
        ``progress(loops done, loops in all)``.

    Returns
    -------
    LyapunovSpectrum
        Exponents with error, history and, if asked, shares.

    Raises
    ------
    InvalidArgumentError
        If k, a number of loops or the frame is out of range, if `qr_every` is too long for the spread of the
        spectrum, or if `per_token` is asked of a map that is not causal or together with `per_layer`.
    DerivativeError
        If the map has no usable derivative.

    Notes
    -----
    Benettin, Galgani, Giorgilli and Strelcyn, Meccanica 15 (1980) 9; for networks Engelken, Wolf and Abbott (arXiv
    2006.02427). On a regular orbit QR agrees with the limit to O(log κ / loops) only: see `bias`. At finite `loops` the
    union of the tokens' exponents differs from full QR by O(tokens · log loops / loops).

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=20000)
    >>> round(float(found.exponents.sum()), 9)  # = ln 0.3
    -1.203972804
    """
    options = _Options.checked(as_map(m), k, loops, transient, qr_every, per_layer, per_token, frame)
    generator = as_rng(rng)
    states, single = m.batch(start, generator, argument="start")
    if not single and len(states) > 1:
        raise ShapeError(
            f"start must be one state of shape {m.state_shape}; got a batch of {len(states)}. Pass start[0]."
        )
    m = m.in_dtype_of(states)
    check_derivative(m, states, generator)
    frames = random_frames(m, 1, options.k, generator) if frame is None else checked_frame(m, frame)
    largest = np.linalg.norm(m.numpy(states).reshape(m.rows, -1), axis=1)
    settled = _settled(m, states, options.transient, largest, options, more=options.loops)
    if settled is not None:
        if progress is not None:
            progress(settled.transient, settled.transient)
        return settled
    if options.qr_every > 1:
        _check_spread(m, states, frames, options.qr_every)
    pace: dict[str, Any] = {
        "transient": options.transient, "every": options.qr_every, "gather": options.gather, "progress": progress
    }  # fmt: skip
    if per_token:
        window = token_growth(m, states, options.loops, generator, k=options.in_token, **pace)
        logs = window.logs[:, 0]
    else:
        stretch = LayerGrowth(m).stretch if per_layer else m.stretch
        window = carry(stretch, states, frames, options.loops, **pace)
        logs = window.logs[..., 0, :]
    alive = np.isfinite(m.numpy(window.states)[0].reshape(m.state_shape[0], -1)).all(axis=1)
    if alive.all():
        check_derivative(m, window.states, generator, finite=False)  # where the orbit went
    elif per_token:
        logs[:, ~alive] = np.nan
    else:
        logs[:] = np.nan
    before = options.transient + options.loops
    settled = _settled(m, window.states, options.loops // 16, largest, options, before=before)
    return settled if settled is not None else _of_logs(m, logs, options, finite=bool(alive.all()))


@dataclass(frozen=True, slots=True)
class _Options:
    k: int
    in_token: int
    loops: int
    transient: int
    qr_every: int
    gather: int
    per_layer: bool
    per_token: bool

    @classmethod
    def checked(
        cls, m: LoopMap, k: Any, loops: Any, transient: Any, qr_every: Any, per_layer: bool, per_token: bool, frame: Any
    ) -> _Options:
        n = m.dimension
        if frame is not None and np.ndim(frame) > 0:
            if k is not None and k != len(frame):
                raise InvalidArgumentError(f"k is {k} but frame holds {len(frame)} tangents; leave k out")
            k = len(frame)
        if k is not None:
            k = checked_int(k, "k", 1, n, meaning="the dimension", remedy="Leave it out for all.")
        loops = checked_int(loops, "loops", 2, remedy="Leave it out for 1000")
        transient = checked_int(transient, "transient", 0, remedy="Leave it out for 100")
        qr_every = checked_int(qr_every, "qr_every", 1, remedy="Leave it out for 1")
        if per_token and not m.causal:
            raise InvalidArgumentError(f"per_token needs a causal map; {m.name} is not. Leave per_token out.")
        if per_token and (per_layer or frame is not None):
            other = "per_layer" if per_layer else "frame"
            raise InvalidArgumentError(f"per_token has frames of its own in every token; leave out {other}")
        if per_layer and qr_every != 1:
            raise InvalidArgumentError(f"per_layer orthonormalises after every layer; leave out qr_every={qr_every}")
        width = n // m.state_shape[0]
        every = int(qr_every)
        records, gather = _records(-(-int(loops) // every))
        return cls(
            k=n if k is None else int(k), in_token=width if k is None else min(int(k), width),
            loops=every * gather * records, transient=int(transient), qr_every=every, gather=gather,
            per_layer=bool(per_layer), per_token=bool(per_token),
        )  # fmt: skip


def _records(decompositions: int) -> tuple[int, int]:
    """Return how many records a window has, and how many decompositions one of them gathers.

    Rather no more decompositions than asked for; where their number has no fitting divisor, the window is lengthened.
    """
    if decompositions <= _RECORDS:
        return decompositions, 1
    for records in range(_RECORDS, _RECORDS // 8, -1):
        if decompositions % records == 0:
            return records, decompositions // records
    gather = -(-decompositions // _RECORDS)
    return -(-decompositions // gather), gather


def _check_spread(m: LoopMap, states: Any, frames: Any, every: int) -> None:
    """Refuse a `qr_every` over which the frame would spread beyond the digits of the dtype."""
    logs = m.stretch(states, frames, 32).logs[16:, 0]
    mean = logs.mean(axis=0)
    finite = mean[np.isfinite(mean)]
    spread = float(finite.max() - finite.min()) if finite.size else 0.0
    digits = _DIGITS * np.log(m.precision) / np.log(np.finfo(np.float64).eps)
    if every * spread >= digits:
        allowed = int(digits / spread)
        remedy = f"Pass qr_every={allowed}." if allowed > 1 else "Leave it out."
        raise InvalidArgumentError(
            f"qr_every={every} is too long: the exponents spread over {spread:.3g} a loop, so {every} loops stretch "
            f"the frame beyond the {digits:.3g} nats that {m.dtype_name} resolves. {remedy}"
        )


def _settled(
    m: LoopMap, states: Any, loops: int, largest: Array, options: _Options, *, before: int = 0, more: int = 0
) -> LyapunovSpectrum | None:
    """Iterate; return the exponents from multipliers, if the orbit has settled and they are to be had."""
    if loops < 4:
        return None
    states, period, done = settled_period(m, states, loops, largest, more=more)
    if not period:
        return None
    check_derivative(m, states, np.random.default_rng(0), finite=False)
    by_token = by_layer = None
    if options.per_token:
        tokens = settled_tokens(m, states[0], options.in_token, period)
        if tokens is None:
            return None
        by_token = tokens.exponents
        order = np.argsort(-by_token.ravel(), kind="stable")[: options.k]
        exponents, errors = by_token.ravel()[order], tokens.errors.ravel()[order]
    else:
        found = settled_exponents(m, states[0], options.k, period)
        if found is None:
            return None
        exponents, errors = found.exponents, found.errors
        if options.per_layer:
            by_layer = layer_shares(m, states[0], exponents, period)
            if by_layer is None:
                return None
    ones = np.ones_like(exponents)
    return LyapunovSpectrum(
        exponents=exponents + 0.0, standard_error=errors + 0.0, bias=np.zeros_like(ones),
        history=exponents[None], finite_time=exponents[None],
        effective_size=np.nan * ones, by_layer=by_layer, by_token=by_token,
        status=Status.CONVERGED if np.isfinite(exponents).all() else Status.BELOW_RANK_TOLERANCE,
        kaplan_yorke_dimension=kaplan_yorke_dimension(exponents, m.dimension),
        entropy_bound=entropy_bound(exponents, m.dimension),
        period=period, loops=0, transient=before + done, qr_every=options.qr_every,
    )  # fmt: skip


def _of_logs(m: LoopMap, logs: Array, options: _Options, *, finite: bool) -> LyapunovSpectrum:
    """Turn growth by QR into exponents: ``(records, k)``, ``(records, layers, k)`` or ``(records, tokens, k)``."""
    record = options.qr_every * options.gather
    logs = logs / record
    by_layer = by_token = None
    with np.errstate(invalid="ignore"):
        if options.per_token:
            by_token = -np.sort(-logs.mean(axis=0), axis=-1)
            logs = logs.reshape(len(logs), -1)
        layers = logs if options.per_layer else None
        logs = logs.sum(axis=1) if options.per_layer else logs
        mean = logs.mean(axis=0)
        order = np.argsort(-np.nan_to_num(mean, nan=-np.inf, neginf=-np.inf), kind="stable")[: options.k]
        logs = logs[:, order]
        if layers is not None:
            by_layer = layers[:, :, order].mean(axis=0)
        average = time_average(logs)
        marks = np.unique(np.linspace(1, len(logs), min(_POINTS, len(logs))).astype(int))
        sums = np.cumsum(logs, axis=0)
        windows = np.stack([part.mean(axis=0) for part in np.array_split(logs, len(marks))])
    exponents = average.mean + 0.0  # no −0
    errors = np.hypot(average.standard_error, rounding_error(m, exponents, options.qr_every))
    errors[~np.isfinite(exponents)] = np.nan
    bias = straying(logs) + turning_bias(exponents, options.loops, options.transient)
    return LyapunovSpectrum(
        exponents=exponents, standard_error=errors, bias=bias,
        history=sums[marks - 1] / marks[:, None], finite_time=windows,
        effective_size=average.effective_size * record, by_layer=by_layer, by_token=by_token,
        status=_status(logs, errors, options.loops, finite=finite),
        kaplan_yorke_dimension=kaplan_yorke_dimension(exponents, m.dimension),
        entropy_bound=entropy_bound(exponents, m.dimension),
        period=0, loops=options.loops, transient=options.transient, qr_every=options.qr_every,
    )  # fmt: skip


def rounding_error(m: LoopMap, exponents: Array, every: int = 1) -> Array:
    """Return what rounding does to exponents ``(…, k)`` by QR: a direction is known to rounding of the longest."""
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.where(np.isfinite(exponents), exponents, -np.inf).max(axis=-1, keepdims=True)
        spread = np.exp(every * (largest - exponents))
        return np.asarray(max(2, m.layer_count) * m.precision * spread / every)


def turning_bias(exponents: Array, loops: int, transient: int) -> Array:
    """Return how much directions ``(…, k)`` may turn that the transient has not told apart, as on a defective map.

    Each such neighbour may add growth like log t.
    """
    with np.errstate(invalid="ignore"):
        near = np.abs(exponents[..., :, None] - exponents[..., None, :]) * transient < _APART
    neighbours = near.sum(axis=-1) - np.isfinite(exponents)
    return np.asarray(neighbours * np.log1p(loops / max(1, transient)) / loops)


def _status(logs: Array, errors: Array, loops: int, *, finite: bool) -> Status:
    """Say whether the two halves of a window agree within their errors and the bias of a regular orbit."""
    mean = logs.mean(axis=0)
    if np.isnan(mean).any():
        return Status.NOT_CONVERGED if finite else Status.DIVERGED
    known = np.isfinite(mean)
    if halves_disagree(logs, loops).any() or not np.isfinite(errors[known]).all():
        return Status.NOT_CONVERGED
    return Status.CONVERGED if known.all() else Status.BELOW_RANK_TOLERANCE
