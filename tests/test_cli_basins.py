"""`dynloop basins` as a person types it: tables, JSON, an interrupted run that goes on, and what goes wrong."""

import importlib
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app

GRID = importlib.import_module("dynloop.basins.grid")
BOX = "--box=-1:1,-1:1"


def invoke(*arguments):
    return CliRunner().invoke(app, ["basins", *map(str, arguments)], env={"COLUMNS": "80"})


def test_the_table_of_newton():
    done = invoke("zoo:newton", BOX, "-n", 60)
    assert done.exit_code == 0, done.output
    assert "60 × 60 starts of a grid; 3 attractors" in done.stdout
    assert done.stdout.count("VANISHING") == 3
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_document_holds_labels_and_attractors():
    done = invoke("zoo:newton", BOX, "-n", 20, "--json")
    assert done.exit_code == 0, done.output
    (entry,) = json.loads(done.stdout)["results"]
    axes = (np.linspace(-1, 1, 20),) * 2
    found = dl.basins(dl.zoo.newton(), axes)
    assert entry["labels"] == found.labels.tolist()
    np.testing.assert_allclose(
        [one["points"][0] for one in entry["attractors"]], [a.points[0] for a in found.attractors]
    )
    assert entry["summary"] == found.summary()


def test_a_region_is_where_starts_lie_and_escape_is_told():
    done = invoke("zoo:newton", "-n", 10)
    assert done.exit_code == 0, done.output
    done = invoke("zoo:henon", "--box=-2:2,-2:2", "-n", 30)
    assert "diverged: a state stopped being finite" in done.stdout
    assert "CHAOTIC" in done.stdout


@pytest.mark.parametrize("plane", ["starts", "orbits", "eigenvectors"])
def test_planes_of_a_block(plane):
    done = invoke("synthetic:pre+concat?layers=1&width=8&heads=2&tokens=3", "--plane", plane, "-n", 6, "--json")
    assert done.exit_code == 0, done.output
    (entry,) = json.loads(done.stdout)["results"]
    assert np.shape(entry["labels"]) == (6, 6)
    assert np.shape(entry["plane"]["directions"]) == (2, 3, 8)
    assert set(np.unique(entry["labels"])) == {1}


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(GRID, "_PIECE", 100)
    whole, write, calls = invoke("zoo:newton", BOX, "-n", 30, "--json"), GRID.Kept.write, []

    def stop(self, first, *rest):
        write(self, first, *rest)
        calls.append(first)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(GRID.Kept, "write", stop)
    done = invoke("zoo:newton", BOX, "-n", 30, "--out", tmp_path / "run")
    assert done.exit_code == 130
    again = invoke("zoo:newton", BOX, "-n", 30, "--out", tmp_path / "run", "--json")
    assert again.exit_code == 0, again.output
    assert calls == [0, 100, 200, 300, 400, 500, 600, 700, 800]
    assert json.loads(again.stdout)["results"] == json.loads(whole.stdout)["results"]
    assert dl.load(tmp_path / "run" / "0001.npz").labels.shape == (30, 30)
    other = invoke("zoo:newton", BOX, "-n", 31, "--out", tmp_path / "run")
    assert other.exit_code == 1
    assert "was not begun by this very command" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["zoo:newton", "--box=-1:1"], 1, "--box must give FROM:TO for each of 2 coordinates"),
        (["zoo:newton", "--box=1:-1,0:1"], 1, "--box must give FROM:TO"),
        (["zoo:newton", "--box=-1:1,0:1", "--plane", "starts"], 2, "give --box or --plane, not both"),
        (["zoo:newton", "--extent", "0"], 2, "--extent must be positive"),
        (["synthetic:pre+concat?layers=1&width=8&heads=2&tokens=3", "--box=-1:1"], 1, "give --plane"),
        (["zoo:nothing"], 1, "nothing"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, code, said):
    done = invoke(*arguments)
    assert done.exit_code == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1
