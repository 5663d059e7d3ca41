"""The table of theorems that a person reads in a terminal: does each apply, the number, the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.views.layout import headed, indented, one_line

__all__ = ["CLOSING", "ORDER", "Report", "Reports", "Shown", "number", "reasons", "render", "shown"]

_STYLES = {"holds": "green", "violated": "bold red", "undecided": "yellow", "does not apply": "dim"}
ORDER = ("violated", "holds", "undecided", "does not apply")
CLOSING = (
    "Holds: measured on this orbit, within its bound; no proof. Violated: dynloop, the adapter or the theory is wrong. "
    "Undecided: no finite computation establishes the hypothesis, or the number is within its error."
)


class Report(Protocol):
    """What is drawn of a `dynloop.testing.statements.StatementReport`."""

    name: str
    title: str
    status: Any
    hypothesis: Any
    quantity: Any
    value: Any
    bound: Any
    reason: Any


class Reports(Protocol):
    """What is drawn of a `dynloop.testing.statements.StatementTable`."""

    @property
    def reports(self) -> Sequence[Any]:
        """One report a statement."""

    @property
    def regimes(self) -> Sequence[str]:
        """The verdicts of every start, in short."""

    def summary(self) -> str:
        """Say in one line what was found."""


def render(found: Reports, *, title: str = "", about: Sequence[str] = ()) -> RenderableType:
    """Draw one row a statement and below the table the reasons, each once; 100 columns suffice, 80 do.

    Parameters
    ----------
    found : StatementTable
        What `dynloop.testing.statements.check_statements` returned.
    title : str
        What was analysed; one line.
    about : sequence of str
        Lines below the title, such as the map in words.

    Returns
    -------
    rich renderable
        Text of others is shown as it is, never read as markup.
    """
    verdicts = "; ".join(dict.fromkeys(found.regimes))
    parts = headed(title, (*about, f"orbit: {verdicts}", found.summary()))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("", "statement", "outcome"):
        table.add_column(head)
    for head in ("number", "bound"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("of what; or the hypothesis that fails or is open", overflow="fold")
    for report in found.reports:
        table.add_row(*_row(report))
    parts += [Text(), indented(table), Text()]
    parts += [indented(Text.assemble((f"{names}: ", style), one_line(why))) for names, style, why in reasons(found)]
    parts.append(indented(Text(CLOSING, style="dim")))
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one row of the table says.

    Attributes
    ----------
    outcomes : dict of str to int
        How often each outcome occurs, the gravest first.
    value, bound : float
        Of the gravest outcome those nearest to each other.
    what : str
        The quantity that was measured there, or the hypothesis that fails or is open.
    """

    outcomes: dict[str, int]
    value: float
    bound: float
    what: str


def shown(report: Report) -> Shown:
    """Take from a report what one row shows."""
    outcomes = [one.value for one in np.ravel(report.status)]
    i = _worst(report, outcomes)
    value, bound = (float(np.ravel(a)[i]) for a in (report.value, report.bound))
    what = str(np.ravel(report.quantity)[i]) or str(np.ravel(report.hypothesis)[i])
    return Shown({kind: outcomes.count(kind) for kind in ORDER if kind in outcomes}, value, bound, what)


def _row(report: Report) -> list[Text | str]:
    row, said = shown(report), Text()
    for i, (kind, times) in enumerate(row.outcomes.items()):
        count = f" {times}×" if len(row.outcomes) > 1 else ""
        said.append(f"{', ' if i else ''}{kind}{count}", style=_STYLES[kind])
    return [report.name, report.title, said, number(row.value), number(row.bound), Text(one_line(row.what))]


def _worst(report: Report, outcomes: Sequence[str]) -> int:
    """Return the index that is shown: of the gravest outcome the one nearest to its bound."""
    value, bound = (np.nan_to_num(np.ravel(a), nan=0.0) for a in (report.value, report.bound))
    share = np.divide(value, bound, out=np.zeros_like(value), where=bound > 0)
    return max(range(len(outcomes)), key=lambda i: (-ORDER.index(outcomes[i]), share[i]))


def reasons(found: Reports) -> list[tuple[str, str, str]]:
    """Return each reason for not holding once, with the statements it is given for, the gravest first."""
    given: dict[tuple[str, str], list[str]] = {}
    for report in found.reports:
        seen: set[str] = set()
        for one, reason in zip(np.ravel(report.status), np.ravel(report.reason), strict=True):
            if one.value != "holds" and one.value not in seen:  # of many tokens the first speaks for all
                seen.add(one.value)
                why = str(reason).partition(" – ")[2] or str(reason)
                given.setdefault((one.value, why), []).append(report.name)
    grave = sorted(given, key=lambda key: ORDER.index(key[0]))
    return [(f"{', '.join(given[key])} {_verb(key[0])}", _STYLES[key[0]], key[1]) for key in grave]


def _verb(outcome: str) -> str:
    return {"violated": "VIOLATED", "undecided": "undecided", "does not apply": "not applicable"}[outcome]


def number(value: float) -> str:
    """Write a measured number or a bound."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.3g}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.0e}"
