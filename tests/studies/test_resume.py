"""Full disks, damaged files: the store opens, nothing wrong is shown, and the next run makes it good."""

import errno
import os
import random
import shutil
import sqlite3
import subprocess

import pytest

import dynloop as dl
from dynloop import atomic
from dynloop.errors import DynloopError, StoreError
from tests.studies.trials import Trial, damage


def some(fast, slow):
    return [pytest.param(n, marks=() if n < fast else pytest.mark.slow) for n in range(slow)]


# -- a full disk -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)],  # noqa: S607 - a test
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)  # noqa: S607 - a test


def test_a_disk_that_is_full(small_disk, tmp_path):
    """Filled to the last block, or with a little left, twelve times in the course of one study."""
    rng = random.Random(3)
    trial = Trial(tmp_path, count=60)
    trial.out = small_disk / "out"
    refused = 0
    for step in range(12):
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        left = rng.choice([0, rng.randrange(100_000)])
        (small_disk / "ballast").write_bytes(bytes(max(0, free - left)))
        before, calls = trial.finished(), len(trial.calls())
        with pytest.raises((StoreError, StoppedError)) as caught:
            trial.run(progress=stop_after(step * 5))
        if caught.type is StoreError:
            assert caught.value.errno == errno.ENOSPC
            assert "what is finished is kept" in str(caught.value)
            refused += 1
        (small_disk / "ballast").unlink()
        assert before <= trial.finished()
        assert before.isdisjoint(trial.calls()[calls:])
        assert not list(trial.out.rglob(".*.part"))
    assert refused >= 6
    trial.complete()


class StoppedError(Exception):
    pass


def stop_after(count):
    def progress(now):
        if now.done >= count + 5:
            raise StoppedError

    return progress


@pytest.mark.parametrize("what", ["open", "fsync", "replace"])
@pytest.mark.parametrize("at", some(2, 8))
def test_a_write_that_fails(what, at, tmp_path, monkeypatch):
    """Every kind of write, at one after another: 24 in all."""
    trial = Trial(tmp_path, count=8)
    count = 0

    def failing(real):
        def call(*arguments, **options):
            nonlocal count
            if what != "open" or str(arguments[0]).endswith(".part"):
                count += 1
                if count > at:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        if what == "open":
            patch.setattr(atomic, "open", failing(open), raising=False)
        else:
            patch.setattr(atomic.os, what, failing(getattr(os, what)))
        with pytest.raises(StoreError, match="no space left on device") as caught:
            trial.run()
    assert caught.value.errno == errno.ENOSPC
    assert not list(trial.out.rglob(".*.part"))
    assert len(trial.finished()) <= at
    trial.complete()


def test_an_index_that_cannot_grow(tmp_path, monkeypatch):
    """SQLite's own full disk."""
    from dynloop.studies import index

    trial = Trial(tmp_path, count=40)
    real = index.connect

    def small(folder, *, write):
        connection = real(folder, write=write)
        if write:
            connection.execute("PRAGMA max_page_count = 5")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(index, "connect", small)
        with pytest.raises(StoreError, match="full") as caught:
            trial.run()
    assert caught.value.errno == errno.ENOSPC
    trial.complete()


# -- damaged files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", some(4, 20))
def test_a_damaged_record(seed, tmp_path):
    rng = random.Random(seed)
    trial = Trial(tmp_path, count=6)
    done = trial.run()
    path = rng.choice(sorted((trial.out / "results").rglob("*.npz")))
    intact = path.read_bytes()
    while path.read_bytes() == intact:  # zeros over zeros damage nothing
        damage(path, rng)
    assert done.table().columns == trial.wanted.columns  # the index is whole
    [said] = done.check()
    assert path.name in said
    with pytest.raises(StoreError, match="damaged"):
        list(done.results())
    calls = len(trial.calls())
    trial.is_right(trial.run())
    assert len(trial.calls()) == calls + 1  # that cell alone


