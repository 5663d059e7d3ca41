"""The index of a study: an SQLite file in WAL mode whose every row carries a seal."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from dynloop.errors import StoreError
from dynloop.studies.worker import LOST, Outcome

__all__ = [
    "COLUMNS",
    "INDEX",
    "Row",
    "connect",
    "file_names",
    "prepare",
    "read_rows",
    "row_of",
    "sealed",
    "sound",
    "translated",
]

INDEX = "index.sqlite"
_PAGE = 1 << 16  # bytes; with less left SQLite cannot even share its log
_WAIT = 60.0  # seconds that a writer waits for another
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, state TEXT, file TEXT, size INTEGER, columns TEXT, error TEXT,
    attempts INTEGER, seconds REAL, finished REAL, worker TEXT, environment TEXT, seal TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, runner TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runners (id TEXT PRIMARY KEY, machine TEXT, pid INTEGER, born TEXT, beat REAL) WITHOUT ROWID;
"""
COLUMNS = "key, state, file, size, columns, error, attempts, seconds, finished, worker, environment"


@dataclass(frozen=True, slots=True)
class Row:
    """What the index says of a finished cell.

    Attributes
    ----------
    key, state : str
        The cell, and how it ended: "done", "error", "timeout" or "lost".
    file : str
        Its record, below ``results``; empty for a lost cell.
    size : int
        Bytes of that file.
    columns, error : str
        JSON: what the table shows; kind, type and message of an error, or None.
    attempts : int
        How often it was tried; 0 where that is not known any more.
    seconds, finished : float
        How long the last attempt took, and when it ended (seconds since 1970).
    worker, environment : str
        Where it was computed, and with which versions.
    """

    key: str
    state: str
    file: str
    size: int
    columns: str
    error: str | None
    attempts: int
    seconds: float
    finished: float
    worker: str
    environment: str


def row_of(outcome: Outcome, attempts: int, now: float) -> Row:
    """Return the row of a cell that has just ended."""
    return Row(
        outcome.key, outcome.state, outcome.file, outcome.size, outcome.columns, outcome.error, attempts,
        float(outcome.seconds), float(now), outcome.worker, outcome.environment,
    )  # fmt: skip


def sealed(row: Row) -> tuple[object, ...]:
    """Return the values of a row with their seal."""
    values = astuple(row)
    return (*values, _seal(values))


def connect(folder: Path, *, write: bool) -> sqlite3.Connection:
    """Open the index of a folder; transactions are the caller's."""
    path = folder / INDEX
    if write:
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # rows that a power cut takes are found again by their files
    else:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT, isolation_level=None
        )
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")  # the seal says what is damaged
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there."""
    connection.executescript(_SCHEMA)


def sound(connection: sqlite3.Connection) -> bool:
    """Say whether SQLite finds the file whole."""
    return connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]


def read_rows(connection: sqlite3.Connection, where: str = "") -> tuple[dict[str, Row], int]:
    """Return the rows whose seals fit, by key, and how many do not."""
    found, broken = {}, 0
    for *values, seal in connection.execute(f"SELECT {COLUMNS}, seal FROM cells {where}"):  # noqa: S608 - our own text
        if seal == _seal(tuple(values)):
            found[values[0]] = Row(*values)
        else:
            broken += 1
    return found, broken


def file_names(row: Row) -> str:
    """Return what a row says of its file, for messages."""
    return row.file or ("no file" if row.state == LOST else "?")


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn an error of SQLite into a `StoreError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        path = folder / INDEX
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            said = StoreError(
                f"cannot write {path} ({error}); put it right and run the study again: what is finished is kept"
            )
            full = code == sqlite3.SQLITE_FULL or shutil.disk_usage(folder).free < _PAGE
            said.errno = errno.ENOSPC if full else errno.EIO
            raise said from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(f"{path} was locked by another process for {_WAIT:g} s; run the study again") from error
        raise StoreError(
            f"{path} is damaged ({error}); run the study again: what is finished is found by its files"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that is done inside, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _seal(values: tuple[object, ...]) -> str:
    return hashlib.blake2b(repr(values).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def is_whole(folder: Path) -> bool:
    """Say whether the index opens, is sound and has only rows whose seals fit."""
    try:
        with closing(connect(folder, write=True)) as connection:
            prepare(connection)
            return sound(connection) and read_rows(connection)[1] == 0
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_BUSY,
        ):
            raise
        return False
