"""Files written whole or not at all: what stood there stays until then, and nothing is left behind."""

import os
import threading

import pytest

import dynloop as dl
from dynloop import atomic
from dynloop.errors import CheckpointError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_what_stood_there_stays_when_writing_fails(where, tmp_path, monkeypatch):
    path = tmp_path / "a"
    atomic.write(path, b"old")

    def fails(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, where, fails)
        with pytest.raises(OSError, match="No space"):
            atomic.write(path, b"new")
    assert (names(tmp_path), path.read_bytes()) == (["a"], b"old")


def test_what_stood_there_stays_when_the_writer_is_interrupted(tmp_path):
    path = tmp_path / "a"
    atomic.write(path, b"old")

    def interrupted():
        with atomic.replacing(path) as part:
            part.write_bytes(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (names(tmp_path), path.read_bytes()) == (["a"], b"old")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path, errors = tmp_path / "a", []

    def write(data):
        try:
            for _ in range(30):
                atomic.write(path, data)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(bytes([i]) * 5000,)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    assert (names(tmp_path), len(path.read_bytes()), len(set(path.read_bytes()))) == (["a"], 5000, 1)


def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path):
    atomic.write(tmp_path / ("x" * 255), b"a")
    assert len(names(tmp_path)[0]) == 255


def test_data_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a)))
    atomic.write(tmp_path / "a", b"x")
    assert calls == ["fsync", "replace"]


def test_records_tables_and_pages_are_written_so(tmp_path, monkeypatch):
    """A write that fails at the last moment leaves neither a piece nor a new file, wherever one is written."""
    found = dl.classify(dl.zoo.henon(), [0.1, 0.1], loops=64)
    found.save(tmp_path / "r")
    (tmp_path / "p.html").write_text("old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(CheckpointError, match="cannot write"):
        dl.classify(dl.zoo.henon(), [0.2, 0.1], loops=64).save(tmp_path / "r")
    pytest.importorskip("plotly")
    pytest.importorskip("jinja2")
    with pytest.raises(CheckpointError, match="cannot write"):
        dl.report(found, tmp_path / "p.html")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_summary_of_a_run_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from dynloop.cli import app

    real = os.replace

    def fails(source, target):
        if str(target).endswith("summary.json"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", fails)
    done = CliRunner().invoke(app, ["classify", "zoo:henon", "--loops", "64", "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "summary.json (No space left on device)" in " ".join(done.output.split())
    assert names(tmp_path / "out") == ["0001.npz"]
