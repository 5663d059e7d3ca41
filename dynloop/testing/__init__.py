"""Conformance checks that every map and adapter passes."""
