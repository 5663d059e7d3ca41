"""All thirteen statements, and the table of what they say of one map: `check_statements` classifies once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import LoopMap
from dynloop.result import Result
from dynloop.testing.statements.attention import AttentionMoves
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.causality import CausalTriangle
from dynloop.testing.statements.closing import NullOfTheNorm
from dynloop.testing.statements.contraction import Contraction
from dynloop.testing.statements.orbit import orbits_of
from dynloop.testing.statements.polygon import ClosedPolygon, Dichotomy
from dynloop.testing.statements.ray import Ray
from dynloop.testing.statements.report import StatementReport
from dynloop.testing.statements.rotation import Rotation
from dynloop.testing.statements.sections import EqualMultipliers, EqualPeriods
from dynloop.testing.statements.stability import Stability
from dynloop.testing.statements.summable import SummableSteps
from dynloop.testing.statements.telescoping import Telescoping

__all__ = ["STATEMENTS", "StatementTable", "check_statements", "statement"]

STATEMENTS: tuple[Statement, ...] = (
    Telescoping(), Rotation(), ClosedPolygon(), Dichotomy(), EqualMultipliers(), EqualPeriods(), Stability(),
    CausalTriangle(), NullOfTheNorm(), SummableSteps(), AttentionMoves(), Contraction(), Ray(),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class StatementTable(Result):
    """What every statement says of the orbits of one map.

    Attributes
    ----------
    reports : tuple of StatementReport
        In the order T0, T1, …
    regimes : tuple of str
        The verdicts of every start, in short.
    settings : dict
        The map, its dtype, the loops.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import check_statements
    >>> table = check_statements(dl.zoo.logistic(2.5), [[0.3]], names=["T2", "T7"])
    >>> table.summary(), table["T2"].name, table.violated
    ('of 2 statements 1 hold, 1 not applicable', 'T2', ())
    """

    reports: tuple[StatementReport, ...]
    regimes: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the statements that are violated somewhere."""
        return tuple(report.name for report in self.reports if report.violated)

    def __getitem__(self, name: str) -> StatementReport:
        """Return the report of a statement by its name."""
        for report in self.reports:
            if report.name == name:
                return report
        known = ", ".join(report.name for report in self.reports)
        raise InvalidArgumentError(f"name must be one of {known}; got {name!r}")

    def summary(self) -> str:
        """Say in one line how many statements hold, and which are violated."""
        kinds = [next(iter(report.counts())) for report in self.reports]
        said = [f"{kinds.count(kind)} {words}" for kind, words in _SAID.items() if kind in kinds]
        worst = f": {', '.join(self.violated)}" if self.violated else ""
        return f"of {len(kinds)} statements {', '.join(said)}{worst}"

    def __repr__(self) -> str:
        return "\n".join([f"StatementTable: {self.summary()}", *(f"  {report.summary()}" for report in self.reports)])


_SAID = {"holds": "hold", "undecided": "undecided", "does not apply": "not applicable", "violated": "VIOLATED"}


def statement(name: str) -> Statement:
    """Return a statement by its name.

    Parameters
    ----------
    name : str
        ``"T0"`` … ``"T12"``.

    Returns
    -------
    Statement
        One of `STATEMENTS`.

    Raises
    ------
    InvalidArgumentError
        If there is no such statement.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import statement
    >>> print(statement("T3").check(dl.zoo.logistic(3.2), [[0.3]]).hypothesis[0])
    the orbit converges
    """
    for one in STATEMENTS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in STATEMENTS)
    raise InvalidArgumentError(f"name must be one of {known}; got {name!r}")


def check_statements(
    m: LoopMap,
    starts: Any = None,
    *,
    names: Sequence[str] | None = None,
    loops: int | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> StatementTable:
    """Check every statement on the orbits of a map, which are classified once.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where the orbits begin; ``m.start(rng)`` if left out.
    names : sequence of str, optional
        Which statements; all of them if left out.
    loops : int, optional
        Budget of loops per start, as in `dynloop.classify`.
    rng : int, Generator or None
        For starts and the classification.
    progress : callable, optional
        Called as ``progress(statements done, statements)``.

    Returns
    -------
    StatementTable
        One report a statement.

    Raises
    ------
    InvalidArgumentError
        If a name is unknown, a start is not finite or `loops` is out of range.
    ShapeError
        If `starts` does not fit the map.

    Notes
    -----
    "Holds" is a measurement at one orbit, not a proof. "Violated" says that the library, the adapter or the mathematics
    is wrong. "Undecided" names what a finite computation could not establish.

    Examples
    --------
    >>> import dynloop as dl
    >>> table = dl.testing.statements.check_statements(dl.zoo.logistic(2.5), [[0.3]], names=["T2", "T7"])
    >>> table["T2"].status[0].value, table["T7"].status[0].value
    ('holds', 'does not apply')
    """
    chosen = STATEMENTS if names is None else tuple(statement(name) for name in names)
    orbits = orbits_of(m, starts, loops=loops, rng=rng)
    reports = []
    for done, one in enumerate(chosen, 1):
        reports.append(one.check(m, orbits=orbits))
        if progress is not None:
            progress(done, len(chosen))
    settings = {"map": m.name, "dtype": orbits[0].map.dtype_name, "loops": loops}
    return StatementTable(
        reports=tuple(reports), regimes=tuple(orbit.regime_text for orbit in orbits), settings=settings
    )
