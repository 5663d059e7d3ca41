"""`dynloop theorems` as a person types it: the table, the JSON document, records, and one line for what goes wrong."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app

NAMES = [f"T{i}" for i in range(13)]
BLOCK = "synthetic:ouro+none?layers=1&width=8&heads=2&tokens=2"


def invoke(*arguments, columns=100):
    return CliRunner().invoke(app, ["theorems", *map(str, arguments)], env={"COLUMNS": str(columns)})


def document(*arguments):
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def rows(output):
    return re.findall(r"^  (T\d+) +.*?(holds|does not apply|undecided|violated)", output, re.MULTILINE)


# -- what it shows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 100])
def test_one_row_a_statement_within_the_width(columns):
    done = invoke("zoo:logistic?r=3.2", columns=columns)
    assert done.exit_code == 0, done.output
    assert [name for name, _ in rows(done.stdout)] == NAMES
    assert all(len(line) <= columns for line in done.stdout.splitlines())
    assert "orbit: PERIODIC(2)" in done.stdout
    assert "of 13 statements 5 hold, 8 not applicable" in done.stdout


def test_the_reason_is_given_once_with_the_statements_it_is_for():
    shown = " ".join(invoke("zoo:logistic?r=3.2").stdout.split())
    assert "T2, T3, T9, T11, T12 not applicable: the orbit is PERIODIC(2)" in shown
    assert shown.count("the orbit is PERIODIC(2)") == 1
    assert "T7 not applicable: the map is not declared causal" in shown


def test_a_block():
    shown = dict(rows(invoke(BLOCK).stdout))
    assert all(shown[name] == "holds" for name in ("T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10"))
    assert shown["T12"] == "does not apply"


def test_tokens_of_different_fate_are_counted(monkeypatch):
    from dynloop.testing.statements import check_statements
    from dynloop.views.theorems import render

    row = dl.zoo.counter_example("C14")
    from rich.console import Console

    console = Console(width=100, highlight=False)
    with console.capture() as drawn:
        console.print(render(check_statements(row.make(), row.start[None], names=["T2"]), title="[bold]C14[/bold]"))
    assert "holds 1×, does not apply 1×" in " ".join(drawn.get().split())
    assert "[bold]C14[/bold]" in drawn.get()


def test_the_document():
    (entry,) = document("zoo:logistic?r=2.5")["results"]
    assert [report["name"] for report in entry["reports"]] == NAMES
    assert entry["reports"][2]["status"] == ["APPLIES_HOLDS"]
    assert entry["reports"][7]["hypothesis"] == ["the loop has a causal mask"]
    assert entry["reports"][7]["value"] == [None]
    assert entry["regimes"] == ["VANISHING"]
    assert entry["summary"].startswith("of 13 statements ")


def test_starts_and_records(tmp_path):
    done = invoke("zoo:logistic?r=2.5", "--starts", 2, "--out", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    (record,) = (tmp_path / "kept").glob("*.npz")
    table = dl.load(record)
    assert table.violated == ()
    assert table["T2"].status.shape == (2,)
    np.testing.assert_array_less(table["T2"].value, table["T2"].bound)
    assert json.loads((tmp_path / "kept" / "summary.json").read_text())["results"][0]["summary"] == table.summary()


@pytest.mark.slow
def test_prompts(tmp_path):
    prompts = tmp_path / "one.jsonl"
    prompts.write_text('"c 1 2 a 1 3"\n')
    found = document("demo:hop-injected", "--prompts", prompts, "--granularity", "sublayer")
    assert [len(entry["map"]["tokens"]) for entry in found["results"]] == [6]
    for entry in found["results"]:
        assert not any("VIOLATED" in np.ravel(report["status"]) for report in entry["reports"])


def test_a_violation_is_shown_first():
    from rich.console import Console

    from dynloop.testing.statements import check_statements
    from dynloop.views.theorems import render
    from tests.testing.test_statements import START, bend, hidden, shift, turn, wobble

    table = check_statements(hidden([turn, shift, bend], (3,), wobble), START)
    console = Console(width=100, highlight=False)
    with console.capture() as drawn:
        console.print(render(table))
    assert "VIOLATED: T0" in drawn.get()
    assert dict(rows(drawn.get()))["T0"] == "violated"
    assert re.search(r"^  T0.* VIOLATED: ‖Σg_l − \(F\(x\) − x\)‖", drawn.get(), re.MULTILINE)


@pytest.mark.slow
def test_the_demos():
    done = invoke("demo")
    assert done.exit_code == 0, done.output
    assert [name for name, _ in rows(done.stdout)] == 3 * NAMES
    assert "violated" not in {said for _, said in rows(done.stdout)}
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["zoo:lorenz"], 1, "lorenz"),
        (["zoo:henon", "--prompt", "a"], 1, "prompt"),
        (["zoo:henon", "--loops", 4], 2, "--loops"),
        (["zoo:henon", "--starts", 0], 2, "--starts"),
        (["demo", "--prompt", "a", "--prompts", "b.jsonl"], 2, "not both"),
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
