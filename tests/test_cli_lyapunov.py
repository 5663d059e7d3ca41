"""`dynloop lyapunov` as a person types it: tables, JSON, saved records, and one line for what goes wrong."""

import json
import math
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app

BLOCK = "synthetic:pre+concat?layers=1&width=8&heads=2&tokens=3&gain=0.7"


def invoke(*arguments):
    return CliRunner().invoke(app, ["lyapunov", *map(str, arguments)], env={"COLUMNS": "80"})


def document(*arguments):
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


# -- oracles ----------------------------------------------------------------------------------------------------------


def test_a_two_cycle():
    (entry,) = document("zoo:logistic?r=3.2")["results"]
    np.testing.assert_allclose(entry["exponents"], [math.log(0.16) / 2], atol=1e-9)
    assert entry["period"] == 2


def test_a_superstable_point_is_minus_infinity():
    done = invoke("zoo:logistic?r=2")
    assert done.exit_code == 0, done.output
    assert "−∞" in done.stdout
    assert document("zoo:logistic?r=2")["results"][0]["exponents"] == [None]


def test_henon():
    done = invoke("zoo:henon", "--loops", 5000)
    assert done.exit_code == 0, done.output
    assert re.search(r"λ1 +0\.4[0-3]", done.stdout)
    assert "separate" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_table_shows_no_digit_that_the_error_does_not_support():
    shown = invoke("zoo:henon", "--loops", 500).stdout
    (value,) = re.findall(r"λ1 +(\d\.\d+)", shown)
    (error,) = re.findall(r"λ1 +\S+ +(\d\.\d+)", shown)
    assert len(value) <= len(error)


# -- options ----------------------------------------------------------------------------------------------------------


def test_shares_of_layers_add_up():
    (entry,) = document(BLOCK, "-k", 3, "--per-layer", "--loops", 200)["results"]
    np.testing.assert_allclose(np.sum(entry["by_layer"], axis=0), entry["exponents"], atol=1e-9)
    shown = invoke(BLOCK, "-k", 3, "--per-layer", "--loops", 200).stdout
    assert "adapter" in shown
    assert "all layers" in shown


def test_one_exponent_a_token():
    (entry,) = document(BLOCK, "--per-token", "--loops", 200)["results"]
    assert np.shape(entry["by_token"]) == (3, 1)
    assert "onditional" in invoke(BLOCK, "--per-token", "--loops", 200).stdout


def test_records_are_kept(tmp_path):
    done = invoke("zoo:logistic?r=3.2", "--out", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    (record,) = (tmp_path / "kept").glob("*.npz")
    np.testing.assert_allclose(dl.load(record).exponents, [math.log(0.16) / 2], atol=1e-9)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["zoo:henon", "-k", 3], 1, "-k must be between 1 and 2"),
        (["zoo:henon", "--per-token"], 1, "--per-token needs a causal block"),
        (["zoo:lorenz"], 1, "lorenz"),
        (["zoo:henon", "--qr-every", 60], 1, "--qr-every 60 is too long"),
        (["zoo:henon", "-k", 0], 2, "-k"),
        (["zoo:henon", "--loops", 1], 2, "--loops"),
        ([BLOCK, "--per-token", "--per-layer"], 2, "not both"),
        ([BLOCK, "--per-layer", "--qr-every", 2], 2, "--qr-every"),
        ([], 2, "CHECKPOINT"),
    ],
    ids=str,
)
def test_what_goes_wrong_is_one_line(arguments, code, words):
    done = invoke(*arguments)
    assert done.exit_code == code
    assert words in done.output
    assert "Traceback" not in done.output
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stdout == ""
