"""Plots of what changes along a family of maps: matplotlib Axes in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.diagrams.exponents import ExponentDiagram
from dynloop.diagrams.orbits import OrbitDiagram
from dynloop.diagrams.periods import PeriodDiagram
from dynloop.diagrams.regimes import RegimeDiagram
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.branches.record import Branch
from dynloop.orbits.verdict import Regime
from dynloop.views.palette import ACCENT, INK, LOOKS
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_branch",
    "draw_exponent_diagram",
    "draw_orbit_diagram",
    "draw_period_diagram",
    "draw_regime_diagram",
]

_MARKERS = {"fold": "s", "flip": "o", "neimark-sacker": "D", "branch": "^"}


def draw_branch(
    found: Branch, *, coordinate: int | tuple[int, ...] = 0, ax: Axes | None = None, **options: Any
) -> Axes:
    """Plot one coordinate of the orbits of a branch against the parameter: solid where stable, dashed where not.

    Parameters
    ----------
    found : Branch
        Of `continue_fixed_point` or `switch_branch`.
    coordinate : int or tuple of int
        Which coordinate of a state; all points of a cycle are drawn.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out. Branches of one family go on the same Axes.
    **options
        For `Axes.plot`, of the lines.

    Returns
    -------
    matplotlib Axes
        With two lines a point of the cycle, the stable rows and the others, and one marker a bifurcation: square fold,
        circle flip, diamond Neimark–Sacker, triangle branch point.

    Raises
    ------
    InvalidArgumentError
        If `found` is no `Branch`, or a state has no such coordinate.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    >>> ax = dl.draw_branch(branch)
    >>> ax.get_xlabel()
    'parameter'
    """
    only(found, Branch, "dynloop.continue_fixed_point(family, point, values)")
    index = _coordinate(coordinate, found.points.shape[2:])
    ax = axes_for(ax)
    where: Any = (..., *index)
    points, stable = found.points[where], found.unstable == 0
    known = np.array([name != "unknown" for name in found.stability])
    style = {"color": INK, "linewidth": 1.2, **options}
    for i in range(points.shape[1]):
        for rows, line in ((stable & known, "-"), (~(stable & known), "--")):
            near = rows | np.append(rows[1:], False) | np.append(False, rows[:-1])
            joined = near if line == "--" else rows  # dashes reach the stable rows beside them
            ax.plot(found.values, np.where(joined, points[:, i], np.nan), **{"linestyle": line, **style})
    for kind, marker in _MARKERS.items():
        met = [one for one in found.bifurcations if one.kind == kind]
        if met:
            places = np.stack([one.point[where] for one in met])
            values = np.repeat([one.value for one in met], places.shape[1])
            ax.plot(values, places.ravel(), linestyle="none", marker=marker, markersize=5, color=ACCENT, label=kind)
    ax.set(xlabel="parameter", ylabel=f"coordinate {', '.join(map(str, index))}")
    return ax


def draw_orbit_diagram(
    found: OrbitDiagram, *, coordinate: int | tuple[int, ...] = 0, ax: Axes | None = None, **options: Any
) -> Axes:
    """Plot one coordinate of the states against the parameter.

    Parameters
    ----------
    found : OrbitDiagram
        Of `orbit_diagram`.
    coordinate : int or tuple of int
        Which coordinate of a state.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`.

    Returns
    -------
    matplotlib Axes
        With the points; orbits that were lost are not drawn.

    Raises
    ------
    InvalidArgumentError
        If `found` is of another kind, a state has no such coordinate, or the values are no numbers.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> ax = dl.draw_orbit_diagram(dl.orbit_diagram(dl.zoo.logistic(), [2.5, 3.2], loops=4))
    >>> len(ax.lines[0].get_xdata())
    8
    """
    only(found, OrbitDiagram, "dynloop.orbit_diagram(family, values)")
    index = _coordinate(coordinate, found.states.shape[2:])
    values = _numbers(found.values)
    ax = axes_for(ax)
    where: Any = (..., *index)
    points = found.states[where]
    size = float(np.clip(2e4 / points.size, 0.2, 2.0))
    style = {"linestyle": "none", "marker": ".", "markersize": size, "markeredgewidth": 0, "color": INK, **options}
    ax.plot(np.repeat(values, points.shape[1]), points.ravel(), rasterized=points.size > 10_000, **style)
    ax.set(xlabel="parameter", ylabel=f"coordinate {', '.join(map(str, index))}")
    return ax


def draw_exponent_diagram(found: ExponentDiagram, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Plot the exponents against the parameter, each with a band of 1.96 standard errors.

    Parameters
    ----------
    found : ExponentDiagram
        Of `exponent_diagram`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`.

    Returns
    -------
    matplotlib Axes
        With one line an exponent, broken where it is unknown or −∞, and a line at zero.

    Raises
    ------
    InvalidArgumentError
        If `found` is of another kind, or the values are no numbers.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> ax = dl.draw_exponent_diagram(dl.exponent_diagram(dl.zoo.logistic(), [3.2, 3.6, 4.0]))
    >>> ax.get_ylabel()
    'Lyapunov exponent (nats per loop)'
    """
    only(found, ExponentDiagram, "dynloop.exponent_diagram(family, values)")
    values = _numbers(found.values)
    ax = axes_for(ax)
    finite = np.where(np.isfinite(found.exponents), found.exponents, np.nan)
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for j in range(finite.shape[1]):
        (line,) = ax.plot(values, finite[:, j], **{"linewidth": 0.9, "label": f"λ{j + 1}", **options})
        half = 1.96 * found.standard_error[:, j]
        ax.fill_between(
            values, finite[:, j] - half, finite[:, j] + half, color=line.get_color(), alpha=0.25, linewidth=0
        )
    if finite.shape[1] > 1:
        ax.legend(frameon=False)
    ax.set(xlabel="parameter", ylabel="Lyapunov exponent (nats per loop)")
    return ax


def draw_period_diagram(found: PeriodDiagram, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Plot the period against the parameter, on a logarithmic scale.

    Parameters
    ----------
    found : PeriodDiagram
        Of `period_diagram`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`.

    Returns
    -------
    matplotlib Axes
        With one point for each value; values without a period are ticks at the bottom, those whose orbit was lost red.

    Raises
    ------
    InvalidArgumentError
        If `found` is of another kind, or the values are no numbers.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> ax = dl.draw_period_diagram(dl.period_diagram(dl.zoo.logistic(), [2.5, 3.2, 3.5]))
    >>> ax.get_yscale()
    'log'
    """
    only(found, PeriodDiagram, "dynloop.period_diagram(family, values)")
    values, known = _numbers(found.values), found.period > 0
    ax = axes_for(ax)
    style = {"linestyle": "none", "marker": ".", "markersize": 3, "color": INK, **options}
    ax.plot(values[known], found.period[known], **style)
    ax.set_yscale("log", base=2)
    ax.set_ylim(0.5, 2 * max(2, found.period.max(initial=1)))
    lost = np.array([status.name == "DIVERGED" for status in found.status])
    for rows, color in ((~known & ~lost, "0.6"), (lost, ACCENT)):
        ax.plot(values[rows], np.full(rows.sum(), 0.6), linestyle="none", marker="|", markersize=5, color=color)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set(xlabel="parameter", ylabel="period (loops)")
    return ax


