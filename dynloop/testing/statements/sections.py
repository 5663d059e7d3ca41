"""T4 and T5: what is the same at every section, the multipliers and the minimal period."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.calculus.jacobian import DENSE
from dynloop.calculus.spectrum import multipliers
from dynloop.maps.base import LoopMap
from dynloop.orbits.recurrence import divides
from dynloop.result import Status
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous, continuous, has_limit, limit_point
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import EPS, disturbed

__all__ = ["EqualMultipliers", "EqualPeriods"]

_SECTIONS = 4  # sections whose multipliers are found, spread over the loop
_LEADING = 6  # multipliers that are compared


class EqualMultipliers(Statement):
    """T4: the cyclic products of the layers' derivatives share all non-zero eigenvalues."""

    name, title = "T4", "equal multipliers"
    claim = "The multipliers that are not zero are the same at every section; singular values are not."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, with a solved fixed point or cycle."""
        yield autonomous(orbit)
        yield limit_point(orbit)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Find the leading multipliers at some sections, and each in the spectrum at the first."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        p, k = limit.period, min(_LEADING, m.dimension)
        here = multipliers(m, m.native(limit.point[None])[0], k, period=p)
        loose = 10 * max(1.0, limit.residual / (4 * EPS))  # the point is off by more than rounding
        worst, allowed, unclear = 0.0, 0.0, ""
        chosen = np.unique(np.linspace(0, m.layer_count - 1, _SECTIONS).round().astype(int))
        many = m.dimension if m.dimension <= DENSE else 2 * k + 2
        for l in chosen[chosen > 0]:
            there = multipliers(m.rotate(int(l)), m.native(orbit.sections[l][None])[0], many, period=p)
            if Status.SOLVED not in (here.status,) or there.status is not Status.SOLVED:
                unclear = "the multipliers were not found"
                break
            for value, error in zip(here.values, here.errors, strict=True):
                gaps = np.abs(there.values - value)
                bound = loose * (error + there.errors) + 1e-9 * max(here.radius, there.radius) + loose * EPS
                if abs(value) <= bound.min():
                    continue  # not told from zero
                if many < m.dimension and abs(value) <= (1 + 1e-6) * abs(there.values[-1]):
                    continue  # of many multipliers of one modulus any may be among the leading ones
                j = int(np.argmin(gaps / bound))
                if allowed == 0 or gaps[j] / bound[j] > worst / allowed:
                    worst, allowed = float(gaps[j]), float(bound[j])
        if m.layer_count == 1:
            allowed = EPS
        yield Measured(
            quantity=f"largest gap of the multipliers at {len(chosen)} section{'s' * (len(chosen) > 1)}", value=worst,
            bound=allowed or EPS, source="first-order errors of eigenvalues", unclear=unclear,
        )  # fmt: skip


class EqualPeriods(Statement):
    """T5: the minimal period of the full state is the same at every section; p loops make a closed polygon."""

    name, title = "T5", "equal periods"
    claim = "The full state has the same minimal period at every section."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, the orbit comes to a fixed point or cycle, the layers are continuous there."""
        yield autonomous(orbit)
        yield has_limit(orbit)
        if orbit.limit is not None:
            yield continuous(orbit)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Return to every section after p loops, and not sooner."""
        limit, m = orbit.limit, orbit.exact
        if limit is None:
            return
        p, k = limit.period, m.layer_count
        known = np.linalg.norm(disturbed(m, limit.point, k * (p + 1), error=limit.residual), axis=1)
        size = max(float(np.linalg.norm(orbit.sizes(x))) for x in orbit.sections) or 1.0
        late, soon = (0.0, 1.0), (0.0, np.inf)
        for l in range(k):
            x = m.native(orbit.sections[l][None])
            returns = np.linalg.norm(m.rotate(l).watch(x, p, x).returns[:, 0], axis=1)
            bound = known[k * p + l]
            if returns[-1] / max(bound, 1e-300) > late[0] / max(late[1], 1e-300) or l == 0:
                late = float(returns[-1]), float(bound)
            for q in divides(p):
                least = max(float(returns[q - 1]), 1e-300)
                if bound / least > soon[0] / soon[1]:
                    soon = float(bound), least
        yield Measured(
            quantity=f"largest gap after {p} loop{'s' * (p > 1)}, of all sections", value=late[0] / size,
            bound=late[1] / size, source="residual and rounding, carried through the layers",
        )  # fmt: skip
        if p > 1:
            yield Measured(
                quantity="error against the least gap after a divisor of the period", value=soon[0] / size,
                bound=soon[1] / size, source="that gap, at the section where it is least",
            )  # fmt: skip
