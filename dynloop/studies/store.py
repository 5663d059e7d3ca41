"""The folder of a study: records as they finish, an index over them, and the plan; many processes may add to it.

======================  ====================================================================
``plan.json``           the plan that was run last, with a checksum
``results/KK/K.D.npz``  the record of the cell with key K, named by the digest D of its content
``index.sqlite``        a row a cell, so that no record need be opened to list them
======================  ====================================================================

A record is written whole before its row is, and says all that the row says of the cell, so the index is a shortcut:
rows that are missing or damaged are made again from the files, and a damaged file is computed again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

from dynloop.errors import InvalidArgumentError, StoreError
from dynloop.studies import files, index
from dynloop.studies.claims import Runner, living
from dynloop.studies.index import Row, transaction, translated
from dynloop.studies.plan import Plan
from dynloop.studies.reading import PLAN, without_row
from dynloop.studies.repair import LOCK, locked, make_again
from dynloop.studies.worker import Outcome

__all__ = ["Store"]

_DOOR = "door"


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
            self._lock = locked(folder / LOCK, shared=True)
            try:
                with closing(locked(folder / _DOOR)):  # one at a time comes in
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
            self._lock = make_again(self.folder, self._lock)
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
        found = list(without_row(self.folder, rows))
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


def _new_or_a_study(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidArgumentError(f"out: {folder} is a file; name a new folder or the folder of a study")
    if folder.is_dir() and not (folder / PLAN).exists() and not (folder / index.INDEX).exists():
        strange = [p.name for p in folder.iterdir() if p.name not in (LOCK, _DOOR) and not p.name.endswith(".part")]
        if strange:
            raise InvalidArgumentError(
                f"out: {folder} holds {strange[0]} and no study; name a new folder or the folder of a study"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.full(folder, error) from error
