"""The table of fixed points or periodic orbits that a person reads in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.maps.base import Array
from dynloop.orbits.solved import FixedPoints
from dynloop.views.digits import with_error
from dynloop.views.layout import headed, indented

__all__ = ["render"]

_SHOWN = 24  # rows of the table
_COORDINATES = 2  # of a state, beyond which its size is shown in their place
_STYLES = {
    "sink": "green", "superstable": "green", "saddle": "cyan", "source": "magenta", "unstable": "magenta",
    "marginal": "yellow", "unknown": "yellow",
}  # fmt: skip
_MEANING = {
    "sink": "sink: every multiplier lies within the unit circle; the orbit attracts",
    "superstable": "superstable: every multiplier is zero within its error; faster than geometric",
    "saddle": "saddle: some multipliers lie outside the unit circle, some within",
    "source": "source: every multiplier lies outside the unit circle",
    "unstable": "unstable: some multipliers lie outside the unit circle; the small ones are not known",
    "marginal": "marginal: a multiplier cannot be told from modulus 1; terms beyond the linear ones decide",
    "unknown": "unknown: the multipliers could not be found",
}


def render(found: FixedPoints, *, title: str = "", about: Sequence[str] = ()) -> RenderableType:
    """Draw the orbits that were found, one a row, and what became of the starts; 80 columns suffice.

    Parameters
    ----------
    found : FixedPoints
        What `dynloop.find_fixed_points` returned.
    title : str
        What was analysed; one line.
    about : sequence of str
        Lines below the title, such as the map in words.

    Returns
    -------
    rich renderable
        Text of others is shown as it is, never read as markup.
    """
    parts = headed(title, about)
    parts += [Text(), indented(Text(found.summary()))]
    if len(found):
        parts += [Text(), indented(_orbits(found))]
        if len(found) > _SHOWN:
            parts.append(indented(Text(f"… and {len(found) - _SHOWN} more; --json has them all")))
        parts.append(Text())
        kinds = dict.fromkeys(found.stability.tolist())
        parts += [indented(Text(_MEANING[kind], style=_STYLES[kind])) for kind in kinds]
    if len(found.slow):
        ends = dict.fromkeys(f"{residual:.1e}" for residual in (found.slow.residual.min(), found.slow.residual.max()))
        said = f"slow: ‖F(x) − x‖ has a local minimum, relative size {' … '.join(ends)}; no solution nearby"
        parts.append(indented(Text(said)))
    parts.append(indented(Text("Nothing says that these are all there are.", style="dim")))
    return Group(*parts)


def _orbits(found: FixedPoints) -> Table:
    shown = found.points.shape[2:]
    coordinates = int(np.prod(shown))
    few = coordinates <= _COORDINATES
    heads = [f"x{j + 1}" for j in range(coordinates)] if few else ["size"]
    if few and coordinates == 1:
        heads = ["x"]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(["", *heads, "stability", "multipliers", "residual", "error"]):
        table.add_column(head, justify="left" if head in ("stability", "multipliers") else "right", no_wrap=i > 0)
    for i in range(min(len(found), _SHOWN)):
        state = found.points[i, 0].reshape(-1)
        place = state if few else [float(np.linalg.norm(state))]
        table.add_row(
            str(i + 1), *(_number(float(value), float(found.error[i])) for value in place),
            Text(found.stability[i], style=_STYLES[found.stability[i]]),
            _multipliers(found.multipliers[i], found.multiplier_errors[i]),
            f"{found.residual[i]:.1e}", f"{found.error[i]:.1e}" if np.isfinite(found.error[i]) else "∞",
        )  # fmt: skip
    return table


def _number(value: float, error: float) -> str:
    return with_error(value, error if np.isfinite(error) else 1e-6)


def _multipliers(values: Array, errors: Array) -> str:
    """Write the first two multipliers, or the first pair."""
    told: list[str] = []
    for value, error in zip(values, errors, strict=True):
        if len(told) == 2 or not np.isfinite(value) or (told and (value.imag != 0 or "i" in told[0])):
            break
        coarse = max(float(error), 5e-5 * max(1.0, abs(value)))
        real = with_error(float(value.real), coarse)
        if value.imag > 0:
            told.append(f"{real} ± {with_error(float(value.imag), coarse)}i")
        elif value.imag == 0:
            told.append(real)
    shown = sum(2 if text.endswith("i") else 1 for text in told)
    more = ", …" if len(values) > shown else ""
    return ", ".join(told) + more if told else "–"
