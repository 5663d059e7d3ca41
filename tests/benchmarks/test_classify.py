"""What a verdict costs beside iterating the block in a bare torch loop: ratios of medians in one run.

The bare loop is what a person writes by hand; it measures nothing. `make bench` prints the ratios.
"""

import time
from statistics import median

import pytest
import torch

import dynloop as dl
from tests.benchmarks.timing import report

LOOPS = 512


def seconds(work, rounds=3):
    """Median time of a call, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
        taken = []
        for _ in range(rounds):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return median(taken)


def bare(m, start):
    with torch.no_grad():
        x = start
        for _ in range(LOOPS):
            for layer in m.layers:
                x = layer(x)
    return x


BLOCKS = {
    "ray": {"norm": "pre", "injection": "none"},
    "fixed point": {"norm": "huginn", "injection": "concat"},
}


@pytest.mark.parametrize("polish", ["never", "auto"])
@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("batch", [1, 4])
def test_classify_beside_a_bare_loop(benchmark, kind, batch, polish):
    m = dl.synthetic.looped_transformer(layers=6, width=64, tokens=12, **BLOCKS[kind])
    starts = m.start(0, batch)
    found = dl.classify(m, starts, loops=LOOPS, polish=polish)
    by_hand = seconds(lambda: bare(m, starts))
    ours = seconds(lambda: dl.classify(m, starts, loops=LOOPS, polish=polish))
    what = f"classify {found.summary()}, {batch} start{'s' * (batch > 1)}, polish {polish}"
    what += f", {found.evidence.loops.max()} loops"
    report(benchmark, what, ours / by_hand, beside=f"{LOOPS} bare loops")
    benchmark.pedantic(dl.classify, (m, starts), {"loops": LOOPS, "polish": polish}, rounds=1)


def test_watching_beside_a_bare_loop(benchmark):
    """The measuring alone: every loop's step, norm and return, none of it stored by loop and state."""
    m = dl.synthetic.looped_transformer(layers=6, width=64, tokens=12, norm="pre", injection="concat")
    start = m.start(0, 4)
    by_hand, ours = seconds(lambda: bare(m, start)), seconds(lambda: m.watch(start, LOOPS, start))
    report(benchmark, f"watch {LOOPS} loops, 4 starts", ours / by_hand, beside=f"{LOOPS} bare loops")
    benchmark.pedantic(m.watch, (start, LOOPS, start), rounds=1)
