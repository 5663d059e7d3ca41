"""The tables of a report: cells with what is shown and what is sorted by; the page only lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.orbits.verdict import Classification
from dynloop.views.digits import with_error
from dynloop.views.layout import one_line
from dynloop.views.pages.subjects import Subject
from dynloop.views.table import COLUMNS, rows
from dynloop.views.table import number as column_number
from dynloop.views.theorems import Reports, number, reasons, shown

__all__ = ["Cell", "Table", "Theorems", "Token", "evidence", "prompt_text", "recorded_tokens", "theorems", "verdicts"]

_MOST = 2000  # rows of a table; a page is no archive
_MEANING = {
    "rate": "contraction factor per loop at the limit",
    "floor": "relative step below which rounding hides the motion",
    "residual": "relative residual at the solved limit",
    "closure": "‖sum of increments‖ / sum of ‖increments‖; 0 for a closed cycle",
    "perimeter": "length of the cycle of the layers, relative to the largest section",
    "exponent": "largest Lyapunov exponent, nats per loop",
    "loops": "loops iterated before the verdict",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, what it is sorted by, and the regime or outcome that colours it."""

    text: str
    key: float | str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Heads with what they mean, rows of cells, and how many rows were left out."""

    heads: tuple[tuple[str, str], ...]
    rows: list[list[Cell]]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the prompt's text, with its verdict."""

    text: str
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Theorems:
    """The table of theorems: in short, its rows, and the reasons for what does not hold."""

    summary: str
    violated: tuple[str, ...]
    table: Table
    reasons: list[tuple[str, str]]


def prompt_text(found: Classification, subject: Subject) -> list[list[Token]]:
    """Return the text of the prompt, token by token, once for each start; nothing where tokens are not classified."""
    if not found.settings.get("causal"):
        return []
    names = np.reshape(found.names(), (-1, np.shape(found.regime)[-1]))
    words = _words(subject, names.shape[1])
    return [
        [
            Token(word, _kind(name), f"token {i}: {name}")
            for i, (word, name) in enumerate(zip(words, row[:_MOST], strict=False))
        ]
        for row in names
    ]


def verdicts(found: Classification, subject: Subject) -> Table:
    """Return one row a token, or a start where tokens are not classified."""
    causal = bool(found.settings.get("causal"))
    shape = np.shape(found.regime)
    width = shape[-1] if causal else 1
    starts = int(np.prod(shape)) // width
    several = causal and starts > 1
    words = _words(subject, width)
    heads = [("start", "which start")] if several else []
    heads += [("#", "position")] + ([("token", "what was read")] if causal else [])
    heads += [("regime", "the verdict"), ("rate", _MEANING["rate"]), ("loops", _MEANING["loops"])]
    heads += [("floor", _MEANING["floor"]), ("residual", _MEANING["residual"]), ("reason", "why, in a sentence")]
    names, reason = np.ravel(found.names()), np.ravel(found.reason)
    numbers = {name: np.ravel(getattr(found.evidence, name)).astype(float) for name in ("loops", "floor", "residual")}
    rate, error = np.ravel(found.rate), np.ravel(found.rate_error)
    table = []
    for i in range(min(len(names), _MOST)):
        start, token = divmod(i, width) if causal else (i, i)
        row = [Cell(str(start), start)] if several else []
        row += [Cell(str(token), token)] + ([Cell(words[token], words[token])] if causal else [])
        row += [Cell(str(names[i]), str(names[i]), _kind(names[i])), Cell(_rate(rate[i], error[i]), _key(rate[i]))]
        row += [Cell(column_number(numbers[name][i], name), _key(numbers[name][i])) for name in numbers]
        table.append([*row, Cell(one_line(str(reason[i])))])
    return Table(tuple(heads), table, max(0, len(names) - _MOST))


def recorded_tokens(found: RecordedClassification) -> Table:
    """Return one row a token of a record."""
    of = found.tokens
    heads = (
        ("#", "position"), ("verdict", "what the record shows"), ("rate", "factor by which steps fell per loop"),
        ("settled at", "first record at the floor"), ("floor", _MEANING["floor"]), ("reason", "why, in a sentence"),
    )  # fmt: skip
    columns = [np.ravel(a) for a in (of.verdict, of.rate, of.rate_error, of.settled_at, of.floor, of.reason)]
    table = [
        [
            Cell(str(i), i), Cell(str(verdict), str(verdict)), Cell(_rate(rate, error), _key(rate)),
            Cell("–" if at < 0 else str(at), _key(np.nan if at < 0 else at)),
            Cell(column_number(float(floor), "floor"), _key(floor)), Cell(one_line(str(reason))),
        ]
        for i, (verdict, rate, error, at, floor, reason) in enumerate(zip(*columns, strict=True))
        if i < _MOST
    ]  # fmt: skip
    return Table(heads, table, max(0, len(columns[0]) - _MOST))


def evidence(found: Classification) -> Table:
    """Return one row a regime with the largest of its numbers: the table of the terminal."""
    grouped = rows(found)
    kept = [name for name in COLUMNS if any(not np.isnan(row.numbers[name]) for row in grouped)]
    heads = (("regime", "the verdict"), ("share", "of all"), *((name, _MEANING[name]) for name in kept))
    table = []
    for row in grouped:
        numbers = row.numbers | ({"closure": np.nan} if row.regime.name == "VANISHING" else {})
        cells = [Cell(row.label, row.label, row.regime.name), Cell(f"{100 * row.share:.3g} %", row.share)]
        table.append([*cells, *(Cell(column_number(numbers[name], name), _key(numbers[name])) for name in kept)])
    return Table(heads, table)


def theorems(found: Reports) -> Theorems:
    """Return the table of theorems with its reasons."""
    heads = (
        ("", "number of the statement"), ("statement", "what it says"), ("outcome", "does it hold here?"),
        ("number", "what was measured"), ("bound", "what the statement allows"),
        ("of what", "the quantity, or the hypothesis that fails or is open"),
    )  # fmt: skip
    table = []
    for report in found.reports:
        row = shown(report)
        said = ", ".join(f"{kind} {n}×" if len(row.outcomes) > 1 else kind for kind, n in row.outcomes.items())
        place, worst = int(report.name.lstrip("T") or 0), next(iter(row.outcomes))
        table.append([
            Cell(report.name, place), Cell(report.title), Cell(said, said, worst.replace(" ", "-")),
            Cell(number(row.value), _key(row.value)), Cell(number(row.bound), _key(row.bound)),
            Cell(one_line(row.what)),
        ])  # fmt: skip
    violated = tuple(report.name for report in found.reports if "violated" in shown(report).outcomes)
    given = [(names, one_line(why)) for names, _, why in reasons(found)]
    return Theorems(found.summary(), violated, Table(heads, table), given)


def _words(subject: Subject, count: int) -> Sequence[str]:
    """Return the tokens' text, or their numbers where it is not known."""
    if len(subject.tokens) == count:
        return [one_line(token.replace("\n", "⏎")) or "∅" for token in subject.tokens]
    return [str(i) for i in range(count)]


def _kind(name: Any) -> str:
    return str(name).partition("(")[0]


def _rate(rate: float, error: float) -> str:
    return with_error(float(rate), float(error)) if not np.isnan(rate) else "–"


def _key(value: Any) -> float | str:
    """Return what a number is sorted by; nothing where it is unknown, which is last in either order."""
    return float(value) if np.isfinite(value) else ""
