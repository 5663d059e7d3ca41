"""`dynloop ablate` as a person types it: the table, the JSON document, the record, and one line for what goes wrong."""

import json

import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app

SMALL = ["--layers", "2", "--width", "16", "--heads", "2", "--tokens", "3", "--loops", "64"]


def invoke(*arguments):
    return CliRunner().invoke(app, ["ablate", *map(str, arguments)])


def test_the_table_and_the_record(tmp_path):
    done = invoke(*SMALL, "--injection", "add,concat", "--seeds", 1, "--out", tmp_path / "found.npz")
    assert done.exit_code == 0, done.output
    assert done.stdout == dl.load(tmp_path / "found.npz").table() + "\n"
    assert len(done.stdout.splitlines()) == 4


def test_the_document():
    done = invoke(*SMALL, "--injection", "concat", "--seeds", 1, "--json")
    found = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert found["injection"] == ["concat"]
    assert found["settings"]["width"] == 16


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("nowhere/found.npz", "cannot write {} (no such file or directory)"),
        ("file/found", "cannot write {} (not a directory)"),
        ("x" * 300, "cannot write {} (file name too long)"),
        ("folder.npz", "{} is a folder"),
        ("folder", "{}.npz is a folder"),
        ("/", "{} is a folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_a_run(out, why, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    monkeypatch.setattr("dynloop.inference.ablation.ablate", lambda **options: pytest.fail("a run was made"))
    before = sorted(tmp_path.iterdir())
    done = invoke("--out", tmp_path / out)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"dynloop: error: --out: {why.format(tmp_path / out)}; name a file")
    assert sorted(tmp_path.iterdir()) == before


def test_what_stands_at_the_path_stays_until_the_record_is_whole(tmp_path):
    (tmp_path / "found.npz").write_text("earlier")
    done = invoke(*SMALL, "--norm", "odd", "--injection", "concat", "--seeds", 1, "--out", tmp_path / "found")
    assert done.exit_code == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]
    done = invoke(*SMALL, "--injection", "concat", "--seeds", 1, "--out", tmp_path / "found")
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["found.npz"]
    assert dl.load(tmp_path / "found.npz").table() + "\n" == done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gain", "high"], "--gain must be numbers with commas between; got 'high'. Write --gain 1,2"),
        (["--norm", "pre,odd"], "norm must be one of pre, post, huginn, ouro, none; got 'odd'"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, said):
    done = invoke(*SMALL, *arguments, "--injection", "concat", "--seeds", 1)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [f"dynloop: error: {said}"]
