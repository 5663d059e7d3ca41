"""Ratios of run times: both sides alternate in one run on one thread, and medians are compared."""

import time
from statistics import median

import torch


def ratio(ours, theirs, rounds=5):
    """Median time of one call over that of another; they take turns, so that a busy machine disturbs both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours()
        theirs()
        taken = ([], [])
        for _ in range(rounds):
            for work, times in zip((ours, theirs), taken, strict=True):
                began = time.perf_counter()
                work()
                times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return median(taken[0]) / median(taken[1])


def report(benchmark, what, value):
    """Print a ratio, and keep it with the benchmark."""
    benchmark.extra_info[what] = round(value, 2)
    print(f"\n{what} = {value:.2f}")
