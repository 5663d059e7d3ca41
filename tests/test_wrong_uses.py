"""Wrong uses and what is said of them: docs/wrong_uses.md quotes the messages, and each is what is raised.

To write the page again: ``python -m tests.test_wrong_uses``.
"""

import contextlib
import functools
import io
import os
import re
import sys
from pathlib import Path
from unittest import mock

import pytest

import dynloop as dl
from dynloop.cli import app, main

PAGE = Path(__file__).parent.parent / "docs" / "wrong_uses.md"
# what to do instead: a verb that bids it, or the values that there are
REMEDY = re.compile(
    r"\b(give|pass|make|leave|choose|wrap|write|add|record|reshape|convert|remove|take|use|name|call|stack|cut|say)\b"
    r"|says what can be given|must be one of|did you mean|must be [^;]* or [^;]*; got|lists them"
    r"|it takes|there are|are [a-z]|such as|takes loops",
    re.IGNORECASE,
)
ROW = re.compile(r"^\| `(.+?)` \| (.+) \|$", re.MULTILINE)


@functools.cache
def names():
    """Return what the page's own block of Python defines."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = {}
    exec(block, found)  # noqa: S102 - our own page
    return found


def said_by(use):
    """Return the class and the text of what a wrong use raises, or the exit code and what a command prints."""
    if not use.startswith("dynloop "):
        try:
            eval(use, dict(names()))  # noqa: S307 - our own page
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "nothing"
    err, out = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", use.split()), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out),
        pytest.raises(SystemExit) as ended,
    ):  # fmt: skip
        main()
    assert out.getvalue() == ""
    return f"exit code {ended.value.code}: {err.getvalue().strip()}"


def quoted(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


USES = ROW.findall(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
IDS = [f"{number} {use[:50]}" for number, (use, _) in enumerate(USES)]


def test_there_are_a_hundred_and_forty_at_least():
    assert len({use for use, _ in USES}) >= 140


@pytest.mark.parametrize(("use", "message"), USES, ids=IDS)
def test_a_wrong_use_gets_the_line_of_the_page(use, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DYNLOOP_DEBUG", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", os.devnull)
    said = said_by(use)
    assert "\n" not in said
    assert quoted(said) == message
    assert not list(tmp_path.iterdir())  # nothing was written before it was refused


@pytest.mark.parametrize(("use", "message"), USES, ids=IDS)
def test_a_message_names_a_remedy(use, message):
    if not message.startswith("TypeError"):  # Python's own, of a name that there is not
        assert REMEDY.search(message.partition(": ")[2]), message


def test_every_command_and_every_picture_is_on_the_page():
    said = {use.split()[1] for use, _ in USES if use.startswith("dynloop ") and len(use.split()) > 1}
    commands = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert commands - {"ls"} <= said  # ls takes nothing
    pictures = {name for name in dl.__all__ if name.startswith("draw_")}
    assert pictures == {name for name in pictures if any(use.startswith(f"dl.{name}(") for use, _ in USES)}


def write():
    """Put what is said now into the page; the uses in its first column stay."""
    text = ROW.sub(lambda row: f"| `{row[1]}` | {quoted(said_by(row[1]))} |", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
