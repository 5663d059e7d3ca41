"""Where results go: a table each, one JSON document at the end, a folder of records."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

import dynloop
from dynloop import atomic
from dynloop.cli.cases import Case
from dynloop.cli.terminal import show
from dynloop.errors import CheckpointError, InvalidArgumentError

if TYPE_CHECKING:
    from dynloop.basins.grid import Basins
    from dynloop.calculus.lyapunov import LyapunovSpectrum
    from dynloop.maps.base import LoopMap
    from dynloop.orbits.solved import FixedPoints
    from dynloop.orbits.verdict import Classification
    from dynloop.testing.statements import StatementTable

__all__ = ["JsonOption", "OutOption", "analyse_all", "empty_folder", "made_folder", "writable_record"]

Found = TypeVar("Found", "Basins", "Classification", "LyapunovSpectrum", "FixedPoints", "StatementTable")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Save every record in this new or empty folder.", metavar="DIR", show_default=False),
]


def analyse_all(
    cases: Sequence[Case],
    analyse: Callable[[LoopMap, Case], Found],
    draw: Callable[[Found, LoopMap, Case], Any],
    settings: dict[str, Any],
    *,
    as_json: bool,
    folder: Path | None,
    over_all: Callable[[], dict[str, dict[str, Any]]] = dict,
) -> None:
    """Analyse case by case; print each table when it is there, the JSON document at the end.

    Parameters
    ----------
    cases : sequence of Case
        What is analysed, in order.
    analyse : callable
        ``analyse(map, case) -> result``.
    draw : callable
        ``draw(result, map, case)``: what the terminal shows of it.
    settings : dict
        The options of the command, kept in the document.
    as_json : bool
        Whether to print the document instead of what `draw` makes.
    folder : pathlib.Path or None
        Where every record is saved, and ``summary.json`` last.
    over_all : callable
        Asked at the end: what is to be said of all results of an address, each with a ``"summary"``.
    """
    from dynloop.adapters.fingerprint import fingerprint
    from dynloop.analyses.opening import address_files
    from dynloop.views.document import brief_entry, dumps, map_entry, result_entry

    entries, brief = [], []
    weights: dict[str, str] = {}
    for number, case in enumerate(cases, 1):
        if folder is not None and case.address not in weights:
            weights[case.address] = fingerprint(address_files(case.address))
        m = case.open()
        try:
            found = analyse(m, case)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{case.label}: {error}") from error
        head = {"checkpoint": case.address, "prompt": case.prompt}
        if folder is not None:
            saved = found.save(folder / f"{number:04d}.npz").name
            own = {"weights": weights[case.address]} if weights[case.address] else {}
            brief.append({**head, **own, "file": saved, **brief_entry(found), "map": map_entry(m)})
        if as_json:
            entries.append({**head, "map": map_entry(m), **result_entry(found)})
        else:
            show(draw(found, m, case), gap=number > 1)
        del m, found
    total = over_all()
    head = {"dynloop": dynloop.__version__, "settings": settings, **({"over_prompts": total} if total else {})}
    if not as_json:
        for address, entry in total.items():
            show(f"{address}: {entry['summary']}", gap=True)
    if folder is not None:
        _write(folder / "summary.json", dumps({**head, "results": brief}, indent=2) + "\n")
    if as_json:
        print(dumps({**head, "results": entries}))


def _write(path: Path, text: str) -> None:
    try:
        atomic.write(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path} ({error.strerror or error}); the records are there, this is not; "
            "make room or give another --out"
        ) from error


def empty_folder(path: Path) -> Path:
    """Return the folder, made if need be; raise `InvalidArgumentError` where something is in it already."""
    if any(made_folder(path).iterdir()):
        raise InvalidArgumentError(f"--out: {path} is not empty; name a new or an empty folder")
    return path


def made_folder(path: Path) -> Path:
    """Return the folder, made if need be; raise `InvalidArgumentError` where it cannot be made or read."""
    try:
        if path.exists() and not path.is_dir():
            raise InvalidArgumentError(f"--out: {path} is a file; name a new or an empty folder")
        path.mkdir(parents=True, exist_ok=True)
        os.scandir(path).close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgumentError(
            f"--out: cannot make or read the folder {path} ({why}); name one that can be written to"
        ) from None
    return path


def writable_record(path: Path) -> Path:
    """Return the path of a record, ``.npz`` added if need be; raise `InvalidArgumentError` where none can be written.

    A file without a name is opened in the folder: nothing is left there, and what stands at the path stays.
    """
    try:
        target = path if path.suffix == ".npz" or not path.name else path.with_name(f"{path.name}.npz")
        if target.is_dir():
            raise InvalidArgumentError(f"--out: {target} is a folder; name a file")
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgumentError(
            f"--out: cannot write {path} ({why}); name a file in a folder that can be written to"
        ) from None
    return target
