"""`dynloop report`: folders and files in, one page out, errors in one line."""

import pytest
from typer.testing import CliRunner

from dynloop.cli import app
from dynloop.orbits.verdict import Regime
from tests.views.made import made

pytest.importorskip("plotly")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_folders_and_files_become_one_page(tmp_path):
    done = invoke("classify", "zoo:logistic?r=3.2", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    extra = made([Regime.RAY]).save(tmp_path / "more")
    done = invoke("report", tmp_path / "run", extra, "--out", tmp_path / "page.html", "--title", "Two <maps>")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'page.html'}\n"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>Two &lt;maps&gt;</title>" in text
    assert "dynloop classify &#39;zoo:logistic?r=3.2&#39;" in text
    assert "goes round 2 states for ever" in text


def test_a_missing_result_is_named_and_no_page_is_made(tmp_path):
    done = invoke("report", tmp_path / "nowhere.npz", "--out", tmp_path / "page.html")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"no folder or file of results at {tmp_path / 'nowhere.npz'}; give a folder that" in done.stderr
    assert not (tmp_path / "page.html").exists()
    assert invoke("report", tmp_path).exit_code == 2
