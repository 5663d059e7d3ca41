"""Lyapunov exponents against a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.averages import halves_disagree, straying, time_average
from dynloop.calculus.lyapunov import lyapunov_spectrum, rounding_error, turning_bias
from dynloop.calculus.tangent import random_frames
from dynloop.diagrams.family import FamilyLike, Member, members, statuses
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, as_rng
from dynloop.maps.kernel import KernelMap
from dynloop.result import Result, Status

__all__ = ["ExponentDiagram", "exponent_diagram"]

Progress = Callable[[int, int], None]
_RECORDS = 128  # of a window: enough for the error


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class ExponentDiagram(Result):
    """The largest Lyapunov exponents of one orbit for each value of a parameter.

    Attributes
    ----------
    exponents : ndarray, (rows, k)
        Natural log per loop, downwards; −inf where a direction is lost, nan where the orbit is.
    standard_error, bias : ndarray, (rows, k)
        As in `LyapunovSpectrum`.
    status : ndarray of Status, (rows,)
        CONVERGED, NOT_CONVERGED, DIVERGED or BELOW_RANK_TOLERANCE, as in `LyapunovSpectrum`.
    values : ndarray, (rows,)
        The values of the parameter.
    loops, transient : int
        Loops averaged over, and loops dropped before them.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.exponent_diagram(dl.zoo.henon(), [0.3, 0.5], k=2)
    >>> found.exponents.sum(axis=1).round(6), found.values.tolist()  # ln 0.3
    (array([-1.203973, -1.203973]), [0.3, 0.5])
    """

    exponents: Array
    standard_error: Array
    bias: Array
    status: Array
    values: Array
    loops: int
    transient: int


def exponent_diagram(
    family: FamilyLike,
    values: Any,
    *,
    k: int = 1,
    starts: Any = None,
    loops: int = 1024,
    transient: int = 1000,
    parameter: int = 0,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> ExponentDiagram:
    """Measure the k largest Lyapunov exponents of every map of a family.

    Parameters
    ----------
    family, values, starts, parameter, rng, progress
        As in `orbit_diagram`.
    k : int
        How many exponents.
    loops : int
        Length of the window; above 128 loops rounded up to a multiple of the number that a record gathers.
    transient : int
        Loops dropped before it.

    Returns
    -------
    ExponentDiagram
        Exponents with errors. `dynloop.draw_exponent_diagram` plots them.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the family.

    Notes
    -----
    Compiled maps are averaged over the window by repeated QR; where the orbit is regular, see `bias`. Other maps go
    through `lyapunov_spectrum` one by one, which takes multipliers where an orbit has settled.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.exponent_diagram(dl.zoo.logistic(), [3.2, 4.0])
    >>> found.exponents[:, 0].round(2)  # ln 0.16 / 2 and ln 2
    array([-0.92,  0.69])
    """
    k = checked_int(k, "k", 1)
    loops = checked_int(loops, "loops", 2, remedy="Leave it out for 1024")
    transient = checked_int(transient, "transient", 0, remedy="Leave it out for 1000")
    gather = -(-loops // _RECORDS)
    loops = gather * -(-loops // gather)
    values, made = members(family, values, parameter=parameter, starts=starts, rng=rng)
    numbers = np.empty((3, len(values), k))
    status = np.empty(len(values), dtype=object)
    for member in made:
        if k > member.map.dimension:
            raise InvalidArgumentError(f"k must be between 1 and the dimension {member.map.dimension}; got {k}")
        measure = _together if isinstance(member.map, KernelMap) else _alone
        numbers[:, member.rows], status[member.rows] = measure(member, k, loops, transient, gather, rng)
        if progress is not None:
            progress(member.rows.stop, len(values))
    exponents, errors, bias = numbers
    return ExponentDiagram(
        exponents=exponents, standard_error=errors, bias=bias, status=status, values=values, loops=loops,
        transient=int(transient),
    )  # fmt: skip


def _together(member: Member, k: int, loops: int, transient: int, gather: int, rng: Any) -> tuple[Array, Array]:
    """Measure compiled maps in one batch: exponents, errors and biases ``(3, rows, k)``, and statuses."""
    m, states = member.map, member.states
    frames = random_frames(m, len(states), k, as_rng(rng))
    if transient:
        begun = m.stretch(states, frames, transient, gather=transient)
        states, frames = begun.states, begun.frames
    logs = m.stretch(states, frames, loops, gather=gather).logs / gather
    with np.errstate(invalid="ignore"):
        logs = np.where(logs == np.inf, np.nan, logs)
        order = np.argsort(-np.nan_to_num(logs.mean(axis=0), nan=-np.inf, neginf=-np.inf), axis=1, kind="stable")
    logs = np.take_along_axis(logs, order[None], axis=2)
    average = time_average(logs)
    lost, gone = np.isnan(average.mean).any(axis=1), np.isneginf(average.mean).any(axis=1)
    errors = np.hypot(average.standard_error, rounding_error(m, average.mean))
    errors[~np.isfinite(average.mean)] = np.nan
    unknown = np.isfinite(average.mean) & ~np.isfinite(errors)
    unsettled = (halves_disagree(logs, loops) | unknown).any(axis=1)
    status = statuses(
        Status.CONVERGED,
        (lost, Status.DIVERGED), (unsettled, Status.NOT_CONVERGED), (gone, Status.BELOW_RANK_TOLERANCE),
    )  # fmt: skip
    bias = straying(logs) + turning_bias(average.mean, loops, transient)
    return np.stack([average.mean, errors, bias]), status


def _alone(member: Member, k: int, loops: int, transient: int, _: int, rng: Any) -> tuple[Array, Array]:
    """Measure one map by `lyapunov_spectrum`."""
    found = lyapunov_spectrum(member.map, member.states[0], k=k, loops=loops, transient=transient, rng=rng)
    numbers = np.stack([found.exponents, found.standard_error, found.bias])[:, None]
    return numbers, np.array([found.status], dtype=object)
