"""Provenance: hashes are those of the files, and the command that is shown repeats the run."""

import hashlib
import json
import os
import shlex
import subprocess
import sys

import pytest

import dynloop as dl
from dynloop.orbits.verdict import Regime
from dynloop.views.pages import provenance
from dynloop.views.pages.sources import entries_of
from dynloop.views.pages.subjects import Entry
from tests.views.made import made


def run(**settings):
    return {"settings": {"checkpoint": "demo:hop-plain", "loops": None, "seed": 0, "granularity": "layer", **settings}}


def test_a_prompt_is_quoted_for_the_shell():
    text = '--it\'s $(rm -rf ~); `x`\n"y"'
    entry = Entry(made([Regime.RAY]), run=run(loops=64, dtype="float32"), about={"prompt": text})
    first, last = provenance.commands([entry])
    assert shlex.split(first) == [
        "dynloop", "classify", "demo:hop-plain", f"--prompt={text}", "--loops", "64", "--dtype", "float32", "--seed",
        "0", "--out", "results",
    ]  # fmt: skip
    assert last == "dynloop report results --out report.html"


def test_each_kind_of_run_has_its_command():
    exponents = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=64)
    points = dl.find_fixed_points(dl.zoo.henon(), [[0.6, 0.2]])
    found = provenance.commands(
        [Entry(exponents, run=run(k=2, per_layer=True, per_token=False)), Entry(points, run=run(period=3, tol=1e-9))]
    )
    assert found[0].startswith("dynloop lyapunov demo:hop-plain -k 2 --seed 0 --per-layer --out results-1")
    assert "fixed-points demo:hop-plain --period 3 --tol 1e-09" in found[1]
    assert found[2] == "dynloop report results-1 results-2 --out report.html"
    assert provenance.commands([Entry(exponents)]) == []
    basins = dl.basins(dl.zoo.logistic(2.5), ([0.2, 0.4],), loops=64)
    [first, _] = provenance.commands([Entry(basins, run=run(box="-1:1", plane=None, extent=1.0, n=2))])
    assert first == "dynloop basins demo:hop-plain --seed 0 --box=-1:1 --extent 1.0 -n 2 --out results"
    path = dl.trajectory(dl.zoo.henon(), [0.1, 0.1], 5)
    assert provenance.commands([Entry(path, run=run())]) == ["# no command of dynloop makes a Trajectory"]
    commands = provenance.commands([Entry(path, run=run()), Entry(exponents, run=run(k=2))])
    assert commands[1:] == ["dynloop report results --out report.html", "# no command of dynloop makes a Trajectory"]


def test_hashes_are_those_of_the_files_and_prompts(tmp_path):
    path = made([Regime.RAY]).save(tmp_path / "a")
    entries, _ = entries_of(path)
    assert provenance.files(entries) == [(str(path), hashlib.sha256(path.read_bytes()).hexdigest())]
    about = {"checkpoint": "m", "weights": "sha256:00"}
    assert provenance.weights([Entry(entries[0].result, about=about)] * 2 + entries) == [("m", "sha256:00")]
    [(text, digest)] = provenance.prompts(["ü", None, "ü"])
    assert (text, digest) == ('"ü"', hashlib.sha256('"ü"'.encode()).hexdigest())


@pytest.mark.slow
def test_the_commands_of_a_page_repeat_its_runs(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    lines = ['"a 1 b 2 c 3"', '{"prompt": [1, 2, 3]}']
    (here / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    shell([sys.executable, "-m", "dynloop", "classify", "demo:hop-injected", "--prompts", "mine.jsonl", "--loops", "64",
           "--out", "first"], here)  # fmt: skip
    commands = provenance.commands(entries_of(here / "first")[0])
    tool = tmp_path / "bin" / "dynloop"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dynloop "$@"\n', encoding="utf-8")
    tool.chmod(0o755)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    shell(["bash", "-ec", "\n".join(commands)], here, PATH=path)
    before, after = (json.loads((here / name / "summary.json").read_text("utf-8")) for name in ("first", "results"))
    assert before["settings"] == after["settings"]
    assert [one["summary"] for one in before["results"]] == [one["summary"] for one in after["results"]]
    assert [one["prompt"] for one in before["results"]] == [one["prompt"] for one in after["results"]]
    assert (here / "report.html").stat().st_size > 1e6


def shell(words, folder, **more):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **more})
    assert done.returncode == 0, done.stderr
