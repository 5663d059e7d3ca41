"""Compiled loops of basins: until an orbit is captured by a neighbourhood, or recurs in cells that it has visited."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, explained, jit
from dynloop.maps.compiled.kept import keep
from dynloop.maps.compiled.loops import composed
from dynloop.maps.compiled.memory import memory

__all__ = ["capture_loop", "recurrence_loop"]

_KEPT = 512  # compiled loops that are remembered
_MIX = 0x9E3779B97F4A7C1  # odd, near 2⁶⁰ over the golden ratio: neighbouring cells get distant places in a table


@lru_cache(_KEPT)
def capture_loop(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Iterate until captured: ``capture(states, params, periods, repeat, limit, stay, balls…, sets…, labels, loops)``.

    A ball is ``(d·M d ≤ 1)``, d the displacement from its centre; `centres` and `half` ``(balls, dim)``, `metrics`
    ``(balls, dim, dim)``, `ball_labels` ``(balls,)``; `half` are the half widths of the box about it. An orbit is
    captured at the first state in a ball. A set is cells: `low` and `inverse` ``(sets, dim)`` give the corner and the
    inverse sides of its cells, `counts` ``(sets, dim)`` their number, `offset` ``(sets,)`` where its bits begin in
    `cells`. An orbit is captured after `stay` states in a row in the cells of one set; then the first of them counts.

    `labels` receives the label, −1 where a coordinate leaves 1e150 behind, −2 after `limit` loops; `loops` the loops
    until then; `states` where the orbit is.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def capture(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, limit: int,
        stay: int, centres: Array, half: Array, metrics: Array, ball_labels: Array,
        low: Array, inverse: Array, counts: Array, offset: Array, cells: Array, set_labels: Array,
        labels: Array, loops: Array,
    ) -> None:  # fmt: skip
        x, y = vector(work, 0, dim), vector(work, dim, dim)
        d, spare = vector(work, 2 * dim, dim), vector(work, 3 * dim, dim)
        balls, sets = centres.shape[0], low.shape[0]
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            label, run, inside, t = -2, 0, -1, 0
            while True:
                lost = False
                for j in range(dim):
                    if not abs(x[j]) < 1e150:
                        lost = True
                if lost:
                    label = -1
                    break
                for a in range(balls):
                    near = True
                    for j in range(dim):
                        d[j] = x[j] - centres[a, j]
                        if angles and periods[j] == periods[j]:
                            d[j] -= np.floor(d[j] / periods[j] + 0.5) * periods[j]
                        if not abs(d[j]) <= half[a, j]:
                            near = False
                            break
                    if near:
                        total = 0.0
                        for i in range(dim):
                            along = 0.0
                            for j in range(dim):
                                along += metrics[a, i, j] * d[j]
                            total += d[i] * along
                        if total <= 1.0:
                            label = ball_labels[a]
                            break
                if label > 0:
                    break
                if sets:
                    at = -1
                    for s in range(sets):
                        place, held = 0, True
                        for j in range(dim):
                            z = x[j] - low[s, j]
                            if angles and periods[j] == periods[j]:
                                z -= np.floor(z / periods[j]) * periods[j]
                            z *= inverse[s, j]
                            if not 0.0 <= z < counts[s, j]:
                                held = False
                                break
                            place = place * counts[s, j] + int(z)
                        if held and cells[offset[s] + place] != 0:
                            at = s
                            break
                    run = run + 1 if at == inside and at >= 0 else (1 if at >= 0 else 0)
                    inside = at
                    if run >= stay:
                        label = set_labels[at]
                        t -= stay - 1
                        break
                if t >= limit:
                    break
                for _ in range(repeat):
                    once(x, own, y, spare)
                    for j in range(dim):
                        x[j] = y[j]
                t += 1
            labels[b], loops[b] = label, t
            for j in range(dim):
                states[b, j] = x[j]

    return explained(keep(capture, steps, dim, angles), 4 * dim)


@lru_cache(_KEPT)
def recurrence_loop(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Iterate until recurrent: ``recur(states, params, periods, repeat, limit, want, low, inverse, room, found)``.

    An orbit is recurrent once `want` states in a row lie in cells that it has visited (Datseris and Wagemakers 2022).
    Cells have the corner `low` and the inverse sides `inverse` ``(dim,)``, and go on without bound; those visited are
    kept in a hash table of `room` places, a power of two, of which half may be used. `found` ``(rows,)`` receives the
    loops done, −1 where a coordinate leaves 1e150 behind, −2 where `limit` or the room was used up; `states` where the
    orbit is.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def recur(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, limit: int,
        want: int, low: Array, inverse: Array, room: int, found: Array,
    ) -> None:  # fmt: skip
        keys, owner = np.empty(room, dtype=np.int64), np.full(room, -1, dtype=np.int64)
        x, y, spare = vector(work, 0, dim), vector(work, dim, dim), vector(work, 2 * dim, dim)
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            found[b], used, run, t = -2, 0, 0, 0
            while True:
                key, lost = 0, False
                for j in range(dim):
                    if not abs(x[j]) < 1e150:
                        lost = True
                    z = x[j] - low[j]
                    if angles and periods[j] == periods[j]:
                        z -= np.floor(z / periods[j]) * periods[j]
                    z = np.floor(z * inverse[j])
                    key = key * 1000003 + (int(z) if abs(z) < 1e9 else 1000000007)
                if lost:
                    found[b] = -1
                    break
                place = ((key * _MIX) >> 20) & (room - 1)
                while owner[place] == b and keys[place] != key:
                    place = (place + 1) & (room - 1)
                if owner[place] == b:
                    run += 1
                else:
                    owner[place], keys[place], run = b, key, 0
                    used += 1
                if run >= want:
                    found[b] = t
                    break
                if t >= limit or 2 * used >= room:
                    break
                for _ in range(repeat):
                    once(x, own, y, spare)
                    for j in range(dim):
                        x[j] = y[j]
                t += 1
            for j in range(dim):
                states[b, j] = x[j]

    return explained(keep(recur, steps, dim, angles), 3 * dim)
