"""The index of a study: an SQLite file in WAL mode whose every row carries a seal."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dynloop.errors import StoreError
from dynloop.studies.worker import Outcome

__all__ = [
    "INDEX", "Row", "about_of", "connect", "enter", "is_whole", "prepare", "read_about", "read_rows", "row_of", "sound",
    "transaction", "translated",
]  # fmt: skip

INDEX = "index.sqlite"
_PAGE = 1 << 16  # bytes; with less left SQLite cannot even share its log
_WAIT = 60.0  # seconds that a writer waits for another
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, state TEXT, body BLOB, about BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, runner TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runners (id TEXT PRIMARY KEY, machine TEXT, pid INTEGER, born TEXT, beat REAL) WITHOUT ROWID;
"""
_SEAL = 8  # bytes at the end of a body


class Row(NamedTuple):
    """What the index says of a finished cell.

    Attributes
    ----------
    key, state : str
        The cell, and how it ended: "done", "error", "timeout" or "lost".
    file : str
        Its record, below ``results``; empty for a lost cell.
    size : int
        Bytes of that file.
    columns : dict
        What the table shows.
    error : dict or None
        Kind, type and message of an error.
    finished : float
        When the last attempt ended, in seconds since 1970.
    """

    key: str
    state: str
    file: str
    size: int
    columns: dict[str, Any]
    error: dict[str, str] | None
    finished: float


def row_of(outcome: Outcome, now: float) -> Row:
    """Return the row of a cell that has just ended."""
    error = None if outcome.error is None else json.loads(outcome.error)
    return Row(outcome.key, outcome.state, outcome.file, outcome.size, json.loads(outcome.columns), error, float(now))


def about_of(outcome: Outcome, attempts: int) -> dict[str, Any]:
    """Return where an outcome comes from: how often it was tried, how long it took, where, and with which versions."""
    names = "seconds", "worker", "environment"
    return {"attempts": attempts, **{name: getattr(outcome, name) for name in names}}


def enter(connection: sqlite3.Connection, row: Row, about: dict[str, Any] | None) -> bool:
    """Enter a row unless the cell is done already; say whether it was entered."""
    done = connection.execute(
        "INSERT INTO cells VALUES (?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET state = excluded.state, "
        "body = excluded.body, about = excluded.about WHERE cells.state != 'done'",
        (row.key, row.state, _sealed(row), _sealed(about)),
    )
    return done.rowcount > 0


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
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables that are not there."""
    connection.executescript(_SCHEMA)


def sound(connection: sqlite3.Connection) -> bool:
    """Say whether SQLite finds the file whole."""
    return connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]


def read_rows(connection: sqlite3.Connection, key: str | None = None) -> tuple[dict[str, Row], int]:
    """Return the rows whose seals fit, by key, and how many do not; of all cells, or of one."""
    where, given = ("", ()) if key is None else (" WHERE key = ?", (key,))
    bodies = [body for (body,) in connection.execute(f"SELECT body FROM cells{where}", given)]  # noqa: S608 - ours
    good = [body[:-_SEAL] for body in bodies if _fits(body)]
    found = {row.key: row for row in map(Row._make, json.loads(b"[" + b",".join(good) + b"]"))}
    return found, len(bodies) - len(found)


def read_about(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Return where each row comes from, as `about_of` says; those that are not known, or damaged, left out."""
    read = connection.execute("SELECT key, about FROM cells").fetchall()
    found = {key: json.loads(about[:-_SEAL]) for key, about in read if _fits(about)}
    return {key: about for key, about in found.items() if about is not None}


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


def _sealed(value: Any) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return body + hashlib.blake2b(body, digest_size=_SEAL).digest()


def _fits(body: object) -> bool:
    return isinstance(body, bytes) and hashlib.blake2b(body[:-_SEAL], digest_size=_SEAL).digest() == body[-_SEAL:]


def is_whole(folder: Path) -> bool:
    """Say whether the index opens, is sound and has only rows whose seals fit."""
    try:
        with closing(connect(folder, write=True)) as connection:
            prepare(connection)
            if not sound(connection) or read_rows(connection)[1]:
                return False
            named = connection.execute("SELECT key, state, body FROM cells")
            return all([key, state] == json.loads(body[:-_SEAL])[:2] for key, state, body in named)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_BUSY,
        ):
            raise
        return False
