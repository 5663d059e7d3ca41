"""When cells began to compute: a worker leaves a mark, so that its start and its imports do not count as the cell's."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dynloop.studies.worker import Job

__all__ = ["Beginnings"]


class Beginnings:
    """The marks of one run: a file a cell in a folder of the machine, which is gone after the run.

    Workers on other machines, which do not see the folder, leave none.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dynloop-began-"))
        self._seen: dict[str, float] = {}

    def mark(self, serial: int) -> str:
        """Return the file by whose existence a worker says that it has begun."""
        return str(self._folder / str(serial))

    def current(self, jobs: Sequence[Job]) -> tuple[Job, float] | None:
        """Return the cell of a task that computes now, and when it was first seen to; None if none has begun."""
        for job in reversed(jobs):
            if job.mark is not None and (job.mark in self._seen or Path(job.mark).exists()):
                return job, self._seen.setdefault(job.mark, time.monotonic())
        return None

    def forget(self, jobs: Sequence[Job]) -> None:
        """Take away the marks of a task that has ended."""
        for job in jobs:
            if job.mark is not None:
                self._seen.pop(job.mark, None)
                with suppress(OSError):
                    Path(job.mark).unlink()

    def end(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self._folder, ignore_errors=True)
