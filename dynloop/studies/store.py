"""The folder of a study: records as they finish, an index over them, and the plan; many processes may add to it.

======================  ====================================================================
``plan.json``           the plan that was run last, with a checksum
``results/KK/K.D.npz``  the record of the cell with key K, named by the digest D of its content
``index.sqlite``        a row a cell, so that no record need be opened to list them
======================  ====================================================================

A record is written whole before its row is, and says all that the row says of the cell, so the index is
a shortcut: rows that are missing or damaged are made again from the files, and a damaged file is computed again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from dynloop.errors import CheckpointError, InvalidArgumentError, StoreError
from dynloop.result import unpack
from dynloop.studies import files, index
from dynloop.studies.claims import Runner, living
from dynloop.studies.index import Row, transaction, translated
from dynloop.studies.plan import Plan
from dynloop.studies.record import CellRecord, columns
from dynloop.studies.worker import DONE, LOST, Outcome

__all__ = ["PLAN", "Reading", "Store", "read_plan", "read_record", "read_store", "read_where_from"]

PLAN = "plan.json"
_LOCK, _DOOR = "lock", "door"
_PATIENCE = 10.0  # seconds to wait for other processes before the index is made again


class Store:
    """A study's folder, opened to add to it.

    Parameters
    ----------
    folder : pathlib.Path
        New, empty, or the folder of a study.
    plan : Plan
        What is run; written down as the plan of the study.
    verify : bool
        Whether the content of every record is read and checked; else only whether it is there in its full length.

    Raises
    ------
    InvalidArgumentError
        If the folder holds something else.
    StoreError
        If it cannot be written.
    """

    def __init__(self, folder: Path, plan: Plan, *, verify: bool = True) -> None:
        self.folder = folder
        self.runner = Runner(folder / index.INDEX)
        self._opened: sqlite3.Connection | None = None
        _new_or_a_study(folder)
        with translated(folder):
            self._lock = _locked(folder / _LOCK, shared=True)
            try:
                with closing(_locked(folder / _DOOR)):  # one at a time comes in
                    self._prepare(plan, verify)
            except BaseException:
                self.close()
                raise

    def _prepare(self, plan: Plan, verify: bool) -> None:
        text = plan.to_json()
        path = self.folder / PLAN
        if not path.exists() or path.read_bytes() != text.encode():
            files.write_text(path, text)
        files.remove_leftovers(self.folder)
        if not index.is_whole(self.folder):
            self._lock = _make_again(self.folder, self._lock)
        self._opened = index.connect(self.folder, write=True)
        with transaction(self._connection):
            alive = living(self._connection)
            for (id_,) in self._connection.execute("SELECT id FROM runners").fetchall():
                if id_ not in alive:
                    self._connection.execute("DELETE FROM runners WHERE id = ?", (id_,))
                    self._connection.execute("DELETE FROM claims WHERE runner = ?", (id_,))
            self.runner.start(self._connection)
        self.rows = self._checked(set(plan.keys), verify)

    def _checked(self, keys: set[str], verify: bool) -> dict[str, Row]:
        """Return the good rows of the plan's cells: damaged records go, records without a row get one."""
        rows, _ = index.read_rows(self._connection)
        for key in keys & rows.keys():
            row = rows[key]
            if row.file and files.damage(self.folder, row.file, row.size, whole=verify):
                with transaction(self._connection):
                    self._connection.execute("DELETE FROM cells WHERE key = ?", (key,))
                (self.folder / files.RESULTS / row.file).unlink(missing_ok=True)
                del rows[key]
        found = list(_without_row(self.folder, rows))
        with transaction(self._connection):
            for row in found:
                if index.enter(self._connection, row, None):
                    rows[row.key] = row
        return {key: row for key, row in rows.items() if key in keys}

    def claim(self, keys: Iterable[str], again: Callable[[Row], bool]) -> tuple[list[str], list[str], list[Row]]:
        """Claim cells: no other runner that lives will compute them.

        Parameters
        ----------
        keys : iterable of str
            Cells to claim.
        again : callable
            Whether a cell that ended as a row says is to be computed again.

        Returns
        -------
        claimed, elsewhere : list of str
            Cells that are ours, and cells that another runner has.
        ended : list of Row
            Cells that another runner has finished in the meantime.
        """
        claimed, elsewhere, ended = [], [], []
        with translated(self.folder), transaction(self._connection):
            alive = living(self._connection)
            for key in keys:
                holder = self._connection.execute("SELECT runner FROM claims WHERE key = ?", (key,)).fetchone()
                if holder is not None and holder[0] != self.runner.id and holder[0] in alive:
                    elsewhere.append(key)
                    continue
                row = index.read_rows(self._connection, key)[0].get(key)
                if row is not None and not again(row):
                    ended.append(row)
                    continue
                self._connection.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (key, self.runner.id))
                claimed.append(key)
        return claimed, elsewhere, ended

    def finish(self, ended: Iterable[tuple[Outcome, int]]) -> list[Row]:
        """Write down cells that have ended, with the number of attempts; one that is done already stays as it is.

        Returns
        -------
        list of Row
            The rows as they now are.
        """
        now, rows, superfluous = time.time(), [], []
        with translated(self.folder), transaction(self._connection):
            for outcome, attempts in ended:
                row = index.row_of(outcome, now)
                earlier = index.read_rows(self._connection, row.key)[0].get(row.key)
                entered = index.enter(self._connection, row, index.about_of(outcome, attempts))
                if not entered and earlier is not None:
                    rows.append(earlier)
                else:
                    rows.append(row)
                other = earlier if entered else row
                if other is not None and other.file and other.file != rows[-1].file:
                    superfluous.append(other.file)
                self._connection.execute("DELETE FROM claims WHERE key = ?", (row.key,))
        for file in superfluous:
            (self.folder / files.RESULTS / file).unlink(missing_ok=True)
        return rows

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            raise StoreError(f"{self.folder} is closed; open it again")
        return self._opened

    def close(self) -> None:
        """Give back what is claimed and close the folder."""
        self.runner.stop()
        if self._opened is not None:
            with suppress(sqlite3.Error), transaction(self._connection):  # a full disk: the runner is dead all the same
                self._connection.execute("DELETE FROM claims WHERE runner = ?", (self.runner.id,))
                self._connection.execute("DELETE FROM runners WHERE id = ?", (self.runner.id,))
            self._opened.close()
            self._opened = None
        self._lock.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a folder holds at one moment: its plan, the rows of all finished cells, how many rows are damaged."""

    plan: Plan
    rows: dict[str, Row]
    damaged: int


def read_plan(folder: Path) -> Plan:
    """Read the plan of a study's folder."""
    if not (folder / PLAN).is_file():
        raise StoreError(f"{folder} holds no study: there is no {PLAN} in it; name a folder that `study` has written")
    return Plan.from_json((folder / PLAN).read_text(encoding="utf-8", errors="replace"))


