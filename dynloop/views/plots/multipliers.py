"""The picture of multipliers: eigenvalues of DF^p in the complex plane, with the unit circle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dynloop.calculus.spectrum import Spectrum
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.orbits.solved import FixedPoints
from dynloop.views.palette import ACCENT, INK
from dynloop.views.plots.axes import axes_for, only

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SIDES", "draw_multipliers", "known_multipliers", "sides"]

SIDES = {
    "inside": ("o", INK),
    "outside": ("^", ACCENT),
    "not told from 1 in modulus": ("D", "0.35"),
}  # fmt: skip
"""Where a multiplier lies, its error allowed for, with marker and colour."""


def draw_multipliers(
    found: Spectrum | FixedPoints, *, row: int | None = None, ax: Axes | None = None, **options: Any
) -> Axes:
    """Draw multipliers in the complex plane: inside the unit circle disturbances die out, outside they grow.

    Parameters
    ----------
    found : Spectrum or FixedPoints
        Of `multipliers` or `find_fixed_points`.
    row : int, optional
        Which of the fixed points or cycles; all of them if left out.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.
    **options
        For `Axes.plot`, of the markers.

    Returns
    -------
    matplotlib Axes
        True to scale: circles inside, triangles outside, diamonds where the error leaves both open. A ring shows an
        error that is large enough to be seen.

    Raises
    ------
    InvalidArgumentError
        If `found` is neither, has no known multiplier, or no such row.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.multipliers(dl.zoo.henon(), [0.6313544771, 0.1894063431])
    >>> [text.get_text() for text in dl.draw_multipliers(found).get_legend().get_texts()]
    ['1 inside', '1 outside']
    """
    only(found, (Spectrum, FixedPoints), "dynloop.multipliers(m, state)")
    values, errors = known_multipliers(found, row)
    if not len(values):
        raise InvalidArgumentError("found has no known multiplier, so there is nothing to draw; see its status")
    ax = axes_for(ax, size=(5.0, 4.6))
    from matplotlib.patches import Circle

    ax.add_patch(Circle((0, 0), 1, facecolor="0.955", edgecolor="0.3", linewidth=1, zorder=0))
    for line in (ax.axhline, ax.axvline):
        line(0, color="0.8", linewidth=0.6, zorder=0.5).set_in_layout(False)
    which = sides(values, errors)
    visible = 0.02 * max(1.0, float(np.abs(values).max()))
    for side, (marker, colour) in SIDES.items():
        chosen = values[which == side]
        if len(chosen):
            style = {"marker": marker, "color": colour, "markersize": 6, "markeredgecolor": "white", **options}
            said = f"{len(chosen)} {side}"
            ax.plot(chosen.real, chosen.imag, **{"linestyle": "none", "markeredgewidth": 0.5, "label": said, **style})
    for value, error in zip(values, errors, strict=True):
        if visible < error < np.inf:
            ax.add_patch(Circle((value.real, value.imag), error, fill=False, edgecolor="0.5", linewidth=0.7))
    reach = 1.12 * max(1.0, float(np.abs(values.real).max()), float(np.abs(values.imag).max()))
    ax.set(xlabel="real part", ylabel="imaginary part", xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_aspect("equal")
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def sides(values: Array, errors: Array) -> Array:
    """Say of every multiplier on which side of the unit circle it lies; an unknown error leaves that open."""
    size = np.abs(values)
    margin = np.where(np.isfinite(errors), errors, np.inf)
    kinds = np.full(len(values), "not told from 1 in modulus", dtype=object)
    kinds[size + margin < 1] = "inside"
    kinds[size - margin > 1] = "outside"
    return kinds


def known_multipliers(found: Spectrum | FixedPoints, row: int | None = None) -> tuple[Array, Array]:
    """Return the known multipliers with their errors, ``(n,)`` each; n may be 0."""
    if isinstance(found, Spectrum):
        if row is not None:
            raise InvalidArgumentError(f"row must be left out: a Spectrum is of one point; got {row!r}")
        values, errors = found.values, found.errors
    else:
        if row is not None and not -len(found) <= row < len(found):
            raise InvalidArgumentError(f"row must be below {len(found)}, the orbits that were found; got {row!r}")
        rows = slice(None) if row is None else row
        values, errors = np.ravel(found.multipliers[rows]), np.ravel(found.multiplier_errors[rows])
    known = np.isfinite(values)
    return np.asarray(values[known]), np.asarray(errors[known])
