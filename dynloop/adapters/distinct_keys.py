"""JSON in which no object has a key twice: readers differ in which of the two they take."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DuplicateKeyError", "distinct_json"]


class DuplicateKeyError(Exception):
    """An object has a key twice; the argument is the key."""


def distinct_json(text: str | bytes) -> Any:
    """Parse JSON; raise `DuplicateKeyError` where an object has a key twice."""
    return json.loads(text, object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKeyError(key)
        found[key] = value
    return found
