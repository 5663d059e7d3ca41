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
