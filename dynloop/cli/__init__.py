"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 it worked, 1 a known failure (one line on stderr; its
traceback with ``DYNLOOP_DEBUG=1``), 2 wrong usage, 70 a defect of dynloop itself,
130 interrupted, 141 the reader of a pipe went away.

One file a command. Only typer is imported here, so that ``dynloop --help`` answers at once; each command imports what
it needs when it runs.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import dynloop
from dynloop.cli import ablate, basins, classify, fixed_points, ls, lyapunov, report, study, theorems
from dynloop.cli.terminal import say

__all__ = ["app", "main"]

# typer brings click's or a copy of it, and exports a child of it
UsageError: Any = typer.BadParameter.__bases__[0]

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
    try:
        sys.exit(app(prog_name="dynloop", standalone_mode=False))
    except UsageError as error:
        said = error.format_message().removeprefix("Invalid value: ").replace("Value error, ", "").rstrip(".")
        if "\n" in said:  # the help, where no command was given
            error.show()
        else:
            command = error.ctx.command_path if error.ctx else "dynloop"
            say(f"error: {said}; `{command} -h` says what can be given")
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)


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


app.command("basins")(basins.basins)
app.command("ablate")(ablate.ablate)
app.command("classify")(classify.classify)
app.command("fixed-points")(fixed_points.fixed_points)
app.command("lyapunov")(lyapunov.lyapunov)
app.command("ls")(ls.ls)
app.command("report")(report.report)
app.command("theorems")(theorems.theorems)
app.add_typer(study.app, name="study")
