"""What the hot loops of a map measure: series of norms, a window summed up, the growth of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

__all__ = ["Stretch", "Survey", "Watch"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Watch:
    """What `LoopMap.watch` measures while it iterates: three norms a loop, and where the orbit is at the end.

    A *row* of a state is what is measured by itself: a token of a transformer's state (all axes but the last), the
    whole state of a map on vectors. Arrays are NumPy float64 of shape ``(loops, batch, rows)``.

    Attributes
    ----------
    states : native array, (batch, *state_shape)
        The state after the last loop.
    steps : ndarray
        ``‖x_{t+1} − x_t‖`` of every row, angles wrapped.
    norms : ndarray
        ``‖x_{t+1}‖`` of every row.
    returns : ndarray
        ``‖x_{t+1} − reference‖`` of every row.
    """

    states: Any
    steps: Array
    norms: Array
    returns: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Survey:
    """What a window of loops comes to, row by row: arrays ``(batch, rows)`` in place of the series of `Watch`.

    Relative numbers divide by max(‖x‖, floor × the largest norm seen on the orbit).

    Attributes
    ----------
    states : native array, (batch, *state_shape)
        The state after the last loop.
    largest : ndarray
        The largest norm seen until now.
    step, norm : ndarray
        The last relative step, and the last norm.
    mean_step : ndarray
        The mean step of the last quarter.
    growth : ndarray
        Factor per loop by which norms grew; nan where they did not grow steadily.
    decay : ndarray or None
        Factor per loop by which steps fell, nan where they are large; None where it was not measured.
    rate, rate_error : ndarray or None
        The same, fitted to the steps above the floor, and its standard error; nan where there were few; None where it
        was not measured.
    path : ndarray
        Sum of the steps.
    settled, finite : ndarray of bool
        Whether steps have reached the floor, and whether every state was finite.
    period, near : ndarray of int, (batch, groups)
        The least p whose every multiple in the window returns, within a narrow and a wide distance; −1 where there is
        none. A group is a row of a causal map, or all rows together.
    """

    states: Any
    largest: Array
    step: Array
    norm: Array
    mean_step: Array
    growth: Array
    decay: Array | None
    rate: Array | None
    rate_error: Array | None
    path: Array
    settled: Array
    finite: Array
    period: Array
    near: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stretch:
    """What `LoopMap.stretch` measures: how a frame grows along an orbit.

    Attributes
    ----------
    states : native array, (batch, *state_shape)
        The state after the last loop.
    frames : native array, (batch, k, *state_shape)
        The orthonormal frame there; a direction that was contracted to nothing is drawn anew.
    logs : ndarray, (loops // every // gather, batch, k)
        log R_jj of every QR, summed over `gather` of them; −inf where a direction falls below rank tolerance.
    """

    states: Any
    frames: Any
    logs: Array
