"""Every error class has a row in docs/errors.md and a page of its own, and is what they say it is."""

import inspect
import re
from pathlib import Path

from dynloop import errors

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "errors.md").read_text(encoding="utf-8")
CLASSES = {name: getattr(errors, name) for name in errors.__all__}


def test_every_class_is_public_and_described():
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
    assert all(value.__doc__ for value in CLASSES.values())


def test_every_error_has_a_row_and_a_page():
    raised = {name for name, value in CLASSES.items() if issubclass(value, errors.DynloopError)} - {"DynloopError"}
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (DOCS / "errors").glob("*.md")}
    assert set(pages) == raised
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n\n> ")
        assert "**What to do.**" in text
    rows = re.findall(r"^\| \[`(\w+)`\]\(errors/\1.md\) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == raised
    for name, base in rows:
        assert base in {parent.__name__ for parent in CLASSES[name].__mro__}
