"""Verdicts in sentences that need no textbook, and claim no more than was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.orbits.prompts import summarise
from dynloop.orbits.records.verdict import VERDICTS, RecordedClassification
from dynloop.orbits.verdict import Classification, Regime
from dynloop.result import Result
from dynloop.views.pages.subjects import Subject
from dynloop.views.reading import reading

__all__ = ["PLAIN", "Verdict", "brief", "claim", "say", "summary_of"]

_SPEAKERS = Classification, RecordedClassification, LyapunovSpectrum  # the first that is there heads a subject
_NAMED = 4  # verdicts beside that of most which the first sentence names

PLAIN = {
    Regime.VANISHING: (
        "settles, and the layers fall silent",
        "settle, and the layers fall silent",
        "After enough loops nothing changes any more: every layer adds nothing, and the state is the same before and "
        "after each of them.",
    ),
    Regime.CYCLIC: (
        "settles into a closed cycle of the layers",
        "settle into a closed cycle of the layers",
        "After enough loops the state at the end of a loop no longer changes. Within the loop the layers go on moving "
        "it, out and back along the same closed path, for ever.",
    ),
    Regime.PERIODIC: (
        "goes round a few states for ever and never settles",
        "go round a few states for ever and never settle",
        "The state comes back to itself after a fixed number of loops and not sooner. What the model says depends on "
        "the loop at which it is stopped.",
    ),
    Regime.QUASIPERIODIC: (
        "keeps moving in a regular way and never repeats itself",
        "keep moving in a regular way and never repeat themselves",
        "The state stays bounded and goes on moving without an exact return. Small differences do not grow "
        "exponentially.",
    ),
    Regime.CHAOTIC: (
        "moves chaotically and never settles",
        "move chaotically and never settle",
        "The state stays bounded and never repeats. Small differences grow from loop to loop, on average, until they "
        "are as large as the motion itself.",
    ),
    Regime.RAY: (
        "grows for ever in a fixed direction",
        "grow for ever in a fixed direction",
        "The state grows by about as much in every loop. Relative to its size, what a loop changes fades away.",
    ),
    Regime.DRIFT: (
        "slows down and never arrives",
        "slow down and never arrive",
        "Steps become ever smaller, but not fast enough to add up to a limit. There is no final state to read.",
    ),
    Regime.DIVERGENT: (
        "grows beyond every bound",
        "grow beyond every bound",
        "The state grows exponentially or stops being a finite number. Looping longer only makes it worse.",
    ),
    Regime.UNDECIDED: (
        "is undecided",
        "are undecided",
        "The numbers do not decide what happens in the long run. The reasons below say why, and what would.",
    ),
}
"""Of every regime what one orbit does, what several do, and what that means."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first thing that a reader sees.

    Attributes
    ----------
    headline : str
        One sentence.
    meanings : tuple of (str, str)
        Name of a regime (or nothing) and what it means, one pair a regime that occurs.
    caveat : str
        What the sentence rests on.
    """

    headline: str
    meanings: tuple[tuple[str, str], ...]
    caveat: str


def claim(found: Sequence[Classification]) -> Verdict:
    """Say what the orbits of one map do, over all its starts, tokens and prompts together.

    Parameters
    ----------
    found : sequence of Classification
        At least one.
    """
    names = np.concatenate([np.ravel(one.names()) for one in found])
    tokens = all(one.settings.get("causal") and _starts(one) == 1 for one in found)
    what = "token" if tokens else "orbit"
    kinds, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    parts = [_part(str(kinds[i]), int(counts[i]), len(names), what) for i in order]
    if len(parts) > 2:
        parts = [parts[0], _others([(str(kinds[i]), int(counts[i])) for i in order[1:]])]
    headline = "; ".join(parts) + "."
    meanings = _meanings([(str(kinds[i]), int(counts[i])) for i in order], len(names))
    return Verdict(headline[0].upper() + headline[1:], meanings, _caveat(found))


def say(subject: Subject) -> Verdict:
    """Say what is known of a subject, by the result that says most."""
    found = subject.first(Classification)
    if found is not None:
        return claim([found])
    record = subject.first(RecordedClassification)
    if record is not None:
        verdict = VERDICTS[record.verdict]
        return Verdict(
            f"The recorded states are {record.verdict}: {verdict}.",
            (("", record.reason),),
            "Read off the record alone, without the model: what came after its end is not known.",
        )
    exponents = subject.first(LyapunovSpectrum)
    if exponents is not None:
        return Verdict(reading(exponents), (), "Measured over a finite window; a positive exponent alone is no proof.")
    if not subject.entries:
        return Verdict("Nothing was found.", (), "")
    return Verdict(_sentence(brief(subject)), (), "")


def brief(subject: Subject) -> str:
    """Say in one line what is known of a subject: the summary of the result that says most, and how many it is of."""
    found = next((one for kind in _SPEAKERS if (one := subject.first(kind)) is not None), subject.entries[0].result)
    like = sum(type(entry.result) is type(found) for entry in subject.entries)
    return summary_of(found) + (f" (the first of {like} such results)" if like > 1 else "")


def summary_of(found: Result) -> str:
    """Say a result in one line: its own summary, or the first line that it prints."""
    if isinstance(found, LyapunovSpectrum):
        return reading(found)
    said: Any = getattr(found, "summary", None)
    return str(said()) if callable(said) else repr(found).partition("\n")[0]


def _meanings(kinds: Sequence[tuple[str, int]], total: int) -> tuple[tuple[str, str], ...]:
    """Return what each regime that occurs means, with how often it occurs where there are several."""
    counts: dict[Regime, int] = {}
    for name, count in kinds:
        regime = Regime[name.partition("(")[0]]
        counts[regime] = counts.get(regime, 0) + count
    return tuple(
        (regime.name, (f"{count} of {total}. " if len(counts) > 1 else "") + PLAIN[regime][2])
        for regime, count in counts.items()
    )


def _part(name: str, count: int, total: int, what: str) -> str:
    """Say what so many of all do."""
    regime, _, period = name.partition("(")
    one, several, _ = PLAIN[Regime[regime]]
    if period:
        one, several = (text.replace("a few states", f"{period.rstrip(')')} states") for text in (one, several))
    if total == 1:
        return f"the {what} {one}"
    if count == total:
        return f"all {total} {what}s {several}"
    if count == 1:
        return f"1 of {total} {what}s {one}"
    return f"{count} of {total} {what}s {several}"


def _others(kinds: Sequence[tuple[str, int]]) -> str:
    """Name the verdicts that are not of most, with how often each occurs; the rarest in a sum where there are many."""
    said = [f"{count} {'is' if count == 1 else 'are'} {name}" for name, count in kinds[:_NAMED]]
    more = [count for _, count in kinds[_NAMED:]]
    if more:
        said.append(f"{sum(more)} of {len(more)} further kind{'' if len(more) == 1 else 's'}")
    return f"of the other {sum(count for _, count in kinds)}, {', '.join(said[:-1])} and {said[-1]}"


def _caveat(found: Sequence[Classification]) -> str:
    """Say on what the sentence rests, and where that differs from one result to the next."""
    parts = []
    for name, before, after in (("dtype", "in ", ""), ("loops", "within ", " loops")):
        values = list(dict.fromkeys(str(one.settings[name]) for one in found if one.settings.get(name)))
        if values:
            parts.append(f"{before}{' or '.join(values) if len(values) < 4 else 'various'}{after}")
    starts = sorted({_starts(one) for one in found})
    counts = str(starts[0]) if len(starts) == 1 else f"{starts[0]} to {starts[-1]}"
    parts.append(f"from {counts} start{'' if counts == '1' else 's'}")
    if len(found) > 1:
        parts.append(f"under each of {len(found)} prompts")
    said = f"Measured {' '.join(parts)}. A measurement, no proof: other starts may end elsewhere."
    if len(found) > 1:
        said += f" {summarise(found, [None] * len(found)).summary()}; ± is a standard error, prompts being the sample."
    return said


def _starts(found: Classification) -> int:
    shape = np.shape(found.regime)
    axes = shape[:-1] if found.settings.get("causal") else shape
    return int(np.prod(axes)) if axes else 1


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
