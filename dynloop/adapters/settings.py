"""Reading fields of a config: each has its type, or an error that names the field and the checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dynloop.errors import CheckpointError

__all__ = ["choice", "count", "flag", "number"]


def count(config: Mapping[str, Any], field: str, where: str, *, default: int | None = None, least: int = 1) -> int:
    """Return a field that counts something: an int of at least `least`, which is 1 or 0."""
    value = config.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        kind = "a positive int" if least else "an int ≥ 0"
        raise CheckpointError(f"{where}: the config needs {field} to be {kind}; it says {_said(config, field)}")
    return value


def flag(config: Mapping[str, Any], field: str, where: str, *, default: bool) -> bool:
    """Return a field that is true or false."""
    value = config.get(field, default)
    if not isinstance(value, bool):
        raise CheckpointError(f"{where}: the config needs {field} to be true or false; it says {_said(config, field)}")
    return value


def number(config: Mapping[str, Any], field: str, where: str, *, default: float | None = None) -> float:
    """Return a field that is a finite, non-negative number."""
    value = config.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise CheckpointError(f"{where}: the config needs {field} to be a number ≥ 0; it says {_said(config, field)}")
    return float(value)


def choice(
    config: Mapping[str, Any], field: str, where: str, allowed: Collection[str], *, default: str | None = None
) -> str:
    """Return a field that names one of the options in `allowed`."""
    value = config.get(field, default)
    if not isinstance(value, str) or value not in allowed:
        raise CheckpointError(
            f"{where}: the config says {field} = {_said(config, field)}, and dynloop makes a map of "
            f"{', '.join(map(repr, allowed))} alone; register an adapter of your own with dynloop.register_adapter"
        )
    return value


def _said(config: Mapping[str, Any], field: str) -> str:
    return repr(config[field])[:60] if field in config else "nothing"
