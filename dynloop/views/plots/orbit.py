"""The picture of an orbit: a trajectory in its principal plane, with the closed cycle that its layers trace."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.trajectory import Trajectory
from dynloop.views.orbit_points import orbit_points
from dynloop.views.palette import ACCENT, INK
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_orbit"]

_JOINED = 200  # records up to which points are joined by a line
_NAMED = 12  # sections up to which each has its number
_FLAT = 12.0  # ratio of the sides beyond which a picture true to scale is a line


def draw_orbit(
    found: Trajectory, *, start: int = 0, token: int | None = None, ax: Axes | None = None, **options: Any
) -> Axes:
    """Draw a trajectory in its principal plane, and the sections of its last recorded loop as the polygon they are.

    Parameters
    ----------
    found : Trajectory
        Of `trajectory`; with ``sections=True`` the cycle of the layers is drawn too.
    start : int
        Which start of the batch.
    token : int, optional
        Which row of a state ``(…, tokens, width)``; the whole state if left out.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`, of the line.

    Returns
    -------
    matplotlib Axes
        With the states, lighter to darker along the orbit, an open circle at the first and a square at the last one.
        The polygon has one corner a section, numbered, in the order of the arrows. States of two coordinates are drawn
        as they are, those of one against the loops.

    Raises
    ------
    InvalidArgumentError
        If `found` is no trajectory, there is no such start or token, or fewer than two states are finite.
    MissingPackageError
        If matplotlib is not installed.

    Notes
    -----
    The plane is that of the states and sections that are drawn; nothing is iterated. A cycle that is small beside the
    way to it looks like a point: record it after a `transient`.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.trajectory(dl.zoo.coupled_logistic(4.0, 0.1), [0.3, 0.2], 60, sections=True)
    >>> dl.draw_orbit(found).get_xlabel()
    'coordinate 0'
    """
    only(found, Trajectory, "dynloop.trajectory(m, starts, loops)")
    drawn = orbit_points(found, start=start, token=token)
    ax = axes_for(ax)
    (x, y), times = drawn.points.T, drawn.times
    joined = len(x) <= _JOINED
    ax.plot(x, y, **{"color": "0.7", "linewidth": 0.8, "linestyle": "-" if joined else "none", "zorder": 1, **options})
    ax.scatter(x, y, c=times, cmap="cividis_r", s=16 if joined else 3, linewidths=0, zorder=2)
    mark: dict[str, Any] = {
        "linestyle": "none",
        "markerfacecolor": "white",
        "markeredgecolor": INK,
        "markersize": 7,
        "zorder": 4,
    }
    ax.plot(x[:1], y[:1], marker="o", label=f"after {times[0]} loops", **mark)
    ax.plot(x[-1:], y[-1:], marker="s", label=f"after {times[-1]} loops", **mark)
    if drawn.polygon is not None:
        _draw_polygon(ax, drawn.polygon, closed=drawn.closed)
    spans = [float(np.ptp(side)) for side in (x, y)]
    if drawn.labels[0].startswith("principal") and min(spans) > 0 and max(spans) < _FLAT * min(spans):
        ax.set_aspect("equal", adjustable="datalim")
    ax.legend(frameon=False, loc="best", fontsize="small")
    ax.set(xlabel=drawn.labels[0], ylabel=drawn.labels[1])
    return ax


def _draw_polygon(ax: Axes, corners: Array, *, closed: bool) -> None:
    """Draw the sections of one loop: arrows from each to the next, and the number of the section."""
    said = "layers of the last loop" + (", closed" if closed else "")
    ax.plot(*corners.T, color=ACCENT, linewidth=1.2, zorder=3, label=said)
    if len(corners) > _NAMED + 1:
        return
    for a, b in pairwise(corners):
        arrow = {"arrowstyle": "-|>", "color": ACCENT, "linewidth": 0, "shrinkA": 0, "shrinkB": 0}
        arrow["mutation_scale"] = 16
        ax.annotate("", a + 0.6 * (b - a), a + 0.4 * (b - a), arrowprops=arrow, zorder=3)
    middle = corners[:-1].mean(axis=0)
    for i, corner in enumerate(corners[:-1], 1):
        away = corner - middle
        x, y = 10 * away / (np.linalg.norm(away) or 1.0)
        ax.annotate(
            str(i), corner, (x, y), textcoords="offset points", color=ACCENT, ha="center", va="center",
            fontsize="small", fontweight="bold", zorder=5,
        )  # fmt: skip
