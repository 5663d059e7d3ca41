"""`dynloop classify --recorded FILE`: what a record of states shows where there is no checkpoint to iterate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import dynloop
from dynloop.cli.results import empty_folder
from dynloop.cli.terminal import reported, show

__all__ = ["RecordedOption", "classify_record"]

RecordedOption = Annotated[
    Path | None,
    typer.Option(
        help="Classify states recorded elsewhere, (loops, …), in place of CHECKPOINT: .npy, .npz or .safetensors.",
        metavar="FILE",
        show_default=False,
    ),
]


def classify_record(path: Path, dtype: str | None, *, as_json: bool, out: Path | None) -> None:
    """Classify one file of recorded states, and print or save what was found."""
    with reported(relief="fewer tokens"):
        from dynloop.adapters.recordings import read_recording
        from dynloop.errors import InvalidArgumentError
        from dynloop.orbits.recorded import classify_trajectory
        from dynloop.views.document import brief_entry, dumps, result_entry
        from dynloop.views.recorded import render

        folder = None if out is None else empty_folder(out)
        states, sections = read_recording(path)
        try:
            found = classify_trajectory(states, sections=sections, dtype=None if dtype is None else str(dtype))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{path}: {error}") from error
        head = {"dynloop": dynloop.__version__, "settings": {"recorded": str(path), "dtype": dtype}}
        if folder is not None:
            saved = found.save(folder / "0001.npz").name
            brief = {"recorded": str(path), "file": saved, **brief_entry(found)}
            (folder / "summary.json").write_text(dumps({**head, "results": [brief]}, indent=2) + "\n", encoding="utf-8")
        if as_json:
            print(dumps({**head, "results": [{"recorded": str(path), **result_entry(found)}]}))
        else:
            show(render(found, title=str(path)))
