"""Plots of what the loop computes: attention over loops, stage curves, ablations; matplotlib Axes in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.inference.ablation import FACTORS, Ablation
from dynloop.inference.curves import ATTENTION, InferenceStages
from dynloop.inference.stability import AttentionStability
from dynloop.orbits.verdict import Regime
from dynloop.views.palette import LOOKS
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_ablation", "draw_attention", "draw_stages"]

_TITLES = {
    "concentration": "ColSum concentration", "sink_rate": "sink rate", "mixing": "mixing score (nats)",
    "matrix_entropy": "matrix entropy (nats)", "norm": "norm of a token", "kl": "KL to the last answer (nats)",
    "lens_entropy": "entropy of the answer (nats)",
}  # fmt: skip


def draw_attention(
    found: AttentionStability, *, attention: int = 0, head: int = 0, start: int = 0, ax: Axes | None = None,
    **options: Any,
) -> Axes:  # fmt: skip
    """Show the distances between the maps of one head over all pairs of loops.

    Parameters
    ----------
    found : AttentionStability
        Of `attention_stability`, with ``pairwise=True``.
    attention, head, start : int
        Which one; `start` where several were followed.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.imshow`.

    Returns
    -------
    matplotlib Axes
        With one image, loops on both axes.

    Raises
    ------
    InvalidArgumentError
        If `found` is of another kind, there are no distances, or no such head.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=5)
    >>> ax = dl.draw_attention(dl.attention_stability(m, loops=16), attention=1)
    >>> ax.images[0].get_array().shape
    (16, 16)
    """
    only(found, AttentionStability, "dynloop.attention_stability(m)")
    if found.distances is None:
        raise InvalidArgumentError("found has no distances; call attention_stability with pairwise=True")
    distances = found.distances if found.distances.ndim == 5 else found.distances[None]
    for name, value, size in zip(
        ("start", "attention", "head"), (start, attention, head), distances.shape, strict=False
    ):
        checked_int(value, name, 0, size - 1, remedy="Leave it out for the first")
    ax = axes_for(ax)
    half = (found.times[1] - found.times[0]) / 2
    extent = (found.times[0] - half, found.times[-1] + half) * 2
    style = {"origin": "lower", "cmap": "magma", "extent": extent, **options}
    image = ax.imshow(distances[start, attention, head], **style)
    ax.figure.colorbar(image, ax=ax, label="Frobenius distance")
    ax.set(xlabel="loop", ylabel="loop", title=f"{found.attentions[attention]}, head {head}")
    return ax


def draw_stages(
    found: InferenceStages,
    metric: str = "mixing",
    *,
    feed_forward: InferenceStages | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Plot a stage curve over depth, one line a loop, with a band of 1.96 standard errors.

    Parameters
    ----------
    found : InferenceStages
        Of `inference_stages`.
    metric : str
        One of its curves.
    feed_forward : InferenceStages, optional
        A feed-forward model, drawn beside it in grey; depth is relative then.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`, of the loops.

    Returns
    -------
    matplotlib Axes
        With a line a loop, from light to dark, and one for the feed-forward model.

    Raises
    ------
    InvalidArgumentError
        If `found` or `feed_forward` is of another kind, or there is no such curve.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=3, width=16, heads=2, tokens=5)
    >>> ax = dl.draw_stages(dl.inference_stages(m, loops=4))
    >>> len(ax.lines)
    4
    """
    remedy = "dynloop.inference_stages(m)"
    given = {"found": found} if feed_forward is None else {"found": found, "feed_forward": feed_forward}
    for argument, one in given.items():
        only(one, InferenceStages, remedy, argument)
        if metric not in one.curves:
            raise InvalidArgumentError(f"metric must be one of {', '.join(one.curves)}; got {metric!r}")
    ax = axes_for(ax)
    relative = feed_forward is not None
    curve, errors = found.curves[metric], found.errors[metric]
    depth = _depth(curve.shape[1], relative)
    for t, row in enumerate(curve):
        shade = 0.25 + 0.75 * (t + 1) / len(curve)
        style = {"color": (0.12, 0.23, 0.37, shade), "linewidth": 1.2, "marker": ".", "label": f"loop {t}", **options}
        ax.plot(depth, row, **style)
        ax.fill_between(depth, row - 1.96 * errors[t], row + 1.96 * errors[t], color=style["color"], alpha=0.15, lw=0)
    if feed_forward is not None:
        own = feed_forward.curves[metric][0]
        ax.plot(_depth(len(own), relative), own, color="0.5", linestyle="--", marker=".", label="feed-forward")
    if len(curve) + relative <= 10:
        ax.legend(frameon=False)
    what = "attention" if metric in ATTENTION else "layer"
    ax.set(xlabel=f"relative depth ({what}s)" if relative else what, ylabel=_TITLES.get(metric, metric))
    return ax


def draw_ablation(found: Ablation, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Plot the regimes of every setting as bars, with the closure gap that their orbits leave.

    Parameters
    ----------
    found : Ablation
        Of `ablate`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.barh`.

    Returns
    -------
    matplotlib Axes
        Shares of tokens as bars, one colour a regime, with the standard error over seeds of each share; the closure
        gap, mean ± standard error, stands behind each bar.

    Raises
    ------
    InvalidArgumentError
        If `found` is no `Ablation`.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.ablate(injection=["concat"], layers=1, width=8, heads=1, tokens=2, seeds=[0], loops=64)
    >>> len(dl.draw_ablation(found).patches)
    1
    """
    only(found, Ablation, "dynloop.ablate(…)")
    ax = axes_for(ax)
    rows = np.arange(len(found.norm))
    left = np.zeros(len(rows))
    for j, name in enumerate(found.regimes):
        share = found.share[:, j]
        error = np.where(share > 0, found.share_error[:, j], np.nan)
        style = {"color": LOOKS[Regime[name]].colour, "label": name, "height": 0.7, "ecolor": "0.4", **options}
        ax.barh(rows, share, left=left, xerr=None if np.isnan(error).all() else error, **style)
        left += share
    for i in range(len(rows)):
        gap, error = found.closure[i], found.closure_error[i]
        spread = "" if np.isnan(error) else f" ± {error:.1g}"
        ax.text(
            1.02, i, "–" if np.isnan(gap) else f"{gap:.2g}{spread}", va="center", transform=ax.get_yaxis_transform()
        )
    varied = [name for name in FACTORS if len({*getattr(found, name).tolist()}) > 1] or ["norm", "injection"]
    ax.set_yticks(rows, [_label(found.setting(i), varied) for i in range(len(rows))])
    ax.invert_yaxis()
    ax.text(1.02, 1.02, "closure gap", transform=ax.transAxes)
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    ax.set(xlabel="share of tokens, mean over seeds", xlim=(0, 1))
    return ax


def _label(setting: dict[str, Any], varied: list[str]) -> str:
    words = [
        f"{name} {value:g}" if name in ("layers", "gain") else str(value)
        for name, value in setting.items()
        if name in varied
    ]
    return ", ".join(words)


def _depth(count: int, relative: bool) -> Any:
    places = np.arange(count, dtype=np.float64)
    return places / max(count - 1, 1) if relative else places
