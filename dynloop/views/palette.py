"""How a regime looks everywhere: a colour that the colour-blind tell apart, and a hatch for print."""

from __future__ import annotations

from dataclasses import dataclass

from dynloop.orbits.verdict import Regime

__all__ = ["ACCENT", "GREY", "INK", "LOOKS", "PAGE_INK", "SERIES", "Look", "look_of"]

INK, ACCENT, GREY = "#0b3c5d", "#d55e00", "#8a8f98"  # what is shown, what stands out from it, what is behind it
PAGE_INK = "#0072b2"  # for INK where the ground may be dark too


@dataclass(frozen=True, slots=True)
class Look:
    """How a regime is drawn.

    Attributes
    ----------
    colour : str
        Its fill, ``"#rrggbb"``.
    ink : str
        Of hatches and text on the fill.
    hatch : str
        Of matplotlib.
    pattern : str
        The like of it in plotly.
    """

    colour: str
    ink: str
    hatch: str
    pattern: str


_BLACK, _WHITE = "#111111", "#ffffff"
LOOKS = {
    Regime.VANISHING: Look("#56b4e9", _BLACK, "..", "."),
    Regime.CYCLIC: Look("#0072b2", _WHITE, "", ""),
    Regime.PERIODIC: Look("#009e73", _BLACK, "//", "/"),
    Regime.QUASIPERIODIC: Look("#f0e442", _BLACK, "xx", "x"),
    Regime.CHAOTIC: Look("#d55e00", _BLACK, "\\\\", "\\"),
    Regime.RAY: Look("#cc79a7", _BLACK, "--", "-"),
    Regime.DRIFT: Look("#e69f00", _BLACK, "||", "|"),
    Regime.DIVERGENT: Look("#111111", _WHITE, "++", "+"),
    Regime.UNDECIDED: Look("#cccccc", _BLACK, "", ""),
}
"""Colours of Okabe and Ito, Color Universal Design (2008), with a light grey for what is not known."""

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#111111")
"""Colours of lines and bars that are no regimes, in order."""


def look_of(name: str) -> Look:
    """Return the look of a regime by its name, a period in brackets left aside."""
    return LOOKS[Regime[name.partition("(")[0]]]
