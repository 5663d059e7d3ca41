"""The table of a study: a row a cell in the order of the plan, a column a parameter or a value."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynloop import atomic
from dynloop.errors import MissingPackageError
from dynloop.result import Result
from dynloop.studies.files import write_text
from dynloop.studies.index import Row
from dynloop.studies.plan import Plan

__all__ = ["PENDING", "StudyTable", "table_of"]

PENDING = "pending"
_OURS = "state", "error"  # columns of every table


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class StudyTable(Result):
    """What a study has found, in columns.

    Attributes
    ----------
    columns : dict of str to tuple
        One entry a cell in each: the parameters, ``state`` ("done", "error", "timeout", "lost", "pending"), the numbers
        and text that the cells returned, and ``error`` ("ValueError: …", or None). None where a cell has no value. A
        parameter called ``state`` or ``error`` is in the column ``parameter.NAME``, a value that bears the name of
        another column in ``result.NAME``.
    parameters : tuple of str
        Which columns are parameters.

    Examples
    --------
    >>> import dynloop as dl, tempfile
    >>> plan = dl.read_plan({"analysis": "lyapunov", "grid": {"checkpoint": ["zoo:henon"], "map.a": [0.2, 1.4]}})
    >>> table = dl.study(plan, tempfile.mkdtemp()).table()
    >>> table.columns["map.a"], table.summary()
    ((0.2, 1.4), '2 cells: 2 done')
    """

    columns: dict[str, tuple[Any, ...]]
    parameters: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.columns["state"])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each cell as a dictionary."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def summary(self) -> str:
        """Say in one line how many cells are in which state."""
        states = self.columns["state"]
        told = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
        return f"{len(self)} cells: {', '.join(told)}" if told else "0 cells"

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as CSV (UTF-8) to `path`; lists and mappings as JSON, nothing where there is no value."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            writer.writerow([_cell(value) for value in values])
        write_text(Path(path), text.getvalue())
        return Path(path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as Parquet to `path`: whole numbers, numbers, truth values, and text for everything else.

        Raises
        ------
        MissingPackageError
            Without pyarrow.
        """
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise MissingPackageError("Parquet needs pyarrow: pip install 'dynloop[export]'") from None
        arrays = {name: _typed(values) for name, values in self.columns.items()}
        types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
        table = pa.table({name: pa.array(values, type=types[kind]) for name, (kind, values) in arrays.items()})
        target = Path(path)
        with atomic.replacing(target) as part:
            parquet.write_table(table, part)
        return target

    def __repr__(self) -> str:
        shown = [name for name, values in self.columns.items() if name != "error" or any(values)]
        lines = [f"StudyTable of {self.summary()}", "  " + " | ".join(shown)]
        for row, _ in zip(self.rows(), range(8), strict=False):
            lines.append("  " + " | ".join(_short(row[name]) for name in shown))
        if len(self) > 8:
            lines.append(f"  … and {len(self) - 8} more")
        return "\n".join(lines)


def table_of(plan: Plan, rows: dict[str, Row]) -> StudyTable:
    """Return the table of a plan, whose finished cells have rows."""
    names = plan.names
    found = [rows.get(key) for key in plan.keys]
    empty: dict[str, Any] = {}
    loaded = [empty if row is None else row.columns for row in found]
    values: dict[str, Any] = {}
    for one in loaded:
        values.update(one)  # its names, in the order in which they come up
    called = _called(names)
    columns: dict[str, Any] = {called[name]: plan.column(name) for name in names}
    columns["state"] = [PENDING if row is None else row.state for row in found]
    own = _apart("result", values, {*columns, *_OURS})
    for name in values:
        columns[own[name]] = [one.get(name) for one in loaded]
    errors = [None if row is None else row.error for row in found]
    columns["error"] = [None if error is None else f"{error['type']}: {error['message']}" for error in errors]
    return StudyTable(
        columns={name: tuple(column) for name, column in columns.items()}, parameters=tuple(called.values())
    )


def _called(names: Iterable[str]) -> dict[str, str]:
    """Return the column of each parameter."""
    return _apart("parameter", names, set(_OURS))


def _apart(prefix: str, names: Iterable[str], taken: set[str]) -> dict[str, str]:
    """Return a column for each name: itself unless that is taken, then the name with a prefix that makes it free."""
    names = list(names)
    used = {*taken, *names}
    found = {}
    for name in names:
        found[name] = name
        while name in taken and found[name] in used:
            found[name] = f"{prefix}.{found[name]}"
        used.add(found[name])
    return found


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _typed(values: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Return what a column holds, and it as that."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return "bool", list(values)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    if there and numbers and all(isinstance(value, int) and abs(value) < 2**63 for value in there):
        return "int", list(values)
    if there and numbers:
        return "float", [None if value is None else float(value) for value in values]
    return "str", [
        None if value is None else value if isinstance(value, str) else str(_cell(value)) for value in values
    ]


def _short(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(_cell(value)).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def to_xarray(plan: Plan, table: StudyTable) -> Any:
    """Return the table as an `xarray.Dataset`, a dimension an axis of the plan's grid, a scalar a fixed parameter."""
    try:
        import numpy as np
        import xarray
    except ImportError:
        raise MissingPackageError("xarray is not installed: pip install 'dynloop[export]'") from None
    called = _called(plan.names)
    if plan.rows is None:
        shape = tuple(len(values) for values in plan.axes.values())
        dimensions = tuple(called[name] for name in plan.axes)
        coordinates: dict[str, Any] = {
            called[name]: (called[name], _array(np, values)) for name, values in plan.axes.items()
        }
    else:
        shape, dimensions = (len(table),), ("cell",)
        varying = {name for row in plan.rows for name in row}
        coordinates = {
            called[name]: ("cell", _array(np, table.columns[called[name]])) for name in plan.names if name in varying
        }
    for name, value in plan.fixed.items():
        if called[name] not in coordinates:
            coordinates[called[name]] = ((), _array(np, [value])[0])
    data = {
        name: (dimensions, _array(np, values).reshape(shape))
        for name, values in table.columns.items()
        if name not in table.parameters
    }
    return xarray.Dataset(data, coordinates, {"function": plan.address, "code": plan.code})


def _array(np: Any, values: Any) -> Any:
    """Return a column as an array: nan, or nothing, where there is no value."""
    kind, typed = _typed(tuple(values))
    if kind in ("int", "float") or (kind == "bool" and None in typed):
        whole = kind == "int" and None not in typed
        return np.array(
            typed if whole else [np.nan if v is None else v for v in typed], dtype=np.int64 if whole else float
        )
    return np.array(["" if v is None else v for v in typed]) if kind == "str" else np.array(typed)
