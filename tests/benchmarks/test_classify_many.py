"""What it costs to classify 10 000 starts of the Hénon map, beside a numba loop that only iterates them as long.

Ratios in one run, on one thread. `make bench` prints them; docs/performance.md quotes them.
"""

import numba
import numpy as np
import pytest

import dynloop as dl
from tests.benchmarks.timing import ratio, report

STARTS = 10_000


@numba.njit(error_model="numpy")
def henon_orbits(starts, loops, a, ends):
    for i in range(len(starts)):
        x, y = starts[i]
        for _ in range(loops[i]):
            x, y = 1 - a * x * x + y, 0.3 * x
        ends[i, 0], ends[i, 1] = x, y


@pytest.mark.parametrize("a", [0.3, 0.9, 1.4], ids=["sink", "2-cycle", "chaos"])
def test_ten_thousand_starts(benchmark, a):
    """Wanted ≤ 3."""
    m = dl.zoo.henon(a=a)
    starts = m.start(0, STARTS)
    found = dl.classify(m, starts)
    loops, ends = found.evidence.loops, np.empty_like(starts)
    value = ratio(lambda: dl.classify(m, starts), lambda: henon_orbits(starts, loops, a, ends))
    what = f"classify {STARTS} starts of Hénon, a = {a}: {found.summary()}, {int(np.median(loops))} loops"
    report(benchmark, what, value, beside="a numba loop of as many loops", most=3)
    benchmark.pedantic(dl.classify, (m, starts), rounds=1)


def test_a_window(benchmark):
    """One window of 64 loops: iterated, measured, and read into a line of numbers a start."""
    m = dl.zoo.henon(a=0.3)
    starts = m.start(0, STARTS)
    largest, loops, ends = np.ones((STARTS, 1)), np.full(STARTS, 64), np.empty_like(starts)
    settings = {"floor": 1e-15, "ceiling": 256.0, "returns": (1e-8, 1e-3), "trend": False}
    value = ratio(lambda: m.survey(starts, 64, largest, **settings), lambda: henon_orbits(starts, loops, 0.3, ends))
    report(benchmark, f"a window of 64 loops, {STARTS} starts", value, beside="a numba loop of as many loops")
    benchmark.pedantic(m.survey, (starts, 64, largest), settings, rounds=1)


@pytest.mark.parametrize("a", [0.3, 0.9], ids=["sink", "2-cycle"])
def test_loops_beside_an_oracle(benchmark, a):
    """An oracle knows the limit and stops where the orbit is within 1e-8 of it, relatively; wanted ≤ 1.5."""
    m = dl.zoo.henon(a=a)
    starts = m.start(0, 100)
    found = dl.classify(m, starts)
    limit = np.stack([found.states, m(found.states)])  # both points of a 2-cycle, or one point twice
    needed, x = np.zeros(len(starts), dtype=int), starts
    for t in range(4096):
        away = np.linalg.norm(limit - x, axis=2).min(axis=0) / np.linalg.norm(x, axis=1)
        needed[(away <= 1e-8) & (needed == 0)] = t
        x = m(x)
    share = float(np.max(found.evidence.loops / needed))
    what = f"loops used on Hénon, a = {a}, {int(found.evidence.loops.max())} at most"
    beside = f"those that an oracle needs, {int(np.median(needed))} in the median"
    report(benchmark, what, share, beside=beside, most=1.5)
    benchmark.pedantic(dl.classify, (m, starts), rounds=1)
