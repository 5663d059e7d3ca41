"""What stands on the page: verdict, overview and a section for each subject, as data that a template lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.orbits.verdict import Classification
from dynloop.views.layout import one_line
from dynloop.views.pages import tables
from dynloop.views.pages.figures import Figure, figures_of
from dynloop.views.pages.sentences import Verdict, brief, claim, say, summary_of
from dynloop.views.pages.subjects import Subject
from dynloop.views.pages.tables import Cell, Table, Theorems, Token

__all__ = ["Block", "Placed", "Section", "alarms", "blocks", "lead", "overview", "placed", "section"]

_BLOCKS = 24  # verdicts at the head of the page; the overview has all
_STARTS = 3  # starts whose tokens are shown as text
_ROWS = 2000  # of the overview
_SHORT = 60  # characters of a prompt in a table


@dataclass(frozen=True, slots=True)
class Block:
    """What is said first, of one map under all its prompts."""

    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure of the page: its place among all of them, and what stands beside it."""

    number: int
    title: str
    caption: str
    height: int


@dataclass(slots=True)
class Section:
    """One subject as it is laid out."""

    anchor: str
    title: str
    description: str
    prompt: str
    headline: str
    lines: list[list[Token]] = field(default_factory=list)
    cut: str = ""
    kinds: list[str] = field(default_factory=list)
    evidence: Table | None = None
    figures: list[Placed] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    theorems: Theorems | None = None
    records: list[tuple[str, str]] = field(default_factory=list)


def section(place: int, subject: Subject, figures: list[Figure], *, alone: bool) -> Section:
    """Lay out one subject; its figures are added to those of the page."""
    found, record = subject.first(Classification), subject.first(RecordedClassification)
    view = Section(
        f"s{place}", one_line(subject.title), one_line(subject.description), _prompt(subject.prompt),
        "" if alone else say(subject).headline,
    )  # fmt: skip
    if found is not None:
        lines = tables.prompt_text(found, subject)
        view.lines = lines[:_STARTS]
        shown, tokens = len(lines[0]) if lines else 0, np.shape(found.regime)[-1] if lines else 0
        if shown < tokens or len(lines) > _STARTS:
            view.cut = f"Shown: {len(view.lines)} of {len(lines)} starts, {shown} of {tokens} tokens."
        view.kinds = list(dict.fromkeys(token.kind for line in view.lines for token in line))
        view.evidence = tables.evidence(found)
        view.tables.append(("Every token" if view.lines else "Every start", tables.verdicts(found, subject)))
    if record is not None:
        view.tables.append(("Every token of the record", tables.recorded_tokens(record)))
    view.figures = [placed(figure, figures) for figure in figures_of(subject)]
    for entry in subject.entries:
        result: Any = entry.result
        if hasattr(result, "reports"):  # a StatementTable, which this floor does not know
            view.theorems = tables.theorems(result)
        kind, said = type(result).__name__, summary_of(result)
        name = kind if said == kind else f"{kind}: {said.removeprefix(f'{kind}: ')}"
        view.records.append((one_line(name), result._repr_html_()))
    return view


def placed(figure: Figure, figures: list[Figure]) -> Placed:
    """Add a figure to those of the page and return its place."""
    figures.append(figure)
    height = int(figure.layout.get("height", 360))
    return Placed(len(figures) - 1, figure.title, figure.caption, height)


def blocks(subjects: Sequence[Subject]) -> tuple[list[Block], int]:
    """Return what is said first, one verdict for each map over all its prompts, and how many verdicts are left out."""
    found: dict[Any, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(subject.group, []).append(subject)
    said = []
    for own in found.values():
        classified = [one for subject in own if (one := subject.first(Classification)) is not None]
        if len(own) > 1 and len(classified) == len(own):
            said.append(Block(one_line(own[0].whole), claim(classified)))
        else:
            said += [Block(one_line(subject.title), say(subject)) for subject in own]
    return said[:_BLOCKS], max(0, len(said) - _BLOCKS)


def lead(said: Sequence[Block]) -> str:
    """Return the regime whose colour the verdict has: that of most, where all blocks agree on it."""
    first = {block.verdict.meanings[0][0] if block.verdict.meanings else "" for block in said}
    return first.pop() if len(first) == 1 else ""


def alarms(subjects: Sequence[Subject]) -> list[str]:
    """Say which theorems are violated, on whatever subject: then nothing else on the page is to be relied on."""
    tables: list[tuple[Subject, Any]] = [
        (one, entry.result) for one in subjects for entry in one.entries if hasattr(entry.result, "reports")
    ]
    return [
        f"{one_line(one.title)}: {', '.join(table.violated)} violated. dynloop, the adapter or the theory is wrong; do "
        "not rely on this page before that is understood."
        for one, table in tables
        if table.violated
    ]


def overview(subjects: Sequence[Subject]) -> Table:
    """Return one row a subject."""
    heads = [("#", "position"), ("map", "what was iterated"), ("prompt", "what it read"), ("says", "in short")]
    table = []
    for i, subject in enumerate(subjects[:_ROWS], 1):
        found = subject.first(Classification)
        said = brief(subject)
        prompt = _prompt(subject.prompt)
        prompt = prompt if len(prompt) <= _SHORT else f"{prompt[: _SHORT - 1]}…"
        kind = "" if found is None else next(iter(found.shares())).partition("(")[0]
        table.append([
            Cell(str(i), i), Cell(one_line(subject.title), one_line(subject.title)), Cell(prompt, prompt or "–"),
            Cell(one_line(said), one_line(said), kind),
        ])  # fmt: skip
    return Table(tuple(heads), table, max(0, len(subjects) - _ROWS))


def _prompt(prompt: Any) -> str:
    """Return a prompt as text on one page: its own, or what it is written as."""
    if prompt is None:
        return ""
    return one_line(prompt if isinstance(prompt, str) else " ".join(repr(prompt).split()))
