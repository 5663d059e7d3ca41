"""`BallMap`: a `KernelMap` on boxes, with values and derivatives that hold for every state of the box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.certificates.backend import Arb, exact, the_integer
from dynloop.orbits.certificates.balls import Ball, as_ball, constant, same
from dynloop.orbits.certificates.remade import remade
from dynloop.orbits.certificates.trace import RefusedError, UndecidedError, Watched

__all__ = ["BallMap", "Image"]


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
        n, kink = self.dimension, False
        none: list[Any] = [None] * n
        unit = [[exact(int(i == j)) for j in range(n)] for i in range(n)] if slopes else none
        image = Image(values=list(box), slopes=unit if slopes else None, kink=False)
        for _ in range(loops):
            image = self._image(
                [Ball(v, d) for v, d in zip(image.values, image.slopes or none, strict=True)], slopes=slopes
            )
            kink |= image.kink
        return Image(values=image.values, slopes=image.slopes, kink=kink)

    def _image(self, state: list[Ball], *, slopes: bool) -> Image:
        kink = False
        x = _row(state)
        for name, step in zip(self._names, self._steps, strict=True):
            x.setflags(write=False)
            out = np.full(self.dimension, None, dtype=object)
            x, noted = self._apply(name, step, x, out)
            kink |= noted
        numbers = []
        for ball, period in zip(x, self.periods, strict=True):
            numbers.append(_angle(ball, period) if period is not None else ball.settled())
        zero = [exact(0)] * self.dimension
        derivatives = [list(b.d) if b.d is not None else list(zero) for b in numbers] if slopes else None
        for ball in numbers:
            if not (ball.v.is_finite() and all(s.is_finite() for s in ball.d or ())):
                raise UndecidedError("a value or a derivative is not finite on all of the box")
        return Image(values=[b.v for b in numbers], slopes=derivatives, kink=kink)

    def _apply(self, name: str, step: Any, x: Any, out: Any) -> tuple[Any, bool]:
        """Run one step on balls; an error that the step caught, or renamed, is found all the same."""
        failure: Exception | None = None
        with Watched() as record:
            try:
                step(x, self._params, out)
                filled = [_filled(value) for value in out]
            except Exception as error:  # whatever the step does not do on balls
                failure = error
        if record.refused:
            raise self._refusal(name, record.refused) from failure
        if record.undecided:
            raise UndecidedError(record.undecided) from failure
        if failure is not None:
            raise self._refusal(name, f"{type(failure).__name__}: {failure}") from failure
        return _row(filled), record.kink

    def _refusal(self, name: str, what: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"step {name!r} of {self.name} has no rigorous form on intervals: {what}; write it with numbers, math and "
            "NumPy functions alone, or ask for kind='estimate'"
        )

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
