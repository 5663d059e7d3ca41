"""The picture of verdicts: tokens × prompts or starts as a grid of regimes, or the share of each regime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.prompts import PromptSummary
from dynloop.orbits.verdict import Classification, Regime
from dynloop.views.palette import LOOKS, look_of
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_regimes", "verdict_rows"]

_ROWS = 60  # rows of a grid that a page holds
_WRITTEN = 600  # cells up to which periods are written into them


def draw_regimes(
    found: Classification | PromptSummary, *, shares: bool | None = None, ax: Axes | None = None, **options: Any
) -> Axes:
    """Draw verdicts as a grid, a row a prompt or start and a column a token, or the share of every regime as bars.

    Parameters
    ----------
    found : Classification or PromptSummary
        Of `classify` or `classify_prompts`.
    shares : bool, optional
        Whether to draw shares in place of the grid. Left out, shares are drawn where the grid would have more than 60
        rows.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For the patches.

    Returns
    -------
    matplotlib Axes
        With one colour and hatch a regime, told apart by the colour-blind and in print. Periods of PERIODIC stand in
        the cells of a small grid. Shares of a `PromptSummary` have bars of one standard error, prompts being the
        sample.

    Raises
    ------
    InvalidArgumentError
        If `found` is neither.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> ax = dl.draw_regimes(dl.classify(dl.zoo.logistic(3.2), [[0.3], [0.4]]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['PERIODIC']
    """
    only(found, (Classification, PromptSummary), "dynloop.classify(m) or dynloop.classify_prompts(…)")
    rows, labels = verdict_rows(found)
    if shares is None:
        shares = len(rows) > _ROWS
    width = max((len(row) for row in rows), default=1)
    size = (7.2, 3.2) if shares else (7.2, float(np.clip(1.4 + 0.24 * len(rows), 1.8, 9.0)))
    ax = axes_for(ax, size=size)
    if shares:
        _bars(ax, found, options)
        return ax
    _grid(ax, rows, width, options)
    tokens = bool(found.settings.get("causal"))
    ax.set(
        xlabel="token" if tokens else "", xlim=(-0.5, width - 0.5), ylim=(len(rows) - 0.5, -0.5),
        ylabel="prompt" if isinstance(found, PromptSummary) else "start",
    )  # fmt: skip
    ax.set_yticks(range(len(rows)) if len(rows) <= 20 else range(0, len(rows), 10), labels=None)
    if len(labels) == len(rows) <= 20:
        ax.set_yticks(range(len(rows)), labels)
    if not tokens:
        ax.set_xticks([])
    else:
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def verdict_rows(found: Classification | PromptSummary) -> tuple[list[Array], list[str]]:
    """Return the names of regimes, one row a start (of every prompt), with what each row is called."""
    if isinstance(found, PromptSummary):
        rows, labels = [], []
        for i, one in enumerate(found.results):
            own, _ = verdict_rows(one)
            rows += own
            labels += [str(i) if len(own) == 1 else f"{i}, start {j}" for j in range(len(own))]
        return rows, labels
    names = found.names()
    if not found.settings.get("causal"):
        names = np.reshape(names, (-1, 1))
    rows = list(np.reshape(names, (-1, names.shape[-1])))
    return rows, [str(i) for i in range(len(rows))]


def _grid(ax: Axes, rows: list[Array], width: int, options: dict[str, Any]) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    count = sum(len(row) for row in rows)
    edge = 0.8 if max(width, len(rows)) <= 80 else 0.0
    handles = []
    for regime in Regime:
        cells = [
            (x, y) for y, row in enumerate(rows) for x, name in enumerate(row) if name.split("(")[0] == regime.name
        ]
        if not cells:
            continue
        look = LOOKS[regime]
        style: dict[str, Any] = {
            "facecolor": look.colour,
            "hatch": look.hatch if count <= 4 * _WRITTEN else "",
            "linewidth": edge,
        }
        style |= {"edgecolor": "white", "hatchcolor": _hatch_colour(look.colour), **options}
        ax.add_collection(PolyCollection(np.array(cells)[:, None, :] + corners, **style))
        handles.append(Patch(label=regime.name, **{**style, "linewidth": 0.0}))
        if regime is Regime.PERIODIC and count <= _WRITTEN:
            for x, y in cells:
                ax.text(x, y, rows[y][x].split("(")[1].rstrip(")"), ha="center", va="center", fontsize="small",
                        color=look.ink, bbox={"boxstyle": "circle,pad=0.12", "fc": look.colour, "lw": 0})  # fmt: skip
    ax.legend(handles=handles, frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1),
              handleheight=1.2, handlelength=2.0)  # fmt: skip


def _bars(ax: Axes, found: Classification | PromptSummary, options: dict[str, Any]) -> None:
    said = found.shares()
    places = np.arange(len(said))
    errors = found.standard_error if isinstance(found, PromptSummary) else np.full(len(said), np.nan)
    for place, (name, share), error in zip(places, said.items(), errors, strict=True):
        look = look_of(name)
        style = {"color": look.colour, "hatch": look.hatch, "hatchcolor": _hatch_colour(look.colour), **options}
        known = bool(np.isfinite(error))
        ax.barh(place, 100 * share, 0.72, xerr=100 * error if known else None, error_kw={"capsize": 3}, **style)
        text = f"{100 * share:.3g}" + (f" ± {100 * error:.2g}" if known else "") + " %"
        ax.annotate(
            text,
            (100 * (share + (error if known else 0.0)), place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    ax.set_yticks(places, list(said))
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    what = "tokens" if found.settings.get("causal") else "starts"
    ax.set(xlabel=f"share of {what} (%)", xlim=(0, min(118.0, 135 * max(said.values()))))
    if max(said.values()) > 0.7:
        ax.set_xticks(range(0, 101, 20))


def _hatch_colour(colour: str) -> str:
    """Return black or white with some of the fill, so that a hatch is seen and does not shout."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    light = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2] > 90
    mixed = [int(0.45 * c) if light else int(0.45 * c + 140) for c in channels]
    return "#" + "".join(f"{c:02x}" for c in mixed)
