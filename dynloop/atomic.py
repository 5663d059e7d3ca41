"""Files that are there whole or not at all: written beside their place, synced to disk, then renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LEFTOVERS", "replacing", "write"]

LEFTOVERS = ".*.part"  # what a process that was killed while it wrote leaves behind


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes the place of `path` at the end; after an error it is removed.

    Parameters
    ----------
    path : pathlib.Path
        In a folder that is there. What stood there stays until the new file is whole.

    Yields
    ------
    pathlib.Path
        In the same folder, hidden, of a name of its own, so that two writers do not meet.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        with open(part, "r+b") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; raise `OSError` where that cannot be done."""
    with replacing(path) as part, open(part, "wb") as stream:
        stream.write(data)
