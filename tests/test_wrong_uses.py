"""Wrong uses and what is said of them: docs/wrong_uses.md quotes the messages, and each is what is raised.

To write the page again: ``python -m tests.test_wrong_uses``.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "wrong_uses.md"
ROW = re.compile(r"^\| `(.+?)` \| (.+) \|$", re.MULTILINE)


def names():
    return {
        "dl": dl,
        "np": np,
        "torch": torch,
        "henon": dl.zoo.henon(),
        "block": dl.synthetic.looped_transformer(layers=1, width=16, heads=2, tokens=4),
        "bare": dl.TorchMap([torch.nn.Identity()], (2,)),
    }


def said_by(use):
    """Return the class and the text of what a wrong use raises, or the exit code and what a command prints."""
    if not use.startswith("dynloop "):
        try:
            eval(use, names())  # noqa: S307 - our own page
        except (ValueError, TypeError, OSError, AttributeError) as error:
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


def test_there_are_forty_at_least():
    assert len({use for use, _ in USES}) >= 40


@pytest.mark.parametrize(("use", "message"), USES, ids=[use[:50] for use, _ in USES])
def test_a_wrong_use_gets_the_line_of_the_page(use, message, monkeypatch):
    monkeypatch.delenv("DYNLOOP_DEBUG", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", os.devnull)
    said = said_by(use)
    assert "\n" not in said
    assert quoted(said) == message


def write():
    """Put what is said now into the page; the uses in its first column stay."""
    text = ROW.sub(lambda row: f"| `{row[1]}` | {quoted(said_by(row[1]))} |", PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
