"""What a study costs beside its cells: overhead per cell in process and on Dask, listing 100 000 cells, and memory.

Cells that compute nothing, so that all of the time is overhead. `make bench` prints the figures; docs/studies.md and
docs/scaling.md quote them.
"""

import pickle
import time
import tracemalloc
from contextlib import closing

import pytest

import dynloop as dl
from dynloop.analyses.classify import classify_cell
from dynloop.studies import index
from dynloop.studies.reading import PLAN
from dynloop.studies.worker import Job
from tests.benchmarks.timing import report
from tests.studies import cells

CELLS = 400
LISTED = 100_000


def per_cell(benchmark, plan, folder, **options):
    """Milliseconds a cell, the best of three runs; a busy machine only adds."""
    runs = []

    def run():
        began = time.perf_counter()
        dl.study(plan, folder / str(len(runs)), **options)
        runs.append(1e3 * (time.perf_counter() - began) / len(plan))

    benchmark.pedantic(run, rounds=3)
    return min(runs)


def test_overhead_in_process(benchmark, tmp_path):
    """Wanted ≤ 5 ms."""
    took = per_cell(benchmark, dl.Plan.grid(cells.square, {"x": list(range(CELLS))}), tmp_path)
    report(benchmark, "study in process, a cell", took, unit="ms", most=5)


def test_overhead_of_a_pool(benchmark, tmp_path):
    """The start of the processes included."""
    took = per_cell(benchmark, dl.Plan.grid(cells.square, {"x": list(range(CELLS))}), tmp_path, workers=2)
    report(benchmark, "study in a pool of two processes with its start, a cell", took, unit="ms")


def test_overhead_on_dask(benchmark, tmp_path):
    """Wanted ≤ 15 ms, on a LocalCluster of two workers that is there already."""
    distributed = pytest.importorskip("distributed")
    plan = dl.Plan.grid(cells.square, {"x": list(range(CELLS))})
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        took = per_cell(benchmark, plan, tmp_path / "together", executor=executor)
        alone, bare, began = [], [], time.perf_counter()
        for i in range(3):  # in turn, since other jobs of the machine come and go
            dl.study(plan, tmp_path / f"alone-{i}", executor=executor, together=1)
            between = time.perf_counter()
            for future in [executor.submit(cells.square, x, pure=False) for x in range(CELLS)]:
                future.result()
            ended = time.perf_counter()
            alone.append(1e3 * (between - began) / CELLS)
            bare.append(1e3 * (ended - between) / CELLS)
            began = ended
    report(benchmark, "study on Dask, a cell", took, unit="ms", most=15)
    report(benchmark, "study on Dask, one cell a task", min(alone), unit="ms")
    report(benchmark, "Dask alone, a task", min(bare), unit="ms")


def listed(folder, plan, columns=lambda i: {"value": i, "third": i / 3, "name": f"cell {i}"}):
    """Write the index of a study whose cells have all ended; there are no records."""
    folder.mkdir()
    (folder / PLAN).write_text(plan.to_json())
    with closing(index.connect(folder, write=True)) as connection:
        index.prepare(connection)
        about = {"attempts": 1, "seconds": 0.1, "worker": "host:1", "environment": "python 3"}
        with index.transaction(connection):
            for i, key in enumerate(plan.keys):
                row = index.Row(key, "done", f"{key[:2]}/{key}.{key}.npz", 1000, columns(i), None, 1.7e9)
                index.enter(connection, row, about)


def test_listing(benchmark, tmp_path):
    """100 000 cells, a row each in the index; wanted ≤ 2 s."""
    plan = dl.Plan.grid(cells.square, {"x": list(range(LISTED // 10)), "y": [i / 10 for i in range(10)]})
    folder = tmp_path / "out"
    listed(folder, plan)
    times = []

    def table():
        began = time.perf_counter()
        found = dl.Study(folder).table()
        times.append(time.perf_counter() - began)
        return found

    found = benchmark.pedantic(table, rounds=3)
    assert len(found) == LISTED
    assert found.columns["value"] == tuple(range(LISTED))
    report(benchmark, f"table of {LISTED} cells", min(times), unit="s", most=2)


def test_sizes(benchmark, tmp_path):
    """What docs/scaling.md says of memory and disk, a cell."""
    block = "synthetic:pre+concat?layers=2&tokens=100&width=16&heads=2"
    one = dl.Plan.grid(classify_cell, {"checkpoint": [block]}, fixed={"keep": "verdict", "loops": 64})
    dl.study(one, tmp_path / "record")
    hidden = {*one.names, "state", "error"}
    shown = {n: v for n, (v,) in dl.Study(tmp_path / "record").table().columns.items() if n not in hidden}
    plan = dl.Plan.grid(cells.square, {"x": list(range(LISTED // 50)), "y": [i / 10 for i in range(10)]})
    listed(tmp_path / "out", plan, lambda i: {**shown, "rate": i / 7})
    fresh = dl.Plan.grid(cells.square, plan.axes)

    def taken():
        """Bytes a cell of the keys of a plan, and of the rows of the cells that are done."""
        tracemalloc.start()
        try:
            keys = fresh.keys
            first = tracemalloc.get_traced_memory()[0]
            with closing(index.connect(tmp_path / "out", write=False)) as connection:
                rows, _ = index.read_rows(connection)
            second = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert len(rows) == len(keys) == len(plan)
        return first / len(plan), (second - first) / len(plan)

    keys, rows = benchmark.pedantic(taken, rounds=1)
    [record] = (tmp_path / "record").rglob("*.npz")
    job = pickle.dumps((Job("0" * 32, classify_cell, one.parameters(0), one.address, one.code, "0" * 40, None, None),))
    sizes = {"keys": keys, "rows": rows, "record": record.stat().st_size, "job": len(job)}
    for name, size in sizes.items():
        report(benchmark, f"size a cell: {name}", size, unit="bytes")
