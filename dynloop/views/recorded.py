"""The verdict on a record of states as a terminal shows it: one row a verdict and period, then reasons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.views.digits import with_error
from dynloop.views.layout import headed, indented, one_line
from dynloop.views.table import largest

__all__ = ["render"]

_STYLES = {"settled": "green", "periodic": "cyan", "growing": "yellow", "moving": "magenta", "undecided": "bold"}
_COLUMNS = {
    "rate": "rate", "floor": "floor", "settled_at": "from loop", "step": "last step", "growth": "growth",
    "closure": "closure", "dichotomy": "dichotomy",
}  # fmt: skip


def render(found: RecordedClassification, *, title: str = "") -> RenderableType:
    """Draw the verdict on a record.

    Parameters
    ----------
    found : RecordedClassification
        What `dynloop.classify_trajectory` returned.
    title : str
        Where the record is from; one line.

    Returns
    -------
    rich renderable
        At 80 columns nothing is cut off.
    """
    groups = _groups(found)
    cells = [_cells(found, members) for _, members in groups]
    shown = [name for name in _COLUMNS if any(row[name] != "–" for row in cells)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("verdict", no_wrap=True)
    for head in ("tokens", *(_COLUMNS[name] for name in shown)):
        table.add_column(head, justify="right", no_wrap=True)
    count = np.size(found.tokens.verdict)
    for (label, members), row in zip(groups, cells, strict=True):
        style = _STYLES[label.partition("(")[0]]
        table.add_row(Text(label, style=style), f"{100 * len(members) / count:.3g} %", *(row[name] for name in shown))
    parts = headed(title)
    parts += [indented(_about(found)), Text(), indented(table), Text()]
    if len(groups) > 1:
        parts.append(indented(Text.assemble("The whole record: ", (found.verdict, _STYLES[found.verdict]))))
    for label, members in groups:
        first = int(members[0])
        reason = one_line(str(np.ravel(found.tokens.reason)[first]))
        head = f"{label}: " if count == 1 else f"{label} (token {first}): "
        parts.append(indented(Text.assemble((head, _STYLES[label.partition("(")[0]]), reason)))
    if count > 1:
        parts.append(indented(Text("Each number is the largest of its group.", style="dim")))
    return Group(*parts)


def _groups(found: RecordedClassification) -> list[tuple[str, Any]]:
    """Return verdicts (with the period where there is one) and the tokens that share them, the largest group first."""
    labels = np.array(
        [
            f"periodic({p})" if v == "periodic" else str(v)
            for v, p in zip(np.ravel(found.tokens.verdict), np.ravel(found.tokens.period), strict=True)
        ]
    )
    kinds = sorted(set(labels.tolist()), key=lambda label: (-int(np.sum(labels == label)), label))
    return [(label, np.flatnonzero(labels == label)) for label in kinds]


def _cells(found: RecordedClassification, members: Any) -> dict[str, str]:
    """Return the text of every column for one group: its largest numbers."""
    values = {name: np.ravel(getattr(found.tokens, name))[members] for name in (*_COLUMNS, "rate_error")}
    cells = {name: _number(largest(values[name])) for name in ("floor", "step", "closure")}
    slowest = int(np.argmax(np.nan_to_num(values["rate"], nan=-1.0)))
    rate, error = float(values["rate"][slowest]), float(values["rate_error"][slowest])
    cells["rate"] = with_error(rate, error)
    growth = largest(values["growth"])
    cells["growth"] = "–" if math.isnan(growth) else f"{growth:.4g}"
    last = int(values["settled_at"].max())
    cells["settled_at"] = "–" if last < 0 else str(last)
    kinds = {str(kind) for kind in values["dichotomy"]}
    cells["dichotomy"] = "–" if kinds == {"not applicable"} else kinds.pop() if len(kinds) == 1 else "differs"
    return cells


def _about(found: RecordedClassification) -> str:
    loops, *state = found.settings["shape"]
    how = found.settings["dtype_known"]
    return f"{loops} loops, state {' × '.join(map(str, state))}; {found.dtype}: {how}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3g}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.1e}"
