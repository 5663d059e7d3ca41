"""`dynloop report`: saved results as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynloop.cli.terminal import reported

__all__ = ["report"]


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Folders that --out wrote, or files of results; those of one checkpoint and prompt belong together.",
            metavar="RESULT…",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page; a file that is there is replaced.", metavar="FILE.html")],
    title: Annotated[str | None, typer.Option(help="Of the page.", show_default="the map's name")] = None,
) -> None:
    """Write saved RESULTs to one HTML page that opens anywhere: verdict, evidence, figures, tables, provenance."""
    with reported(relief="fewer results"):
        from dynloop.views.report import report as write

        made = write(results, out, title=title)
        print(made)
