"""Pictures of basins: one colour an attractor, told apart by colour-blind readers too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.basins.attractors import DIVERGED, UNDECIDED, UNMATCHED
from dynloop.basins.grid import Basins
from dynloop.errors import InvalidArgumentError
from dynloop.views.palette import SERIES
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["colours", "draw_basins"]

_COLOURS = SERIES[:-1]  # black is for starts that diverged
_OTHERS = {DIVERGED: ("#222222", "diverged"), UNDECIDED: ("#d9d9d9", "undecided"), UNMATCHED: ("#8c8c8c", "unmatched")}


def colours(count: int) -> list[str]:
    """Return a colour for every attractor: those of Okabe and Ito, and of more than seven a scale of brightness."""
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](i / (count - 1))) for i in range(count)]


def draw_basins(found: Basins, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw basins on a grid of two axes: one colour an attractor, whose points are marked.

    Parameters
    ----------
    found : Basins
        Of `basins`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.pcolormesh`.

    Returns
    -------
    matplotlib Axes
        Starts that diverged are black, undecided ones light grey, those unmatched grey. On a plane through a larger
        space a mark is the nearest point of the plane, and not drawn where that lies outside the picture. The legend
        gives the share of every label.

    Raises
    ------
    InvalidArgumentError
        If `found` is no `Basins`, or its grid has not two axes.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.basins(dl.zoo.newton(), (np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)))
    >>> len(dl.draw_basins(found).get_legend().get_texts())
    3
    """
    only(found, Basins, "dynloop.basins(m, grid)")
    if found.labels.ndim != 2:
        raise InvalidArgumentError(
            f"labels have {found.labels.ndim} axes and a picture has two; draw a plane of them, dl.plane(…)"
        )
    ax = axes_for(ax)
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    count = len(found.attractors)
    told = [_OTHERS[label][0] for label in (UNMATCHED, UNDECIDED, DIVERGED)] + ["#ffffff"] + colours(count)
    norm = BoundaryNorm(np.arange(UNMATCHED - 0.5, count + 1.0), len(told))
    xs, ys = found.axes
    x, y = np.argsort(xs, kind="stable"), np.argsort(ys, kind="stable")
    style = {"cmap": ListedColormap(told), "norm": norm, "shading": "nearest", "rasterized": True, **options}
    ax.pcolormesh(xs[x], ys[y], found.labels[np.ix_(x, y)].T, **style)
    for one, colour in zip(found.attractors, colours(count), strict=True):
        points = one.points.reshape(len(one.points), -1)
        if found.plane is not None:
            points = found.plane.coordinates(one.points)
        small = one.period < 0
        inside = (np.abs(points - [_middle(xs), _middle(ys)]) <= [np.ptp(xs) / 2, np.ptp(ys) / 2]).all(axis=1)
        ax.plot(
            *points[inside].T, linestyle="none", marker="." if small else "o", markersize=1 if small else 6,
            color="black" if small else colour, markeredgecolor="black", markeredgewidth=0 if small else 1,
        )  # fmt: skip
    shares = [(colour, f"{label}: {share:.1%}") for label, (colour, share) in
              enumerate(zip(colours(count), found.fractions, strict=True), 1)]  # fmt: skip
    shares += [(colour, f"{name}: {getattr(found, name):.1%}") for colour, name in _OTHERS.values()
               if getattr(found, name) > 0]  # fmt: skip
    ax.legend(
        handles=[Patch(facecolor=colour, label=text) for colour, text in shares], frameon=False, loc="upper left",
        bbox_to_anchor=(1, 1),
    )  # fmt: skip
    names = ("a", "b") if found.plane is not None else ("coordinate 0", "coordinate 1")
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def _middle(axis: Any) -> float:
    return float((axis.min() + axis.max()) / 2)
