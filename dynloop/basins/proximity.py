"""`by_proximity`: a mapper of attractors that are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynloop.arguments import checked_list
from dynloop.basins.attractors import Attractor, Mapper
from dynloop.basins.cloud import invariant
from dynloop.basins.finding import extents
from dynloop.basins.recurrence import LOOPS, MOST, CompiledMapper, checked_loops
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.maps.kernel import KernelMap

__all__ = ["by_proximity"]


def by_proximity(m: LoopMap, attractors: Any, *, loops: int | None = None) -> Mapper:
    """Make a mapper of known attractors: a start belongs to the one whose neighbourhood captures its orbit.

    Parameters
    ----------
    m : LoopMap
        The map.
    attractors : sequence of Attractor, or array (attractors, *state_shape)
        Records of another mapper; or states, each on an attractor or near it.
    loops : int, optional
        Budget of loops of each start; 4096 if left out.

    Returns
    -------
    Mapper
        It looks for no more attractors: what settles elsewhere is −3.

    Raises
    ------
    InvalidArgumentError
        If `m` is no map or `attractors` no sequence, a state leads to no attractor, an attractor has no neighbourhood
        that was seen to shrink: a saddle; or the map takes a set off itself: it is one of another map.
    ShapeError
        If they do not fit the map.

    Notes
    -----
    How near is near enough is measured, not given: see `by_recurrence` and `by_classification`.

    Examples
    --------
    >>> import dynloop as dl
    >>> mapper = dl.by_proximity(dl.zoo.newton(), [[1.0, 0.0], [-0.5, 0.87]])
    >>> mapper([[0.9, 0.1], [-0.5, 0.8], [-0.5, -0.8]])
    array([ 2,  1, -3])
    """
    m, budget = as_map(m), LOOPS if loops is None else checked_loops(loops)
    remedy = "Pass [attractor], or states near one each"
    given = checked_list(attractors, "attractors", "records of attractors, or states near them", remedy)
    if not given:
        raise InvalidArgumentError("attractors is empty; give records of attractors, or states near them")
    if not all(isinstance(one, Attractor) for one in given):
        given = _near(m, attractors, budget)
    for i, one in enumerate(given):
        if one.points.shape[1:] != m.state_shape:
            raise ShapeError(
                f"attractors[{i}] has states of shape {one.points.shape[1:]}; {m.name} has states of {m.state_shape}"
            )
        if one.period < 0 and not invariant(m, one.points.reshape(len(one.points), -1)):
            raise InvalidArgumentError(
                f"attractors[{i}] is no set of {m.name}, which maps its states off it; give records of this map"
            )
    points = np.concatenate([one.points for one in given])
    made = _mapper(m, given, points, budget, finds=False)
    if len(made.attractors) < len(given):
        lost = len(given) - len(made.attractors)
        raise InvalidArgumentError(
            f"{lost} of {len(given)} attractors of {m.name} have no neighbourhood that the map was seen to shrink; "
            "leave out what does not attract"
        )
    return made


def _mapper(m: LoopMap, attractors: Sequence[Attractor], points: Array, loops: int, *, finds: bool) -> Mapper:
    if isinstance(m, KernelMap) and m.dimension <= MOST:
        return CompiledMapper(m, attractors, extents(points), loops, finds=finds)
    from dynloop.basins.classification import ClassifiedMapper  # imports torch

    return ClassifiedMapper(m.in_dtype_of(m.native(points)), attractors, points[:16], loops, finds=finds)


def _near(m: LoopMap, states: Any, loops: int) -> list[Attractor]:
    """Return the attractors that states lead to, one after another; raise for a state that leads to none."""
    native, _ = m.batch(np.asarray(states, dtype=np.float64) if isinstance(states, list) else states)
    points = m.numpy(native)
    found: tuple[Attractor, ...] = ()
    for i in range(len(points)):
        known = _mapper(m, found, points, loops, finds=True)
        label = int(known(points[i : i + 1])[0]) if found else 0
        if label <= 0:
            more = known.extended(points[i : i + 1])
            if more is known:
                raise InvalidArgumentError(
                    f"attractors[{i}] leads to no attractor of {m.name}; give a state near one that attracts"
                )
            found = more.attractors
    return list(found)
