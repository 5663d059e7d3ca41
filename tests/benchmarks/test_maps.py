"""What toy maps cost beside a loop written by hand for one map, in numba: ratios in one run, on one thread.

`make bench` prints them; docs/performance.md quotes them.
"""

import os
import subprocess
import sys
import time

import numba
import numpy as np

import dynloop as dl
from tests.benchmarks.timing import ratio, report

hand_written = numba.njit(error_model="numpy")


@hand_written
def henon_spectrum(x, y, loops):
    a, b, c, d, first, second = 1.0, 0.0, 0.0, 1.0, 0.0, 0.0
    for _ in range(loops):
        slope = -2.8 * x
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
        a, b = slope * a + b, 0.3 * a
        c, d = slope * c + d, 0.3 * c
        length = np.sqrt(a * a + b * b)
        first += np.log(length)
        a, b = a / length, b / length
        along = a * c + b * d
        c, d = c - along * a, d - along * b
        length = np.sqrt(c * c + d * d)
        second += np.log(length)
        c, d = c / length, d / length
    return first / loops, second / loops


def test_the_spectrum_of_henon(benchmark):
    """10⁶ loops, all of `lyapunov_spectrum` with its error bars; wanted ≤ 2."""
    m, loops = dl.zoo.henon(), 1_000_000
    ours = lambda: dl.lyapunov_spectrum(m, [0.1, 0.1], loops=loops)
    theirs = lambda: henon_spectrum(0.1, 0.1, loops)
    np.testing.assert_allclose(ours().exponents, theirs(), atol=0.01)
    report(benchmark, "spectrum of Hénon, 10⁶ loops", ratio(ours, theirs), beside="Gram–Schmidt by hand", most=2)
    benchmark.pedantic(ours, rounds=3)


@hand_written
def logistic_exponents(values, loops, found):
    for i in range(values.shape[0]):
        r, x, total = values[i], 0.3, 0.0
        for _ in range(loops):
            total += np.log(abs(r * (1 - 2 * x)))
            x = r * x * (1 - x)
        found[i] = total / loops


def test_the_exponent_against_the_parameter(benchmark):
    """1000 parameters × 10⁴ loops of the logistic map; wanted ≤ 1.5 of a logarithm a loop."""
    m, values, found = dl.zoo.logistic(), np.linspace(2.5, 4.0, 1000), np.empty(1000)
    ours = lambda: dl.exponent_diagram(m, values, starts=[0.3], loops=10_000, transient=0)
    theirs = lambda: logistic_exponents(values, 10_000, found)
    theirs()
    np.testing.assert_allclose(ours().exponents[:, 0], found, atol=0.02)
    value = ratio(ours, theirs)
    report(benchmark, "exponent of 1000 logistic maps, 10⁴ loops", value, beside="a logarithm a loop by hand", most=1.5)
    benchmark.pedantic(ours, rounds=3)


@hand_written
def logistic_periods(values, transient, longest, tolerance, found):
    for i in range(values.shape[0]):
        r, x, p = values[i], 0.3, 0
        for _ in range(transient):
            x = r * x * (1 - x)
            if not abs(x) < 1e150:
                p = -1
                break
        if p == 0:
            reference = x
            for t in range(1, longest + 1):
                x = r * x * (1 - x)
                if abs(x - reference) <= tolerance * abs(reference):
                    p = t
                    break
        found[i] = p


def test_the_period_against_the_parameter(benchmark):
    """The periods of 1000 logistic maps after 5000 loops; wanted ≤ 2."""
    m, values, found = dl.zoo.logistic(), np.linspace(2.5, 4.0, 1000), np.empty(1000, dtype=np.int64)
    ours = lambda: dl.period_diagram(m, values, starts=[0.3], transient=5000)
    theirs = lambda: logistic_periods(values, 5000, 64, 1e-9, found)
    theirs()
    told = ours().period
    assert np.mean(told == np.where(found > 0, found, -1)) > 0.98  # near a bifurcation we say that we do not know
    report(benchmark, "period of 1000 logistic maps", ratio(ours, theirs), beside="the first return by hand", most=2)
    benchmark.pedantic(ours, rounds=3)


def first_result(cache):
    program = "import dynloop as dl; dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1]).exponents"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"NUMBA_CACHE_DIR": str(cache)})
    return time.perf_counter() - began


def test_the_first_result_of_a_process(benchmark, tmp_path):
    """From the start of Python to the spectrum of Hénon, compiling and not; wanted ≤ 3 s and ≤ 0.7 s."""
    taken = [first_result(tmp_path / "cache") for _ in range(4)]
    numba_alone = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numba, scipy.linalg"], check=True)
        numba_alone.append(time.perf_counter() - began)
    report(benchmark, "spectrum of Hénon in a first process, which compiles", taken[0], unit="s", most=3)
    report(benchmark, "the same in a later process", min(taken[1:]), unit="s", most=0.7)
    report(benchmark, "of which imports of numba and scipy.linalg", min(numba_alone), unit="s")
    benchmark.pedantic(lambda: None, rounds=1)
