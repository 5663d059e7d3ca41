"""How a large study runs on a cluster: the driver of `dynloop.study` under the load of 1 000 workers.
===================================================================================================

Nothing is analysed: every cell has a cost, drawn from a model, and two ways of spending it can be chosen.

``simulate``
    Workers are simulated: a cell ends when its cost has passed on a clock that jumps from event to event. The driver,
    its claims, its records and its index are real, so the time that *it* takes for a cell is measured; the rest follows
    from the model. 1 000 workers fit into one process.
``dask``
    Cells sleep their cost, shortened by ``--speed``, on a `LocalCluster` whose workers have many threads: what Dask's
    scheduler does is real too.

Run ``python examples/scaling.py OUT --workers 1000 --checkpoints 4 --prompts 2500``.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import itertools
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import dynloop as dl

LOAD, COMPUTE = 8.0, 20.0  # seconds: to read the weights of a checkpoint, and to analyse one prompt, on average
ROW = {"regime": "CYCLIC", "share": 1.0, "rate": 0.5}


def cost(checkpoint: int, prompt: int) -> float:
    """Return the seconds that one prompt takes: between a half and twice the average, always the same ones."""
    digest = hashlib.sha256(f"{checkpoint} {prompt}".encode()).digest()
    return COMPUTE * 2.0 ** (int.from_bytes(digest[:4], "big") / 2**31 - 1.0)


def simulated_cell(checkpoint: int, prompt: int) -> dict[str, object]:
    """Stand for a cell whose time passes on the simulated clock."""
    return {**ROW, "seconds": cost(checkpoint, prompt)}


def sleeping_cell(checkpoint: int, prompt: int, speed: float) -> dict[str, object]:
    """Stand for a cell: wait for its time."""
    time.sleep(cost(checkpoint, prompt) / speed)
    return {**ROW, "seconds": cost(checkpoint, prompt)}


class SimulatedCluster(Executor):
    """Workers on a simulated clock: each takes the cell that has waited longest, and keeps its last checkpoint.

    The clock moves when two cells a worker are there, and when all cells are.
    """

    def __init__(self, workers: int, cells: int) -> None:
        self._max_workers, self._left = workers, cells
        self.clock, self.busy, self.loads = 0.0, 0.0, 0
        self._free = [(0.0, i) for i in range(workers)]
        self._holds: dict[int, int] = {}
        self._events: list[tuple[float, int, Future, object, tuple]] = []
        self._serial = itertools.count()

    def submit(self, fn, /, *args):
        """Give a cell to the worker that is free first; it ends when the clock gets there."""
        future: Future = Future()
        [job] = args[0]  # together=1
        checkpoint, prompt = job.parameters["checkpoint"], job.parameters["prompt"]
        at, worker = heapq.heappop(self._free)
        begins, takes = max(at, self.clock), cost(checkpoint, prompt)
        if self._holds.get(worker) != checkpoint:
            self._holds[worker], self.loads, takes = checkpoint, self.loads + 1, takes + LOAD
        self.busy += takes
        heapq.heappush(self._free, (begins + takes, worker))
        heapq.heappush(self._events, (begins + takes, next(self._serial), future, fn, args))
        self._left -= 1
        while self._events and (not self._left or len(self._events) >= 2 * self._max_workers):
            self.clock, _, ended, call, given = heapq.heappop(self._events)
            ended.set_result(call(*given))
        return future


@dataclass
class Found:
    """What a run showed."""

    cells: int
    workers: int
    wall: float
    driver: float
    simulated: float
    busy: float
    loads: int

    def lines(self) -> list[str]:
        """Say it."""
        said = [
            f"{self.cells} cells on {self.workers} workers: the driver took {1e3 * self.driver:.1f} ms a cell, "
            f"so it keeps {COMPUTE / self.driver:.0f} workers busy with cells of {COMPUTE:g} s",
        ]
        if self.simulated:
            said.append(
                f"simulated: {self.simulated / 3600:.2f} h, workers busy for {100 * self.busy:.1f} % of it, "
                f"checkpoints read {self.loads} times"
            )
        return said


def _all_done(done: dl.Study) -> None:
    states = set(done.table().columns["state"])
    if states != {"done"}:
        raise SystemExit(f"not every cell is done: {states}")


def simulate(out: str, workers: int, checkpoints: int, prompts: int) -> Found:
    """Run a study on simulated workers."""
    axes = {"checkpoint": list(range(checkpoints)), "prompt": list(range(prompts))}
    plan = dl.Plan.grid(simulated_cell, axes)
    cluster = SimulatedCluster(workers, len(plan))
    began = time.perf_counter()
    done = dl.study(plan, out, executor=cluster, together=1)
    wall = time.perf_counter() - began
    _all_done(done)
    return Found(
        len(plan),
        workers,
        wall,
        wall / len(plan),
        cluster.clock,
        cluster.busy / (workers * cluster.clock) if cluster.clock else 0.0,
        cluster.loads,
    )


def on_dask(out: str, workers: int, checkpoints: int, prompts: int, speed: float) -> Found:
    """Run a study of sleeping cells on a Dask cluster of this machine, up to 250 threads a process."""
    from distributed import Client, LocalCluster

    axes = {"checkpoint": list(range(checkpoints)), "prompt": list(range(prompts))}
    plan = dl.Plan.grid(sleeping_cell, axes, fixed={"speed": speed})
    processes = -(-workers // 250)
    sizes = {"n_workers": processes, "threads_per_worker": -(-workers // processes), "dashboard_address": None}
    with LocalCluster(**sizes) as cluster, Client(cluster) as client:
        began = time.perf_counter()
        done = dl.study(plan, out, executor=client.get_executor(), together=1)
        wall = time.perf_counter() - began
    _all_done(done)
    return Found(len(plan), workers, wall, wall / len(plan), 0.0, 0.0, 0)


def main(arguments: list[str] | None = None) -> Found:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="a new folder")
    parser.add_argument("--mode", choices=["simulate", "dask"], default="simulate")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--prompts", type=int, default=2500)
    parser.add_argument("--speed", type=float, default=20.0, help="how much faster than the model cells sleep")
    given = parser.parse_args(arguments)
    if given.mode == "simulate":
        found = simulate(given.out, given.workers, given.checkpoints, given.prompts)
    else:
        found = on_dask(given.out, given.workers, given.checkpoints, given.prompts, given.speed)
    print("\n".join(found.lines()))
    return found


if __name__ == "__main__":
    main()
