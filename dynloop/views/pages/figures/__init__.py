"""The interactive figures of a report, as plain data for plotly; their numbers are those of the matplotlib views."""

from __future__ import annotations

from dynloop.views.pages.figures.figure import Figure
from dynloop.views.pages.figures.spectra import exponents, multipliers
from dynloop.views.pages.figures.trajectory import convergence, orbit
from dynloop.views.pages.figures.verdicts import grid, increments, rates
from dynloop.views.pages.subjects import Subject

__all__ = ["Figure", "figures_of", "grid"]


def figures_of(subject: Subject) -> list[Figure]:
    """Return the figures of every result of a subject, in the order in which they convince."""
    found: list[Figure] = []
    for draw in (increments, rates, convergence, orbit, multipliers, exponents):
        for entry in subject.entries:
            found += draw(entry.result, subject)
    return found
