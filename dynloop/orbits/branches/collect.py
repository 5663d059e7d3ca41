"""From a walk to a record: rows of solutions, the values asked for, and the bifurcations between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.branches.events import events
from dynloop.orbits.branches.locate import Located, critical_index
from dynloop.orbits.branches.normal_form import normal_form
from dynloop.orbits.branches.place import Place, leading, stability_of
from dynloop.orbits.branches.record import Bifurcation, Branch
from dynloop.orbits.branches.segment import Segment
from dynloop.orbits.branches.system import System
from dynloop.orbits.branches.walk import Walk
from dynloop.result import Status

__all__ = ["collect"]

Progress = Callable[[int, int], None]
_HALF = 1e-5  # scaled distance from an orbit of half the period


@dataclass(slots=True, eq=False)
class _Rows:
    """What was found so far."""

    places: list[Place] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    bifurcations: list[Bifurcation] = field(default_factory=list)
    unexplained: list[tuple[float, float]] = field(default_factory=list)

    def add(self, place: Place, value: float, length: float) -> None:
        self.places.append(place)
        self.values.append(value)
        self.lengths.append(length)


def collect(walk: Walk, asked: Array, k: int, progress: Progress | None, origin: Place | None = None) -> Branch:
    """Walk, and record what is met.

    Parameters
    ----------
    walk : Walk
        The walk.
    asked : ndarray, (values,)
        Values of the parameter at which solutions are wanted, beside those of the steps.
    k : int
        Multipliers a row.
    progress : callable, optional
        Called with the number of steps and the budget.
    origin : Place, optional
        The bifurcation that the branch begins at; it becomes the first row.
    """
    system, rows = walk.system, _Rows()
    inner = np.array([value for value in asked if system.low < value < system.high and value != walk.end])
    length = 0.0
    if origin is not None:
        rows.add(origin, system.value(origin.z), 0.0)
        length = float(np.linalg.norm(walk.start.z - origin.z))
    rows.add(walk.start, _snapped(system, walk.start, asked), length)
    status, reason = None, ""
    for count, segment in enumerate(walk.segments(), 1):
        found, lost = events(segment)
        rows.unexplained += [(system.value(one.left.z), system.value(one.right.z)) for one in lost]
        ended = next((one for one in found if one.kind == "touch" and _of_half_period(system, one.place)), None)
        if ended is not None:
            found = found[: found.index(ended) + 1]
        _passed(segment, found, inner, rows, length, k, ended)
        if ended is not None:
            status = Status.CLOSED
            reason = f"it joined an orbit of half its period at {system.value(ended.place.z):.10g}"
            break
        length += float(np.linalg.norm(segment.right.z - segment.left.z))
        rows.add(segment.right, _snapped(system, segment.right, np.append(asked, (system.low, system.high))), length)
        if progress is not None:
            progress(count, walk.steps.budget)
    return _branch(system, rows, k, status or walk.status, reason or walk.reason)


def _passed(
    segment: Segment, found: list[Located], inner: Array, rows: _Rows, length: float, k: int, ended: Located | None
) -> None:
    """Add what lies inside a segment, in order: bifurcations, and solutions at the values asked for."""
    system = segment.system
    turns = [(one.s, one.place.z[-1]) for one in found if one.kind in ("fold", "touch")]
    marks = [(0.0, segment.left.z[-1]), *turns]
    if ended is None:
        marks.append((segment.length, segment.right.z[-1]))
    met: list[tuple[float, Located | None, Place | None, float]] = [(one.s, one, None, 0.0) for one in found]
    for (a, low), (b, high) in pairwise(marks):
        low, high = sorted(system.origin + system.unit * end for end in (low, high))
        for value in inner[(inner > low) & (inner < high)]:
            place = segment.at_value(float(value), a, b)
            if place is not None:
                met.append((float(segment.row @ (place.z - segment.left.z)), None, place, float(value)))
    for _, located, place, value in sorted(met, key=lambda one: one[0]):
        if located is not None:
            before, behind = _sides(segment, found, located)
            rows.bifurcations.append(_bifurcation(system, located, k, len(rows.places) - 1, (before, behind)))
        elif place is not None:
            rows.add(place, value, length + float(np.linalg.norm(place.z - segment.left.z)))


def _sides(segment: Segment, found: list[Located], one: Located) -> tuple[int, int]:
    """Return the numbers of unstable multipliers before and behind a bifurcation."""
    places = [segment.left.unstable]
    for other in found:
        size = {"neimark-sacker": 2, "touch": 0}.get(other.kind, 1)
        near = (other.place.unstable, other.place.unstable + size)  # without and with those on the circle
        places.append(near[1] if places[-1] == near[0] else near[0])
    index = found.index(one)
    if index == len(found) - 1 and len(found) == 1:
        return segment.left.unstable, segment.right.unstable
    return places[index], places[index + 1]


def _bifurcation(system: System, located: Located, k: int, row: int, unstable: tuple[int, int]) -> Bifurcation:
    place = located.place
    index = critical_index(located.kind, place, min(unstable))
    critical = place.multipliers.values[index if index is not None else 0]
    form = normal_form(system, located.kind, place, complex(critical))
    direction = place.direction * np.append(np.full(system.n, system.x_unit), system.unit)
    return Bifurcation(
        kind="branch" if located.kind == "touch" else located.kind,
        value=system.value(place.z),
        error=located.error,
        point=_cycle(system, place.z),
        multipliers=leading(place.multipliers, k)[0],
        unstable=unstable,
        criticality=form.criticality,
        coefficient=form.value,
        coefficient_error=form.error,
        row=row,
        period=system.period,
        direction=direction / np.linalg.norm(direction),
    )


def _branch(system: System, rows: _Rows, k: int, status: Status, reason: str) -> Branch:
    pairs = [leading(place.multipliers, k) for place in rows.places]
    points = np.stack([_cycle(system, place.z) for place in rows.places])
    sizes = np.linalg.norm(points[:, 0].reshape(len(points), -1), axis=1)
    gaps = np.array([place.gap for place in rows.places]) * system.x_unit
    residual = gaps / np.where(sizes > np.finfo(float).eps * system.x_unit, sizes, 1.0)
    return Branch(
        points=points,
        values=np.array(rows.values),
        multipliers=np.stack([values for values, _ in pairs]),
        multiplier_errors=np.stack([errors for _, errors in pairs]),
        stability=np.array([stability_of(place, system.n) for place in rows.places], dtype=object),
        unstable=np.array([place.unstable for place in rows.places]),
        residual=residual,
        arclength=np.array(rows.lengths),
        bifurcations=tuple(rows.bifurcations),
        unexplained=np.array(rows.unexplained).reshape(-1, 2),
        status=status,
        reason=reason,
        period=system.period,
    )


def _cycle(system: System, z: Array) -> Array:
    """Return the orbit ``(p, *state_shape)``, angles as the map itself gives them."""
    orbit = system.orbit(z)
    turns = (orbit[-1] - orbit[0]) - system.map_at(z).displacement(orbit[-1], orbit[0])
    return np.concatenate([orbit[:1] + turns, orbit[1:-1]])


def _snapped(system: System, place: Place, exact: Array) -> float:
    """Return the parameter of a place, without the rounding of its scaling where it is one of the `exact` values."""
    value = system.value(place.z)
    near = exact[np.abs(exact - value) <= 4 * np.finfo(float).eps * np.maximum(np.abs(exact), np.abs(value))]
    return float(near[0]) if len(near) else value


def _of_half_period(system: System, place: Place) -> bool:
    if system.period % 2:
        return False
    orbit = system.orbit(place.z)
    gap = system.map_at(place.z).displacement(orbit[system.period // 2], orbit[0])
    return bool(np.linalg.norm(gap) <= _HALF * system.x_unit)
