"""The page of measured figures, from a small run made by hand."""

import json
import re
from pathlib import Path

import pytest

from tests.benchmarks import page
from tests.benchmarks.timing import report

FIGURE = {"what": "a | b", "beside": "c", "value": 1.25, "unit": "", "aim": "≤ 1.5", "met": True, "load": 0.5}


def made_run(**extra):
    return {
        "machine_info": {"cpu": {"brand_raw": "Some CPU", "count": 2}, "python_version": "3.12.1"},
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "datetime": "2026-01-02T03:04:05.6+00:00",
        "dynloop": {
            "memory": 2**33,
            "versions": {"torch": "2.9", "numba": "0.61"},
            "load before": [0.1, 0.2, 0.3],
            "load after": [1.0, 0.5, 0.3],
        },
        "benchmarks": [
            {"fullname": "tests/benchmarks/test_one.py::test_first[1]", "extra_info": {"figures": [FIGURE]}},
            {
                "fullname": "tests/benchmarks/test_one.py::test_first[2]",
                "extra_info": {"figures": [FIGURE | {"value": 2.0, "met": False, "unit": "s"}]},
            },
            {"fullname": "tests/benchmarks/test_two.py::test_silent", "extra_info": {}},
        ],
    } | extra


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "test_one.py").write_text('"""One idea.\n\nMore."""\ndef test_first(benchmark): ...\n')
    tests = ["test_silent(benchmark)", "test_left(benchmark, a)", "test_of_something_else()"]
    (tmp_path / "test_two.py").write_text('"""Two."""\n' + "".join(f"def {one}: ...\n" for one in tests))
    return tmp_path


def test_the_page_states_machine_versions_load_figures_and_what_was_left_out(folder):
    lines = page.measured(made_run(), folder).splitlines()
    assert lines[:5] == [
        "- Measured on 2026-01-02, commit 0123456789.",
        "- Some CPU, 2 cores, 8.0 GiB of memory.",
        "- Python 3.12.1, torch 2.9, numba 0.61; one thread.",
        "- Load over 1, 5 and 15 minutes: 0.1 0.2 0.3 before, 1.0 0.5 0.3 after.",
        "- 1 of 2 aims met.",
    ]
    assert "One idea." in lines
    assert r"| a \| b | c | 1.25 | ≤ 1.5 | met | 0.5 |" in lines
    assert r"| a \| b | c | 2 s | ≤ 1.5 | missed | 0.5 |" in lines
    assert lines[lines.index("## Not run this time") :] == ["## Not run this time", "", "- `test_two.py::test_left`"]


def test_a_page_of_a_busy_machine_and_of_changed_code_says_so(folder):
    data = made_run(commit_info={"id": "f" * 40, "dirty": True})
    data["dynloop"]["load before"] = [3.0, 2.0, 1.0]
    text = page.measured(data, folder)
    assert "commit ffffffffff, changed since." in text
    assert "Other jobs shared the machine: about 3.0 processes on 2 cores." in text


def test_only_the_text_between_the_comments_is_replaced():
    before = f"head\n\n{page.BEGIN}\nold \\1\n{page.END}\n\ntail\n"
    once = page.filled(before, r"new \1")
    assert once == f"head\n\n{page.BEGIN}\n\nnew \\1\n\n{page.END}\n\ntail\n"
    assert page.filled(once, r"new \1") == once
    for broken in ("no comments", before + before):
        with pytest.raises(SystemExit, match="places for figures"):
            page.filled(broken, "new")


def test_a_run_that_fails_leaves_the_page_alone(monkeypatch, tmp_path, capsys):
    at = tmp_path / "benchmarks.md"
    at.write_text(f"{page.BEGIN}\n{page.END}\n", encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", at)
    monkeypatch.setattr(page, "run", lambda out, words: 2)
    assert page.main(["-k", "henon"]) == 2
    assert "exit code 2" in capsys.readouterr().err
    assert at.read_text(encoding="utf-8") == f"{page.BEGIN}\n{page.END}\n"
    (tmp_path / "run.json").write_text(json.dumps(made_run()), encoding="utf-8")
    assert page.main(["--json", str(tmp_path / "run.json")]) == 0
    assert "2 s" in at.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        page.main(["--json", str(tmp_path / "run.json"), "-k", "henon"])


def test_parts_of_one_commit_and_machine_make_one_run_and_others_are_refused(folder):
    second = made_run(benchmarks=[{"fullname": "tests/benchmarks/test_two.py::test_left[1]", "extra_info": {}}])
    second["dynloop"]["load after"] = [7.0, 7.0, 7.0]
    lines = page.measured(page.joined([made_run(), second]), folder).splitlines()
    assert "7.0 7.0 7.0 after" in lines[3]
    assert "0.1 0.2 0.3 before" in lines[3]
    assert "## Not run this time" not in lines
    dirty = made_run(commit_info=made_run()["commit_info"] | {"dirty": True})
    assert page.joined([made_run(), dirty])["commit_info"]["dirty"]
    other = made_run()
    other["dynloop"]["versions"]["torch"] = "2.8"
    for foreign in (other, made_run(commit_info={"id": "f" * 40, "dirty": False})):
        with pytest.raises(SystemExit, match="more than one machine, environment or commit"):
            page.joined([made_run(), foreign])


class Kept:
    def __init__(self):
        self.extra_info = {}


def test_a_figure_is_held_against_its_aim(capsys):
    kept = Kept()
    report(kept, "a", 1.2345, beside="b", most=1.2)
    report(kept, "c", 12, least=12)
    report(kept, "d", 3, unit="s")
    first, second, third = kept.extra_info["figures"]
    assert (first["value"], first["aim"], first["met"]) == (1.23, "≤ 1.2", False)
    assert (second["aim"], second["met"]) == ("≥ 12", True)
    assert (third["unit"], third["aim"], third["met"]) == ("s", "", None)
    assert "a / b = 1.23 (wanted ≤ 1.2)" in capsys.readouterr().out
    assert json.loads(json.dumps(kept.extra_info)) == kept.extra_info


def test_the_page_in_the_repository_has_its_place_and_names_the_benchmarks_that_are():
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    tests, _ = page.known(Path(page.__file__).parent)
    for file, name in re.findall(r"`(test_\w+\.py)::(\w+)`", text):
        assert name in tests[file]
    assert set(re.findall(r"^## (test_\w+\.py)$", text, re.MULTILINE)) <= set(tests)
