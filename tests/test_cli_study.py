"""`dynloop study` as a user types it: run, go on, show, export; a bad plan is one line and runs nothing."""

import json
import sys

import pytest
from typer.testing import CliRunner

import dynloop as dl
from dynloop.cli import app
from dynloop.cli.study import _duration

PLAN = """
analysis = "classify"
[settings]
checkpoint = "zoo:henon"
loops = 256
[grid]
map.a = [0.2, 0.5, 1.4]
"""


def invoke(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_run_show_export(plan, tmp_path):
    out = tmp_path / "out"
    done = invoke("run", plan, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert done.stderr == f"dynloop: {out}: 3 cells: 3 done\n"
    again = invoke("run", plan, "--out", out, "--no-verify")
    assert again.exit_code == 0
    shown = invoke("show", out, "--check")
    assert shown.exit_code == 0, shown.output
    assert "3 cells: 3 done" in shown.stdout
    assert "VANISHING" in shown.stdout
    assert "checkpoint zoo:henon" in shown.stdout
    short = invoke("show", out, "--rows", 1)
    assert "… and 2 more" in short.stdout
    for kind in ("csv", "parquet", "nc"):
        exported = invoke("export", out, tmp_path / f"t.{kind}")
        assert exported.exit_code == 0, exported.output
        assert (tmp_path / f"t.{kind}").stat().st_size > 100
    assert invoke("export", out, tmp_path / "t.pkl").exit_code == 2


def test_a_failed_cell_is_told_and_the_exit_code_is_that_of_a_result(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('analysis = "classify"\ngrid.checkpoint = ["zoo:henon?c=1", "zoo:henon?a=0.2"]\n')
    done = invoke("run", plan, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "1 done, 1 error" in done.stderr
    assert "no parameter 'c'" in done.stderr


@pytest.mark.parametrize(
    "text", ["analysis = 3", "analysis = 'classify'\nnothing = 1", "x", "[grid]\ncheckpoint=['a.py']"]
)
def test_a_bad_plan_is_one_line(text, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    done = invoke("run", plan, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr.startswith("dynloop: error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_no_study(tmp_path):
    done = invoke("show", tmp_path)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "holds no study" in done.stderr


def test_damage_is_told(plan, tmp_path):
    out = tmp_path / "out"
    invoke("run", plan, "--out", out)
    path = sorted((out / "results").rglob("*.npz"))[0]
    path.write_bytes(path.read_bytes()[:-9])
    done = invoke("show", out, "--check")
    assert done.exit_code == 1
    assert "is damaged" in done.stderr
    assert invoke("run", plan, "--out", out).exit_code == 0
    assert invoke("show", out, "--check").exit_code == 0


def test_wrong_usage(plan, tmp_path):
    assert invoke("run", plan).exit_code == 2
    assert invoke("run", plan, "--out", tmp_path / "o", "--workers", 1, "--cluster", "tcp://x:1").exit_code == 2
    assert invoke("run", plan, "--out", tmp_path / "o", "--timeout", -1).exit_code == 2


def test_a_malicious_plan_or_study_runs_no_code(plan, tmp_path):
    """A plan that names a module, a study whose plan names one, and a record whose class lies outside dynloop."""
    import zipfile

    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    sys.path.insert(0, str(tmp_path))
    try:
        bad = tmp_path / "bad.toml"
        for name in ("evil:run", "evil", "__import__('evil')"):
            bad.write_text(f'analysis = "{name}"\n[grid]\ncheckpoint = ["zoo:henon"]\n')
            assert invoke("run", bad, "--out", tmp_path / "x").exit_code == 1
        bad.write_text(f'analysis = "classify"\n[grid]\ncheckpoint = ["{tmp_path / "evil.py"}"]\n')
        done = invoke("run", bad, "--out", tmp_path / "x")
        assert "never executes files" in done.stderr
        out = tmp_path / "out"
        invoke("run", plan, "--out", out)
        record = sorted((out / "results").rglob("*.npz"))[0]
        for name in ("evil:X", "dynloop.evil:X", "dynloop.cli.__main__:X", "os:system"):
            with zipfile.ZipFile(record, "w") as archive:
                archive.writestr("record.json", json.dumps({"kind": "result", "class": name, "fields": {}}))
            with pytest.raises(dl.errors.CheckpointError):
                dl.load(record)
            assert invoke("show", out, "--check").exit_code == 1
        (out / "plan.json").write_text(
            dl.Plan(None, "evil:run", "1", axes={"x": ["<script>alert(1)</script>"]}).to_json()
        )
        shown = invoke("show", out)
        assert shown.exit_code == 0
        assert not (tmp_path / "ran").exists()
    finally:
        sys.path.remove(str(tmp_path))


def test_time_left():
    assert _duration(3725.4) == "1:02:05"
