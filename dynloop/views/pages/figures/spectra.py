"""Figures of spectra: multipliers with the unit circle, exponents with what each layer adds to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.calculus.spectrum import Spectrum
from dynloop.orbits.solved import FixedPoints
from dynloop.result import Result
from dynloop.views.pages.figures.figure import MOST, Figure, cut, shown
from dynloop.views.pages.subjects import Subject
from dynloop.views.palette import ACCENT, GREY, PAGE_INK, SERIES
from dynloop.views.plots.lyapunov import HATCHES
from dynloop.views.plots.multipliers import SIDES, known_multipliers, sides
from dynloop.views.reading import margins

__all__ = ["exponents", "multipliers"]

_SHOWN = 24  # exponents with bars
_MARKERS = {"o": "circle", "^": "triangle-up", "D": "diamond"}
_PATTERNS = {"": "", "//": "/", "..": ".", "\\\\": "\\", "xx": "x", "--": "-", "||": "|", "++": "+"}


def multipliers(found: Result, _: Subject) -> list[Figure]:
    """Draw multipliers with the unit circle."""
    if not isinstance(found, Spectrum | FixedPoints):
        return []
    values, errors = known_multipliers(found)
    if not len(values):
        return []
    total, values, errors = len(values), values[:MOST], errors[:MOST]
    which = sides(values, errors)
    data = []
    for (side, (marker, _ink)), colour in zip(SIDES.items(), (PAGE_INK, ACCENT, GREY), strict=True):
        own = which == side
        if own.any():
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{own.sum()} {side}",
                    "x": values[own].real,
                    "y": values[own].imag,
                    "text": [f"|λ| = {abs(v):.5g} ± {e:.1g}" for v, e in zip(values[own], errors[own], strict=True)],
                    "hovertemplate": "%{x:.5g}, %{y:.5g} i<br>%{text}<extra></extra>",
                    "marker": {
                        "symbol": _MARKERS[marker],
                        "size": 9,
                        "color": colour,
                        "line": {"width": 0.5, "color": "white"},
                    },
                }
            )
    reach = 1.12 * max(1.0, float(np.abs(values.real).max()), float(np.abs(values.imag).max()))
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": "real part"}, "zeroline": True, "range": [-reach, reach], "constrain": "domain"},
        "yaxis": {
            "title": {"text": "imaginary part"},
            "zeroline": True,
            "range": [-reach, reach],
            "scaleanchor": "x",
            "constrain": "domain",
        },
        "shapes": [
            {
                "type": "circle",
                "x0": -1,
                "x1": 1,
                "y0": -1,
                "y1": 1,
                "line": {"color": GREY, "width": 1.5},
                "layer": "below",
            }
        ],
    }
    caption = (
        "Factors by which small disturbances are multiplied. Within the circle they die out, outside they grow; off "
        "the horizontal axis they also turn."
    )
    caption += cut(len(values), total, "multipliers")
    return [Figure("Multipliers and the unit circle", caption, data, layout)]


def exponents(found: Result, subject: Subject) -> list[Figure]:
    """Draw Lyapunov exponents with their margins, and the shares of layers."""
    if not isinstance(found, LyapunovSpectrum) or not np.isfinite(found.exponents).any():
        return []
    places, finite = np.arange(1, len(found.exponents) + 1), np.isfinite(found.exponents)
    data: list[dict[str, Any]] = []
    shares = found.by_layer
    bars = shares is not None and len(places) <= _SHOWN
    if shares is not None and bars:
        names = subject.layers if len(subject.layers) == len(shares) else [f"layer {i + 1}" for i in range(len(shares))]
        for i, (name, share) in enumerate(zip(names, shares, strict=True)):
            pattern = _PATTERNS[HATCHES[(i + i // len(SERIES)) % len(HATCHES)]]
            data.append(
                {
                    "type": "bar",
                    "name": shown(name),
                    "x": places,
                    "y": np.where(np.isfinite(share), share, np.nan),
                    "marker": {
                        "color": SERIES[i % (len(SERIES) - 1)],
                        "pattern": {
                            "shape": pattern,
                            "size": 7,
                            "fillmode": "overlay",
                            "fgcolor": "#ffffff",
                            "solidity": 0.25,
                        },
                    },
                    "hovertemplate": "λ%{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
                }
            )
    known = np.isfinite(margins(found))
    margin = np.where(known, margins(found), 0.0)[finite]
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "exponent",
            "x": places[finite],
            "y": found.exponents[finite],
            "error_y": {"type": "data", "array": margin, "thickness": 1.4, "width": 4},
            "marker": {
                "size": 9,
                "symbol": np.where(known[finite], "diamond", "diamond-open"),
                "color": "#ffffff",
                "line": {"color": "#111111", "width": 2},
            },
            "hovertemplate": "λ%{x} = %{y:.5g}<extra></extra>",
        }
    )
    layout = {
        "barmode": "relative",
        "xaxis": {"title": {"text": "exponent number"}, "dtick": 1 if len(places) <= _SHOWN else None},
        "yaxis": {"title": {"text": "exponent (nats per loop)"}, "zeroline": True},
        "showlegend": shares is not None,
    }
    nothing = int(np.isneginf(found.exponents).sum())
    caption = (
        "Rates at which nearby states separate (above zero) or approach (below), with their errors"
        + (", and what each layer adds to them" if bars else "")
        + ("; open where the error is not known" if not known[finite].all() else "")
        + (f"; {nothing} of them are −∞ and not shown." if nothing else ".")
    )
    caption += (
        "" if bars or shares is None else f" What layers add is left out: it is drawn of up to {_SHOWN} exponents."
    )
    return [Figure("Lyapunov exponents", caption, data, layout)]
