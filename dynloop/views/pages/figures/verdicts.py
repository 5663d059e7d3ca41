"""Figures of verdicts: every token as a cell, what each layer adds at the limit, how fast orbits settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.verdict import Classification, Regime
from dynloop.result import Result
from dynloop.views.pages.figures.figure import Figure, cut, kind_of, level, short, shown, thinned
from dynloop.views.pages.subjects import Subject
from dynloop.views.palette import GREY, LOOKS, PAGE_INK
from dynloop.views.plots.regimes import verdict_rows

__all__ = ["grid", "increments", "rates"]

_CELLS = 20_000  # that a browser draws at once, as one image
_PATTERNED = 1000  # that it draws one by one


def grid(found: Sequence[tuple[str, Classification]], total: int) -> Figure:
    """Draw every verdict of several subjects, of `total`: a row each (or a row a start), a column a token."""
    rows: list[Array] = []
    subjects, longest = 0, 0
    titles: list[str] = []
    words: list[Sequence[str]] = []
    for title, one in found:
        own, labels = verdict_rows(one)
        if rows and sum(map(len, rows)) + sum(map(len, own)) > _CELLS:
            break
        subjects, longest = subjects + 1, max(longest, *map(len, own))
        rows += [row[:_CELLS] for row in own]
        titles += [title if len(own) == 1 else f"{title}, start {label}" for label in labels]
        words += [one.settings.get("tokens", ())] * len(own)
    width = max(len(row) for row in rows)
    texts = [
        [f"{shown(title)}<br>token {i}{_word(word, i)}: {name}" for i, name in enumerate(row)]
        for title, word, row in zip(titles, words, rows, strict=True)
    ]
    fine = sum(map(len, rows)) > _PATTERNED
    data = _image(rows, texts, width) if fine else _bars(rows, texts)
    layout = {
        "barmode": "overlay",
        "bargap": 0,
        "height": 170 + 24 * min(len(rows), 40),
        "xaxis": {"title": {"text": "token"}, "range": [-0.6, width - 0.4], "zeroline": False, "showgrid": False},
        "yaxis": {
            "autorange": "reversed",
            "tickvals": list(range(len(rows))),
            "zeroline": False,
            "showgrid": False,
            "ticktext": [short(title) for title in titles],
            "automargin": True,
        },
    }
    caption = "One row for each prompt or start, one cell for each token."
    caption += " Cells are too many for patterns: the one under the pointer says its verdict." if fine else ""
    caption += cut(subjects, total, "prompts or maps") + cut(width, longest, "tokens")
    return Figure("Verdicts of every token", caption, data, layout)


def _bars(rows: Sequence[Array], texts: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return a bar a cell, in the colour and the pattern of its regime."""
    data = []
    for regime in Regime:
        places = [(x, y) for y, row in enumerate(rows) for x, name in enumerate(row) if kind_of(name) == regime.name]
        if places:
            x, y = np.array(places).T
            bars = {"x": np.full(len(x), 0.94), "base": x - 0.47, "y": y, "width": 0.86, "hoverinfo": "text"}
            data.append({**_bar(regime), **bars, "hovertext": [texts[j][i] for i, j in places]})
    return data


def _bar(regime: Regime) -> dict[str, Any]:
    look = LOOKS[regime]
    pattern = {"shape": look.pattern, "fgcolor": look.ink, "fgopacity": 0.55, "size": 6, "fillmode": "overlay"}
    marker = {"color": look.colour, "line": {"width": 1, "color": GREY}, "pattern": pattern}
    return {"type": "bar", "orientation": "h", "name": regime.name, "marker": marker}


def _image(rows: Sequence[Array], texts: Sequence[Sequence[str]], width: int) -> list[dict[str, Any]]:
    """Return one image of all cells, which a browser draws at once where it draws bars one by one, and its legend."""
    kinds = [[kind_of(name) for name in row] for row in rows]
    found = [regime for regime in Regime if any(regime.name in row for row in kinds)]
    place = {regime.name: i for i, regime in enumerate(found)}
    edges = [[(i + end) / len(found), LOOKS[regime].colour] for i, regime in enumerate(found) for end in (0, 1)]
    image = {
        "type": "heatmap", "z": [[*map(place.get, row), *[None] * (width - len(row))] for row in kinds],
        "hovertext": [[*row, *[""] * (width - len(row))] for row in texts], "hoverinfo": "text", "hoverongaps": False,
        "colorscale": edges, "zmin": -0.5, "zmax": len(found) - 0.5, "showscale": False, "ygap": 1,
    }  # fmt: skip
    return [image, *({**_bar(regime), "x": [None], "y": [None]} for regime in found)]


