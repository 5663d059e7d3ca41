"""Conformance checks, the theorems as statements, orbits of known regime, and strategies that draw them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dynloop.testing.adapter import AdapterReport, check_adapter
from dynloop.testing.conformance import MapReport, check_map

if TYPE_CHECKING:  # `as` makes a name public for type checkers
    from dynloop.testing import known as known
    from dynloop.testing import statements as statements
    from dynloop.testing import strategies as strategies

__all__ = ["AdapterReport", "MapReport", "check_adapter", "check_map", "known", "statements", "strategies"]


def __getattr__(name: str) -> Any:
    """Load `known`, `statements` and `strategies` when they are asked for: hypothesis takes a while."""
    if name in ("known", "statements", "strategies"):
        return import_module(f"dynloop.testing.{name}")
    raise AttributeError(f"dynloop.testing has no name {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
