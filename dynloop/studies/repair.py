"""Make a damaged index anew, while no other process has the study open."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from dynloop.errors import StoreError
from dynloop.studies import files, index
from dynloop.studies.index import Row, transaction

__all__ = ["LOCK", "locked", "make_again"]

LOCK = "lock"
_PATIENCE = 10.0  # seconds to wait for other processes before the index is made again


def locked(path: Path, *, shared: bool = False) -> Any:
    """Hold a file, alone or as one of many; what is returned is closed to let go. Waits for those who hold it alone."""
    try:
        stream = path.open("ab")
    except OSError as error:
        raise files.full(path, error) from error
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return stream


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder alone for a moment, or say who is in the way."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / LOCK).open("ab") as stream:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise StoreError(
                        f"the index of {folder} is damaged, and another process runs the study; stop that and run the "
                        "study again"
                    ) from None
                time.sleep(0.05)
        yield


def make_again(folder: Path, lock: Any) -> Any:
    """Put a damaged index aside and make it anew of its good rows and of the files; return the lock, held again."""
    lock.close()
    with _alone(folder):
        if not index.is_whole(folder):
            rows: dict[str, Row] = {}
            about: dict[str, dict[str, Any]] = {}
            with suppress(sqlite3.Error, ValueError), closing(index.connect(folder, write=False)) as connection:
                rows = index.read_rows(connection)[0]
                about = index.read_about(connection)
            aside = f"damaged-{time.time_ns()}"
            for end in ("", "-wal", "-shm"):
                path = folder / f"{index.INDEX}{end}"
                if path.exists():
                    os.replace(path, folder / f"{aside}{end}")
            with closing(index.connect(folder, write=True)) as connection:
                index.prepare(connection)
                with transaction(connection):
                    for row in rows.values():
                        index.enter(connection, row, about.get(row.key))
    return locked(folder / LOCK, shared=True)
