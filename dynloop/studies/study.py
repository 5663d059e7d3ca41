"""`study`: run a plan and keep what comes of it in a folder; `Study`: what such a folder holds."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dynloop.arguments import checked_int, checked_kind, checked_path
from dynloop.errors import InvalidArgumentError, StoreError
from dynloop.studies import pools
from dynloop.studies.files import RESULTS
from dynloop.studies.plan import Cell, Plan
from dynloop.studies.progress import Progress
from dynloop.studies.reading import Reading, read_plan, read_record, read_store, read_where_from
from dynloop.studies.record import CellRecord
from dynloop.studies.run import run
from dynloop.studies.store import Store
from dynloop.studies.table import StudyTable, table_of, to_xarray
from dynloop.studies.worker import DONE

__all__ = ["Study", "study"]


class Study:
    """A study's folder, opened to read it; it may be running. Every call reads what is there by then.

    Parameters
    ----------
    folder : path-like
        What `study` was given as `out`.

    Raises
    ------
    InvalidArgumentError
        If `folder` is no path.
    StoreError
        If it holds no study.

    Examples
    --------
    >>> import dynloop as dl, tempfile
    >>> plan = dl.read_plan({"analysis": "lyapunov", "grid": {"checkpoint": ["zoo:henon"], "map.a": [0.2, 1.4]}})
    >>> folder = tempfile.mkdtemp()
    >>> done = dl.study(plan, folder)
    >>> dl.Study(folder).table().columns["state"]
    ('done', 'done')
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = checked_path(folder, "folder", "Give the folder that `study` wrote, its `out`")
        self.plan: Plan = read_plan(self.folder)

    def _read(self) -> Reading:
        found = read_store(self.folder)
        self.plan = found.plan
        return found

    def table(self) -> StudyTable:
        """Return a row for every cell of the plan, finished or not, in the plan's order."""
        with _no_collection():
            found = self._read()
            return table_of(found.plan, found.rows)

    def results(self) -> Iterator[tuple[Cell, CellRecord]]:
        """Yield every cell that has a record, with it, in the plan's order; each is read as it is asked for.

        Raises
        ------
        StoreError
            Where a record's file is missing or damaged: running the study again makes it anew.
        """
        found = self._read()
        for cell in found.plan:
            row = found.rows.get(cell.key)
            if row is not None and row.file:
                yield cell, read_record(self.folder, row)

    def files(self) -> list[Path]:
        """Return the file of every cell that is done, in the plan's order; `dynloop.load` reads one."""
        found = self._read()
        rows = (found.rows.get(key) for key in found.plan.keys)
        return [self.folder / RESULTS / row.file for row in rows if row is not None and row.state == DONE]

    def result(self, number: int) -> CellRecord:
        """Return the record of one cell, by its number in the plan.

        Raises
        ------
        InvalidArgumentError
            If there is no such cell, or it is not finished.
        StoreError
            If its file is missing or damaged.
        """
        found = self._read()
        if not 0 <= number < len(found.plan):
            raise InvalidArgumentError(f"number must lie in 0 … {len(found.plan) - 1}; got {number}")
        row = found.rows.get(found.plan.keys[number])
        if row is None:
            raise InvalidArgumentError(f"cell {number} is not finished; run the study on")
        return read_record(self.folder, row)

    def provenance(self) -> list[dict[str, Any]]:
        """Return of every cell how often it was tried, how long it took, when, where and with which versions.

        None where that is not known: of a cell that is not finished, or whose row was made again from its record.
        """
        found, known = self._read(), read_where_from(self.folder)
        unknown = dict.fromkeys(("attempts", "seconds", "finished", "worker", "environment"))
        rows = [found.rows.get(key) for key in found.plan.keys]
        told = [{} if row is None else {**known.get(row.key, {}), "finished": row.finished} for row in rows]
        return [{**unknown, **one} for one in told]

    def check(self) -> list[str]:
        """Read every record, and return what is damaged or missing, one line each; nothing if all is well."""
        found = self._read()
        said = [f"index: {found.damaged} damaged places, read from the files instead"] if found.damaged else []
        for cell in found.plan:
            row = found.rows.get(cell.key)
            if row is not None and row.file:
                try:
                    read_record(self.folder, row)
                except (StoreError, OSError) as error:
                    said.append(f"cell {cell.number}: {error}")
        return said

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as CSV to `path`; see `StudyTable.to_csv`."""
        return self.table().to_csv(path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as Parquet to `path`; needs pyarrow, of the extra ``export``."""
        return self.table().to_parquet(path)

    def to_xarray(self) -> Any:
        """Return the table as an `xarray.Dataset`; needs xarray, of the extra ``export``.

        A grid has a dimension for each of its axes, a list of cells the one dimension ``cell``. Where a cell has no
        value, there is nan, or empty text.
        """
        found = self._read()
        return to_xarray(found.plan, table_of(found.plan, found.rows))

    def __len__(self) -> int:
        return len(self.plan)

    def __repr__(self) -> str:
        return f"Study in {self.folder}, {self.table().summary()}"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put off the search for cycles of garbage while many small objects are made: it takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def study(
    plan: Plan,
    out: str | os.PathLike[str],
    *,
    executor: Executor | Callable[[], Executor] | None = None,
    workers: int | None = None,
    retries: int = 1,
    timeout: float | None = None,
    retry_failed: bool = False,
    verify: bool = True,
    workers_write: bool = False,
    together: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run the cells of a plan that are not done yet, and keep each as it ends.

    Parameters
    ----------
    plan : Plan
        What to run: see `Plan.grid`, `Plan.listed` and `dynloop.read_plan`.
    out : path-like
        A new folder, or that of an earlier run, which is gone on with: a cell with the same inputs and the same code is
        not computed again. Several processes may run the same study at once; they share the cells.
    executor : concurrent.futures.Executor or callable, optional
        Where the cells are computed, such as ``dask.distributed.Client(…).get_executor()``. A function without
        arguments that makes one is called again if the executor breaks. Left out, they are computed one after
        another in this thread.
    workers : int, optional
        Compute in so many new processes instead, which end with the run.
    retries : int
        How often a cell whose function raised an error is tried again. Errors of dynloop itself, and time-outs, would
        come again and are kept at once.
    timeout : float, optional
        Seconds that a cell may take.
    retry_failed : bool
        Whether cells that failed in an earlier run are computed again. Those that lost their worker always are.
    verify : bool
        Whether every record there is already is read and its checksum checked; else only that it is there and whole.
    workers_write : bool
        Whether workers write their records themselves, to `out`, which they must see under the same path: nothing but a
        row of the table comes back. Else the records are sent back and written here.
    together : int, optional
        How many cells go to a worker as one task. Left out, one if they take long, else as many as take about 50 ms,
        32 at most: they share the cost of sending.
    progress : callable, optional
        ``progress(how_far)`` with a `dynloop.studies.progress.Progress`.

    Returns
    -------
    Study
        What is in the folder: ``.table()``, ``.results()``, ``.to_csv(path)``, ``.to_parquet(path)``, ``.to_xarray()``.

    Raises
    ------
    InvalidArgumentError
        If an argument is wrong, or the folder holds something else than a study.
    StoreError
        If the folder cannot be written, as when the disk is full. What is finished is kept.
    StudyError
        If a given executor breaks, or a file that the cells read is written again while they run.

    Notes
    -----
    A cell computes on one thread of torch, wherever it runs, so that its result does not depend on where. What a cell
    raises is data: its row says so, and the study goes on.

    Examples
    --------
    >>> import dynloop as dl, tempfile
    >>> plan = dl.read_plan({"analysis": "lyapunov", "grid": {"checkpoint": ["zoo:henon"], "map.a": [0.2, 1.4]}})
    >>> done = dl.study(plan, tempfile.mkdtemp())
    >>> [round(value, 1) for value in done.table().columns["exponent"]]
    [-0.2, 0.4]
    """
    checked_kind(plan, Plan, "plan", "Make one with dynloop.read_plan(…) or dynloop.Plan.grid(…)")
    if plan.function is None:
        raise InvalidArgumentError("plan was read back from a study and names its code only; make it again as you did")
    if executor is not None and workers is not None:
        raise InvalidArgumentError("give executor or workers, not both")
    if workers is not None:
        workers = checked_int(workers, "workers", 1, remedy="Leave it out")
    if together is not None:
        together = checked_int(together, "together", 1, remedy="Leave it out")
    retries = checked_int(retries, "retries", 0, remedy="Leave it out for 1")
    if timeout is not None and not timeout > 0:
        raise InvalidArgumentError(f"timeout must be a positive number of seconds; got {timeout!r}")
    folder = checked_path(out, "out", "Give the folder to write")
    make: Callable[[], Executor] | None = None
    if workers is not None:
        make, executor = partial(pools.process_pool, workers), None
    elif executor is None:
        executor = pools.InProcess()
    elif not isinstance(executor, Executor):
        if not callable(executor):
            raise InvalidArgumentError(
                f"executor must be a concurrent.futures.Executor; got a {type(executor).__name__}"
            )
        make, executor = executor, None
    store = Store(folder, plan, verify=verify)
    try:
        run(
            plan, plan.function, store, executor=executor, make=make, retries=retries, timeout=timeout,
            retry_failed=retry_failed, workers_write=workers_write, together=together, progress=progress,
        )  # fmt: skip
    finally:
        store.close()
    return Study(out)
