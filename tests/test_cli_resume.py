"""`dynloop classify --resume`, and what is said of many prompts together."""

import json

import pytest
from typer.testing import CliRunner

from dynloop.cli import app

SLOW = "zoo:logistic?r=2.9995"


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def first(tmp_path):
    done = invoke("classify", SLOW, "--loops", 64, "--out", tmp_path / "first")
    assert done.exit_code == 0, done.output
    assert "UNDECIDED" in done.stdout
    return tmp_path / "first"


def test_goes_on_and_can_be_gone_on_with(first, tmp_path):
    done = invoke("classify", "--resume", first, "--loops", 128, "--out", tmp_path / "second")
    assert done.exit_code == 0, done.output
    done = invoke("classify", "--resume", tmp_path / "second", "--json")
    assert done.exit_code == 0, done.output
    [result] = json.loads(done.stdout)["results"]
    assert result["checkpoint"] == SLOW
    assert result["settings"]["loops"] == 512
    assert "unfinished" not in result
    done = invoke("classify", "--resume", first, "--loops", 4096)
    assert "VANISHING" in done.stdout, done.output


@pytest.mark.slow
def test_prompts_come_back(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("[1, 2, 3]\n[4, 5]\n")
    done = invoke("classify", "demo:hop-turning", "--prompts", prompts, "--loops", 16, "--out", tmp_path / "a")
    assert done.exit_code == 0, done.output
    assert "over 2 prompts" in done.stdout
    done = invoke("classify", "--resume", tmp_path / "a", "--loops", 32, "--json")
    document = json.loads(done.stdout)
    assert [r["prompt"] for r in document["results"]] == [[1, 2, 3], [4, 5]]
    [total] = document["over_prompts"].values()
    assert sum(total["shares"].values()) == pytest.approx(1)
    assert set(total["standard_errors"]) == set(total["shares"])


def test_with_anything_else_is_wrong_usage(first):
    for more in (["--seed", 3], [SLOW], ["--polish", "never"]):
        done = invoke("classify", "--resume", first, *more)
        assert done.exit_code == 2
        assert "--resume DIR says what is classified; leave" in " ".join(done.stderr.split())


def test_a_budget_that_is_spent_is_refused(first):
    done = invoke("classify", "--resume", first, "--loops", 64)
    assert done.exit_code == 1
    assert "resume has spent 64 of them; got 64" in done.stderr


def test_other_folders_are_refused(tmp_path):
    done = invoke("classify", "--resume", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith("dynloop: error: --resume: cannot read")
    (tmp_path / "summary.json").write_text("{}")
    done = invoke("classify", "--resume", tmp_path)
    assert "was not written by dynloop classify --out" in done.stderr
    done = invoke("lyapunov", "zoo:henon", "--loops", 100, "--out", tmp_path / "exponents")
    assert done.exit_code == 0, done.output
    done = invoke("classify", "--resume", tmp_path / "exponents")
    assert done.exit_code == 1
    assert "was not written by dynloop classify" in done.stderr


def test_polish_takes_a_dtype():
    done = invoke("classify", "synthetic:huginn+concat?layers=1&width=8&heads=2&tokens=2", "--dtype", "bfloat16",
                  "--polish", "float32", "--loops", 64)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "float32 twin" in " ".join(done.stdout.split())
    done = invoke("classify", SLOW, "--polish", "float32")
    assert done.exit_code == 1
    assert "give a dtype above that" in done.stderr
