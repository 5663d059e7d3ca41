"""Studies: what a run keeps, wherever it computes; errors and time-outs as data; what is refused."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, StoreError, StudyError
from dynloop.studies import pools
from tests.studies import cells, late

GRID = {"x": [1, 2, 3], "y": [0, 0.5]}


def test_a_study_keeps_a_row_and_a_record_for_every_cell(tmp_path):
    done = dl.study(dl.Plan.grid(cells.square, GRID), tmp_path / "out")
    table = done.table()
    assert table.columns["value"] == (1, 1.5, 4, 4.5, 9, 9.5)
    assert table.columns["x"] == (1, 1, 2, 2, 3, 3)
    assert set(table.columns["state"]) == {"done"}
    assert "array" not in table.columns
    for cell, record in done.results():
        np.testing.assert_array_equal(record.values["array"], np.arange(4) * cell.parameters["x"])
        assert record.parameters == cell.parameters
    assert done.result(5).values["value"] == 9.5
    assert done.check() == []
    assert table.summary() == "6 cells: 6 done"
    assert repr(done).endswith("out, 6 cells: 6 done")
    about = done.provenance()
    assert {one["attempts"] for one in about} == {1}
    assert all("numpy" in one["environment"] and one["seconds"] >= 0 for one in about)


@pytest.mark.parametrize("where", ["threads", "processes"])
def test_the_table_does_not_depend_on_where_it_was_computed(where, tmp_path):
    plan = dl.Plan.grid(cells.square, {"x": list(range(12)), "y": [0, 0.1]})
    here = dl.study(plan, tmp_path / "here").table()
    if where == "threads":
        with ThreadPoolExecutor(3) as pool:
            there = dl.study(plan, tmp_path / "there", executor=pool)
    else:
        there = dl.study(plan, tmp_path / "there", workers=2, workers_write=True)
    assert there.table().columns == here.columns
    files = [sorted(p.name for p in (tmp_path / name / "results").rglob("*.npz")) for name in ("here", "there")]
    assert files[0] == files[1]  # named by their content: bit for bit


def test_finished_cells_are_not_computed_again_and_new_ones_are(tmp_path):
    fixed = {"folder": str(tmp_path)}
    dl.study(dl.Plan.grid(cells.noted, {"x": [1, 2]}, fixed=fixed), tmp_path / "out")
    done = dl.study(dl.Plan.grid(cells.noted, {"x": [3, 2, 1]}, fixed=fixed), tmp_path / "out")
    assert (tmp_path / "calls").read_text().split() == ["1", "2", "3"]
    assert done.table().columns["value"] == (9, 4, 1)


def test_equal_cells_are_computed_once(tmp_path):
    plan = dl.Plan.listed(cells.noted, [{"x": 2}, {"x": 2}, {"x": 3}], fixed={"folder": str(tmp_path)})
    assert dl.study(plan, tmp_path / "out").table().columns["value"] == (4, 4, 9)
    assert (tmp_path / "calls").read_text().split() == ["2", "3"]


def test_an_error_is_data(tmp_path):
    seen = []
    done = dl.study(dl.Plan.grid(cells.failing, {"x": [0, 1, 2]}), tmp_path / "out", retries=2, progress=seen.append)
    table = done.table()
    assert table.columns["state"] == ("done", "error", "done")
    assert table.columns["value"] == (0, None, 2)
    assert table.columns["error"] == (None, "ValueError: odd 1", None)
    assert "raise ValueError" in done.result(1).error["traceback"]
    assert [one["attempts"] for one in done.provenance()] == [1, 3, 1]
    assert (seen[-1].done, seen[-1].total, seen[-1].failed, seen[-1].remaining) == (3, 3, 1, 0.0)


def test_an_error_that_passes_is_tried_again(tmp_path):
    plan = dl.Plan.grid(cells.flaky, {"x": [1]}, fixed={"folder": str(tmp_path)})
    none = dl.study(plan, tmp_path / "out", retries=0)
    assert none.table().columns["error"] == ("OSError: not yet",)
    assert dl.study(plan, tmp_path / "out").table().columns["state"] == ("error",)  # kept as it was
    assert dl.study(plan, tmp_path / "out", retry_failed=True).table().columns["state"] == ("done",)
    assert len(list((tmp_path / "out" / "results").rglob("*.npz"))) == 1


def test_what_has_no_form_in_a_record_is_an_error_of_the_cell(tmp_path):
    table = dl.study(dl.Plan.grid(cells.odd_return, {"x": [0, 1]}), tmp_path / "out").table()
    assert "a cell must return a record of dynloop or a mapping" in table.columns["error"][0]
    assert "holds a set" in table.columns["error"][1]


def test_a_cell_that_takes_too_long_is_ended(tmp_path):
    began = time.monotonic()
    done = dl.study(dl.Plan.grid(cells.hangs, {"x": [0, 1, 2]}), tmp_path / "out", timeout=0.3)
    assert done.table().columns["state"] == ("done", "timeout", "done")
    assert "longer than 0.3 s" in done.table().columns["error"][1]
    assert time.monotonic() - began < 20


def test_a_cell_that_takes_too_long_in_a_thread_is_ended(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        done = dl.study(dl.Plan.grid(cells.hangs, {"x": [0, 1, 2]}), tmp_path / "out", executor=pool, timeout=0.3)
    assert done.table().columns["state"] == ("done", "timeout", "done")


@pytest.mark.parametrize(("start", "states"), [(600.0, {"done"}), (0.2, {"lost"})])
def test_the_start_of_a_worker_is_no_time_of_its_cells(tmp_path, monkeypatch, start, states):
    for name, value in {"_GRACE": 0.2, "_START": start, "_TICK": 0.05}.items():
        monkeypatch.setattr(f"dynloop.studies.run.{name}", value)
    monkeypatch.setenv("DYNLOOP_TEST_SLOW_IMPORT", "3" if start > 1 else "60")
    done = dl.study(dl.Plan.grid(late.quick, {"x": [0, 1]}), tmp_path / "out", workers=1, timeout=1.0)
    assert set(done.table().columns["state"]) == states
    assert start > 1 or "did not begin" in done.table().columns["error"][0]


@pytest.mark.slow
@pytest.mark.parametrize("together", [None, 4])
def test_a_worker_that_does_not_come_back_is_killed(tmp_path, monkeypatch, together):
    monkeypatch.setattr("dynloop.studies.run._GRACE", 1.0)
    plan = dl.Plan.grid(cells.deaf, {"x": [0, 1, 2, 3]})
    done = dl.study(plan, tmp_path / "out", workers=2, timeout=2.0, together=together)
    assert done.table().columns["state"] == ("done", "timeout", "done", "done")
    assert "was killed" in done.table().columns["error"][1]


def test_a_cell_that_kills_its_worker_now_and_then_comes_through(tmp_path):
    plan = dl.Plan.grid(cells.dies, {"x": [0, 1, 2]}, fixed={"folder": str(tmp_path)})
    assert dl.study(plan, tmp_path / "out", workers=2).table().columns["value"] == (0, 1, 2)


@pytest.mark.slow
def test_a_cell_that_kills_every_worker_is_lost_alone_and_run_again_when_asked(tmp_path):
    plan = dl.Plan.grid(cells.dies, {"x": list(range(6))}, fixed={"folder": str(tmp_path), "times": 4})
    done = dl.study(plan, tmp_path / "out", workers=2)
    assert done.table().columns["state"] == ("done", "lost", "done", "done", "done", "done")
    assert "its worker died again and again" in done.table().columns["error"][1]
    with pytest.raises(StoreError, match="was lost with its workers"):
        done.result(1)
    assert set(dl.study(plan, tmp_path / "out").table().columns["state"]) == {"done"}


def test_a_pool_of_the_callers_that_breaks_stops_the_run(tmp_path):
    plan = dl.Plan.grid(cells.dies, {"x": [1, 2]}, fixed={"folder": str(tmp_path)})
    with pools.process_pool(1) as pool, pytest.raises(StudyError, match="the executor broke"):
        dl.study(plan, tmp_path / "out", executor=pool)
    assert set(dl.study(plan, tmp_path / "out").table().columns["state"]) == {"done"}


def test_a_cell_computes_on_one_thread_and_the_callers_setting_is_kept(tmp_path):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        done = dl.study(dl.Plan.grid(cells.threads, {"x": [1]}), tmp_path / "out")
        assert done.table().columns["value"] == (1,)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_interrupt_leaves_what_is_finished(tmp_path):
    plan = dl.Plan.grid(cells.slow, {"x": list(range(40))})

    def interrupt(now):
        if now.done >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dl.study(plan, tmp_path / "out", progress=interrupt)
    there = dl.Study(tmp_path / "out")
    assert 1 <= there.table().columns["state"].count("done") < 40
    assert there.check() == []
    assert set(dl.study(plan, tmp_path / "out").table().columns["state"]) == {"done"}


def test_two_runners_share_the_cells_of_one_study(tmp_path):
    plan = dl.Plan.grid(cells.noted, {"x": list(range(30))}, fixed={"folder": str(tmp_path), "seconds": 0.01})
    errors = []

    def run():
        try:
            dl.study(plan, tmp_path / "out")
        except BaseException as error:
            errors.append(error)

    runners = [threading.Thread(target=run) for _ in range(3)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert errors == []
    assert sorted(map(int, (tmp_path / "calls").read_text().split())) == list(range(30))
    assert set(dl.Study(tmp_path / "out").table().columns["state"]) == {"done"}


def test_a_study_is_read_while_it_runs(tmp_path):
    seen = []

    def look(now):
        seen.append((now.done, dl.Study(tmp_path / "out").table().columns["state"].count("done")))

    dl.study(dl.Plan.grid(cells.slow, {"x": list(range(30))}), tmp_path / "out", progress=look)
    assert all(told == read for told, read in seen)
    assert len({told for told, _ in seen}) > 2


def test_a_checkpoint_that_changes_under_the_study_stops_it(tmp_path):
    path = tmp_path / "weights"
    path.write_text("a")
    plan = dl.Plan.grid(cells.changes_input, {"path": [str(path)]}, files=["path"])
    with pytest.raises(StudyError, match="weights was written again while the study ran"):
        dl.study(plan, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers must be a positive int; got 0"),
        ({"retries": -1}, "retries must be an int of at least 0; got -1"),
        ({"timeout": 0}, "timeout must be a positive number of seconds; got 0"),
        ({"executor": 3}, "executor must be a concurrent.futures.Executor; got a int"),
        ({"executor": pools.InProcess(), "workers": 2}, "give executor or workers, not both"),
    ],
)
def test_wrong_options_are_refused(options, said, tmp_path):
    with pytest.raises(InvalidArgumentError, match=said):
        dl.study(dl.Plan.grid(cells.square, GRID), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_wrong_folders_and_plans_are_refused(tmp_path):
    plan = dl.Plan.grid(cells.square, GRID)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InvalidArgumentError, match="holds mine and no study"):
        dl.study(plan, tmp_path)
    with pytest.raises(InvalidArgumentError, match="is a file"):
        dl.study(plan, tmp_path / "mine")
    with pytest.raises(StoreError, match="holds no study"):
        dl.Study(tmp_path)
    with pytest.raises(InvalidArgumentError, match=r"plan must be a Plan; got dict\. Make one with dynloop\.read_plan"):
        dl.study({}, tmp_path / "out")
    done = dl.study(plan, tmp_path / "out")
    with pytest.raises(InvalidArgumentError, match="names its code only"):
        dl.study(done.plan, tmp_path / "out")
    with pytest.raises(InvalidArgumentError, match=r"number must lie in 0 … 5; got 6"):
        done.result(6)


def test_a_plan_in_the_folder_that_names_other_code_runs_nothing(tmp_path):
    """What is written in a study's folder is data: the address of a function is never imported from it."""
    done = dl.study(dl.Plan.grid(cells.square, GRID), tmp_path / "out")
    outer = json.loads((tmp_path / "out" / "plan.json").read_text())
    evil = dl.Plan(None, "antigravity:fly", "x", axes={"x": [1]})
    (tmp_path / "out" / "plan.json").write_text(evil.to_json())
    assert done.table().columns["state"] == ("pending",)
    assert "antigravity" not in __import__("sys").modules
    assert set(outer) == {"plan", "seal"}


def test_a_cell_may_return_a_record(tmp_path):
    plan = dl.Plan.grid(cells.a_record, {"a": [0.2]})
    record = dl.study(plan, tmp_path / "out").result(0)
    assert isinstance(record.result, dl.Spectrum | dl.Classification)


@pytest.mark.parametrize(
    ("cell", "said"), [(cells.silent, "SilentError: its text cannot be had"), (cells.leaves, "SystemExit: 3")]
)
def test_odd_errors_are_data_too(cell, said, tmp_path):
    assert dl.study(dl.Plan.grid(cell, {"x": [1]}), tmp_path / "out").table().columns["error"] == (said,)


def test_short_cells_go_out_together_and_fail_apart(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        done = dl.study(
            dl.Plan.grid(cells.failing, {"x": list(range(50))}), tmp_path / "out", executor=pool, together=7
        )
    assert done.table().columns["state"] == ("done", "error") * 25
    assert [one["attempts"] for one in done.provenance()] == [1, 2] * 25
