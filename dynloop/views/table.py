"""The table a person reads in a terminal: one row a verdict, its numbers, and the reasons below it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dynloop.orbits.verdict import Classification, Regime
from dynloop.views.layout import headed, indented, one_line

__all__ = ["COLUMNS", "Row", "largest", "number", "render", "rows"]

COLUMNS = ("rate", "floor", "residual", "closure", "perimeter", "exponent", "loops")
_STYLES = {
    Regime.VANISHING: "green",
    Regime.CYCLIC: "green",
    Regime.PERIODIC: "cyan",
    Regime.QUASIPERIODIC: "cyan",
    Regime.CHAOTIC: "magenta",
    Regime.RAY: "yellow",
    Regime.DRIFT: "yellow",
    Regime.DIVERGENT: "red",
    Regime.UNDECIDED: "bold",
}
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Row:
    """The starts or tokens that share a regime and a period.

    Attributes
    ----------
    regime : Regime
        The verdict they share.
    period : int
        The period they share; −1 where there is none.
    count, share : int, float
        How many they are, and which share of all.
    numbers : dict of str to float
        The largest value in the group of each of `COLUMNS`; nan where there is none.
    where : str
        Which they are, such as ``"tokens 0–3, 7"``; empty if it is all of them.
    reasons : tuple of (str, int)
        Reasons that differ in more than their numbers, with how often each occurs, most frequent first.
    """

    regime: Regime
    period: int
    count: int
    share: float
    numbers: dict[str, float]
    where: str
    reasons: tuple[tuple[str, int], ...]

    @property
    def label(self) -> str:
        """The regime, with its period where it says something."""
        return f"{self.regime.name}({self.period})" if self.regime is Regime.PERIODIC else self.regime.name


def rows(found: Classification) -> list[Row]:
    """Group the verdicts of a classification by regime and period, the largest group first.

    Parameters
    ----------
    found : Classification
        Any shape: one start, starts, or starts × tokens.

    Returns
    -------
    list of Row
        Their counts add up to the number of verdicts.
    """
    regimes, periods = np.ravel(found.regime), np.ravel(found.period)
    kinds = Counter((regime, int(period)) for regime, period in zip(regimes, periods, strict=True))
    order = list(Regime)
    grouped = []
    for (regime, period), count in sorted(
        kinds.items(), key=lambda kind: (-kind[1], order.index(kind[0][0]), kind[0][1])
    ):
        members = np.flatnonzero((regimes == regime) & (periods == period))
        grouped.append(
            Row(
                regime=regime,
                period=period,
                count=count,
                share=count / regimes.size,
                numbers={name: largest(_column(found, name)[members]) for name in COLUMNS},
                where="" if count == regimes.size else _where(members, np.shape(found.regime), found),
                reasons=_reasons([str(reason) for reason in np.ravel(found.reason)[members]]),
            )
        )
    return grouped


def render(found: Classification, *, title: str = "", about: Sequence[str] = ()) -> RenderableType:
    """Draw a classification as a table with its reasons; at 80 columns nothing is cut off.

    Parameters
    ----------
    found : Classification
        What `dynloop.classify` returned.
    title : str
        What was classified; one line.
    about : sequence of str
        Lines below the title, such as the map in words.

    Returns
    -------
    rich renderable
        Text of others (prompts, paths, names of layers) is shown as it is, never read as markup.
    """
    grouped = rows(found)
    shown = [name for name in COLUMNS if any(not math.isnan(row.numbers[name]) for row in grouped)]
    space = 0 if len(shown) >= len(COLUMNS) else 1  # all columns at once fit into 80 characters only this tightly
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, space, 0, 0))
    table.add_column("regime", no_wrap=True)
    for name in (_unit(found), *shown):
        table.add_column(name, justify="right", no_wrap=True)
    for row in grouped:
        # a polygon shrunk to a point has no closure: its ratio is rounding over rounding
        no_polygon = {"closure": math.nan} if row.regime is Regime.VANISHING else {}
        numbers = [number((row.numbers | no_polygon)[name], name) for name in shown]
        table.add_row(Text(row.label, style=_STYLES[row.regime]), f"{100 * row.share:.3g} %", *numbers)
    parts = headed(title, (*about, _size(found)))
    parts += [Text(), indented(table), Text()]
    for row in grouped:
        for reason, count in row.reasons[:_REASONS_SHOWN]:
            which = row.where if len(row.reasons) == 1 else f"{count} of {row.count}"
            head = f"{row.label} ({which}): " if which else f"{row.label}: "
            parts.append(indented(Text.assemble((head, _STYLES[row.regime]), one_line(reason))))
        if len(row.reasons) > _REASONS_SHOWN:
            parts.append(
                Padding(Text(f"… and {len(row.reasons) - _REASONS_SHOWN} more kinds of reasons"), (0, 0, 0, 4))
            )
    if any(row.count > 1 for row in grouped):
        parts.append(indented(Text("Each number is the largest of its group.", style="dim")))
    return Group(*parts)


def _column(found: Classification, name: str) -> np.ndarray[Any, Any]:
    source = found.rate if name == "rate" else getattr(found.evidence, name)
    return np.ravel(np.asarray(source, dtype=float))


def largest(values: np.ndarray[Any, Any]) -> float:
    """Return the largest of the numbers that are known, nan if none is."""
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else math.nan


def _reasons(all_of_them: list[str]) -> tuple[tuple[str, int], ...]:
    """Take reasons that differ only in their numbers as one."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for reason in all_of_them:
        form = re.sub(r"[\d.eE+−-]*\d", "#", reason)
        first.setdefault(form, reason)
        counts[form] += 1
    return tuple((first[form], count) for form, count in counts.most_common())


def _unit(found: Classification) -> str:
    return "tokens" if found.settings.get("causal") else "starts"


def _size(found: Classification) -> str:
    shape = np.shape(found.regime)
    starts = shape[0] if len(shape) > (1 if found.settings.get("causal") else 0) else 1
    parts = [f"{starts} start{'s' if starts != 1 else ''}"]
    if found.settings.get("causal"):
        parts.append(f"{shape[-1]} token{'s' if shape[-1] != 1 else ''}")
    settings = {"loops": "budget {} loops", "dtype": "{}", "polish": "polish {}"}
    kept = [form.format(found.settings[key]) for key, form in settings.items() if found.settings.get(key) is not None]
    return ", ".join([" × ".join(parts), *kept])


def _where(members: np.ndarray[Any, Any], shape: tuple[int, ...], found: Classification) -> str:
    """Name the members by number, or count them where they lie in several starts."""
    if found.settings.get("causal") and len(shape) == 2 and shape[0] > 1:
        return f"{len(members)} of {shape[0] * shape[1]}"
    runs: list[list[int]] = []
    for i in (int(m) for m in members):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    if len(runs) > 6:
        return f"{len(members)} of {math.prod(shape)}"
    what = _unit(found) if len(members) > 1 else _unit(found)[:-1]
    return f"{what} " + ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def number(value: float, name: str) -> str:
    """Write a number of a column as its kind is read best."""
    if math.isnan(value):
        return "–"
    if name == "loops":
        return f"{value:.0f}"
    if name == "rate" and 0.001 <= abs(value) < 10:
        return f"{value:.4f}"
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.0e}"
