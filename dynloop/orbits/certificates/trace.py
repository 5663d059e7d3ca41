"""What an evaluation on balls remembers: that something was undecided, refused, or met a kink."""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

__all__ = ["RefusedError", "Trace", "UndecidedError", "Watched", "note_kink"]


@dataclass
class Trace:
    """The record of one evaluation.

    A step may catch what is raised inside it; what is noted here it cannot catch.

    Attributes
    ----------
    undecided : str
        What first could not be decided on these balls; empty if nothing.
    refused : str
        What first has no rigorous form at all; empty if nothing.
    kink : bool
        Whether a derivative is a set of slopes (a modulus whose argument may be 0): enough for a proof of existence
        and uniqueness, no derivative.
    """

    undecided: str = ""
    refused: str = ""
    kink: bool = False


_CURRENT: ContextVar[Trace | None] = ContextVar("dynloop_trace", default=None)


class UndecidedError(Exception):
    """A comparison, a floor or a domain is not decided on a whole ball; smaller balls may decide it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        current = _CURRENT.get()
        if current is not None and not current.undecided:
            current.undecided = what


class RefusedError(Exception):
    """An operation that has no rigorous form here."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        current = _CURRENT.get()
        if current is not None and not current.refused:
            current.refused = what


class Watched:
    """A context that records what happens to balls inside it."""

    def __enter__(self) -> Trace:
        record = Trace()
        self._token: Token[Trace | None] = _CURRENT.set(record)
        return record

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


def note_kink() -> None:
    """Note that a derivative is a set of slopes."""
    current = _CURRENT.get()
    if current is not None:
        current.kink = True
