"""The theorems as executable statements: whether each applies to a map, what fails, and whether it holds."""

from __future__ import annotations

from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.orbit import Orbit, orbits_of
from dynloop.testing.statements.report import Hypothesis, Measured, Outcome, StatementReport
from dynloop.testing.statements.table import STATEMENTS, StatementTable, check_statements, statement

__all__ = [
    "STATEMENTS", "Hypothesis", "Measured", "Orbit", "Outcome", "Statement", "StatementReport", "StatementTable",
    "check_statements", "orbits_of", "statement",
]  # fmt: skip
