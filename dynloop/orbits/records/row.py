"""The verdict on one state or token of a record: what is asked of it, in order, and the sentence that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.records.approach import approach
from dynloop.orbits.records.cycle import Cycle, returning
from dynloop.orbits.records.dtype import CEILING, EPS
from dynloop.orbits.records.growth import growing
from dynloop.orbits.records.rest import Rest, at_rest
from dynloop.orbits.records.sections import mean_polygon
from dynloop.orbits.records.series import Series

__all__ = ["Row", "judge", "with_polygon"]

_MOVES = 4.0  # times the ceiling of rounding: steps above this are motion


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is said of one token; the fields are those of `RecordedTokens`."""

    verdict: str
    reason: str
    rate: float = math.nan
    rate_error: float = math.nan
    floor: float = math.nan
    settled_at: int = -1
    period: int = -1
    drift: float = math.nan
    growth: float = math.nan
    growth_error: float = math.nan
    step: float = math.nan
    closure: float = math.nan
    dichotomy: str = "not applicable"


def judge(one: Series, dtype: str) -> Row:
    """Say what one state of a record does; `dtype` is the name of that in which the model worked."""
    eps, ceiling = EPS[dtype], CEILING[dtype]
    step = float(np.median(one.steps[-max(8, len(one.steps) // 4) :]))
    if not one.lengths.any():
        return Row(
            verdict="undecided", step=0.0,
            reason="every recorded state is the same, bit for bit: at rest from the first loop on, or one buffer saved "
            "many times; no approach is on record",
        )  # fmt: skip
    rest = at_rest(one, eps, ceiling)
    if rest is not None and not rest.objection:
        return _settled(rest, dtype, step)
    if (grows := growing(one, eps)) is not None:
        return Row(
            verdict="growing", reason=f"the norm grows to the end of the record, {grows.law}; whether for ever, no "
            "record can show", growth=grows.factor, growth_error=grows.error, step=step,
        )  # fmt: skip
    if rest is not None:
        reason = f"the last steps ({step:.1e}) are of the size of rounding in {dtype}, but {rest.objection}"
        return Row(verdict="undecided", reason=reason, step=step, floor=rest.level, drift=rest.drift)
    cycle = returning(one, eps, ceiling)
    if cycle is not None:
        return _periodic(cycle, dtype, step)
    return _unsettled(one, dtype, ceiling, step)


def _settled(rest: Rest, dtype: str, step: float) -> Row:
    came = rest.approach
    level = f"stay near {rest.level:.1e}" if rest.level > 0 else "are zero"
    hidden = f", with a drift of {rest.drift:.0e} per loop below it" if rest.drift > 0.1 * rest.level > 0 else ""
    return Row(
        verdict="settled", period=1, settled_at=rest.start, floor=rest.level, drift=rest.drift, step=step,
        rate=came.rate, rate_error=came.error,
        reason=f"steps fell by {came.rate:.3g} per loop and {level} from loop {rest.start} of the record on, which is "
        f"the floor of {dtype}{hidden}: no motion above the floor",
    )  # fmt: skip


def _periodic(cycle: Cycle, dtype: str, step: float) -> Row:
    if cycle.objection:
        reason = f"returns after {cycle.period} loops, but {cycle.objection}"
        return Row(verdict="undecided", reason=reason, step=step)
    came, entered = cycle.approach, cycle.start > 0
    level = f"to {cycle.level:.1e}" if cycle.level > 0 else "exactly"
    how = f"from loop {cycle.start} of the record on, as {dtype} allows" if entered else "from the first loop on"
    return Row(
        verdict="periodic", reason=f"every state returns after {cycle.period} loops {level}, {how}", step=step,
        period=cycle.period, settled_at=cycle.start, floor=cycle.level,
        rate=came.rate if entered else math.nan, rate_error=came.error if entered else math.nan,
    )  # fmt: skip


def _unsettled(one: Series, dtype: str, ceiling: float, step: float) -> Row:
    """Say of steps above the floor whether they still come down, and whether they are clear of rounding."""
    rate, error, said = math.nan, math.nan, ""
    falls = approach(one.steps, len(one.steps), max(float(one.steps[-1]), 1e-300) / 8, EPS[dtype])
    if not falls.objection and falls.rate < 1 - 3 * (falls.error if math.isfinite(falls.error) else 1):
        rate, error = falls.rate, falls.error
        more = math.ceil(math.log(ceiling / step) / math.log(rate)) if step > ceiling else 0
        said = f", still falling by {rate:.4g} ± {error:.1g} per loop; about {more} more loops would reach the floor"
    if step > _MOVES * ceiling and (lower := _lower_floor(one, dtype)):
        return Row(
            verdict="undecided", step=step, rate=rate, rate_error=error,
            reason=f"steps fell geometrically and stay near {step:.1e} as rounding in {lower} would have it, far above "
            f"the floor of {dtype}: if a layer worked with as few digits (autocast, TF32), give dtype={lower!r}",
        )  # fmt: skip
    if step > _MOVES * ceiling:
        reason = (
            f"steps of {step:.2g} at the end of the record, far above the floor of {dtype}{said or ', and no return'}"
        )
        return Row(verdict="moving", reason=reason, step=step, rate=rate, rate_error=error)
    if step <= ceiling:
        reason = (
            f"steps come down to the floor of {dtype} only at the end of the record; more loops would show them there"
        )
        return Row(verdict="undecided", reason=reason, step=step, rate=rate, rate_error=error)
    return Row(
        verdict="undecided", step=step, rate=rate, rate_error=error,
        reason=f"the last steps ({step:.1e}) exceed what rounding in {dtype} explains ({ceiling:.1e}), but not clearly"
        f"{said}; if the layers worked in a lower dtype, give it as dtype",
    )  # fmt: skip


def _lower_floor(one: Series, dtype: str) -> str:
    """Return a dtype of fewer digits at whose floor the record would have settled; empty if there is none."""
    for lower in ("float32", "float16", "bfloat16"):
        if EPS[lower] > EPS[dtype]:
            rest = at_rest(one, EPS[lower], CEILING[lower])
            if rest is None or rest.objection or rest.level < 0.1 * EPS[lower]:
                continue
            first, last = (float(np.median(half)) for half in np.array_split(one.steps[rest.start :], 2))
            if last > 0.5 * first:
                return lower
    return ""


def with_polygon(row: Row, sections: Array, eps: float) -> Row:
    """Add what the sections at the floor say: whether the increments close, and whether they are zero."""
    shape = mean_polygon(sections[row.settled_at :])
    error = np.array([max(row.floor, eps)])
    kind, closure, perimeter = str(shape.kind(error)[0]), float(shape.closure[0]), float(shape.perimeter[0])
    if kind == "cyclic" and closure * perimeter > 2 * error[0]:
        kind = "unclear"
    said = {
        "cyclic": f"the increments close to {closure:.1e} of a perimeter of {perimeter:.2g}",
        "vanishing": f"no increment exceeds the floor, {error[0]:.1e}",
        "unclear": f"increments of up to {shape.increments.max():.1e}, too near the floor to tell which",
    }[kind]
    return replace(row, closure=closure, dichotomy=kind, reason=f"{row.reason}; {said}")
