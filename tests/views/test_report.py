"""The report page without a browser: verdict first, nothing loaded, everything escaped, every number from a record."""

import base64
import hashlib
import json
import re
import sys
from itertools import pairwise

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import CheckpointError, InvalidArgumentError, MissingPackageError
from dynloop.orbits.prompts import summarise
from dynloop.orbits.verdict import Regime
from tests.views.made import made, mixed
from tests.views.reports import EVIL, Page, everything, hostile

plotly = pytest.importorskip("plotly")
pytest.importorskip("jinja2")


def test_the_verdict_stands_first_in_a_sentence(tmp_path):
    page = Page(dl.report(made([[Regime.CYCLIC] * 3], causal=True), tmp_path / "r.html"))
    words = [word for word in page.words if word.strip()]
    first = next(i for i, word in enumerate(words) if word == "Verdict")
    assert words[first + 1] == "All 3 tokens settle into a closed cycle of the layers."
    assert "A measurement, no proof" in page.said
    assert page.text.index("All 3 tokens") < page.text.index("<table")


def test_the_page_loads_nothing_and_names_its_scripts_by_their_hashes(tmp_path):
    page = Page(dl.report(everything(), tmp_path / "r.html"))
    for _, attrs in page.elements:
        assert not {"src", "srcset", "action", "data", "poster"} & set(attrs)
        assert attrs.get("href", "#").startswith("#")
        assert not [name for name in attrs if name.startswith("on")]
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "embed", "base", "form", "img")]
    [policy] = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    digests = set(re.findall(r"'sha256-([^']+)'", policy))
    data, *code = page.scripts
    json.loads(data)
    assert {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in code} == digests
    assert "unsafe-inline'; script" not in policy
    assert policy.count("unsafe-inline") == 1  # of style, which plotly sets


def test_hostile_text_is_shown_and_is_no_markup(tmp_path):
    calm = Page(dl.report(mixed(), tmp_path / "calm.html"))
    page = Page(dl.report(hostile(), tmp_path / "r.html", title=EVIL, command=EVIL))
    assert len(page.all("script")) == len(calm.all("script")) == 3
    assert not page.all("img")
    assert EVIL.replace("\u2028", "\\u2028") in page.said
    assert page.scripts[1] == calm.scripts[1]
    assert "<" not in page.scripts[0]  # JSON in a script element
    page.figures  # noqa: B018 - it parses
    flat = json.dumps(page.figures)
    assert "<script>" not in flat
    assert "&lt;script&gt;" in flat  # plotly reads some tags


def test_every_figure_is_one_that_plotly_accepts(tmp_path):
    page = Page(dl.report([*everything(), hostile()], tmp_path / "r.html"))
    places = [attrs for attrs in page.all("div") if "data-figure" in attrs]
    assert [int(place["data-figure"]) for place in places] == sorted(range(len(page.figures)))
    assert all(place["aria-label"] and place["role"] == "img" for place in places)
    assert len(page.figures) == 7
    for figure in page.figures:
        plotly.graph_objects.Figure(figure)


def test_figures_hold_the_numbers_of_the_records(tmp_path):
    _, path, exponents, multipliers = found = everything()
    page = Page(dl.report(found[1:], tmp_path / "r.html"))
    steps, orbit, circle, spectrum = page.figures
    gaps = np.linalg.norm(np.diff(path.states[:, 0], axis=0), axis=1) / np.linalg.norm(path.states[:-1, 0], axis=1)
    np.testing.assert_allclose(np.array(steps["data"][0]["y"], dtype=float), np.where(gaps > 0, gaps, np.nan))
    np.testing.assert_allclose(orbit["data"][0]["x"], path.states[:, 0, 0])
    drawn = [complex(x, y) for t in circle["data"] for x, y in zip(t["x"], t["y"], strict=True)]
    np.testing.assert_allclose(sorted(drawn, key=abs), sorted(multipliers.values, key=abs))
    np.testing.assert_allclose(spectrum["data"][-1]["y"], exponents.exponents)


def test_the_table_has_every_token_with_its_regime_and_what_it_is_sorted_by(tmp_path):
    found = mixed()
    page = Page(dl.report(found, tmp_path / "r.html"))
    chips = [attrs["class"] for attrs in page.all("span") if attrs.get("class", "").startswith("token ")]
    assert chips == [f"token k-{regime.name}" for regime in found.regime[0]]
    keys = re.findall(r'<td data-key="([^"]*)" class="number">≈', page.text)
    assert [float(key) for key in keys] == found.rate[0][:11].tolist()
    assert {attrs["aria-sort"] for attrs in page.all("th") if "aria-sort" in attrs} == {"none"}