def draw_regime_diagram(found: RegimeDiagram, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Plot the regimes against the parameter, as bars; of causal maps the share of their tokens.

    Parameters
    ----------
    found : RegimeDiagram
        Of `regime_diagram`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.bar`.

    Returns
    -------
    matplotlib Axes
        With one colour a regime. Values that are no numbers stand side by side in their order.

    Raises
    ------
    InvalidArgumentError
        If `found` is no `RegimeDiagram`.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> ax = dl.draw_regime_diagram(dl.regime_diagram(dl.zoo.logistic(), [2.5, 3.2]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['VANISHING', 'PERIODIC']
    """
    only(found, RegimeDiagram, "dynloop.regime_diagram(family, values)")
    ax = axes_for(ax)
    numbers = found.values.dtype.kind == "f"
    places = found.values if numbers else np.arange(len(found.values), dtype=np.float64)
    gaps = np.diff(np.unique(places))
    width = float(gaps.min()) if numbers and len(gaps) else 0.8
    below = np.zeros(len(places))
    rows = found.regime.reshape(len(places), -1)
    for regime in Regime:
        share = np.array([np.mean([verdict is regime for verdict in row]) for row in rows])
        if share.any():
            style = {"width": width, "color": LOOKS[regime].colour, "label": regime.name, **options}
            ax.bar(places, share, bottom=below, **style)
            below += share
    if not numbers:
        ax.set_xticks(places, [str(value) for value in found.values])
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    ax.set(xlabel="parameter", ylabel="share of orbits", ylim=(0, 1))
    return ax


def _coordinate(coordinate: int | tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    index = tuple(coordinate) if isinstance(coordinate, tuple | list) else (coordinate,)
    if len(index) != len(shape) or not all(
        isinstance(i, int | np.integer) and -n <= i < n for i, n in zip(index, shape, strict=True)
    ):
        raise InvalidArgumentError(
            f"coordinate must index a state of shape {shape}; got {coordinate!r}. Pass an int below each size"
        )
    return index


def _numbers(values: Any) -> Any:
    if values.dtype.kind != "f":
        raise InvalidArgumentError(
            f"values must be numbers to be an axis; got {values[0]!r}. Plot the arrays yourself."
        )
    return values
