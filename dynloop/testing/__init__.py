"""Conformance checks that every map and adapter passes."""

from __future__ import annotations

from dynloop.testing.adapter import AdapterReport, check_adapter
from dynloop.testing.conformance import MapReport, check_map

__all__ = ["AdapterReport", "MapReport", "check_adapter", "check_map"]
