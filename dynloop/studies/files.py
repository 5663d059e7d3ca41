"""Files of a study, each named by the digest of its content and written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from dynloop import atomic
from dynloop.errors import StoreError

__all__ = ["RESULTS", "damage", "full", "read", "remove_leftovers", "scan", "write", "write_text"]

RESULTS = "results"
_NAME = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.npz")
_LEFTOVER = 3600.0  # seconds after which a half-written file belongs to nobody


def write(folder: Path, key: str, data: bytes) -> str:
    """Write the record of a cell: to a file of its own, synced, then renamed.

    Returns
    -------
    str
        The name of the file below ``folder/results``, ``KEY[:2]/KEY.DIGEST.npz``. The same content has the same name,
        so that writing it twice changes nothing.

    Raises
    ------
    StoreError
        If it cannot be written; nothing is left behind.
    """
    name = f"{key[:2]}/{key}.{_digest(data)}.npz"
    _replace(folder / RESULTS / name, data)
    return name


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    _replace(path, text.encode(errors="backslashreplace"))


def read(folder: Path, name: str) -> bytes:
    """Return the content of a record's file, checked by its name.

    Raises
    ------
    StoreError
        If it is missing or not what was written.
    """
    path = folder / RESULTS / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path} ({error.strerror or error}); run the study again") from None
    if (found := _NAME.fullmatch(path.name)) is None or found[2] != _digest(data):
        raise StoreError(f"{path} is damaged: its checksum does not fit; run the study again to have it made anew")
    return data


def damage(folder: Path, name: str, size: int, *, whole: bool) -> bool:
    """Say whether a record's file is missing or damaged: by its size, or by its whole content."""
    try:
        if (folder / RESULTS / name).stat().st_size != size:
            return True
        if whole:
            read(folder, name)
    except OSError:  # a StoreError is one
        return True
    return False


def scan(folder: Path, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, name) of every record's file, or of those of one cell; what the names promise is not checked."""
    results = folder / RESULTS
    for part in [results / key[:2]] if key else sorted(results.glob("[0-9a-f][0-9a-f]")):
        if part.is_dir():
            for file in sorted(os.listdir(part)):
                found = _NAME.fullmatch(file)
                if found is not None and (not key or found[1] == key):
                    yield found[1], f"{part.name}/{file}"


def remove_leftovers(folder: Path) -> None:
    """Remove half-written files of processes that ended long ago."""
    for path in [*folder.glob(atomic.LEFTOVERS), *folder.glob(f"{RESULTS}/*/{atomic.LEFTOVERS}")]:
        try:
            if time.time() - path.stat().st_mtime > _LEFTOVER:
                path.unlink()
        except OSError:
            continue


def full(path: Path, error: OSError) -> StoreError:
    """Say that something could not be written, and what to do."""
    what = "free some and run" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "put it right and run"
    said = StoreError(
        f"cannot write {path} ({(error.strerror or str(error)).lower()}); {what} the study again: what is "
        "finished is kept"
    )
    said.errno = error.errno
    return said


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, data)
    except OSError as error:
        raise full(path, error) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
