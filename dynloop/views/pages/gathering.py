"""Which results belong together: sorted by checkpoint and prompt, by title, or by the name of the map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.orbits.prompts import PromptSummary
from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.orbits.verdict import Classification
from dynloop.result import Result
from dynloop.views.pages.subjects import Entry, Subject, settings_of

__all__ = ["gather"]

_SPEAKING = Classification, RecordedClassification, LyapunovSpectrum


@dataclass(slots=True)
class _Item:
    """An entry, and what is known of what it is of: nothing, if `key` is None.

    A key is `sure` unless it is the name of a map, which carries no parameters. Items of one `run` over prompts are
    `shared` by one verdict.
    """

    entry: Entry
    name: str
    prompt: Any
    key: Any
    run: Any
    sure: bool = True
    shared: bool = False

    @property
    def kind(self) -> tuple[Any, type[Result]]:
        return self.key, type(self.entry.result)


def gather(entries: Iterable[Entry], titles: Sequence[str] | None = None) -> list[Subject]:
    """Sort results by what they are of.

    Results of one checkpoint, with the same weights, in one dtype, cut as finely, under one prompt belong together,
    and so do results that were made in Python and have one title. Where several of them give a verdict of one kind,
    each of these is a subject of its own. Results in Python that name the same map belong together if each is of
    another kind: two of a kind may be of two maps, since a name carries no parameters, and then each result is a
    subject of its own. Results of which nothing is known belong to the one subject that there is (of their title);
    where there are several, each is a subject of its own. Each prompt of a `PromptSummary` is a subject.

    Parameters
    ----------
    entries : iterable of Entry
        What was found.
    titles : sequence of str, optional
        Titles given by the user, one an entry.
    """
    items: list[_Item] = []
    if titles is None:
        items = _items(list(enumerate(entries)), None)
    else:
        numbered = list(enumerate(entries))
        for title in dict.fromkeys(titles):
            items += _items([one for one in numbered if titles[one[0]] == title], title)
    kinds = Counter(item.kind for item in items)
    doubtful = {item.key for item in items if not item.sure and kinds[item.kind] > 1}
    places: dict[Any, Subject] = {}
    of: dict[int, list[_Item]] = {}
    for number, item in enumerate(items):
        alone = item.key is None or item.key in doubtful or (_speaks(item.entry.result) and kinds[item.kind] > 1)
        place = places.setdefault(number if alone else (item.key,), Subject(item.name, item.prompt))
        place.entries.append(item.entry)
        of.setdefault(id(place), []).append(item)
    subjects = list(places.values())
    _entitle(subjects, [_speaker(of[id(one)]) for one in subjects])
    return subjects


def _items(entries: Sequence[tuple[int, Entry]], title: str | None) -> list[_Item]:
    """Say what each entry is of; those of which nothing is known are of the one thing that the others are of."""
    items: list[_Item] = []
    for number, entry in entries:
        about, chosen = entry.about, entry.run.get("settings")
        source = about.get("checkpoint") or about.get("recorded")
        named = source or settings_of(entry.result).get("map")
        name, run = title or str(named or ""), (str(source), id(entry.run) if entry.run else number)
        if isinstance(entry.result, PromptSummary):
            for j, (one, prompt) in enumerate(zip(entry.result.results, entry.result.prompts, strict=True)):
                part = Entry(one, entry.file, entry.digest, entry.run, about)
                items.append(_Item(part, name or "PromptSummary", prompt, (number, j), (number, run), shared=True))
            continue
        read = about.get("prompt")
        key: tuple[Any, ...] | None = None
        if source:
            options = chosen if isinstance(chosen, Mapping) else {}
            cut, dtype = str(options.get("granularity") or "layer"), str(options.get("dtype"))
            words = repr(read.tolist() if isinstance(read, np.ndarray) else read)
            key = (title, str(source), about.get("weights"), cut, dtype, words)
        elif named and title is None:
            key = (None, str(named))
        sure = title is not None or bool(source) or key is None
        items.append(_Item(entry, name, read, key, run, sure, read is not None))
    known = dict.fromkeys(item.key for item in items if item.key is not None)
    if len(known) < 2:
        first = next((item for item in items if item.key is not None), None)
        for item in items:
            item.key = next(iter(known), (title,))
            item.name, item.prompt = (item.name, item.prompt) if first is None else (first.name, first.prompt)
    return items


def _speaks(found: Result) -> bool:
    """Whether a result gives a verdict, of which a section of the page shows one of a kind."""
    return isinstance(found, _SPEAKING) or hasattr(found, "reports")  # a StatementTable, which this floor does not know


def _speaker(items: Sequence[_Item]) -> _Item:
    """Return the item whose verdict heads the subject, or its first."""
    return next((item for item in items if isinstance(item.entry.result, Classification)), items[0])


def _entitle(subjects: Sequence[Subject], speakers: Sequence[_Item]) -> None:
    """Tell subjects of one name apart by their prompts and runs; one verdict is given of one run alone."""
    prompts: dict[str, dict[Any, int]] = {}
    runs: dict[str, dict[Any, int]] = {}
    groups: dict[str, dict[Any, int]] = {}
    seen: Counter[Any] = Counter()
    like: Counter[Any] = Counter()
    said: list[tuple[str, str]] = []
    for number, (one, item) in enumerate(zip(subjects, speakers, strict=True)):
        one.name = one.name or type(one.entries[0].result).__name__
        under = (one.name, repr(one.prompt))
        like[under] += 1
        turn = (item.run, seen[under, item.run])
        seen[under, item.run] += 1
        one.group = (one.name, item.run if item.shared else (item.run, number))
        place = _number(prompts.setdefault(one.name, {}), repr(one.prompt))
        said.append((f", prompt {place}", f", run {_number(runs.setdefault(one.name, {}), turn)}"))
        _number(groups.setdefault(one.name, {}), one.group)
    for one, (read, run) in zip(subjects, said, strict=True):
        own = groups[one.name]
        one.title = one.name + (read if len(prompts[one.name]) > 1 else "")
        one.title += run if like[one.name, repr(one.prompt)] > 1 else ""
        one.whole = one.name + (f", run {own[one.group]}" if len(own) > 1 else "")


def _number(known: dict[Any, int], one: Any) -> int:
    """Return the number of something among those known, from 1; it is added if it is new."""
    return known.setdefault(one, len(known) + 1)
