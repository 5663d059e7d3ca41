"""The tables of Lyapunov exponents that a person reads in a terminal, with shares of layers and tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Status
from dynloop.views.digits import decimals_of, error_text, with_error
from dynloop.views.layout import headed, indented, one_line
from dynloop.views.reading import errors, how, invariants, reading, sign

__all__ = ["render"]

_SHOWN = 12  # exponents of the first table
_WIDTH = 78  # characters that a table may take
_NAME = 30  # characters of a layer's or token's name before it goes on in a second line
_STYLES = {1: "magenta", 0: "cyan", -1: "green"}
_CONDITIONAL = (
    "Conditional: measured while the tokens before follow their orbits. A token whose own exponents are negative "
    "still moves chaotically if an earlier one drives it."
)


def render(
    found: LyapunovSpectrum, m: LoopMap, *, title: str = "", about: Sequence[str] = (), more: str = ""
) -> RenderableType:
    """Draw exponents, the shares that were asked for, and what they mean; at 80 columns nothing is cut off.

    Parameters
    ----------
    found : LyapunovSpectrum
        What `dynloop.lyapunov_spectrum` returned.
    m : LoopMap
        Its map, which names the layers and the tokens.
    title : str
        What was analysed; one line.
    about : sequence of str
        Lines below the title, such as the map in words.
    more : str
        What to say behind the number of exponents where there are more of them, such as how to ask for them.

    Returns
    -------
    rich renderable
        Text of others (prompts, paths, names of layers) is shown as it is, never read as markup.
    """
    parts = headed(title, (*about, _size(found, m, more)))
    if not np.isnan(found.exponents).all():
        parts += [Text(), indented(_exponents(found))]
        hidden = found.exponents[_SHOWN:]
        if len(hidden):
            parts.append(indented(_rest(hidden, errors(found)[_SHOWN:])))
        if found.by_layer is not None:
            table = _layers(found, found.by_layer, m)
            parts += _headed("What each layer adds to the exponents", table, len(found.exponents))
        if found.by_token is not None:
            table = _tokens(found, found.by_token, m)
            parts += _headed("Exponents of each token's own, conditional", table, found.by_token.shape[1])
            parts.append(indented(_CONDITIONAL, "dim"))
    parts += [Text(), indented(reading(found), _STYLES[sign(found)])]
    parts += [indented(line) for line in (invariants(found, m.dimension), _status(found), how(found)) if line]
    return Group(*parts)


def _headed(head: str, table: Table, exponents: int) -> list[RenderableType]:
    """Put a head over a table, which says so if not all the exponents have a column."""
    columns = sum(str(column.header).startswith("λ") for column in table.columns)
    shown = f" (the first {columns} of {exponents})" if columns < exponents else ""
    return [Text(), indented(f"{head}{shown}:", "bold"), indented(table)]


def _size(found: LyapunovSpectrum, m: LoopMap, more: str) -> str:
    k, n = len(found.exponents), m.dimension
    if k == n:
        which = {1: "its one exponent", 2: "both exponents"}.get(n, f"all {n} exponents")
        return f"{which}, natural logarithm per loop"
    which = "the largest" if k == 1 else f"the {k} largest"
    return f"{which} of {n} exponents, natural logarithm per loop" + (f"; {more}" if more else "")


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i else "left", no_wrap=True)
    return table


def _exponents(found: LyapunovSpectrum) -> Table:
    biased = bool((found.bias > 0).any())
    table = _table("exponent", "per loop", "± error", *(["bias"] if biased else []))
    for i, of in enumerate(errors(found)[:_SHOWN]):
        value = float(found.exponents[i])
        if math.isfinite(value):
            known = [error_text(float(error[i]), decimals_of(of)) for error in (found.standard_error, found.bias)]
        else:
            known = ["–", "–"]
        table.add_row(f"λ{i + 1}", with_error(value, float(of)), *known[: 1 + biased])
    return table


def _rest(hidden: Array, error: Array) -> str:
    """Say what the exponents are that the table does not show."""
    finite = np.isfinite(hidden)
    nothing = int(np.isneginf(hidden).sum())
    said = [f"… and {len(hidden)} more"]
    if finite.any():
        said.append(f"down to {with_error(float(hidden[finite][-1]), float(error[finite][-1]))}")
    if nothing:
        said.append("all −∞" if nothing == len(hidden) else f"{nothing} of them −∞")
    return ", ".join(said)


def _layers(found: LyapunovSpectrum, shares: Array, m: LoopMap) -> Table:
    """One row a layer, one column an exponent; the columns add up to the exponents."""
    of = errors(found)
    names = [one_line(name) for name in m.layer_names]
    columns = _columns(names, len(found.exponents))
    table = _table("layer", *(f"λ{j + 1}" for j in range(columns)))
    table.columns[0].overflow, table.columns[0].no_wrap, table.columns[0].max_width = "fold", False, _NAME
    for name, row in zip(names, shares, strict=True):
        table.add_row(Text(name), *(with_error(float(row[j]), _coarse(of[j])) for j in range(columns)))
    table.add_section()
    table.add_row("all layers", *(with_error(float(found.exponents[j]), _coarse(of[j])) for j in range(columns)))
    return table


def _tokens(found: LyapunovSpectrum, own: Array, m: LoopMap) -> Table:
    """One row a token, one column an exponent of its own."""
    texts = [one_line(str(text)) for text in getattr(m, "tokens", ())]
    texts = texts if len(texts) == len(own) else []
    columns = _columns([f"{len(own)}  {text}" for text in texts] or ["token"], own.shape[1])
    table = _table("token", *(["text"] if texts else []), *(f"λ{j + 1}" for j in range(columns)))
    if texts:
        text = table.columns[1]
        text.justify, text.overflow, text.no_wrap, text.max_width = "left", "fold", False, _NAME
    error = _token_error(found)
    for i, row in enumerate(own):
        name = [Text(texts[i])] if texts else []
        table.add_row(str(i), *name, *(with_error(float(row[j]), error) for j in range(columns)))
    return table


def _columns(names: Sequence[str], wanted: int) -> int:
    """Return how many columns of numbers fit beside the names."""
    return min(wanted, (_WIDTH - 8 - min(_NAME, max(map(cell_len, names)))) // 10)


def _coarse(error: float) -> float:
    """Return the error by which shares are written: three decimals are enough to compare them."""
    return max(float(error), 0.01) if math.isfinite(error) else float(error)


def _token_error(found: LyapunovSpectrum) -> float:
    """Return an error for the own exponents of tokens, of which the record knows the largest alone."""
    if found.period:
        return 0.001
    known = errors(found)[np.isfinite(errors(found))]
    window = math.log(max(2, found.loops)) / max(2, found.loops)
    return max(float(known.max()), window) if known.size else math.nan


def _status(found: LyapunovSpectrum) -> str:
    sentence = str(found.status.value).replace("-inf", "−∞")
    said = f"Status: {sentence}."
    shown = [values for values in (found.exponents, found.by_layer, found.by_token) if values is not None]
    if found.status is not Status.BELOW_RANK_TOLERANCE and any(np.isneginf(values).any() for values in shown):
        said += " −∞: the direction is contracted to nothing within rounding."
    return said
