"""`dynloop study`: run a plan of many cells, show what is there, write it out as a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop.cli.terminal import reported, say, show

if TYPE_CHECKING:
    from dynloop.studies.progress import Progress
    from dynloop.studies.study import Study

__all__ = ["app"]

app = typer.Typer(
    help="Many runs by a plan: run, show, export.", no_args_is_help=True, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

FolderArgument = Annotated[Path, typer.Argument(help="The folder of a study.", metavar="DIR", show_default=False)]


@app.command("run")
def run(
    plan: Annotated[Path, typer.Argument(help="What to run.", metavar="PLAN.toml", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Where it is kept; the folder of an earlier run is gone on with.", metavar="DIR")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compute.", metavar="N", show_default="this one")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="A Dask scheduler that computes, such as tcp://host:8786.", metavar="ADDRESS", show_default=False
        ),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a cell that raised an error is tried again.")] = 1,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that a cell may take.", metavar="S", show_default="no limit")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute cells that failed in an earlier run again.")
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Read every record that is there and check it, or only that it is there.")
    ] = True,
) -> None:
    """Run the cells of PLAN.toml that are not done yet."""
    if workers is not None and cluster is not None:
        raise typer.BadParameter("give --workers or --cluster, not both")
    if timeout is not None and not timeout > 0:
        raise typer.BadParameter(f"--timeout is a positive number of seconds; got {timeout}")
    with reported(relief="fewer --workers"):
        from dynloop.analyses.plan_file import read_plan
        from dynloop.studies.study import study

        cells = read_plan(plan)
        with _executor(cluster) as executor, _bar(str(plan)) as progress:
            found = study(
                cells, out, executor=executor, workers=workers, retries=retries, timeout=timeout,
                retry_failed=retry_failed, verify=verify, progress=progress,
            )  # fmt: skip
        _say_summary(found)


@app.command("show")
def show_study(
    folder: FolderArgument,
    rows: Annotated[int, typer.Option(min=0, help="Rows of the table that are shown.", metavar="N")] = 20,
    check: Annotated[bool, typer.Option("--check", help="Read every record, and say which are damaged.")] = False,
) -> None:
    """Show what is in DIR, which may be running: how many cells are done, and the first rows of the table."""
    with reported():
        from dynloop.studies.study import Study
        from dynloop.views.study import render

        found = Study(folder)
        show(render(found.table(), title=str(folder), code=found.plan.code, rows=rows))
        if check:
            damaged = found.check()
            for line in damaged:
                say(line)
            if damaged:
                raise typer.Exit(1)


@app.command("export")
def export(
    folder: FolderArgument,
    target: Annotated[
        Path, typer.Argument(help="A new file: .csv, .parquet or .nc.", metavar="FILE", show_default=False)
    ],
) -> None:
    """Write the table of DIR to FILE: CSV, Parquet, or NetCDF by xarray."""
    kind = target.suffix.lower()
    if kind not in (".csv", ".parquet", ".nc"):
        raise typer.BadParameter(f"FILE must end in .csv, .parquet or .nc; got {target.name}")
    with reported():
        from dynloop.studies.study import Study

        found = Study(folder)
        if kind == ".csv":
            found.to_csv(target)
        elif kind == ".parquet":
            found.to_parquet(target)
        else:
            found.to_xarray().to_netcdf(target, engine="scipy")
        say(f"wrote {target}: {found.table().summary()}")


@contextmanager
def _executor(address: str | None) -> Iterator[Any]:
    """Connect to a Dask scheduler for as long as the run takes."""
    if address is None:
        yield None
        return
    from dynloop.errors import InvalidArgumentError, MissingPackageError

    try:
        from distributed import Client
    except ImportError:
        raise MissingPackageError("--cluster needs dask.distributed: pip install 'dynloop[cluster]'") from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        said = " ".join(str(error).split())
        raise InvalidArgumentError(
            f"--cluster: no Dask scheduler answers at {address} ({said}); start one there"
        ) from None
    with client:
        yield client.get_executor()


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None] | None]:
    """Show on stderr, if it is a terminal, how many cells are done, their rate, and the time left."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Shown

    columns = TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn()
    with Shown(*columns, TextColumn("{task.fields[more]}"), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label if len(label) <= 24 else f"…{label[-23:]}", total=None, more="cells")

        def progress(now: Progress) -> None:
            more = "cells" + (f", {now.failed} failed" if now.failed else "")
            if now.rate == now.rate:
                more += f", {now.rate:.3g}/s, {_duration(now.remaining)} left"
            shown.update(task, completed=now.done, total=now.total, more=more)

        yield progress


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _say_summary(found: Study) -> None:
    table = found.table()
    say(f"{found.folder}: {table.summary()}")
    errors = [error for error in table.columns["error"] if error]
    if errors:
        say(f"the first error: {errors[0]}; `dynloop study show {found.folder}` shows the table")
