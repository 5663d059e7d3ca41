"""The picture of convergence: relative steps over loops on a logarithmic axis, with the precision floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.orbits.trajectory import Trajectory
from dynloop.orbits.verdict import Classification
from dynloop.views.palette import SERIES
from dynloop.views.plots.axes import axes_for, only
from dynloop.views.recording import recording
from dynloop.views.steps import floor_of, relative_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_convergence"]

_NAMED = 8  # starts up to which each has a colour and a name


def draw_convergence(
    found: Trajectory,
    *,
    period: int = 1,
    floor: float | Classification | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw the successive relative differences of a trajectory against the loops.

    Parameters
    ----------
    found : Trajectory
        Of `trajectory`.
    period : int
        Compare each state with the one so many records later: on a cycle of that period the differences shrink.
    floor : float or Classification, optional
        The relative precision floor, or a classification of the same orbit, which measured it. Left out, it is the
        nominal one of the dtype: four units of roundoff.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`, of the lines.

    Returns
    -------
    matplotlib Axes
        With one line a start, ‖x_{t+p} − x_t‖ / ‖x_t‖, below it the floor, shaded; differences of exactly zero are
        triangles at the bottom.

    Raises
    ------
    InvalidArgumentError
        If `found` is no trajectory, is too short, or a period or floor is out of range.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.trajectory(dl.zoo.logistic(2.8), [0.1], 200)
    >>> dl.draw_convergence(found).get_yscale()
    'log'
    """
    only(found, Trajectory, "dynloop.trajectory(m, starts, loops)")
    of = recording(found)
    steps = relative_steps(of, period)
    least, said = floor_of(of, floor)
    ax = axes_for(ax)
    times = of.times[: len(steps)]
    known = steps[steps > 0]
    bottom = 10.0 ** np.floor(np.log10(min(known.min(initial=np.inf), least)) - 0.5)
    top = 10.0 ** np.ceil(np.log10(max(known.max(initial=0.0), 3 * least)))
    for j, series in enumerate(steps.T):
        named = steps.shape[1] <= _NAMED
        style = {"color": SERIES[j] if named else SERIES[0], "linewidth": 1.3 if named else 0.6}
        style |= {"alpha": 1.0 if named else 0.4, "label": f"start {j}" if named and steps.shape[1] > 1 else None}
        ax.plot(times, np.where(series > 0, series, np.nan), **{**style, **options})
        rest = series == 0
        ax.plot(times[rest], np.full(rest.sum(), bottom), linestyle="none", marker="v", markersize=4, clip_on=False,
                color=style["color"], zorder=4)  # fmt: skip
    if (steps == 0).any():
        ax.plot([], [], linestyle="none", marker="v", markersize=4, color="0.35", label="exactly 0")
    ax.axhspan(bottom, least, color="0.88", zorder=0, linewidth=0)
    ax.axhline(least, color="0.35", linewidth=1, linestyle=(0, (4, 3)), zorder=1, label=f"{said}: {least:.1e}")
    ax.set_yscale("log")
    ax.legend(frameon=False, fontsize="small")
    gap = period * int(found.settings.get("every", 1))
    ax.set(xlabel="loops t", ylabel=f"‖x(t+{gap}) − x(t)‖ / ‖x(t)‖")
    ax.set(ylim=(bottom, top), xlim=(times[0], max(times[-1], times[0] + 1)))
    return ax
