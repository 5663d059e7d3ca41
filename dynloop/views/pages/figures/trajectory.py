"""Figures of a trajectory: relative steps over loops, and the orbit with the path through its layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.orbits.trajectory import Trajectory
from dynloop.orbits.verdict import Classification
from dynloop.result import Result
from dynloop.views.orbit_points import orbit_points
from dynloop.views.pages.figures.figure import Figure, cut, level, shown, thinned
from dynloop.views.pages.subjects import Subject
from dynloop.views.palette import ACCENT, GREY, SERIES
from dynloop.views.recording import recording
from dynloop.views.steps import floor_of, relative_steps

__all__ = ["convergence", "orbit"]

_SHOWN = 24  # starts


def convergence(found: Result, subject: Subject) -> list[Figure]:
    """Draw relative steps over loops, with the floor."""
    if not isinstance(found, Trajectory) or len(found.times) < 2:
        return []
    of = recording(found)
    steps = relative_steps(of)
    starts, steps = steps.shape[1], steps[:, :_SHOWN]
    floor, said = floor_of(of, subject.first(Classification))
    times, chosen = of.times[:-1], thinned(len(steps))
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"start {j}",
            "x": times[chosen],
            "y": np.where(series > 0, series, np.nan)[chosen],
            "showlegend": steps.shape[1] > 1,
            "line": {"color": SERIES[j % (len(SERIES) - 1)], "width": 2},
            "hovertemplate": "loop %{x}: %{y:.2e}<extra></extra>",
        }
        for j, series in enumerate(steps.T)
    ]
    layout = {
        "xaxis": {"title": {"text": "loops"}},
        "yaxis": {"type": "log", "title": {"text": "relative step"}, "exponentformat": "power", "dtick": None},
        "shapes": [level(floor)],
        "annotations": [
            {
                "text": f"{said} {floor:.1e}",
                "x": 1,
                "xref": "paper",
                "y": float(np.log10(floor)),
                "yanchor": "bottom",
                "xanchor": "right",
                "showarrow": False,
                "font": {"size": 12},
            }
        ],
    }
    caption = (
        "How far the state moves in one loop, relative to its size. Below the dashed line rounding hides the motion."
    )
    caption += cut(steps.shape[1], starts, "starts") + cut(len(chosen), len(steps), "steps")
    return [Figure("Convergence", caption, data, layout)]


def orbit(found: Result, _: Subject) -> list[Figure]:
    """Draw an orbit in its plane, with the polygon of the layers."""
    if (
        not isinstance(found, Trajectory)
        or np.isfinite(recording(found).of(0, None)[0]).reshape(len(found.times), -1).all(axis=1).sum() < 2
    ):
        return []
    drawn = orbit_points(found)
    chosen = thinned(len(drawn.points))
    x, y = drawn.points[chosen].T
    few = len(drawn.points) <= 200
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers" if few else "markers",
            "name": "states",
            "x": x,
            "y": y,
            "text": [f"after {t} loops" for t in drawn.times[chosen]],
            "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": GREY, "width": 1},
            "marker": {
                "color": drawn.times[chosen],
                "colorscale": "Cividis",
                "size": 7 if few else 3,
                "line": {"color": GREY, "width": 1 if few else 0},
                "showscale": True,
                "colorbar": {"title": {"text": "loops"}, "thickness": 12, "outlinewidth": 0},
            },
        }
    ]
    if drawn.polygon is not None:
        px, py = drawn.polygon.T
        names = [f"section {i + 1}, before {shown(name)}" for i, name in enumerate(drawn.layers)]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "layers of the last loop",
                "x": px,
                "y": py,
                "text": [*names, "after the last layer"],
                "hovertemplate": "%{text}<extra></extra>",
                "line": {"color": ACCENT, "width": 2},
                "marker": {"color": ACCENT, "size": 11, "symbol": "arrow", "angleref": "previous"},
            }
        )
    layout = {
        "xaxis": {"title": {"text": drawn.labels[0].removeprefix("principal ")}},
        "yaxis": {"title": {"text": drawn.labels[1].removeprefix("principal ")}},
    }
    closed = " They close: the state after the last layer is the one before the first." if drawn.closed else ""
    caption = "The states of the orbit, dark to light along the loops" + (
        f", and the path through the layers in the last loop.{closed}" if drawn.polygon is not None else "."
    )
    starts = recording(found).states.shape[1]
    caption += cut(1, starts, "starts") + cut(len(chosen), len(drawn.points), "states")
    return [Figure("The orbit", caption, data, layout)]
