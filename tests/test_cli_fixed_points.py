"""`dynloop fixed-points` as a person types it: tables, JSON, saved records, and one line for what goes wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app

BLOCK = "synthetic:pre+concat?layers=1&width=8&heads=2&tokens=3&gain=0.7"
CLI = Path(__file__).parents[1] / "docs" / "cli.md"


def invoke(*arguments):
    return CliRunner().invoke(app, ["fixed-points", *map(str, arguments)], env={"COLUMNS": "80"})


def document(*arguments):
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_the_cycle_of_the_henon_map():
    (entry,) = document("zoo:henon", "--period", 2)["results"]
    np.testing.assert_allclose(np.sort(np.array(entry["points"])[0, :, 0]), [-0.47580005118, 0.97580005118], atol=1e-9)
    assert entry["stability"] == ["saddle"]
    np.testing.assert_allclose(entry["multipliers"][0][0], [-3.01010067, 0.0], atol=1e-8)
    assert entry["status"] == ["SOLVED"]


def test_the_output_quoted_in_the_docs_is_what_is_printed():
    quoted = re.search(r"\$ dynloop fixed-points zoo:henon --period 2\n(.*?)```", CLI.read_text(), re.DOTALL)[1]
    printed = invoke("zoo:henon", "--period", 2).stdout

    def words(text):  # residuals are rounding, so they differ between machines
        return re.sub(r"\d\.\de-1\d", "#", text).split()

    assert words(printed) == words(quoted)


@pytest.mark.parametrize("address", [BLOCK, "zoo:newton", "zoo:folded_towel", "synthetic:pre+concat?gain=3.5&layers=2"])
def test_nothing_is_wider_than_a_terminal(address):
    done = invoke(address, "--starts", 4)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not re.search(r"[^ ,]…", done.stdout)
    assert re.search(r"stability +multipliers +residual +error", done.stdout)


def test_slow_points_are_said(tmp_path):
    done = invoke("zoo:logistic?r=3.8284", "--period", 3, "--starts", 16)  # just before the fold at 1 + √8
    assert done.exit_code == 0, done.output
    assert "0 orbits of prime period 3" in done.stdout
    assert "relative size 1.2e-05; no solution nearby" in " ".join(done.stdout.split())


def test_records_are_saved_and_read_back(tmp_path):
    done = invoke(BLOCK, "--out", tmp_path / "found", "--starts", 2)
    assert done.exit_code == 0, done.output
    assert dl.load(tmp_path / "found" / "0001.npz").summary().startswith("1 fixed point")
    assert json.loads((tmp_path / "found" / "summary.json").read_text())["results"][0]["summary"]


def test_points_of_large_states_stay_out_of_the_document():
    (entry,) = document("synthetic:pre+concat?layers=1&width=32&heads=2&tokens=3&gain=0.7", "--starts", 1)["results"]
    assert "points" not in entry
    assert "points" not in entry["slow"]
    assert len(entry["multipliers"][0]) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("zoo:henon", "--period", 0), 2, "--period"),
        (("zoo:henon", "--tol", 2), 2, "--tol is a relative residual between 0 and 1"),
        (("zoo:henon", "--method", "bisection"), 2, "--method"),
        (("zoo:nothing",), 1, "nothing"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments, code, words):
    done = invoke(*arguments)
    assert done.exit_code == code
    assert words in done.output
    assert "Traceback" not in done.output
