"""The table of a study on a terminal: its states, and its first rows."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.studies.table import StudyTable
from dynloop.views.layout import headed, indented, one_line

__all__ = ["render"]

_WIDEST = 32


def render(table: StudyTable, *, title: str, code: str, rows: int = 20) -> RenderableType:
    """Draw a study: what it is, how many cells are in which state, and the first rows.

    Columns in which every row says the same are told once, above the table.
    """
    varying = [name for name, values in table.columns.items() if _varies(values)]
    constant = {name: values[0] for name, values in table.columns.items() if name not in varying and len(values)}
    parts = headed(title)
    said = ", ".join(f"{name} {_text(v)}" for name, v in constant.items() if v is not None and name != "state")
    for line in (table.summary(), said, one_line(code)):
        if line:
            parts.append(indented(Text(line)))
    shown = [name for name in varying if name not in ("summary",)]
    if rows and shown:
        drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for name in shown:
            drawn.add_column(Text(one_line(name)), justify="right" if _numbers(table.columns[name]) else "left")
        for row, _ in zip(table.rows(), range(rows), strict=False):
            drawn.add_row(*(Text(_text(row[name])) for name in shown))
        parts += [Text(""), indented(drawn)]
        if len(table) > rows:
            parts.append(indented(Text(f"… and {len(table) - rows} more; --rows shows more of them")))
    return Group(*parts)


def _varies(values: tuple[object, ...]) -> bool:
    return any(value != values[0] and not (value != value and values[0] != values[0]) for value in values)


def _numbers(values: tuple[object, ...]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def _text(value: object) -> str:
    if value is None:
        return "–"
    text = f"{value:.6g}" if isinstance(value, float) else one_line(str(value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
