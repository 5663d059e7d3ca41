"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 it worked, 1 a known failure (one line on stderr; its
traceback with ``DYNLOOP_DEBUG=1``), 2 wrong usage, 70 a defect of dynloop itself,
130 interrupted, 141 the reader of a pipe went away.

Only typer is imported here, so that ``dynloop --help`` answers at once; each command imports what it needs.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import dynloop
from dynloop.errors import DynloopError, DynloopWarning, InvalidArgumentError, PromptError

if TYPE_CHECKING:
    from dynloop.maps.base import LoopMap
    from dynloop.orbits.verdict import Classification

__all__ = ["app", "main"]

app = typer.Typer(
    name="dynloop",
    help="Looped transformers as discrete maps: which regime is a recurrent block in, and how do we know?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Granularity(StrEnum):
    """Values of ``--granularity``."""

    LAYER = "layer"
    SUBLAYER = "sublayer"


class Dtype(StrEnum):
    """Values of ``--dtype``."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Polish(StrEnum):
    """Values of ``--polish``."""

    AUTO = "auto"
    NEVER = "never"


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


@app.command()
def classify(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="A folder, a weights file, demo, demo:NAME, zoo:NAME?a=1.2&b=0.3, or "
            "synthetic:NORM+INJECTION?gain=3.5&layers=6. `dynloop ls` lists the names.",
            metavar="CHECKPOINT",
            show_default=False,
        ),
    ],
    prompt: Annotated[str | None, typer.Option(help="Text that the checkpoint reads.", show_default=False)] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="A file of prompts, one JSON value a line.", metavar="FILE.jsonl", show_default=False),
    ] = None,
    loops: Annotated[
        int | None, typer.Option(min=1, help="Budget of loops per start.", show_default="chosen by the analysis")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="How many starts; the first is the checkpoint's own.")] = 1,
    granularity: Annotated[
        Granularity | None,
        typer.Option(help="One factor a layer, or attention and MLP apart.", show_default="layer"),
    ] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="Working dtype.", show_default="a checkpoint's own, else float64")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts and of the analysis.")] = 0,
    polish: Annotated[Polish, typer.Option(help="Whether a limit may be refined in float64.")] = Polish.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Save every record in this new or empty folder.", metavar="DIR", show_default=False),
    ] = None,
) -> None:
    """Say which regime the recurrent block of CHECKPOINT is in, with the numbers behind the verdict."""
    if prompt is not None and prompts is not None:
        raise typer.BadParameter("give --prompt or --prompts, not both")
    with _reported():
        from dynloop.orbits.regime import classify as analyse

        cases = _cases(checkpoint, prompt, prompts, granularity, dtype)
        folder = None if out is None else _empty_folder(out)

        def verdict(m: LoopMap, label: str) -> Classification:
            with _bar(label) as progress:
                return analyse(m, m.start(seed, starts), loops=loops, polish=polish.value, rng=seed, progress=progress)

        settings = {
            "checkpoint": checkpoint,
            "loops": loops,
            "starts": starts,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
            "polish": polish,
        }
        _classify_all(cases, verdict, settings, as_json=as_json, folder=folder)


@app.command("ls")
def ls() -> None:
    """List the families of checkpoints, the demos, the zoo and the synthetic blocks."""
    with _reported():
        from dynloop.views.catalogue import render

        _print(render())


# -- classify, step by step -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """One thing to classify: an address with one prompt, and how its map is made (again, if need be)."""

    address: str
    prompt: Any
    line: str
    make: Callable[[], LoopMap]

    @property
    def label(self) -> str:
        return f"{self.address} · {self.line}" if self.line else self.address

    def open(self) -> LoopMap:
        try:
            return self.make()
        except PromptError as error:
            raise (PromptError(f"{self.line}: {error}") if self.line else error) from None


def _cases(
    checkpoint: str, prompt: str | None, prompts: Path | None, granularity: str | None, dtype: str | None
) -> list[_Case]:
    """List what is to be classified, each seen to open before the first is iterated, so that nothing is half done."""
    from dynloop.adapters.address import expand, open_address, with_prompt
    from dynloop.adapters.jsonl import read_prompts

    read: list[tuple[str, Any]] = [("", prompt)]
    if prompts is not None:
        read = [(f"{prompts}, line {number}", value) for number, value in read_prompts(prompts)]
    cases = []
    for address in expand(checkpoint):
        options = {"prompt": read[0][1], "granularity": granularity, "dtype": dtype}
        first = _Case(address, read[0][1], read[0][0], partial(open_address, address, **options)).open()
        cases.append(_Case(address, read[0][1], read[0][0], partial(_itself, first)))
        for line, value in read[1:]:
            cases.append(_Case(address, value, line, partial(with_prompt, first, value)))
            cases[-1].open()
    return cases


def _itself(m: LoopMap) -> LoopMap:
    return m


def _classify_all(
    cases: Sequence[_Case],
    verdict: Callable[[LoopMap, str], Classification],
    settings: dict[str, Any],
    *,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Classify case by case; print each table when it is there, the JSON document at the end."""
    from dynloop.views.document import dumps, map_entry, result_entry
    from dynloop.views.table import render

    entries, brief = [], []
    for number, case in enumerate(cases, 1):
        m = case.open()
        found = verdict(m, case.label)
        head = {"checkpoint": case.address, "prompt": case.prompt}
        if folder is not None:
            saved = found.save(folder / f"{number:04d}.npz").name
            brief.append(
                {**head, "file": saved, "summary": found.summary(), "shares": found.shares(), "map": map_entry(m)}
            )
        if as_json:
            entries.append({**head, "map": map_entry(m), **result_entry(found)})
        else:
            _print(render(found, title=case.label, about=[map_entry(m)["description"]]), gap=number > 1)
        del m, found
    head = {"dynloop": dynloop.__version__, "settings": settings}
    if folder is not None:
        (folder / "summary.json").write_text(dumps({**head, "results": brief}, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print(dumps({**head, "results": entries}))


def _empty_folder(path: Path) -> Path:
    if path.is_dir() and any(path.iterdir()):
        raise InvalidArgumentError(f"--out: {path} is not empty; name a new or an empty folder")
    if path.exists() and not path.is_dir():
        raise InvalidArgumentError(f"--out: {path} is a file; name a new or an empty folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


# -- the terminal -----------------------------------------------------------------------------------------------------


def _print(renderable: Any, *, gap: bool = False) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as drawn:
        if gap:
            console.print()
        console.print(renderable)
    text = drawn.get() if console.is_terminal else re.sub(r" +$", "", drawn.get(), flags=re.MULTILINE)
    print(text, end="", flush=True)  # rich's own writing turns a closed pipe into exit code 1


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr while an analysis runs, if stderr is a terminal; yield its ``progress(done, all)``."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from dynloop.views.table import one_line

    short = one_line(label if len(label) <= 36 else f"{label[:35]}…")
    name, loops = TextColumn("{task.description}", markup=False), TextColumn("loops")
    columns = (SpinnerColumn(), name, BarColumn(20), MofNCompleteColumn(), loops, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(short, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what may go wrong in a command into one line on stderr and an exit code."""
    if os.environ.get("DYNLOOP_DEBUG", "") not in ("", "0"):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DynloopWarning)
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        try:
            yield
            sys.stdout.flush()
        except BrokenPipeError:
            # the reader has gone: nothing is left to say, and the flush at exit must not say it either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except KeyboardInterrupt:
            _say("interrupted")
            raise typer.Exit(130) from None
        except DynloopError as error:
            _say(f"error: {error}")
            raise typer.Exit(1) from None
        except OSError as error:  # a full disk, a folder that may not be written
            where = f"{error.filename}: " if error.filename else ""
            _say(f"error: {where}{(error.strerror or str(error)).lower()}")
            raise typer.Exit(1) from None
        except MemoryError:
            _say("error: not enough memory; take fewer --starts, a shorter prompt or a smaller --dtype")
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:  # a defect of dynloop; exit code 1 would call it a known failure
            _say(f"defect: {type(error).__name__}: {error}; DYNLOOP_DEBUG=1 shows where, please report it")
            raise typer.Exit(70) from None


def _say(text: str) -> None:
    print("dynloop: " + " ".join(text.split()), file=sys.stderr)


if __name__ == "__main__":
    main()
