"""What basins cost beside recurrence written by hand for one map, in numba, and beside a plain loop of a block.

`make bench` prints them; docs/performance.md quotes them.
"""

import tracemalloc

import numba
import numpy as np
import pytest
import torch

import dynloop as dl
from tests.basins.blocks import bistable
from tests.benchmarks.timing import ratio, report

hand_written = numba.njit(error_model="numpy")
TURN = 2 * np.pi


@hand_written
def grebogi_step(theta, x):
    moved = theta + 1.32 * np.sin(2 * theta) - 0.9 * np.sin(4 * theta) - x * np.sin(theta)
    return moved % (2 * np.pi), -0.3 * np.cos(theta)


@hand_written
def grebogi_cell(theta, x, n):
    return min(int(theta * n / (2 * np.pi)), n - 1) * n + min(max(int((x + 0.5) * n), 0), n - 1)


@hand_written
def grebogi_recurrence(n, labels):
    """Recurrence on a table of n² cells (Datseris and Wagemakers 2022) with their numbers, one orbit at a time.

    A cell is 0 at first; 2k of attractor k, 2k + 1 of its basin, as the last orbit told. An orbit founds an attractor
    after 100 states in a row in cells that it visited before; belongs to one after 2 in its cells, or 10 in its basin.
    """
    cells, owner = np.zeros(n * n, dtype=np.int32), np.full(n * n, -1, dtype=np.int32)
    visited, count = np.empty(1 << 16, dtype=np.int32), 0
    for start in range(n * n):
        theta, x = 2 * np.pi * (start // n) / (n - 1), (start % n) / (n - 1) - 0.5
        again = at = basin = used = 0
        last = -1
        while True:
            cell = grebogi_cell(theta, x, n)
            mark = cells[cell]
            if mark > 0 and mark % 2 == 0:
                at = at + 1 if mark == last else 1
                basin = again = 0
                if at >= 2:
                    break
            elif mark > 0:
                basin = basin + 1 if mark == last else 1
                at = again = 0
                if basin >= 10:
                    break
            elif owner[cell] == start:
                again, at, basin = again + 1, 0, 0
                if again >= 100:
                    count += 1
                    mark = 2 * count
                    for _ in range(100):
                        theta, x = grebogi_step(theta, x)
                        cells[grebogi_cell(theta, x, n)] = mark
                    break
            else:
                owner[cell], again, at, basin = start, 0, 0, 0
                visited[used] = cell
                used += 1
            last = mark
            theta, x = grebogi_step(theta, x)
        labels[start] = mark // 2
        for i in range(used):
            if cells[visited[i]] == 0:
                cells[visited[i]] = 2 * (mark // 2) + 1
    return count


@pytest.mark.parametrize("n", [500, 1000])
def test_the_basins_of_grebogi(benchmark, n):
    """Attractors unknown; wanted ≤ 1.5. The recurrence by hand labels starts in cells visited by others' labels."""
    m, labels = dl.zoo.grebogi(), np.empty(n * n, dtype=np.int64)
    grid = (np.linspace(0, TURN, n), np.linspace(-0.5, 0.5, n))
    ours = lambda: dl.basins(m, grid)
    theirs = lambda: grebogi_recurrence(n, labels)
    assert theirs() == len(ours().attractors) == 2
    same = np.mean((labels == labels[0]) == (ours().labels.ravel() == ours().labels[0, 0]))
    report(benchmark, f"basins of Grebogi, {n}²", ratio(ours, theirs), beside="recurrence by hand", most=1.5)
    report(benchmark, f"labels that both give, {n}²", 100 * same, unit="%")
    benchmark.pedantic(ours, rounds=3)


def test_the_two_basins_of_a_block(benchmark):
    """A bistable injected block on a plane of 200² starts, attractors unknown, beside a plain loop over them all.

    The plain loop runs until every state is within 1e-6 of its limit; wanted ≤ 1.3. The other ratio is to a plain loop
    of as many loops as the slowest start took here.
    """
    m, v, _ = bistable(tokens=3, width=4, heads=1)
    u = np.broadcast_to(v.numpy(), m.state_shape)
    plane = dl.plane(np.zeros(m.state_shape), u, np.random.default_rng(0).standard_normal(m.state_shape), 2.0, 200)
    states = m.native(plane.states(np.arange(40_000)))

    def plain(loops, x=states):
        with torch.no_grad():
            for _ in range(loops):
                x = m(x)
        return x

    found, limits, needed, x = dl.basins(m, plane), plain(100), 0, states
    while float((x - limits).abs().max()) > 1e-6:
        needed, x = needed + 1, plain(1, x)
    points = torch.as_tensor(np.stack([one.points[0] for one in found.attractors]))
    nearest = torch.cdist(limits.flatten(1), points.flatten(1)).argmin(dim=1).numpy() + 1
    assert len(points) == 2
    assert np.array_equal(found.labels.ravel(), nearest)
    ours = lambda: dl.basins(m, plane)
    value = ratio(ours, lambda: plain(needed), 3)
    report(benchmark, "200² starts of a block", value, beside=f"{needed} plain loops", most=1.3)
    slowest = int(found.loops.max())
    value = ratio(ours, lambda: plain(slowest), 3)
    report(benchmark, "200² starts of a block", value, beside=f"{slowest} plain loops, as many as the slowest took")
    benchmark.pedantic(lambda: None, rounds=1)


def test_the_memory_of_basins(benchmark):
    """Bytes a cell at 1000², beside what is held once; wanted ≤ 40."""
    m = dl.zoo.grebogi()
    dl.basins(m, (np.linspace(0, TURN, 50), np.linspace(-0.5, 0.5, 50)))
    peaks = []
    for n in (500, 1000):
        tracemalloc.start()
        dl.basins(m, (np.linspace(0, TURN, n), np.linspace(-0.5, 0.5, n)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    report(benchmark, "memory a cell, at 1000²", peaks[1] / 1000**2, unit="bytes", most=40)
    further = (peaks[1] - peaks[0]) / (1000**2 - 500**2)
    report(benchmark, "memory of each further cell", further, unit="bytes")
    benchmark.pedantic(lambda: None, rounds=1)