@pytest.mark.parametrize("seed", some(4, 20))
def test_a_damaged_index(seed, tmp_path):
    """Whatever is written over it, what is shown is right, and no cell need be computed again: the files are there."""
    rng = random.Random(100 + seed)
    trial = Trial(tmp_path, count=40)
    trial.run()
    calls = len(trial.calls())
    damage(trial.out / "index.sqlite", rng)
    assert dl.Study(trial.out).table().columns == trial.wanted.columns
    trial.is_right(trial.run())
    assert len(trial.calls()) == calls


@pytest.mark.parametrize("seed", some(2, 10))
def test_a_copy_of_a_running_study_with_its_log_damaged(seed, tmp_path):
    """The write-ahead log, the shared memory and the index of a run that is cut off, each damaged."""
    rng = random.Random(200 + seed)
    trial = Trial(tmp_path, count=30)
    taken = rng.randrange(3, 25)

    def copy(now):
        if now.done >= taken and not (tmp_path / "copy").exists():
            shutil.copytree(trial.out, tmp_path / "copy", ignore=shutil.ignore_patterns(".*.part"))

    trial.run(progress=copy)
    trial.forget()
    trial.out = tmp_path / "copy"
    for end in rng.sample(["-wal", "-shm", ""], rng.choice([1, 2, 3])):
        path = trial.out / f"index.sqlite{end}"
        if path.exists():
            damage(path, rng)
    assert len(trial.finished()) >= 3
    trial.complete()


def test_an_index_that_is_gone_is_made_of_the_files(tmp_path):
    trial = Trial(tmp_path, count=10)
    trial.run()
    for path in trial.out.glob("index.sqlite*"):
        path.unlink()
    calls = len(trial.calls())
    trial.complete()
    assert len(trial.calls()) == calls


def test_a_row_that_was_changed_is_not_believed(tmp_path):
    trial = Trial(tmp_path, count=5)
    done = trial.run()
    with sqlite3.connect(trial.out / "index.sqlite") as connection:
        connection.execute("UPDATE cells SET body = CAST(replace(CAST(body AS TEXT), ':16', ':17') AS BLOB)")
    connection.close()
    assert done.table().columns == trial.wanted.columns
    trial.complete()


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_plan(seed, tmp_path):
    trial = Trial(tmp_path, count=5)
    trial.run()
    path = trial.out / "plan.json"
    intact = path.read_bytes()
    damage(path, random.Random(300 + seed))
    assert path.read_bytes() != intact
    with pytest.raises(StoreError, match="run the study again with its plan"):
        dl.Study(trial.out)
    trial.is_right(trial.run())


def test_records_that_finish_twice_leave_one(tmp_path):
    """Two stores finish one cell with other content: the first stays, the second leaves nothing behind."""
    from dynloop.studies.store import Store
    from dynloop.studies.worker import Job, run_cell
    from tests.studies import cells

    plan = dl.Plan.grid(cells.square, {"x": [1, 2]})
    first, second = Store(tmp_path / "out", plan), Store(tmp_path / "out", plan)
    for store, given in ((first, 1), (second, 2), (first, 1)):
        job = Job(plan.keys[0], cells.square, {"x": given}, plan.address, plan.code, "", None, str(tmp_path / "out"))
        [row] = store.finish([(run_cell(job), 1)])
        assert row.columns["value"] == 1
    first.close()
    second.close()
    done = dl.Study(tmp_path / "out")
    assert done.table().columns["value"] == (1, None)
    assert done.check() == []
    assert len(list((tmp_path / "out" / "results").rglob("*.npz"))) == 1


def test_a_foreign_record_under_a_cells_name_is_refused(tmp_path):
    trial = Trial(tmp_path, count=3)
    done = trial.run()
    one, two, _ = sorted((trial.out / "results").rglob("*.npz"))
    shutil.copy(one, two)
    with pytest.raises(DynloopError):
        list(done.results())
    trial.is_right(trial.run())
