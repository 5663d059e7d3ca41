"""The table of attractors and the shares of their basins that a person reads in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.basins.attractors import Attractor
from dynloop.basins.grid import Basins
from dynloop.views.layout import headed, indented

__all__ = ["render"]

_SHOWN = 24  # rows of the table
_COORDINATES = 2  # of a state, beyond which its size is shown in their place
_MEANING = (
    ("diverged", "a state stopped being finite, or grew beyond 1e150"),
    ("undecided", "neither captured nor settled within the budget of loops"),
    ("unmatched", "settled on something that is none of these attractors, such as a saddle"),
)


def render(found: Basins, *, title: str = "", about: Sequence[str] = ()) -> RenderableType:
    """Draw the attractors, one a row, with the shares of their basins; 80 columns suffice.

    Parameters
    ----------
    found : Basins
        What `dynloop.basins` returned.
    title : str
        What was analysed; one line.
    about : sequence of str
        Lines below the title, such as the map in words.

    Returns
    -------
    rich renderable
        Text of others is shown as it is, never read as markup.
    """
    parts = headed(title, about)
    shape = " × ".join(map(str, found.labels.shape))
    count = len(found.attractors)
    kind = "of a plane or box" if found.plane is not None else "of a grid"
    said = f"{shape} starts {kind}; {count} attractor{'' if count == 1 else 's'}"
    parts += [Text(), indented(Text(said)), Text(), indented(_table(found))]
    if count > _SHOWN:
        parts.append(indented(Text(f"… and {count - _SHOWN} more; --json has them all")))
    there = [(name, text) for name, text in _MEANING if getattr(found, name) > 0]
    if there:
        parts.append(Text())
        parts += [indented(Text(f"{name}: {text}")) for name, text in there]
    return Group(*parts)


def _table(found: Basins) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("label", "regime", "period", "ρ", "at", "share", "loops"):
        table.add_column(head, justify="left" if head in ("regime", "at") else "right", no_wrap=True)
    for one, share in zip(found.attractors[:_SHOWN], found.fractions, strict=False):
        mine = found.loops[found.labels == one.label]
        table.add_row(
            str(one.label), one.regime.name, str(one.period) if one.period > 0 else "–",
            f"{one.spectral_radius:.3g}" if one.period > 0 else "–", _place(one), f"{share:.2%}",
            f"{mine.mean():.1f}" if mine.size else "–",
        )  # fmt: skip
    for name, _ in _MEANING:
        share = getattr(found, name)
        if share > 0:
            table.add_row(
                {"diverged": "−1", "undecided": "−2", "unmatched": "−3"}[name], name, "", "", "", f"{share:.2%}", ""
            )
    return table


def _place(one: Attractor) -> str:
    """Return the first point of a cycle, or its size in many coordinates; of a set, its size."""
    if one.period < 0:
        return f"{len(one.points)} states"
    first = np.ravel(one.points[0])
    if first.size <= _COORDINATES:
        return ", ".join(f"{value + 0.0:.4g}" for value in first)
    return f"size {np.linalg.norm(first):.4g}"
