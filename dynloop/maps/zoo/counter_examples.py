"""The counter-examples: one map a way in which a naive test of an orbit goes wrong (C1–C20 of the theory notes).

Each row says what the map does, where to start, which verdicts are right and what a naive test says instead. The tests
of the classifier run over `COUNTER_EXAMPLES`; C8 (loops that are not autonomous) and C9 (a layer left out) are no maps
and have no row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.zoo import counter_maps as made
from dynloop.maps.zoo.interval import logistic, tent
from dynloop.maps.zoo.plane import henon
from dynloop.maps.zoo.rings import ring
from dynloop.maps.zoo.torus import baker

__all__ = ["COUNTER_EXAMPLES", "CounterExample", "counter_example"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CounterExample:
    """One row of `COUNTER_EXAMPLES`.

    Attributes
    ----------
    key : str
        ``"C1"`` … ``"C20"``, with a letter behind where a behaviour has several maps.
    title : str
        What the map does.
    make : callable
        ``make()`` returns the map.
    start : ndarray, state_shape
        Where the orbit starts.
    acceptable : frozenset of str
        Names of the regimes that are right, "UNDECIDED" among them: it is always honest.
    by_token : tuple of frozenset of str
        For causal maps, the same for each token; empty otherwise.
    forbidden : str
        What a naive test says, and why it is wrong.
    period : int or None
        The period that a verdict PERIODIC must give.

    Examples
    --------
    >>> import dynloop as dl
    >>> row = dl.zoo.counter_example("C5")
    >>> row.title, row.period, sorted(row.acceptable)
    ('logistic r = 3.2', 2, ['PERIODIC', 'UNDECIDED'])
    """

    key: str
    title: str
    make: Callable[[], LoopMap]
    start: Array
    acceptable: frozenset[str]
    by_token: tuple[frozenset[str], ...] = ()
    forbidden: str
    period: int | None = None


def counter_example(key: str) -> CounterExample:
    """Return the row of `COUNTER_EXAMPLES` with this key.

    Parameters
    ----------
    key : str
        For example ``"C1"`` or ``"C5b"``.

    Returns
    -------
    CounterExample
        The row.

    Raises
    ------
    InvalidArgumentError
        If there is no such row.

    Examples
    --------
    >>> import dynloop as dl
    >>> row = dl.zoo.counter_example("C4")
    >>> row.make()(row.start[None])
    array([[1.1]])
    """
    for row in COUNTER_EXAMPLES:
        if row.key == key:
            return row
    known = ", ".join(row.key for row in COUNTER_EXAMPLES)
    raise InvalidArgumentError(f"key must name a counter-example, one of {known}; got {key!r}")


def _row(
    key: str,
    title: str,
    make: Callable[[], LoopMap],
    start: float | list[float],
    right: str | tuple[str, ...],
    forbidden: str,
    period: int | None = None,
) -> CounterExample:
    """Make a row; `right` names the regimes beside UNDECIDED: blank-separated, a tuple of such, one a token."""
    state = np.atleast_1d(np.array(start, dtype=np.float64))
    by_token = tuple(frozenset([*names.split(), "UNDECIDED"]) for names in right) if isinstance(right, tuple) else ()
    acceptable = frozenset().union(*by_token) if by_token else frozenset([*str(right).split(), "UNDECIDED"])
    return CounterExample(
        key=key,
        title=title,
        make=make,
        start=state[:, None] if by_token else state,
        acceptable=acceptable,
        by_token=by_token,
        forbidden=forbidden,
        period=period,
    )


COUNTER_EXAMPLES: tuple[CounterExample, ...] = (
    _row("C1", "ray x ← x + c", made.ray, [0.1, 0.2, 0.3], "RAY", "converged: the relative step falls to 0"),
    _row("C1b", "quadratic growth x ← x + √(1 + x)", made.accelerating, 1.0, "",
         "RAY or DIVERGENT: it is faster than linear and slower than exponential"),
    _row("C2", "x ← x + e^−x", lambda: made.scalar(made.slow_logarithm, "x + exp(-x)"), 0.0, "DRIFT",
         "converged: steps fall to 0, but x ~ log t"),
    _row("C3", "spiral onto a circle of fixed points", made.shear_to_circle, [0.5, 0.0], "DRIFT",
         "converged: steps fall to 0, but the limit set is the whole circle"),
    _row("C4", "x ← 1.1 x", lambda: made.scalar(made.scaled, "1.1 x", 1.1), 1.0, "DIVERGENT", "a ray"),
    _row("C4b", "x ← x² from 1.5", lambda: made.scalar(made.squared, "x²"), 1.5, "DIVERGENT", "anything but infinity"),
    _row("C5", "logistic r = 3.2", lambda: logistic(3.2), 0.3, "PERIODIC",
         "a fixed point: the exponent is negative", 2),
    _row("C5b", "logistic r = 3.5", lambda: logistic(3.5), 0.3, "PERIODIC",
         "a fixed point: every 4th state is the 128th", 4),
    _row("C5c", "rotation by 2π/5 on an attracting circle", lambda: ring(2 * math.pi / 5), [0.6, 0.2], "PERIODIC",
         "quasi-periodic: the largest exponent is 0", 5),
    _row("C5d", "rotation by 2π/8 on an attracting circle", lambda: ring(2 * math.pi / 8), [0.6, 0.2], "PERIODIC",
         "period 16 or 24: multiples recur too", 8),
    _row("C6", "rotation by the golden angle on an attracting circle", ring, [0.6, 0.2], "QUASIPERIODIC",
         "periodic: long near-returns at Fibonacci numbers"),
    _row("C7", "logistic r = 4", logistic, 0.3, "CHAOTIC", "quasi-periodic"),
    _row("C7b", "Hénon", henon, [0.05, 0.05], "CHAOTIC", "quasi-periodic"),
    _row("C10", "spiral to a point in bfloat16", lambda: made.rounded_spiral(torch.bfloat16), [0.3, -0.4], "CYCLIC",
         "periodic or quasi-periodic: rounding keeps the state moving"),
    _row("C10b", "spiral to a point in float32", lambda: made.rounded_spiral(torch.float32), [0.3, -0.4], "CYCLIC",
         "periodic or quasi-periodic: rounding keeps the state moving"),
    _row("C10c", "spiral to a point, float64 rounded to 2^−12", made.rounded_inside, [0.3, -0.4], "CYCLIC PERIODIC",
         "chaotic or quasi-periodic: the states are multiples of 2^−12, the orbit repeats for good"),
    _row("C11", "identity", made.identity, [1.0, 2.0, 3.0], "VANISHING", "marginal: the multipliers are 1"),
    _row("C11b", "line of fixed points", made.line_of_points, [1.0, 2.0], "VANISHING", "marginal: one multiplier is 1"),
    _row("C12", "logistic r = 4 until capture near 0.3, here at loop 425", made.capture, 0.3711, "VANISHING",
         "chaotic: the finite-time exponent depends on the time of capture only"),
    _row("C13", "contracting token driven by a chaotic one", made.skew_product, [0.3, 0.1], ("CHAOTIC", "CHAOTIC"),
         "token 1 fixed: its own exponent is −ln 2"),
    _row("C14", "token of norm 10⁴ at rest beside one of period 2", made.heavy_token, [1.0, 0.3],
         ("VANISHING", "PERIODIC"), "all fixed: the joint norm hides the motion", 2),
    _row("C15", "ray with a chaotic fibre", made.ray_with_chaos, [0.0, 0.3], "RAY",
         "chaotic: the exponent is ln 2, but the orbit is not bounded"),
    _row("C16", "logistic at the edge of chaos", lambda: logistic(3.569945671870944), 0.3, "",
         "quasi-periodic, chaotic or periodic: the exponent is 0 on a Cantor set"),
    _row("C16b", "intermittency below r = 1 + √8", lambda: logistic(1 + math.sqrt(8) - 1e-6), 0.5, "CHAOTIC",
         "period 3: it seems to last, for 1122 loops from this start"),
    _row("C17", "x ← 0.9999 x + 1", lambda: made.scalar(made.leaky_sum, "0.9999 x + 1", 0.9999, 1.0), 0.0, "VANISHING",
         "a ray: at loop 512 the norm grows as t^0.98"),
    _row("C17b", "x ← 1.2 x / √(1 + x²) from 1e-12",
         lambda: made.scalar(made.saturating, "1.2 x / sqrt(1 + x²)", 1.2), 1e-12, "VANISHING",
         "divergent: it grows by 1.2 a loop for 150 loops"),
    _row("C18", "x ← x − x³", lambda: made.scalar(made.cubic_decay, "x - x³"), 0.5, "VANISHING",
         "drift: steps shrink like t^(−3/2), which is summable"),
    _row("C18b", "logistic r = 3", lambda: logistic(3.0), 0.3, "VANISHING", "periodic: it alternates, ever closer"),
    _row("C19", "adapter [0 | I]", made.constant_adapter, [0.3, 0.2], "CYCLIC", "nothing: there is no decay to fit"),
    _row("C19b", "superstable point of logistic r = 2", lambda: logistic(2.0), 0.3, "VANISHING", "a rate that is nan"),
    _row("C19c", "start on the stable manifold of a saddle", made.saddle, [0.0, 1.0], "",
         "converged: one multiplier is 2, the point attracts nothing nearby"),
    _row("C20", "logistic r = 4 in float32", lambda: made.logistic_in(torch.float32), 0.3, "CHAOTIC",
         "periodic: rounding closes every orbit, here with period 4344 from loop 224"),
    _row("C20b", "logistic r = 4 in float16", lambda: made.logistic_in(torch.float16), 0.3, "CHAOTIC",
         "periodic: rounding closes the orbit, here with period 40 from loop 35"),
    _row("C20c", "tent, which rounding collapses to 0", tent, 0.3, "CHAOTIC",
         "a fixed point at 0, where |multiplier| = 2"),
    _row("C20d", "tent in float32, which rounding collapses to 0", lambda: made.tent_in(torch.float32), 0.3, "CHAOTIC",
         "a fixed point at 0, where |multiplier| = 2"),
    _row("C20e", "baker, which rounding collapses to x = 0", baker, [0.3, 0.2], "CHAOTIC",
         "a fixed point at 0, where one multiplier is 2"),
)  # fmt: skip
