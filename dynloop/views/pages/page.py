"""The report as one HTML text: everything escaped, scripts named by their hashes, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from dynloop.errors import MissingPackageError
from dynloop.orbits.verdict import Classification
from dynloop.views.document import dumps
from dynloop.views.layout import one_line
from dynloop.views.pages import contents, provenance
from dynloop.views.pages.figures import Figure, grid
from dynloop.views.pages.gathering import gather
from dynloop.views.pages.subjects import Entry, Subject
from dynloop.views.palette import LOOKS
from dynloop.views.theorems import CLOSING

__all__ = ["page"]

_DETAILED = 12  # subjects that are shown in full
_AT_ONCE = 40  # rows of a table that are laid out when the page opens; the others follow
_ROWS = 60  # subjects whose verdicts are drawn in the overview


def page(entries: Sequence[Entry], titles: Sequence[str] | None, *, title: str | None, command: str | None) -> str:
    """Return the page as text.

    Raises
    ------
    MissingPackageError
        If plotly or jinja2 is not installed.
    """
    template, markup, library = _tools()
    subjects = gather(entries, titles)
    figures: list[Figure] = []
    several = len(subjects) > 1
    classified = [(s, one) for s in subjects if (one := s.first(Classification)) is not None]
    alike = len({subject.name for subject in subjects}) == 1
    rows = [(s.title.removeprefix(f"{s.name}, ") if alike else s.title, one) for s, one in classified[:_ROWS]]
    whole = contents.placed(grid(rows, len(classified)), figures) if several and classified else None
    sections = [
        contents.section(i, subject, figures, alone=not several) for i, subject in enumerate(subjects[:_DETAILED], 1)
    ]
    said, unsaid = contents.blocks(subjects)
    script = _part("page.js")
    data = dumps([{"data": figure.data, "layout": figure.layout} for figure in figures])
    return str(template.render(
        title=one_line(title or _title(subjects)), version=provenance.own_version(), policy=_policy(library, script),
        looks={regime.name: look for regime, look in LOOKS.items()}, blocks=said, unsaid=unsaid, at_once=_AT_ONCE,
        lead=contents.lead(said),
        alarms=contents.alarms(subjects), grid=whole, overview=contents.overview(subjects) if several else None,
        sections=sections, hidden=max(0, len(subjects) - _DETAILED), closing=CLOSING,
        commands=[command] if command is not None else provenance.commands(entries),
        settings=provenance.settings(entries), files=provenance.files(entries),
        weights=provenance.weights(entries),
        prompts=provenance.prompts([s.prompt for s in subjects]), versions=provenance.versions(entries),
        css=markup(_part("page.css")), js=markup(script), plotly=markup(library), figures=markup(_in_script(data)),
        trusted=markup,
    ))  # fmt: skip


def _tools() -> tuple[Any, Callable[[str], Any], str]:
    """Return the template, what marks our own text as HTML, and the script of plotly."""
    try:
        import jinja2
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingPackageError("a report needs plotly and jinja2: pip install 'dynloop[plot]'") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    library = str(get_plotlyjs()).replace("\r", "").replace("</script", "<\\/script")
    return environment.from_string(_part("page.html")), Markup, library


def _part(name: str) -> str:
    return resources.files("dynloop.views.pages").joinpath("template", name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """Return a content security policy under which these scripts alone run, and nothing is loaded from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    named = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {named}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def _in_script(document: str) -> str:
    """Return JSON that no text within can end the script element of, or begin a comment in."""
    for character in "<>&\u2028\u2029":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return document


def _title(subjects: Sequence[Subject]) -> str:
    """Name the page by its map, or count them."""
    names = list(dict.fromkeys(subject.name for subject in subjects))
    if len(names) == 1:
        return names[0]
    return f"{len(names)} maps: {', '.join(names[:3])}" + ("" if len(names) <= 3 else ", …")
