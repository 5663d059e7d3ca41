"""Folders of results: read in the order of their summary, and a damaged or hostile one is told in one line."""

import json

import pytest

import dynloop as dl
from dynloop.errors import CheckpointError
from dynloop.orbits.verdict import Regime
from dynloop.views.pages.sources import entries_of
from tests.studies import cells
from tests.views.made import made


def folder(path, summary=None, names=("0001", "0002")):
    for name, regime in zip(names, (Regime.RAY, Regime.DRIFT), strict=False):
        made([regime]).save(path / name)
    if summary is not None:
        (path / "summary.json").write_text(summary if isinstance(summary, str) else json.dumps(summary), "utf-8")
    return path


def regimes(entries):
    return [entry.result.regime[0].name for entry in entries]


def test_the_order_is_that_of_the_summary_and_other_files_follow(tmp_path):
    about = {"checkpoint": "demo:x", "prompt": "p", "file": "0002.npz"}
    entries, titles = entries_of(folder(tmp_path, {"dynloop": "0.1", "settings": {"seed": 3}, "results": [about]}))
    assert regimes(entries) == ["DRIFT", "RAY"]
    assert titles is None
    assert entries[0].about == about
    assert entries[0].run["settings"] == {"seed": 3}
    assert not entries[1].about


def test_without_a_summary_files_are_read_by_name_and_a_mapping_gives_titles(tmp_path):
    folder(tmp_path)
    assert regimes(entries_of(tmp_path)[0]) == ["RAY", "DRIFT"]
    entries, titles = entries_of({"both": tmp_path, "one": made([Regime.RAY])})
    assert titles == ["both", "both", "one"]
    assert len(entries) == 3


@pytest.mark.parametrize(
    "summary",
    ["{", "[]", "null", {"results": 3}, {"results": [{"file": "../secret.npz"}]},
     {"results": [{"file": "/etc/passwd"}]}, {"results": [{"file": 3}]}, {"results": ["x"]},
     {"results": [], "settings": 3}, {"results": [{"file": "0001.npz", "map": "x"}]}],
    ids=range(10),
)  # fmt: skip
def test_a_summary_that_is_none_is_refused(summary, tmp_path):
    with pytest.raises(CheckpointError, match=r"summary.json is not the summary of a run") as caught:
        entries_of(folder(tmp_path, summary))
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no result in"):
        entries_of(tmp_path)
    with pytest.raises(CheckpointError, match=r"no folder or file of results at .*nowhere; give a folder that"):
        entries_of(tmp_path / "nowhere")
    folder(tmp_path)
    (tmp_path / "0002.npz").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"0002.npz is not a result that dynloop saved"):
        entries_of(tmp_path)


def test_the_cells_of_a_study_are_read_in_the_order_of_its_plan(tmp_path, monkeypatch):
    plan = dl.read_plan({"analysis": "classify", "grid": {"checkpoint": ["zoo:henon", "zoo:logistic?r=3.2"]}})
    dl.study(plan, tmp_path / "out")
    entries, _ = entries_of(tmp_path / "out")
    assert [entry.about["checkpoint"] for entry in entries] == ["zoo:henon", "zoo:logistic?r=3.2"]
    assert [entry.result.regime[0].name for entry in entries] == ["CHAOTIC", "PERIODIC"]
    assert all(entry.digest for entry in entries)
    monkeypatch.setattr("dynloop.views.pages.sources._CELLS", 1)
    with pytest.raises(CheckpointError, match=r"holds 2 results, and a page takes 1 at most; give some of the files"):
        entries_of(tmp_path / "out")


def test_a_study_of_which_nothing_has_ended_is_told_so(tmp_path):
    (tmp_path / "plan.json").write_text(dl.Plan.grid(cells.square, {"x": [1]}).to_json(), "utf-8")
    with pytest.raises(CheckpointError, match=r"no cell of the study in .* has a result; run it on"):
        entries_of(tmp_path)
