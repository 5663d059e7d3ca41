"""`BallMap`: a `KernelMap` on boxes, with values and derivatives that hold for every state of the box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.certificates.backend import Arb, exact, nearest, the_integer
from dynloop.orbits.certificates.balls import Ball, as_ball, constant, same
from dynloop.orbits.certificates.remade import remade
from dynloop.orbits.certificates.trace import RefusedError, UndecidedError, Watched

__all__ = ["BallMap", "Image"]

_ALIKE = 1e-6  # how far rounded values may be from ours, in units of 1 + |F(x)|


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Image:
    """What a map does with a box.

    Attributes
    ----------
    values : list of arb, n
        Hold F(x) for every x of the box; of an angle, up to multiples of its period that are the same in all the box.
    slopes : list of lists of arb, (n, n), or None
        Hold ∂F_i/∂x_j, or at kinks the slopes between any two states; None if not asked for.
    kink : bool
        Whether a slope is no derivative.
    """

    values: list[Arb]
    slopes: list[list[Arb]] | None
    kink: bool


class BallMap:
    """Interval evaluation of a map.

    Parameters
    ----------
    m : KernelMap
        The map; its given Jacobian is not used.

    Raises
    ------
    InvalidArgumentError
        If a step does what has no rigorous form, or the map has a table of parameters.
    """

    def __init__(self, m: KernelMap) -> None:
        table = m.table
        if len(table) != 1:
            raise InvalidArgumentError(
                f"{m.name} has {len(table)} rows of parameters, so it is no one map; pass m.with_row(b)"
            )
        self.name, self.dimension = m.name, m.dimension
        self._names = m.layer_names
        known: dict[int, Any] = {}
        self._steps = []
        for name, step in zip(m.layer_names, m.steps, strict=True):
            try:
                self._steps.append(remade(step, known))
            except RefusedError as error:
                raise self._refusal(name, str(error)) from error
        self._units = (exact(0), exact(1))
        self._params = np.empty(table.shape[1], dtype=object)
        for j, value in enumerate(table[0]):
            self._params[j] = Ball(exact(float(value)))
        self._params.setflags(write=False)
        wraps = [np.nan] * m.dimension if m.periods is None else m.periods.tolist()
        self.periods: list[Ball | None] = [None if np.isnan(w) else constant(w) for w in wraps]

    def __call__(self, box: Sequence[Arb], *, slopes: bool = True) -> Image:
        """Return what F does with a box.

        Raises
        ------
        UndecidedError
            If a branch is not decided on the box, or a value is not finite.
        InvalidArgumentError
            If a step does what has no rigorous form.
        """
        return self.iterated(box, 1, slopes=slopes)

    def iterated(self, box: Sequence[Arb], loops: int, *, slopes: bool = True) -> Image:
        """Return what F^p does with a box, derivatives carried along; raises as a call does."""
        image = self._start(box, slopes=slopes)
        for _ in range(loops):
            image = self._image(image)
        return image

    def centred(self, box: Sequence[Arb], middle: Sequence[Arb], loops: int) -> tuple[Image, list[Arb]]:
        """Return what F^p does with a box and with an exact point in it, each helping the other; raises as a call does.

        After every loop F^k(X) is cut with its mean-value form F^k(c) + DF^k(X)·(X − c), which does not wrap boxes
        round the turning image of X. The image of the point is on the sheet of that of the box, where it is told apart.
        """
        image, at = self._start(box, slopes=True), self._start(middle, slopes=False)
        arms = [a - c for a, c in zip(box, middle, strict=True)]
        for _ in range(loops):
            image, at = self._image(image), self._image(at)
            for i, (value, c, row) in enumerate(zip(image.values, at.values, image.slopes or (), strict=True)):
                center: Arb | None = self._on_sheet(value, c, i)
                if center is not None:
                    mean = center
                    for slope, arm in zip(row, arms, strict=True):
                        mean += slope * arm
                    if not value.overlaps(mean):
                        raise UndecidedError("an angle is not on the sheet that it seemed to be on")
                    image.values[i] = value.intersection(mean)
        return image, at.values

    def _on_sheet(self, value: Arb, c: Arb, i: int) -> Arb | None:
        """Return a number moved by whole turns to where it is in a ball; None if that can be done in several ways."""
        period = self.periods[i]
        if period is None:
            return c
        one, turns = the_integer((value - c) / period.v)
        return c + period.v * turns if one and turns is not None else None

    def _start(self, box: Sequence[Arb], *, slopes: bool) -> Image:
        n = self.dimension
        unit = [[self._units[i == j] for j in range(n)] for i in range(n)] if slopes else None
        return Image(values=list(box), slopes=unit, kink=False)

    def _image(self, before: Image) -> Image:
        """Return what F does with the image of a box."""
        slopes: Sequence[Any] = before.slopes or [None] * self.dimension
        x, kink = _row([Ball(v, d) for v, d in zip(before.values, slopes, strict=True)]), before.kink
        for name, step in zip(self._names, self._steps, strict=True):
            x, noted = self._apply(name, step, x)
            kink |= noted
        values, derivatives = [], []
        for ball, period in zip(x, self.periods, strict=True):
            number = _angle(ball, period) if period is not None else ball.settled()
            row = number.d if number.d is not None else [self._units[0]] * (self.dimension if before.slopes else 0)
            if not (number.v.is_finite() and all(s.is_finite() for s in row)):
                raise UndecidedError("a value or a derivative is not finite on all of the box")
            values.append(number.v)
            derivatives.append(row)
        return Image(values=values, slopes=derivatives if before.slopes else None, kink=kink)

    def _apply(self, name: str, step: Any, x: Any) -> tuple[Any, bool]:
        """Run one step on balls; an error that the step caught, or renamed, is found all the same."""
        failure: Exception | None = None
        out = np.empty(self.dimension, dtype=object)
        x.setflags(write=False)
        with Watched() as record:
            try:
                step(x, self._params, out)
                for i in range(self.dimension):
                    out[i] = _filled(out[i])
            except Exception as error:  # whatever the step does not do on balls
                failure = error
        if record.refused:
            raise self._refusal(name, record.refused) from failure
        if record.undecided:
            raise UndecidedError(record.undecided) from failure
        if failure is not None:
            raise self._refusal(name, f"{type(failure).__name__}: {failure}") from failure
        return out, record.kink

    def _refusal(self, name: str, what: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"step {name!r} of {self.name} has no rigorous form on intervals: {what}; write it with numbers, math and "
            "NumPy functions alone, or ask for kind='estimate'"
        )

    def check_compiled(self, m: KernelMap, points: Array) -> str:
        """Say where the compiled map gives other values than the step, of points ``(batch, n)``; empty if nowhere.

        Compiled code keeps the globals and arrays of the moment when it was compiled.
        """
        ours = np.full(points.shape, np.nan)
        for row, x in zip(ours, points, strict=True):
            try:
                row[:] = [nearest(v) for v in self([exact(float(c)) for c in x], slopes=False).values]
            except UndecidedError:
                continue
        theirs = m(points)
        gaps = np.abs(m.displacement(ours, theirs))
        off = np.flatnonzero((gaps > _ALIKE * (1 + np.abs(ours).max(axis=1, keepdims=True))).any(axis=1))
        if not len(off):
            return ""
        return (
            f"{self.name}, as it was compiled, gives other values than its step at {points[off[0]].tolist()}: a jump "
            "is there to within rounding, or a global or an array that the step uses was changed. Make the map again"
        )

    def check_word(self, m: KernelMap, points: Array) -> None:
        """Refuse a map that is not what was compiled, or not periodic in its angles, at points ``(batch, n)``.

        Raises
        ------
        InvalidArgumentError
            With what was seen, and the remedy.
        """
        if stale := self.check_compiled(m, points):
            raise InvalidArgumentError(stale)
        for x in points:
            try:
                trouble = self.check_periods([exact(float(c)) for c in x])
            except UndecidedError:
                continue
            if trouble:
                raise InvalidArgumentError(f"{self.name}: {trouble}; correct its `periods`")

    # -- angles --------------------------------------------------------------------------------------------------

    def gap(self, a: Arb, b: Arb, i: int) -> tuple[Arb, bool]:
        """Return a − b less the one multiple of the period that may bring it to 0, and whether only one may.

        The difference of the two cannot be 0, in the circle, where that ball does not hold 0.
        """
        period, difference = self.periods[i], a - b
        if period is None:
            return difference, True
        one, turns = the_integer(difference / period.v)
        if not one:
            return difference, False
        if turns is None:
            turns = round(float((difference / period.v).mid()))
        return difference - period.v * turns, True

    def check_periods(self, point: Sequence[Arb]) -> str:
        """Say in what way the map is not periodic in its angles at a point, as it should be; empty if nothing shows."""
        here = self(point, slopes=False).values
        for j, period in enumerate(self.periods):
            if period is None:
                continue
            moved = [v + period.v if i == j else v for i, v in enumerate(point)]
            for i, (a, b) in enumerate(zip(self(moved, slopes=False).values, here, strict=True)):
                gap, one = self.gap(a, b, i)
                if one and not gap.contains(0):
                    return f"coordinate {j} is given as an angle, but coordinate {i} of the image changes with a turn"
        return ""


def _row(balls: Sequence[Ball]) -> Any:
    row = np.empty(len(balls), dtype=object)
    for i, ball in enumerate(balls):
        row[i] = ball
    return row


def _filled(value: Any) -> Ball:
    ball = value if isinstance(value, Ball) else as_ball(value)
    if ball is None:
        raise RefusedError(f"an entry of out that is {'unset' if value is None else type(value).__name__}")
    return ball


def _angle(ball: Ball, period: Ball) -> Ball:
    """Return an angle in [0, T), as the step leaves it, or, where its ball crosses the seam, on either side of it."""
    if ball.turn is None or not same(ball.turn, period):
        return ball.settled()
    k = (ball.v / period.v).floor().unique_fmpz()
    return Ball(ball.v if k is None else ball.v - period.v * k, ball.d)
