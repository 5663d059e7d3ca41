"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 it worked, 1 a known failure (one line on stderr; its
traceback with ``DYNLOOP_DEBUG=1``), 2 wrong usage, 70 a defect of dynloop itself,
130 interrupted, 141 the reader of a pipe went away.

One file a command. Only typer is imported here, so that ``dynloop --help`` answers at once; each command imports what
it needs when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

import dynloop
from dynloop.cli import classify, fixed_points, ls, lyapunov, report, theorems

__all__ = ["app", "main"]

app = typer.Typer(
    name="dynloop",
    help="Looped transformers as discrete maps: which regime is a recurrent block in, and how do we know?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take half of the time that --help may take
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; the entry point of the ``dynloop`` script."""
    app(prog_name="dynloop")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dynloop {dynloop.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself; typer shows the help text of the app."""


app.command("classify")(classify.classify)
app.command("fixed-points")(fixed_points.fixed_points)
app.command("lyapunov")(lyapunov.lyapunov)
app.command("ls")(ls.ls)
app.command("report")(report.report)
app.command("theorems")(theorems.theorems)
