"""Conformance checks that every map and adapter passes."""

from __future__ import annotations

from dynloop.testing.conformance import MapReport, check_map

__all__ = ["MapReport", "check_map"]
