"""What a report speaks of: subjects, each a map under one prompt, with every result that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynloop.orbits.prompts import PromptSummary
from dynloop.result import Result

__all__ = ["Entry", "Subject", "gather", "settings_of"]


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
    title : str
        How the page calls it.
    prompt : object
        What was read; None where that is not known, or nothing was.
    entries : list of Entry
        In the order in which they were given.
    """

    title: str
    prompt: Any = None
    entries: list[Entry] = field(default_factory=list)

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


def gather(entries: Iterable[Entry], titles: Sequence[str] | None = None) -> list[Subject]:
    """Sort results by what they are of.

    Results of one checkpoint and prompt belong together. One given in Python belongs to the map that its settings name;
    if they name none, to the subject before it. A second result of one kind begins a subject of its own, and a
    `PromptSummary` one for each prompt.

    Parameters
    ----------
    entries : iterable of Entry
        What was found.
    titles : sequence of str, optional
        Titles given by the user, one an entry; entries of one title are one subject.
    """
    subjects: list[Subject] = []
    keys: list[tuple[str, str]] = []
    for i, whole in enumerate(entries):
        for entry, prompt in _apart(whole):
            key = (titles[i], "") if titles is not None else _key(entry, prompt)
            place = _place(subjects, keys, key, entry, titled=titles is not None)
            if place is None:
                title = titles[i] if titles is not None else key[0]
                subjects.append(Subject(title or type(entry.result).__name__, prompt))
                keys.append(key)
                place = len(subjects) - 1
            subjects[place].entries.append(entry)
    _number(subjects)
    return subjects


def settings_of(found: Result) -> Mapping[str, Any]:
    """Return the settings of a result; empty where it has none."""
    settings = getattr(found, "settings", None)
    return settings if isinstance(settings, Mapping) else {}


def _apart(entry: Entry) -> list[tuple[Entry, Any]]:
    """Take a summary over prompts apart."""
    found = entry.result
    if not isinstance(found, PromptSummary):
        return [(entry, entry.about.get("prompt"))]
    return [
        (Entry(one, entry.file, entry.digest, entry.run, entry.about), prompt)
        for one, prompt in zip(found.results, found.prompts, strict=True)
    ]


def _key(entry: Entry, prompt: Any) -> tuple[str, str]:
    name = entry.about.get("checkpoint") or entry.about.get("recorded") or settings_of(entry.result).get("map") or ""
    return str(name), "" if prompt is None else repr(prompt)


def _place(
    subjects: list[Subject], keys: list[tuple[str, str]], key: tuple[str, str], entry: Entry, *, titled: bool
) -> int | None:
    """Return the subject that an entry belongs to, or None if it begins one."""
    if titled:
        return keys.index(key) if key in keys else None
    if not key[0]:
        return len(subjects) - 1 if subjects else None
    for i in reversed(range(len(subjects))):
        if keys[i] == key and not any(type(old.result) is type(entry.result) for old in subjects[i].entries):
            return i
        if keys[i] == ("", ""):  # what came before the first result that names its map
            keys[i], subjects[i].title = key, key[0]
            return i
    return None


def _number(subjects: list[Subject]) -> None:
    """Tell subjects of one title apart by number."""
    titles = [subject.title for subject in subjects]
    seen: dict[str, int] = {}
    for subject in subjects:
        if titles.count(subject.title) > 1:
            seen[subject.title] = seen.get(subject.title, 0) + 1
            what = "prompt" if subject.prompt is not None else "part"
            subject.title = f"{subject.title}, {what} {seen[subject.title]}"


def _map_of(entry: Entry) -> Mapping[str, Any]:
    found = entry.about.get("map")
    return found if isinstance(found, Mapping) else {}


def _described(entry: Entry) -> bool:
    return bool(_map_of(entry).get("description"))
