"""T0: the increments of one loop add up to what the loop does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from dynloop.adapters.base import Checkpoint
from dynloop.errors import CheckpointError, ConformanceError
from dynloop.maps.base import LoopMap
from dynloop.testing.square import square_gaps
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import EPS

__all__ = ["Telescoping"]

_LOOPS = 8  # first loops of the orbit that are measured, beside its end
_OWN = {"float64": 1e-10, "float32": 2e-5}  # what `check_adapter` allows between a map and the model's own code


class Telescoping(Statement):
    """T0: Σ_l g_l(x_{l,t}) = x_{t+1} − x_t."""

    name, title = "T0", "telescoping"
    claim = "The increments of all layers add up to the step of the loop."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, and the states are finite."""
        yield autonomous(orbit)
        with np.errstate(all="ignore"):
            finite = bool(np.isfinite(m.numpy(m(orbit.start))).all())
        yield Hypothesis(name="the states are finite", holds=finite, reason="one loop from the start overflows")

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Compare F, as the map applies it, with its layers one by one; for a checkpoint, with the model's own code."""
        worst = 0.0
        states = orbit.start
        with np.errstate(all="ignore"):
            for x in [*range(_LOOPS), None]:
                states = orbit.map.native(orbit.state[None]) if x is None else states
                ahead = m(states)
                gap = _gap(orbit.map, states, ahead)
                if not np.isfinite(gap):
                    continue
                worst = max(worst, gap)
                states = ahead
        bound = 4 * EPS * (m.layer_count + 2) + orbit.repeats
        yield Measured(
            quantity="‖Σg_l − (F(x) − x)‖ / ‖x_l‖", value=worst, bound=bound, source="float64 sums of k increments"
        )
        yield from _against_the_model(m)


def _gap(m: LoopMap, x: Any, ahead: Any) -> float:
    """Return how far the increments miss the step, relative to the largest state."""
    between = [m.numpy(x)[0]]
    states = x
    for l in range(m.layer_count):
        states = m.layer(l, states)
        between.append(m.numpy(states)[0])
    total = np.sum([m.displacement(b, a) for a, b in pairwise(between)], axis=0)
    step = m.displacement(m.numpy(ahead)[0], between[0])
    size = max(float(np.abs(b).max()) for b in between)
    return float(np.abs(m.displacement(total, step)).max() / max(size, 1e-300))


def _against_the_model(m: LoopMap) -> Iterator[Measured]:
    """Compare one loop of a checkpoint with the model's own code, where that is to be had in a sound dtype."""
    if not isinstance(m, Checkpoint) or m.family.own_output is None or m.dtype_name not in _OWN:
        return
    try:
        opened = m.family.open(m.source, m.prompt, m.granularity, m.dtype, m.device)
        if not np.array_equal(opened.numpy(opened(m.start())), m.numpy(m(m.start()))):
            return  # it was altered since it was opened (`dynloop.vary`): the model's own code is another map
        compared, _ = square_gaps(m, (1,))
    except (CheckpointError, ConformanceError):
        return
    for _, what, gap in compared:
        yield Measured(
            quantity=f"one loop against the model's own code ({what})", value=gap, bound=_OWN[m.dtype_name],
            source=f"{m.dtype_name} in another order",
        )  # fmt: skip
