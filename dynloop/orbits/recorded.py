"""Classify a record of states where no map is at hand: `classify_trajectory` says what the record alone supports.

For each token, in this order: does it grow (`records.growth`), is it at rest at the floor of its dtype
(`records.rest`, `records.approach`), does it return (`records.cycle`), is it far above the floor. What is left is
undecided.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array
from dynloop.orbits.records.dtype import CEILING, EPS, named, working_dtype
from dynloop.orbits.records.row import Row, judge, with_polygon
from dynloop.orbits.records.series import series
from dynloop.orbits.records.verdict import VERDICTS, RecordedClassification, RecordedTokens

__all__ = ["classify_trajectory"]

_LEAST = 16  # loops


def classify_trajectory(states: Any, *, sections: Any = None, dtype: Any = None) -> RecordedClassification:
    """Say what a record of states shows: settled, periodic, growing, moving, or undecided.

    Parameters
    ----------
    states : array, (loops, *state_shape)
        The state after (or before) each loop, one loop after the other, none left out, 16 at least: ``(loops, n)`` for
        one state, ``(loops, tokens, width)`` for tokens, each of which is judged by its own norm. NumPy or torch, in a
        floating-point dtype.
    sections : array, (loops, k + 1, *state_shape), optional
        States before every layer, and after the last, of the same loops: ``sections[t, 0]`` or ``sections[t, k]`` is
        ``states[t]``.
    dtype : str or dtype, optional
        In which the model worked: "bfloat16", "float16", "float32" or "float64". Left out, it is the shortest format
        that holds every number of the record. Give it where states were kept in float32 but layers ran in bfloat16
        (autocast), or where the record was rotated or averaged.

    Returns
    -------
    RecordedClassification
        The verdict on the whole, and in ``tokens`` on each token.

    Raises
    ------
    ShapeError
        If there are fewer than 16 loops, or `sections` do not fit `states`.
    InvalidArgumentError
        If a number is not finite, the states are not floating-point, or a dtype is not one of the four.

    Notes
    -----
    No record proves what an orbit does for ever. "settled" claims that steps fell geometrically, by a factor 8 at
    least over three loops or more, to a size that rounding in `dtype` explains, and stay there as noise around a point
    does: successive steps partly undo each other, states do not return, no direction dominates, the mean does not move
    on by more than rounding hides. Motion below the floor would not be seen. A record that begins at the floor shows
    no approach and is undecided; so is one that came down like a power of the loop (theory notes C2, C3, C18).
    Rounding noise was measured at relative steps of 0.6 % to 1.5 % in bfloat16; the ceiling is 4 eps in bfloat16 and
    float16, 32 eps in float32, 256 eps in float64.

    Examples
    --------
    >>> import dynloop as dl
    >>> import numpy as np
    >>> orbit = dl.trajectory(dl.zoo.logistic(2.8), [0.3], 255).states
    >>> found = dl.classify_trajectory(orbit)
    >>> found.verdict, round(found.rate, 3)
    ('settled', 0.8)
    >>> dl.classify_trajectory(dl.trajectory(dl.zoo.logistic(3.2), [0.3], 127).states).summary()
    'periodic(2)'
    """
    record, stored = _checked(states)
    if dtype is None:
        name, how = working_dtype(record, stored)
    else:
        name, how = named(dtype), "as given"
    between = None if sections is None else _sections(sections, record, EPS[name])
    shape = record.shape[1:-1]
    flat = record.reshape(len(record), -1, record.shape[-1])
    rows = []
    for i in range(flat.shape[1]):
        one = series(flat[:, i], EPS[name])
        row = judge(one, name)
        if between is not None and row.verdict == "settled":
            row = with_polygon(row, between[:, :, i], EPS[name])
        rows.append(row)
    settings = {"shape": record.shape, "dtype_known": how, "ceiling": CEILING[name], "sections": between is not None}
    return _whole(rows, shape, name, settings)


def _checked(states: Any, what: str = "states") -> tuple[Array, str]:
    """Return states as a NumPy array, and the name of the dtype in which they were stored."""
    stored = str(getattr(states, "dtype", "")).removeprefix("torch.")
    if hasattr(states, "detach"):
        states = states.detach().cpu()
        states = (states.float() if stored == "bfloat16" else states).numpy()
    array = np.asarray(states)
    if stored == "bfloat16" and array.dtype != np.float32:
        array = array.astype(np.float32)
    stored = stored if stored in EPS else str(array.dtype)
    if stored not in EPS:
        raise InvalidArgumentError(
            f"{what} must be floating-point numbers ({', '.join(EPS)}); got dtype {array.dtype}. Convert them first"
        )
    if array.ndim < 2 or len(array) < _LEAST or 0 in array.shape:
        raise ShapeError(
            f"{what} must have shape (loops, *state_shape) with {_LEAST} loops at least; got {array.shape}. "
            + ("Pass states[:, None], one number a loop" if array.ndim == 1 else "Record more loops")
        )
    if not np.isfinite(array).all():
        bad = int(np.argmax(~np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise InvalidArgumentError(f"{what} hold NaN or infinity in loop {bad}; cut the record there: {what}[:{bad}]")
    return array, stored


def _sections(sections: Any, record: Array, eps: float) -> Array:
    """Return sections ``(loops, k + 1, tokens, width)``, seen to be those of the record."""
    between, _ = _checked(sections, "sections")
    if between.ndim != record.ndim + 1 or len(between) != len(record) or between.shape[2:] != record.shape[1:]:
        raise ShapeError(
            f"sections must have shape (loops, k + 1, *state_shape) = ({len(record)}, k + 1, "
            f"{', '.join(map(str, record.shape[1:]))}); got {between.shape}"
        )
    if between.shape[1] < 2:
        raise ShapeError("sections must hold the states before every layer and after the last, two at least; got one")
    if not (_same(between[:, 0], record, eps) or _same(between[:, -1], record, eps)):
        raise InvalidArgumentError(
            "neither the first nor the last section of a loop is its state in `states`; give sections of the same loops"
        )
    if not _same(between[:-1, -1], between[1:, 0], eps):
        raise InvalidArgumentError(
            "the last section of a loop is not the first of the next: a layer (adapter, norm) or a loop is left out"
        )
    return between.reshape(len(between), between.shape[1], -1, between.shape[-1])


def _same(a: Array, b: Array, eps: float) -> bool:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return bool(np.linalg.norm(a - b) <= eps * np.linalg.norm(b))


def _whole(rows: list[Row], shape: tuple[int, ...], dtype: str, settings: dict[str, Any]) -> RecordedClassification:
    """Put the verdicts of tokens together; the heaviest decides, and its first token gives the reason."""
    verdict = next(v for v in VERDICTS if any(row.verdict == v for row in rows))
    deciding = [i for i, row in enumerate(rows) if row.verdict == verdict]
    last = max(deciding, key=lambda i: (rows[i].settled_at, rows[i].step))
    reason = rows[last].reason
    if len(rows) > 1:
        reason = f"{len(deciding)} of {len(rows)} tokens, such as token {last}: {reason}"
    period = math.lcm(*(row.period for row in rows)) if verdict in ("settled", "periodic") else -1
    if 3 * period > settings["shape"][0]:
        verdict, period = "undecided", -1
        reason = "every token returns or is at rest, but the record is too short to show all of them return together"

    def array(name: str, dtype: Any = None) -> Array:
        return np.array([getattr(row, name) for row in rows], dtype=dtype).reshape(shape)

    names = list(RecordedTokens.__dataclass_fields__)
    tokens = RecordedTokens(**{n: array(n, np.int64 if n in ("settled_at", "period") else None) for n in names})
    kinds = {row.dichotomy for row in rows}
    dichotomy = "not applicable"
    if verdict == "settled" and settings["sections"]:
        dichotomy = "unclear" if "unclear" in kinds else "cyclic" if "cyclic" in kinds else "vanishing"

    def largest(name: str) -> float:
        values = [getattr(row, name) for row in rows if not math.isnan(getattr(row, name))]
        return float(max(values, default=math.nan))

    settled = verdict in ("settled", "periodic")
    slow = max(rows, key=lambda row: -1.0 if math.isnan(row.rate) else row.rate)
    return RecordedClassification(
        verdict=verdict,
        rate=slow.rate,
        rate_error=slow.rate_error,
        floor=largest("floor"),
        settled_at=max(row.settled_at for row in rows) if settled else -1,
        period=period,
        closure=largest("closure") if settled else math.nan,
        dichotomy=dichotomy,
        reason=reason,
        drift=largest("drift"),
        growth=largest("growth"),
        growth_error=max(rows, key=lambda row: -1.0 if math.isnan(row.growth) else row.growth).growth_error,
        step=largest("step"),
        dtype=dtype,
        tokens=tokens,
        settings=settings,
    )
