"""What a report speaks of: subjects, each a map under one prompt, with every result that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynloop.result import Result

__all__ = ["Entry", "Subject", "settings_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One result, and where it is from.

    Attributes
    ----------
    result : Result
        What was found.
    file, digest : str
        The file it was read from and its SHA-256; empty where it was given in Python.
    run : dict
        What the run that saved it said of itself: ``"settings"``, ``"dynloop"``; empty where nothing is known.
    about : dict
        What the run said of the map: ``"checkpoint"``, ``"prompt"``, ``"map"``.
    """

    result: Result
    file: str = ""
    digest: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Subject:
    """A map under one prompt, and what was found of it.

    Attributes
    ----------
    name : str
        Of the map, or the title that the user gave.
    prompt : object
        What was read; None where that is not known, or nothing was.
    entries : list of Entry
        In the order in which they were given.
    group : object
        Equal for subjects of which one verdict can be given: those of one run of one map over several prompts.
    title, whole : str
        How the page calls it, and all subjects of its group together.
    """

    name: str
    prompt: Any = None
    entries: list[Entry] = field(default_factory=list)
    group: Any = None
    title: str = ""
    whole: str = ""

    @property
    def description(self) -> str:
        """The map in a sentence; empty where no run said it."""
        return next((str(e.about["map"]["description"]) for e in self.entries if _described(e)), "")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that were read; empty where they are not known."""
        for entry in self.entries:
            own = settings_of(entry.result).get("tokens") or (_map_of(entry).get("tokens") or ())
            if own:
                return tuple(str(token) for token in own)
        return ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers; empty where they are not known."""
        for entry in self.entries:
            own = settings_of(entry.result).get("layers") or _map_of(entry).get("layers") or ()
            if own:
                return tuple(str(name) for name in own)
        return ()

    def first(self, kind: type[Result]) -> Any:
        """Return the first result of a kind, or None."""
        return next((entry.result for entry in self.entries if isinstance(entry.result, kind)), None)


def settings_of(found: Result) -> Mapping[str, Any]:
    """Return the settings of a result; empty where it has none."""
    settings = getattr(found, "settings", None)
    return settings if isinstance(settings, Mapping) else {}


def _map_of(entry: Entry) -> Mapping[str, Any]:
    found = entry.about.get("map")
    return found if isinstance(found, Mapping) else {}


def _described(entry: Entry) -> bool:
    return bool(_map_of(entry).get("description"))
