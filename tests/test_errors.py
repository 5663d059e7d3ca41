"""Every error class has a row in docs/errors.md and a page of its own, and is what they say it is."""

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest
import torch

import dynloop as dl
from dynloop import errors
from dynloop.adapters.address import open_address

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


QUOTES = [
    (page.stem, " ".join(quote.replace("\n> ", " ").removeprefix("> ").split()))
    for page in sorted((DOCS / "errors").glob("*.md"))
    for quote in re.findall(r"(?:^> .*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@functools.cache
def messages():
    """Return every text of the library as a pattern, how much of it is fixed, and the text of its module."""
    found = []
    for path in Path(errors.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.JoinedStr):
                fixed = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                fixed = [node.value]
            else:
                continue
            pattern = "".join(".+?" if text is None else re.escape(text) for text in fixed)
            found.append((pattern, sum(len(text) for text in fixed if text), source))
    return found


def given_by(name, quote):
    """Say whether a module that knows the class has a text that the quoted message may be an instance of."""
    return any(
        size >= max(20, len(quote) / 3) and name in source and re.fullmatch(pattern, quote, re.DOTALL)
        for pattern, size, source in messages()
    )


WRITTEN = [one for one in QUOTES if one[0] != "ConformanceError"]  # put together of three texts, and raised below


@pytest.mark.parametrize(("name", "quote"), WRITTEN, ids=[f"{name}-{quote[:24]}" for name, quote in WRITTEN])
def test_every_quoted_message_is_one_that_the_code_can_give(name, quote):
    assert given_by(name, quote)


RAISED = {
    "CheckpointError": lambda: dl.open_checkpoint("model"),
    "ConformanceError": lambda: dl.testing.check_map(dl.TorchMap([lambda x: 0.5 * x.flip(0)], (2,), name="my map")),
    "DerivativeError": lambda: dl.multipliers(dl.TorchMap([lambda x: 0.5 * x.detach()], (2,)), [1.0, 2.0]),
    "InvalidArgumentError": lambda: open_address("zoo:henon?c=1.2"),
    "NoStartError": lambda: dl.classify(dl.TorchMap([torch.nn.Identity()], (2,))),
    "NoTwinError": lambda: dl.TorchMap([lambda x: x.float() / 2], (2,), dtype=torch.float32).twin(),
    "ShapeError": lambda: dl.classify(dl.zoo.henon(), [0.1, 0.1, 0.1]),
}


@pytest.mark.parametrize("name", RAISED)
def test_some_quoted_messages_are_those_that_are_raised(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CLASSES[name]) as caught:
        RAISED[name]()
    said = re.sub(r"by [\d.]+ \(relative", "by 0.345 (relative", str(caught.value))
    assert (name, said) in QUOTES


def test_a_message_that_the_code_cannot_give_would_be_noticed():
    assert {name for name, _ in QUOTES} == {page.stem for page in (DOCS / "errors").glob("*.md")}
    assert not given_by("CheckpointError", "there is no folder or file at model; give a checkpoint folder")
    assert not given_by("StudyError", "a TorchMap knows no starts of its own; pass starts of shape (batch, 2)")
