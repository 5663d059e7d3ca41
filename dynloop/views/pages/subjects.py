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
    name : str
        Of the map, or the title that the user gave.
    prompt : object
        What was read; None where that is not known, or nothing was.
    entries : list of Entry
        In the order in which they were given.
    group : str
        The same for subjects of which one verdict can be given: one run over several prompts.
    title : str
        How the page calls it; unlike that of any other subject.
    """

    name: str
    prompt: Any = None
    entries: list[Entry] = field(default_factory=list)
    group: str = ""
    title: str = ""

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
    if they name none, to the subject before it. A second result of one kind begins a subject of its own, and so does
    each prompt of a `PromptSummary`.

    Parameters
    ----------
    entries : iterable of Entry
        What was found.
    titles : sequence of str, optional
        Titles given by the user, one an entry; entries of one title are one subject.
    """
    subjects: list[Subject] = []
    for i, entry in enumerate(entries):
        name = _name(entry) if titles is None else titles[i]
        found = entry.result
        if isinstance(found, PromptSummary):
            for j, (one, prompt) in enumerate(zip(found.results, found.prompts, strict=True), 1):
                own = Entry(one, entry.file, entry.digest, entry.run, entry.about)
                subjects.append(Subject(name, prompt, [own], f"summary {i}", f"{name}, prompt {j}"))
            continue
        prompt = entry.about.get("prompt")
        place = _titled(subjects, name) if titles is not None else _place(subjects, name, prompt, entry)
        if place is None:
            place = Subject(name, prompt)
            subjects.append(place)
        place.entries.append(entry)
    _entitle(subjects)
    return subjects


def settings_of(found: Result) -> Mapping[str, Any]:
    """Return the settings of a result; empty where it has none."""
    settings = getattr(found, "settings", None)
    return settings if isinstance(settings, Mapping) else {}


def _name(entry: Entry) -> str:
    return str(
        entry.about.get("checkpoint") or entry.about.get("recorded") or settings_of(entry.result).get("map") or ""
    )


def _titled(subjects: Sequence[Subject], name: str) -> Subject | None:
    return next((one for one in subjects if one.name == name and not one.group), None)


def _place(subjects: Sequence[Subject], name: str, prompt: Any, entry: Entry) -> Subject | None:
    """Return the subject that an entry belongs to, or None if it begins one."""
    if not name:
        return subjects[-1] if subjects else None
    for one in reversed(subjects):
        if not one.name:  # what came before the first result that names its map
            one.name = name
            return one
        if one.group or (one.name, one.prompt) != (name, prompt):
            continue
        if not any(type(old.result) is type(entry.result) for old in one.entries):
            return one
    return None


def _entitle(subjects: Sequence[Subject]) -> None:
    """Tell subjects of one name apart by their prompts, and those of one prompt by their runs."""
    prompts: dict[str, list[Any]] = {}
    runs: dict[tuple[str, str], int] = {}
    single = [one for one in subjects if not one.group]
    for one in single:
        one.name = one.name or type(one.entries[0].result).__name__
        read = prompts.setdefault(one.name, [])
        if one.prompt not in read:
            read.append(one.prompt)
    for one in single:
        key = (one.name, repr(one.prompt))
        runs[key] = runs.get(key, 0) + 1
        read = prompts[one.name]
        one.title = one.name + (f", prompt {read.index(one.prompt) + 1}" if len(read) > 1 else "")
        one.title += f", run {runs[key]}" if sum(other.prompt == one.prompt for other in _like(single, one)) > 1 else ""
        one.group = f"{one.name}, run {runs[key]}" if one.prompt is not None else one.title


def _like(subjects: Sequence[Subject], one: Subject) -> list[Subject]:
    return [other for other in subjects if other.name == one.name]


def _map_of(entry: Entry) -> Mapping[str, Any]:
    found = entry.about.get("map")
    return found if isinstance(found, Mapping) else {}


def _described(entry: Entry) -> bool:
    return bool(_map_of(entry).get("description"))
