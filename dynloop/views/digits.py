"""Numbers with no more digits than their error supports."""

from __future__ import annotations

import math

__all__ = ["decimals_of", "error_text", "with_error"]

_MOST = 6  # decimals; more than a person compares


def decimals_of(error: float) -> int | None:
    """Return the decimals that a number with this error may show, six at most.

    The error is rounded as the Particle Data Group does: to two digits if they are below 36, else to one.

    Parameters
    ----------
    error : float
        nan or infinity where it is unknown.

    Returns
    -------
    int or None
        None if the error supports no digit.

    Notes
    -----
    Navas et al. (Particle Data Group), Phys. Rev. D 110 (2024) 030001, section 5.3 of the introduction.
    """
    if not math.isfinite(error):
        return None
    if error <= 0:
        return _MOST
    size = math.floor(math.log10(error))
    return min(_MOST, max(0, (1 if error < 3.55 * 10.0**size else 0) - size))


def with_error(value: float, error: float) -> str:
    """Write a number to the digits that its error supports.

    Parameters
    ----------
    value, error : float
        A value of nan is written ``–``, minus infinity ``−∞``; a value of unknown error gets one digit and ``≈``.

    Returns
    -------
    str
        Without the error.

    Examples
    --------
    >>> from dynloop.views.digits import with_error
    >>> with_error(0.418973, 0.0021), with_error(0.418973, 0.21), with_error(-0.9162907318, 2e-16)
    ('0.4190', '0.42', '-0.916291')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    decimals = decimals_of(error)
    if decimals is None:
        return f"≈{value:.1g}"
    if 0 < abs(value) < 1e-4 and 10 * error <= abs(value):
        digits = 3 if error <= 0 else min(3, math.floor(math.log10(abs(value) / error)))
        return f"{value:.{digits}e}"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def error_text(error: float, decimals: int | None) -> str:
    """Write an error to the decimals of its number, or to one digit where that would show none; ``?`` if unknown."""
    if decimals is None or not math.isfinite(error):
        return "?" if not math.isfinite(error) else f"{error:.1g}"
    if error <= 0:
        return "0"
    text = f"{error:.{decimals}f}"
    return text if float(text) > 0 else f"{error:.0e}"
