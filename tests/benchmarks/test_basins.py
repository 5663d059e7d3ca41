"""What basins cost beside recurrence written by hand for one map, in numba, and beside a plain loop of a block.

`make bench` prints them; docs/performance.md quotes them.
"""


import numba
import numpy as np
import pytest

import dynloop as dl
from tests.benchmarks.timing import ratio

hand_written = numba.njit(error_model="numpy")
TURN = 2 * np.pi


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)


def report(benchmark, what, value):
    benchmark.extra_info[what] = round(value, 2)
    print(f"\n{what} = {value:.2f}")


@hand_written
def grebogi_recurrence(n, a, b, J0, low, high, want_new, want_old, labels):
    """Recurrence on a table of n² cells (Datseris and Wagemakers 2022), one orbit at a time.

    Cells are 0 unvisited, k the attractor number k, −k its basin; those of the orbit itself have its own number in
    `owner`. An orbit founds an attractor after `want_new` cells in a row that it visited before, and belongs to one
    after `want_old` cells in a row of that attractor.
    """
    cells, owner = np.zeros((n, n), dtype=np.int32), np.full((n, n), -1, dtype=np.int32)
    count, wide, tall = 0, n / (2 * np.pi), (n - 1) / (high - low)
    for i in range(n):
        for j in range(n):
            theta, x = 2 * np.pi * i / (n - 1), low + (high - low) * j / (n - 1)
            start, again, known, seen = i * n + j, 0, 0, 0
            while True:
                p = min(int((theta % (2 * np.pi)) * wide), n - 1)
                q = min(max(int((x - low) * tall + 0.5), 0), n - 1)
                if cells[p, q] > 0:
                    known = known + 1 if cells[p, q] == seen else 1
                    seen = cells[p, q]
                    if known >= want_old:
                        labels[i, j] = seen
                        break
                elif owner[p, q] == start:
                    again += 1
                    known = 0
                    if again >= want_new:
                        count += 1
                        for _ in range(want_new):
                            cells[
                                min(int((theta % (2 * np.pi)) * wide), n - 1),
                                min(max(int((x - low) * tall + 0.5), 0), n - 1),
                            ] = count
                            moved = theta + a * np.sin(2 * theta) - b * np.sin(4 * theta) - x * np.sin(theta)
                            theta, x = moved % (2 * np.pi), -J0 * np.cos(theta)
                        labels[i, j] = count
                        break
                else:
                    owner[p, q], again, known = start, 0, 0
                moved = theta + a * np.sin(2 * theta) - b * np.sin(4 * theta) - x * np.sin(theta)
                theta, x = moved % (2 * np.pi), -J0 * np.cos(theta)
    return count


@pytest.mark.parametrize("n", [500, 1000])
def test_the_basins_of_grebogi(benchmark, n):
    """Attractors unknown; wanted ≤ 1.5."""
    m, labels = dl.zoo.grebogi(), np.empty((n, n), dtype=np.int64)
    grid = (np.linspace(0, TURN, n), np.linspace(-0.5, 0.5, n))
    ours = lambda: dl.basins(m, grid)  # noqa: E731
    theirs = lambda: grebogi_recurrence(n, 1.32, 0.9, 0.3, -0.5, 0.5, 100, 10, labels)  # noqa: E731
    theirs()
    found = ours()
    assert len(found.attractors) == 2
    print(
        "hand-written attractors:",
        theirs(),
        "agree:",
        np.mean((labels == labels[0, 0]) == (found.labels == found.labels[0, 0])),
    )
    report(benchmark, f"Grebogi {n}² / recurrence by hand", ratio(ours, theirs))
    benchmark.pedantic(ours, rounds=3)
