"""The picture of a Lyapunov spectrum: exponents with their errors, and what each layer adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.views.palette import SERIES
from dynloop.views.plots.axes import axes_for, only
from dynloop.views.reading import margins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HATCHES", "draw_lyapunov"]

HATCHES = ("", "//", "..", "\\\\", "xx", "--", "||", "++")
_BARS = 24  # exponents up to which shares are bars


def draw_lyapunov(
    found: LyapunovSpectrum, *, layers: Sequence[str] | None = None, ax: Axes | None = None, **options: Any
) -> Axes:
    """Draw Lyapunov exponents, largest first, with their errors, and the share of every layer where it is known.

    Parameters
    ----------
    found : LyapunovSpectrum
        Of `lyapunov_spectrum`; with ``per_layer=True`` the shares are drawn as stacked bars.
    layers : sequence of str, optional
        Names of the layers.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.errorbar`, of the exponents.

    Returns
    -------
    matplotlib Axes
        One dot an exponent, with bars of its margin (1.96 standard errors and twice the bias); shares that stretch
        stand above zero, those that contract below, and the dot at their sum. Triangles at the bottom are −∞; a hollow
        dot is an exponent whose error is not known.

    Raises
    ------
    InvalidArgumentError
        If `found` is no spectrum of exponents, none is known, or `layers` are not as many as its shares.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=500)
    >>> dl.draw_lyapunov(found).get_ylabel()
    'Lyapunov exponent (nats per loop)'
    """
    only(found, LyapunovSpectrum, "dynloop.lyapunov_spectrum(m, start)")
    exponents = found.exponents
    if np.isnan(exponents).all():
        raise InvalidArgumentError("found has no known exponent: the orbit stopped being finite; see its status")
    shares = found.by_layer
    if layers is not None and (shares is None or len(layers) != len(shares)):
        has = "no shares of layers" if shares is None else f"{len(shares)} layers"
        raise InvalidArgumentError(f"layers has {len(layers)} names, and found has {has}; give one a layer")
    ax = axes_for(ax)
    places = np.arange(1, len(exponents) + 1)
    finite = np.isfinite(exponents)
    ax.axhline(0, color="0.35", linewidth=0.9, zorder=1.5)
    if shares is not None and len(exponents) <= _BARS:
        _stack(ax, places, shares, layers or [f"layer {i + 1}" for i in range(len(shares))])
    style = {"fmt": "o", "color": "#111111", "markersize": 5, "capsize": 3, "elinewidth": 1.2, "zorder": 4}
    style |= {"markeredgecolor": "white", "markeredgewidth": 0.8} if shares is not None else {}
    error, known = margins(found), np.isfinite(margins(found))
    for rows, said, face in ((finite & known, "exponent", "#111111"), (finite & ~known, "error not known", "white")):
        if rows.any():
            own = {"label": said, **style, "markerfacecolor": face}
            own |= {} if said == "exponent" else {"markeredgecolor": "#111111"}
            ax.errorbar(places[rows], exponents[rows], np.where(known, error, 0.0)[rows], **{**own, **options})
    nothing = np.isneginf(exponents)
    if nothing.any():
        low = ax.get_ylim()[0]
        ax.plot(places[nothing], np.full(nothing.sum(), low), linestyle="none", marker="v", color="#111111",
                clip_on=False, label="−∞", zorder=4)  # fmt: skip
        ax.set_ylim(bottom=low)
    if len(exponents) <= _BARS:
        ax.set_xticks(places)
    if shares is not None or nothing.any() or (finite & ~known).any():
        ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    ax.set(xlabel="exponent number", ylabel="Lyapunov exponent (nats per loop)", xlim=(0.4, len(exponents) + 0.6))
    return ax


def _stack(ax: Axes, places: Array, shares: Array, names: Sequence[str]) -> None:
    """Stack what stretches upwards from zero and what contracts downwards."""
    up, down = np.zeros(len(places)), np.zeros(len(places))
    for i, (name, share) in enumerate(zip(names, shares, strict=True)):
        share = np.where(np.isfinite(share), share, 0.0)
        bottom = np.where(share > 0, up, down)
        ax.bar(
            places, share, 0.7, bottom=bottom, label=name, color=SERIES[i % len(SERIES)], edgecolor="white",
            hatch=HATCHES[(i + i // len(SERIES)) % len(HATCHES)], linewidth=0.6, zorder=1,
        )  # fmt: skip
        up += np.maximum(share, 0.0)
        down += np.minimum(share, 0.0)
