"""Ratios of run times: both sides alternate in one run on one thread, and medians are compared."""

import os
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


def report(benchmark, what, value, *, beside="", unit="", most=None, least=None):
    """Print a figure with its aim, and keep it with the benchmark, for the page (`tests.benchmarks.page`).

    A figure without a unit is a ratio to what it stands `beside`. An aim is the `most` or the `least` that is wanted.
    """
    aim = "" if most is least is None else f"≤ {most:g}" if most is not None else f"≥ {least:g}"
    met = None if not aim else bool(value <= most if most is not None else value >= least)
    figure = {"what": what, "beside": beside, "value": float(f"{value:.3g}"), "unit": unit, "aim": aim, "met": met}
    benchmark.extra_info.setdefault("figures", []).append(figure | {"load": round(os.getloadavg()[0], 1)})
    print(f"\n{what}{beside and ' / '}{beside} = {value:.3g}{unit and ' '}{unit}{aim and f' (wanted {aim})'}")
