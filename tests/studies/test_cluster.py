"""Studies on dask.distributed: the same table as in-process, errors, time-outs and dead workers."""

import os
import signal

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import StudyError
from tests.studies import cells

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.slow,
    # Dask's own sockets and event loops, when a worker dies
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed.*", "ignore::UserWarning:distributed.*"),
]


@pytest.fixture(scope="module")
def client():
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("workers_write", [False, True])
def test_the_table_is_that_of_a_run_in_process(client, workers_write, tmp_path):
    plan = dl.Plan.grid(cells.square, {"x": list(range(20)), "y": [0, 0.5]})
    here = dl.study(plan, tmp_path / "here")
    there = dl.study(plan, tmp_path / "there", executor=client.get_executor(), workers_write=workers_write)
    assert there.table().columns == here.table().columns
    assert len({one["worker"] for one in there.provenance()} - {f"{os.uname().nodename}:{os.getpid()}"}) == 2
    for (_, a), (_, b) in zip(here.results(), there.results(), strict=True):
        np.testing.assert_array_equal(a.values["array"], b.values["array"])


def test_errors_and_retries(client, tmp_path):
    done = dl.study(dl.Plan.grid(cells.failing, {"x": [0, 1]}), tmp_path / "out", executor=client.get_executor())
    assert done.table().columns["error"] == (None, "ValueError: odd 1")
    plan = dl.Plan.grid(cells.flaky, {"x": [1]}, fixed={"folder": str(tmp_path)})
    done = dl.study(plan, tmp_path / "flaky", executor=client.get_executor())
    assert done.table().columns["state"] == ("done",)
    assert done.provenance()[0]["attempts"] == 2


def test_a_cell_that_takes_too_long_is_ended(client, tmp_path):
    plan = dl.Plan.grid(cells.hangs, {"x": [0, 1, 2]})
    done = dl.study(plan, tmp_path / "out", executor=client.get_executor(), timeout=0.5)
    assert done.table().columns["state"] == ("done", "timeout", "done")


def test_a_worker_is_killed_and_the_study_goes_on(client, tmp_path):
    plan = dl.Plan.grid(cells.noted, {"x": list(range(40))}, fixed={"folder": str(tmp_path), "seconds": 0.1})
    killed = []

    def kill(now):
        if now.done >= 5 and not killed:
            pids = list(client.run(os.getpid).values())
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    done = dl.study(plan, tmp_path / "out", executor=client.get_executor(), progress=kill)
    assert killed
    assert done.table().columns["value"] == tuple(x * x for x in range(40))
    client.wait_for_workers(2, timeout=60)


def test_a_cell_that_kills_its_worker_again_and_again_is_lost(client, tmp_path):
    plan = dl.Plan.grid(cells.dies, {"x": [1, 2]}, fixed={"folder": str(tmp_path), "times": 10**6})
    try:
        done = dl.study(plan, tmp_path / "out", executor=client.get_executor())
    except StudyError:
        pytest.fail("a cell that kills its workers must not end the study")
    assert done.table().columns["state"] == ("lost", "done")