def _word(words: Sequence[str], i: int) -> str:
    return f" “{shown(str(words[i]))}”" if i < len(words) else ""


def increments(found: Result, subject: Subject) -> list[Figure]:
    """Draw how far each layer moves the state at the limit."""
    if not isinstance(found, Classification):
        return []
    steps = np.reshape(found.evidence.increments, (-1, np.shape(found.evidence.increments)[-1]))
    steps = steps[np.isfinite(steps).all(axis=1)]
    if not len(steps):
        return []
    middle, low, high = np.median(steps, axis=0), steps.min(axis=0), steps.max(axis=0)
    names = subject.layers if len(subject.layers) == len(middle) else [f"layer {i + 1}" for i in range(len(middle))]
    bars = {
        "type": "bar",
        "x": list(range(len(middle))),
        "y": middle,
        "customdata": np.column_stack([low, high]),
        "text": [shown(name) for name in names],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{y:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})<extra></extra>",
        "marker": {"color": PAGE_INK},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": high - middle,
            "arrayminus": middle - low,
            "color": GREY,
            "thickness": 1.2,
            "visible": len(steps) > 1,
        },
    }
    layout = {
        "xaxis": {"tickvals": bars["x"], "ticktext": [short(name) for name in names], "automargin": True},
        "yaxis": {"title": {"text": "‖increment‖ / largest section"}, "range": [0, 1.08 * float(high.max()) or 1.0]},
    }
    of = "the median over tokens or starts, lines from the least to the largest" if len(steps) > 1 else "one orbit"
    caption = (
        f"How far each layer moves the state at the limit, relative to its size: {of}. All near zero: the block has "
        "fallen silent. Two or more above zero: the moves cancel, a closed cycle."
    )
    return [Figure("What each layer adds at the limit", caption, [bars], layout)]


def rates(found: Result, subject: Subject) -> list[Figure]:
    """Draw the contraction factor of every token or start."""
    if not isinstance(found, Classification):
        return []
    rate, error = np.ravel(found.rate), np.ravel(found.rate_error)
    known = np.flatnonzero(np.isfinite(rate))
    if len(known) < 2:
        return []
    total, known = len(known), known[thinned(len(known))]
    causal, width = bool(found.settings.get("causal")), np.shape(found.rate)[-1]
    names, tokens = np.ravel(found.names()), subject.tokens
    data = []
    for regime in Regime:
        own = known[[kind_of(names[i]) == regime.name for i in known]]
        if len(own):
            place = own % width if causal else own
            words = [f"“{tokens[i]}” " if causal and len(tokens) == width else "" for i in place]
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": regime.name,
                    "x": place,
                    "y": rate[own],
                    "text": [f"{shown(word)}{names[i]}" for word, i in zip(words, own, strict=True)],
                    "hovertemplate": "%{text}<br>rate %{y:.5f}<extra></extra>",
                    "marker": {
                        "color": LOOKS[regime].colour,
                        "size": 9,
                        "symbol": np.where(np.isfinite(error[own]), "circle", "circle-open"),
                        "line": {"color": GREY, "width": np.where(np.isfinite(error[own]), 1, 2)},
                    },
                    "error_y": {
                        "type": "data",
                        "array": np.where(np.isfinite(error[own]), error[own], 0.0),
                        "width": 2,
                    },
                }
            )
    layout = {
        "xaxis": {"title": {"text": "token" if causal else "start"}},
        "yaxis": {
            "title": {"text": "contraction factor per loop"},
            "range": [0, 1.08 * max(1.0, float(rate[known].max()))],
        },
        "shapes": [level(1.0)],
    }
    caption = (
        "By how much a small disturbance shrinks in one loop, with its error. Below the dashed line at 1 it dies out; "
        "the nearer to 0, the faster. An open circle: the error is not known."
    )
    caption += cut(len(known), total, "tokens or starts")
    return [Figure("How fast disturbances die out", caption, data, layout)]
