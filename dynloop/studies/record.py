"""What is kept of one cell: the values that its function returned, or its error, beside what it was called with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dynloop.errors import InvalidArgumentError
from dynloop.result import Result

__all__ = ["CellRecord", "columns", "values_of"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class CellRecord(Result):
    """One finished cell.

    Attributes
    ----------
    values : dict
        What the function returned by name: numbers, text, arrays, records. Empty where it failed.
    error : dict or None
        Where it failed: ``"kind"`` ("error" or "timeout"), ``"type"``, ``"message"`` and ``"traceback"``.
    key : str
        The cell's key.
    function : str
        ``module:name`` of what was called.
    parameters : dict
        What it was called with.
    code : str
        The version of the code.
    """

    values: dict[str, Any]
    error: dict[str, Any] | None
    key: str
    function: str
    parameters: dict[str, Any]
    code: str

    @property
    def result(self) -> Any:
        """The record that the function returned, or returned under the name ``"result"``."""
        if "result" not in self.values:
            raise InvalidArgumentError(f"the cell holds no record, only {', '.join(self.values) or 'its error'}")
        return self.values["result"]


def values_of(returned: Any) -> dict[str, Any]:
    """Return what a cell's function returned as a dictionary; a record alone is called ``result``.

    Raises
    ------
    InvalidArgumentError
        If it is neither a record nor a mapping with names for keys.
    """
    if isinstance(returned, Result) and dataclasses.is_dataclass(returned):
        return {"result": returned}
    if isinstance(returned, Mapping) and all(isinstance(name, str) for name in returned):
        return dict(returned)
    raise InvalidArgumentError(
        f"a cell must return a record of dynloop or a mapping of names to values; got a {type(returned).__name__}"
    )


def columns(values: Mapping[str, Any]) -> str:
    """Return, as JSON, those values that are one number or one text: what the study's table shows."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Enum):
            found[name] = value.name
        elif value is None or isinstance(value, bool | int | float | str):
            item = getattr(value, "item", None)  # a number of numpy may be one of Python too
            found[name] = value if item is None else item()
        elif getattr(value, "shape", None) == () and hasattr(value, "item"):
            item = value.item()
            if isinstance(item, bool | int | float | str):
                found[name] = item
    return json.dumps(found, ensure_ascii=False)
