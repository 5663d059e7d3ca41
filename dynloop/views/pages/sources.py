"""Where results of a report come from: records in Python, files that were saved, and folders of a run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynloop.errors import CheckpointError, InvalidArgumentError
from dynloop.result import Result, load
from dynloop.studies.reading import PLAN
from dynloop.studies.record import CellRecord
from dynloop.studies.study import Study
from dynloop.views.pages.subjects import Entry

__all__ = ["entries_of"]

_SUMMARY = "summary.json"
_CELLS = 200  # of a study on one page
_RULE = "results must be results of dynloop, paths of saved ones, folders that --out wrote, or a sequence of these"


def entries_of(results: Any) -> tuple[list[Entry], list[str] | None]:
    """Return every result, and the titles if a mapping gave some.

    Parameters
    ----------
    results : Result, path-like, sequence of these, or mapping of titles to these
        Folders are those that ``dynloop classify --out`` and its sisters write, those of a study, or such as hold
        ``.npz`` files of results.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged or no result; the message names it.
    InvalidArgumentError
        If there is no result, or something is none.
    """
    if isinstance(results, Mapping):
        entries, titles = [], []
        for title, some in results.items():
            own, _ = entries_of(some)
            entries += own
            titles += [str(title)] * len(own)
        if not entries:
            raise InvalidArgumentError("results is empty; give one result or more")
        return entries, titles
    if isinstance(results, Result):
        return [Entry(results)], None
    if isinstance(results, str | os.PathLike):
        path = Path(results)
        if not path.exists():
            raise CheckpointError(
                f"there is no folder or file of results at {path}; give a folder that `dynloop … --out` wrote, or a "
                "file that `save` wrote"
            )
        return (_folder(path) if path.is_dir() else [_file(path, {}, {})]), None
    if not isinstance(results, Sequence):
        raise InvalidArgumentError(f"{_RULE}; got {type(results).__name__}. Give what an analysis returned")
    entries = [entry for one in results for entry in _one(one)]
    if not entries:
        raise InvalidArgumentError("results is empty; give one result or more")
    return entries, None


def _one(result: Any) -> list[Entry]:
    if not isinstance(result, Result | str | os.PathLike):
        raise InvalidArgumentError(f"{_RULE}; got {type(result).__name__}. Give what an analysis returned")
    return entries_of(result)[0]


def _file(path: Path, run: Mapping[str, Any], about: Mapping[str, Any]) -> Entry:
    found = load(path)
    if isinstance(found, CellRecord):
        about = {name: found.parameters[name] for name in ("checkpoint", "prompt") if name in found.parameters}
        found = found.result
    return Entry(found, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), run, about)


def _folder(folder: Path) -> list[Entry]:
    """Read the records of a run in the order of its summary, and files beside them that the summary does not name.

    Of a study they are those of its cells, in the plan's order.
    """
    if (folder / PLAN).is_file():
        return _cells(folder)
    document = _summary(folder)
    run: dict[str, Any] = {key: document[key] for key in ("dynloop", "settings", "over_prompts") if key in document}
    entries, named = [], set()
    for about in document.get("results", ()):
        path = folder / about["file"]
        named.add(path)
        entries.append(_file(path, run, about))
    entries += [_file(path, {}, {}) for path in sorted(folder.glob("*.npz")) if path not in named]
    if not entries:
        raise CheckpointError(f"no result in {folder}; give a folder that --out wrote, or one of .npz files of results")
    return entries


def _cells(folder: Path) -> list[Entry]:
    files = Study(folder).files()
    if not files:
        raise CheckpointError(f"no cell of the study in {folder} has a result; run it on, or see dynloop study show")
    if len(files) > _CELLS:
        raise CheckpointError(
            f"the study in {folder} holds {len(files)} results, and a page takes {_CELLS} at most; give some of the "
            "files in its folder results, or look at all with dynloop study show"
        )
    return [_file(path, {}, {}) for path in files]


def _summary(folder: Path) -> dict[str, Any]:
    """Read the summary of a run; empty where there is none."""
    path = folder / _SUMMARY
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}); give a folder that may be read") from error
    except ValueError:
        document = None
    if not _sound(document):
        raise CheckpointError(f"{path} is not the summary of a run; take it away, or give a folder that --out wrote")
    return dict(document)


def _sound(document: Any) -> bool:
    """Say whether a summary has the form that is read here; files are names within the folder."""
    if not isinstance(document, dict) or not isinstance(document.get("results"), list):
        return False
    if not isinstance(document.get("settings", {}), dict):
        return False
    for about in document["results"]:
        name = about.get("file") if isinstance(about, dict) else None
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".npz"):
            return False
        if not isinstance(about.get("map") or {}, dict):
            return False
    return True
