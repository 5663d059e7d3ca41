"""Every error class has a section in docs/errors.md, and is what that page says it is."""

import inspect
import re
from pathlib import Path

from dynloop import errors

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
CLASSES = {name: getattr(errors, name) for name in errors.__all__}


def test_every_class_is_public_and_described():
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
    assert all(value.__doc__ for value in CLASSES.values())


def test_every_error_has_a_section_and_a_row():
    raised = {name for name, value in CLASSES.items() if issubclass(value, errors.DynloopError)} - {"DynloopError"}
    assert set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)) == raised
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == raised
    for name, base in rows:
        assert base in {parent.__name__ for parent in CLASSES[name].__mro__}
