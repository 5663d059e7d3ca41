"""The reference of the docs names every public name once, and every page of docs/ and theory/ is in the index."""

import re
from collections import Counter
from pathlib import Path

import dynloop as dl

ROOT = Path(__file__).parent.parent
ROOMS = {"synthetic", "testing", "zoo"}  # modules, under their own heading


def test_every_public_name_is_in_the_reference_once():
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = Counter(re.findall(r"^   (\w+)$", page, re.MULTILINE))
    assert set(named) == set(dl.__all__) - ROOMS
    assert set(named.values()) == {1}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {f.relative_to(ROOT).with_suffix("") for folder in ("docs", "theory") for f in (ROOT / folder).glob("*.md")}
    trees = "\n".join(re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL))
    entries = re.findall(r"^(?:[\w ]+ <)?([\w./-]+)>?$", trees, re.MULTILINE)
    listed = {(ROOT / "docs" / entry).resolve().relative_to(ROOT) for entry in entries}
    assert pages - {Path("docs/index")} <= listed
