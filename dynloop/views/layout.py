"""How a page in the terminal is laid out: a bold title, lines under it, everything but the title indented."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

__all__ = ["headed", "indented", "one_line"]


def headed(title: str, about: Iterable[str] = ()) -> list[RenderableType]:
    """Return the first lines of a page; no title if it is empty. Text of others is never read as markup."""
    head: list[RenderableType] = [Text(one_line(title), style="bold")] if title else []
    return head + [indented(one_line(line)) for line in about]


def indented(what: RenderableType, style: str = "") -> RenderableType:
    """Return text, or what was drawn, with the margin of a page."""
    return Padding(Text(what, style=style) if isinstance(what, str) else what, (0, 0, 0, 2))


def one_line(text: str) -> str:
    """Return text on one line, control characters made visible, so that no terminal obeys them."""
    return "".join(
        c if c.isprintable() else " " if c in "\n\r\t" else c.encode("unicode_escape").decode() for c in text
    )
