"""`Figure`: what plotly draws, as plain data, and how text, lines and long series go into it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.views.layout import one_line
from dynloop.views.palette import GREY

__all__ = ["MOST", "Figure", "cut", "kind_of", "level", "short", "shown", "thinned"]

MOST = 2000  # points of a line; a page is no archive


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes
    ----------
    title, caption : str
        What it shows, and how to read it: also for those who do not see it.
    data : list of dict
        Traces of plotly.
    layout : dict
        Of plotly; colours of text, grid and ground are the page's.
    """

    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def level(value: float) -> dict[str, Any]:
    """Return a dashed line across the figure at a height."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"color": GREY, "width": 1.5, "dash": "dash"},
    }


def cut(shown: int, total: int, what: str) -> str:
    """Return what a caption adds where not everything is drawn; nothing where it is."""
    return "" if shown >= total else f" Shown: {shown} of {total} {what}."


def thinned(count: int) -> Array:
    """Return the indices of at most so many points as a page shows, evenly spaced, the last one included."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int))


def kind_of(name: str) -> str:
    """Return the name of a regime without its period."""
    return str(name).partition("(")[0]


def shown(text: str) -> str:
    """Return text of others so that plotly, which reads some tags in text, shows it as it is."""
    return html.escape(one_line(text))


def short(text: str) -> str:
    """Return text of others for the side of an axis."""
    return shown(text if len(text) <= 28 else f"{text[:27]}…")
