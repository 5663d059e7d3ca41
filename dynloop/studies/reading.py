"""Read a study's folder, which may be running or damaged; nothing is written."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from dynloop.errors import CheckpointError, StoreError
from dynloop.result import unpack
from dynloop.studies import files, index
from dynloop.studies.index import Row
from dynloop.studies.plan import Plan
from dynloop.studies.record import CellRecord, columns
from dynloop.studies.worker import DONE, LOST

__all__ = ["PLAN", "Reading", "read_plan", "read_record", "read_store", "read_where_from", "without_row"]

PLAN = "plan.json"


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
        rows |= {row.key: row for row in without_row(folder, rows)}
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


def without_row(folder: Path, rows: dict[str, Row]) -> Iterator[Row]:
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
