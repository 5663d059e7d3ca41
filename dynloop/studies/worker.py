"""Where a cell runs: call its function within its limits, and pack what came of it, an error included."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dynloop.errors import DynloopError
from dynloop.studies.limits import CellTimeout, one_thread, time_limit

__all__ = ["DONE", "ERROR", "LOST", "TIMEOUT", "Job", "Outcome", "failure", "run_cell", "run_cells"]

DONE, ERROR, TIMEOUT, LOST = "done", "error", "timeout", "lost"
_COUNTED = "numpy", "scipy", "torch", "numba"


@dataclass(frozen=True, slots=True)
class Job:
    """One cell on its way to a worker."""

    key: str
    function: Callable[..., Any]
    parameters: dict[str, Any]
    address: str
    code: str
    attempt: str  # unlike every other, so that a scheduler does not take two attempts for one task
    timeout: float | None
    folder: str | None  # where the worker itself writes the record; None: it is sent back
    mark: str | None = None  # a file that the worker makes when it begins, if anybody asks


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a cell: its state, what the table shows, and its record, packed (`data`) or written (`file`)."""

    key: str
    state: str
    columns: str
    error: str | None
    seconds: float
    worker: str
    environment: str
    size: int = 0
    data: bytes | None = None
    file: str = ""
    final: bool = True  # whether another attempt would end the same way

    def written(self, file: str) -> Outcome:
        """Return the outcome with its record in a file in place of in memory."""
        return replace(self, file=file, data=None)


def run_cell(job: Job) -> Outcome:
    """Run one cell. An error of its function is an outcome; an interrupt, and a folder that is full, are raised."""
    from dynloop.studies.record import columns, values_of

    if job.mark is not None:
        with suppress(OSError):  # a worker on another machine
            Path(job.mark).touch()
    began = time.perf_counter()
    try:
        with one_thread(), time_limit(job.timeout):
            values = values_of(job.function(**job.parameters))
        shown = columns(values)
        outcome = _outcome(job, DONE, shown, values, None, time.perf_counter() - began)
    except CellTimeout:
        said = TimeoutError(f"the cell ran longer than {job.timeout:g} s")
        outcome = failure(job, TIMEOUT, said, time.perf_counter() - began)
    except (Exception, SystemExit) as error:  # whatever a cell does is data
        outcome = failure(job, ERROR, error, time.perf_counter() - began)
    if job.folder is None:
        return outcome
    from dynloop.studies.files import write

    return outcome.written(write(Path(job.folder), job.key, outcome.data or b""))


def run_cells(jobs: tuple[Job, ...]) -> list[Outcome]:
    """Run cells that were sent together, one after another."""
    return [run_cell(job) for job in jobs]


def failure(job: Job, state: str, error: BaseException, seconds: float = 0.0) -> Outcome:
    """Return the outcome of a cell that failed."""
    try:
        message = " ".join(str(error).split())[:500]
    except Exception:  # a user's error whose own text fails
        message = "its text cannot be had"
    lines = traceback.format_exception(error)
    about = {"kind": state, "type": type(error).__name__, "message": message, "traceback": "".join(lines)[-8000:]}
    outcome = _outcome(job, state, "{}", {}, about, seconds)
    return replace(outcome, final=state == TIMEOUT or isinstance(error, DynloopError))


def _outcome(
    job: Job, state: str, shown: str, values: dict[str, Any], error: dict[str, Any] | None, seconds: float
) -> Outcome:
    from dynloop.result import pack
    from dynloop.studies.record import CellRecord

    data = pack(
        CellRecord(
            values=values, error=error, key=job.key, function=job.address, parameters=job.parameters, code=job.code
        )
    )
    said = None if error is None else json.dumps({k: error[k] for k in ("kind", "type", "message")}, ensure_ascii=False)
    return Outcome(
        key=job.key, state=state, columns=shown, error=said, seconds=seconds, worker=_worker(),
        environment=_environment(), size=len(data), data=data,
    )  # fmt: skip


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@functools.cache
def _environment() -> str:
    """Return the versions that a number may depend on beside dynloop's."""
    found = [f"python {platform.python_version()} {platform.machine()}"]
    for name in _COUNTED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
