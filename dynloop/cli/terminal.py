"""The terminal: results on stdout, a bar on stderr, and every failure as one line and an exit code."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from dynloop.errors import DynloopError, DynloopWarning

__all__ = ["bar", "reported", "say", "show"]


def show(renderable: Any, *, gap: bool = False) -> None:
    """Print what a view has drawn on stdout, after an empty line if `gap`."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as drawn:
        if gap:
            console.print()
        console.print(renderable)
    text = drawn.get() if console.is_terminal else re.sub(r" +$", "", drawn.get(), flags=re.MULTILINE)
    print(text, end="", flush=True)  # rich's own writing turns a closed pipe into exit code 1


def say(text: str) -> None:
    """Print one line on stderr."""
    print("dynloop: " + " ".join(text.split()), file=sys.stderr)


@contextmanager
def bar(label: str, unit: str = "loops") -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar of `unit` on stderr while an analysis runs, if stderr is a terminal; yield ``progress(done, all)``."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from dynloop.views.layout import one_line

    short = one_line(label if len(label) <= 36 else f"{label[:35]}…")
    name, loops = TextColumn("{task.description}", markup=False), TextColumn(unit)
    columns = (SpinnerColumn(), name, BarColumn(20), MofNCompleteColumn(), loops, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(short, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def reported(relief: str = "a shorter prompt or a smaller --dtype") -> Iterator[None]:
    """Turn what may go wrong in a command into one line on stderr and an exit code.

    Parameters
    ----------
    relief : str
        What to take where memory does not suffice.
    """
    if os.environ.get("DYNLOOP_DEBUG", "") not in ("", "0"):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DynloopWarning)
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            # the reader has gone: nothing is left to say, and the flush at exit must not say it either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(130) from None
        except DynloopError as error:
            say(f"error: {error}")
            raise typer.Exit(1) from None
        except OSError as error:  # a full disk, a folder that may not be written
            where = f"{error.filename}: " if error.filename else ""
            say(f"error: {where}{(error.strerror or str(error)).lower()}")
            raise typer.Exit(1) from None
        except MemoryError:
            say(f"error: not enough memory; take {relief}")
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:  # a defect of dynloop; exit code 1 would call it a known failure
            say(f"defect: {type(error).__name__}: {error}; DYNLOOP_DEBUG=1 shows where, please report it")
            raise typer.Exit(70) from None