def test_headings_go_down_by_one_and_regions_have_names(tmp_path):
    page = Page(dl.report([*everything(), hostile()], tmp_path / "r.html"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.all("html") == [{"lang": "en"}]
    assert all(attrs.get("aria-label") for attrs in page.all("div") if attrs.get("role") == "region")
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for attrs in page.all("section")} <= set(ids)


def test_a_violated_theorem_is_said_before_everything(tmp_path):
    from dynloop.testing.statements import Outcome, StatementReport, StatementTable

    one = np.array([Outcome.VIOLATED], dtype=object)
    text, number = np.array(["what"], dtype=object), np.array([2.0])
    report = StatementReport(name="T3", title="dichotomy", claim="", status=one, hypothesis=text, quantity=text,
                             value=number, bound=number / 2, source=text, reason=text)  # fmt: skip
    table = StatementTable(reports=(report,), regimes=("CYCLIC",))
    page = Page(dl.report([mixed(), table], tmp_path / "r.html"))
    assert "T3 violated. dynloop, the adapter or the theory is wrong" in page.said
    assert page.said.index("T3 violated") < page.said.index("9 of 12 tokens")
    assert [attrs for attrs in page.all("p") if attrs.get("role") == "alert"]
    many = {f"m{i}": mixed() for i in range(12)} | {"last": [table, table]}  # beyond those that are shown in full
    assert "last, run 1: T3 violated" in Page(dl.report(many, tmp_path / "r.html")).said


def test_the_page_says_where_it_leaves_something_out(tmp_path, monkeypatch):
    monkeypatch.setattr("dynloop.views.pages.figures.verdicts._CELLS", 5000)
    big = made([[Regime.CYCLIC] * 2500], causal=True, rate=np.full((1, 2500), 0.5))
    path = dl.trajectory(dl.zoo.henon(), np.full((26, 2), 0.1), 2100)
    maps = {f"m{i}": mixed() if i > 1 else big for i in range(30)}
    page = Page(dl.report({**maps, "path": path}, tmp_path / "r.html"))
    for said in (
        "7 more verdicts are in the overview alone", "Shown: 2 of 30 prompts or maps.", "500 more rows are left out",
        "Shown: 2000 of 2500 tokens or starts.", "1 starts, 2000 of 2500 tokens",
    ):  # fmt: skip
        assert said in page.said, said
    said = Page(dl.report(path, tmp_path / "r.html")).said
    assert "Shown: 24 of 26 starts. Shown: 2000 of 2100 steps." in said
    assert "Shown: 1 of 26 starts. Shown: 2000 of 2101 states." in said


def test_many_prompts_have_an_overview_and_few_are_shown_in_full(tmp_path):
    parts = [made([[Regime.RAY] * 3], causal=True) for _ in range(20)]
    page = Page(dl.report(summarise(parts, [f"prompt {i}" for i in range(20)]), tmp_path / "r.html"))
    assert "All 60 tokens grow for ever in a fixed direction." in page.said
    assert "under each of 20 prompts" in page.said
    assert "8 more are in the overview alone" in page.said
    assert len([attrs for attrs in page.all("section") if attrs["aria-labelledby"].startswith("s")]) == 12
    assert sum(len(trace["y"]) for trace in page.figures[0]["data"]) == 60


def test_many_cells_are_one_image_of_their_colours(tmp_path):
    cyclic, ray = made([[Regime.CYCLIC] * 700], causal=True), made([[Regime.RAY] * 400], causal=True)
    page = Page(dl.report({"a": cyclic, "b": ray, "c": cyclic}, tmp_path / "r.html"))
    image, *legend = page.figures[0]["data"]
    plotly.graph_objects.Figure(page.figures[0])
    assert image["z"] == [[0] * 700, [1] * 400 + [None] * 300, [0] * 700]
    assert image["hovertext"][1][399:401] == ["b<br>token 399: RAY", ""]
    assert [trace["name"] for trace in legend] == ["CYCLIC", "RAY"]
    assert [colour for _, colour in image["colorscale"]] == [t["marker"]["color"] for t in legend for _ in range(2)]
    assert "too many for patterns" in page.said


def test_rows_that_are_not_seen_at_once_follow(tmp_path):
    reasons = [EVIL] * 99 + ["</script><!--<script>"]
    page = Page(dl.report(made([[Regime.RAY] * 100], causal=True, reasons=reasons), tmp_path / "r.html"))
    assert len([row for row in page.all("tr") if row == {}]) < 60
    rest = "".join(page.rows)
    assert rest.count("<tr>") == 60
    assert "script>" not in rest.replace("&lt;/script&gt;", "")
    assert len(page.scripts) == 3
    assert "60 more rows need JavaScript" in page.said


@pytest.mark.parametrize("wrong", [[], {}, 3, [3], [[mixed()]]], ids=str)
def test_what_is_no_result_is_refused(wrong, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"results must be results of dynloop|results is empty"):
        dl.report(wrong, tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*writable folder"):
        dl.report(mixed(), tmp_path / "nowhere" / "r.html")
    (tmp_path / "taken").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        dl.report(mixed(), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("name", ["plotly.offline", "jinja2"])
def test_without_its_packages_the_remedy_is_named(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'dynloop\[plot\]'") as caught:
        dl.report(mixed(), tmp_path / "r.html")
    assert "\n" not in str(caught.value)
