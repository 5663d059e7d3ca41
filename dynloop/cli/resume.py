"""`dynloop classify --resume DIR`: what an earlier run saved, opened again with the maps that it was made with."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop.cli.cases import Case
from dynloop.errors import CheckpointError

if TYPE_CHECKING:
    from dynloop.orbits.verdict import Classification

__all__ = ["ResumeOption", "saved_run"]

ResumeOption = Annotated[
    Path | None,
    typer.Option(help="Go on with what an earlier run saved by --out.", metavar="DIR", show_default=False),
]


def saved_run(folder: Path) -> tuple[dict[str, Any], list[tuple[Case, Classification]]]:
    """Read the settings of a saved run, and every case of it with its classification.

    Raises
    ------
    CheckpointError
        If the folder is not one that ``dynloop classify --out`` wrote, or a record in it is damaged.
    """
    from dynloop.adapters.address import open_address
    from dynloop.orbits.verdict import Classification
    from dynloop.result import load

    path = folder / "summary.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        settings, results = document["settings"], document["results"]
        options = {name: settings[name] for name in ("granularity", "dtype")}
        entries = [(str(entry["checkpoint"]), entry["prompt"], folder / str(entry["file"])) for entry in results]
        settings["polish"], settings["seed"]
    except OSError as error:
        why = error.strerror
        raise CheckpointError(f"--resume: cannot read {path} ({why}); give a folder that --out wrote") from None
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"--resume: {path} was not written by dynloop classify --out; give a folder that was"
        ) from None
    cases = []
    for number, (address, prompt, record) in enumerate(entries, 1):
        found = load(record)
        if not isinstance(found, Classification):
            raise CheckpointError(
                f"--resume: {record} holds a {type(found).__name__}; give a folder of classifications"
            )
        given = dict(options, granularity=None if address.startswith("zoo:") else options["granularity"])
        label = f"prompt {number}" if len(entries) > 1 and prompt is not None else ""
        case = Case(address, prompt, label, partial(open_address, address, prompt=prompt, **given))
        cases.append((case, found))
    return settings, cases
