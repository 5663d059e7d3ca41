"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 it worked, 1 a known failure (one line on stderr; its
traceback with ``DYNLOOP_DEBUG=1``), 2 wrong usage, 70 a defect of dynloop itself,
130 interrupted, 141 the reader of a pipe went away.

One file a command. Only typer is imported here, so that ``dynloop --help`` answers at once; each command imports what
it needs when it runs.
"""

from __future__ import annotations

import re
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
        if "\n" in error.format_message().strip():  # the help, where no command was given
            error.show()
        else:
            command = error.ctx.command_path if error.ctx else _command()
            say(f"error: {wrong_usage(error)}; `{command} -h` says what can be given")
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)


def wrong_usage(error: Any) -> str:
    """Say what typer found wrong in one clause: the option, the rule and the value, or the name that was meant."""
    said = error.format_message().strip().removeprefix("Invalid value: ").replace("Value error, ", "").rstrip(".")
    said = re.sub(r"[.;]? Did you mean (.+)\?$", r" (did you mean \1?)", said)
    checked = re.fullmatch(r"Invalid value for '?([^':]+)'?: Input should be ([^,]+)(?:, unable to .*)?", said)
    of = getattr(error.__cause__, "errors", None)  # pydantic's, which newer versions of typer check by
    if checked is None or of is None:
        return str(said)
    rule = checked[2].replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    return f"{checked[1]} must be {rule}; got {str(of()[0]['input'])!r}"


def _command() -> str:
    """Return the command that is being called, as far as its name can be told: an option without a value has none."""
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    return " ".join(["dynloop", *(word for word in sys.argv[1:2] if word in known)])


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