def read_store(folder: Path) -> Reading:
    """Read a study's folder, which may be running; nothing is written. What the index lacks is read from the files."""
    plan = read_plan(folder)
    try:
        with closing(index.connect(folder, write=False)) as connection:
            whole = index.sound(connection)
            rows, damaged = index.read_rows(connection)
    except sqlite3.Error:
        whole, rows, damaged = False, {}, 0
    if not whole or damaged:
        rows |= {row.key: row for row in _without_row(folder, rows)}
    return Reading(plan, rows, damaged + (not whole))


def read_record(folder: Path, row: Row) -> CellRecord:
    """Read the record of a cell; its checksum is checked.

    Raises
    ------
    StoreError
        If the file is missing or damaged, or the cell was lost and has none.
    """
    if row.state == LOST:
        raise StoreError(f"the cell {row.key} was lost with its workers and has no record; run the study again")
    found = unpack(files.read(folder, row.file), folder / files.RESULTS / row.file)
    if not isinstance(found, CellRecord) or found.key != row.key:
        raise StoreError(f"{row.file} is not the record of its cell; run the study again")
    return found


def _without_row(folder: Path, rows: dict[str, Row]) -> Iterator[Row]:
    """Yield rows for good records that have none; of several of one cell the one that is done."""
    best: dict[str, Row] = {}
    for key, name in files.scan(folder):
        if key in rows:
            continue
        try:
            data = files.read(folder, name)
            record = unpack(data, name)
        except (StoreError, CheckpointError):
            continue
        if isinstance(record, CellRecord) and record.key == key and (key not in best or best[key].state != DONE):
            best[key] = _row_of_record(record, name, len(data), (folder / files.RESULTS / name).stat().st_mtime)
    yield from best.values()


def _row_of_record(record: CellRecord, name: str, size: int, finished: float) -> Row:
    error, state = record.error, DONE if record.error is None else str(record.error["kind"])
    said = None if error is None else {name: error[name] for name in ("kind", "type", "message")}
    return Row(record.key, state, name, size, json.loads(columns(record.values)), said, finished)


def read_where_from(folder: Path) -> dict[str, dict[str, Any]]:
    """Return where each cell's row comes from, as far as the index knows."""
    try:
        with closing(index.connect(folder, write=False)) as connection:
            return index.read_about(connection)
    except sqlite3.Error:
        return {}


def _new_or_a_study(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidArgumentError(f"out: {folder} is a file; name a new folder or the folder of a study")
    if folder.is_dir() and not (folder / PLAN).exists() and not (folder / index.INDEX).exists():
        strange = [p.name for p in folder.iterdir() if p.name not in (_LOCK, _DOOR) and not p.name.endswith(".part")]
        if strange:
            raise InvalidArgumentError(
                f"out: {folder} holds {strange[0]} and no study; name a new folder or the folder of a study"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.full(folder, error) from error


def _locked(path: Path, *, shared: bool = False) -> Any:
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
    with (folder / _LOCK).open("ab") as stream:
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


def _make_again(folder: Path, lock: Any) -> Any:
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
    return _locked(folder / _LOCK, shared=True)
