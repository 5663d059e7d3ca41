"""The word that was probably meant, for messages about a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like `name`, empty if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean …?)" with the known name that is most like `name`, empty if none is like it."""
    close = nearest(name, known)
    return f" (did you mean {close}?)" if close else ""
