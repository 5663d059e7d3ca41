"""`Statement`: a theorem of the notes that can be asked whether it applies to a map, and whether it holds there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from dynloop.errors import DerivativeError, InvalidArgumentError, NotAutonomousError, NoTwinError
from dynloop.maps.base import LoopMap
from dynloop.testing.statements.orbit import Orbit, orbits_of
from dynloop.testing.statements.report import Hypothesis, Judgement, Measured, Outcome, StatementReport

__all__ = ["Statement"]


class Statement(ABC):
    """One statement of the notes, with its hypotheses and its conclusion as measurements.

    Attributes
    ----------
    name : str
        ``"T0"`` … ``"T12"``.
    title : str
        A few words.
    kind : str
        ``"theorem"``.
    claim : str
        One sentence.
    by_token : bool
        Whether it speaks of every token of a causal map by itself.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import statement
    >>> t0 = statement("T0")
    >>> t0.title, t0.check(dl.zoo.henon()).counts()
    ('telescoping', {'holds': 1})
    """

    name: ClassVar[str]
    title: ClassVar[str]
    claim: ClassVar[str]
    kind: ClassVar[str] = "theorem"
    by_token: ClassVar[bool] = False

    @abstractmethod
    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterable[Hypothesis]:
        """Test the hypotheses on one orbit, the cheap ones first.

        Parameters
        ----------
        m : LoopMap
            The map.
        orbit : Orbit
            One of its orbits (see `orbits_of`), or a token of one (`Orbit.token`).

        Returns
        -------
        iterable of Hypothesis
            One a hypothesis.
        """

    @abstractmethod
    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterable[Measured]:
        """Measure the conclusion where the hypotheses are met.

        Parameters
        ----------
        m : LoopMap
            The map.
        orbit : Orbit
            One of its orbits, or a token of one.

        Returns
        -------
        iterable of Measured
            One a number; none where nothing can be measured.
        """

    def judge(self, m: LoopMap, orbit: Orbit) -> Judgement:
        """Say what the statement says of one orbit.

        Parameters
        ----------
        m : LoopMap
            The map.
        orbit : Orbit
            One of its orbits, or a token of one.

        Returns
        -------
        Judgement
            Of the first hypothesis that fails, or is not established, else of the worst number of the conclusion.
        """
        try:
            open_one = None
            for hypothesis in self.hypotheses(m, orbit):
                if hypothesis.holds is False:
                    return Judgement(
                        status=Outcome.DOES_NOT_APPLY, hypothesis=hypothesis.name,
                        reason=f"fails: {hypothesis.name} – {hypothesis.reason}",
                    )  # fmt: skip
                if hypothesis.holds is None and open_one is None:
                    open_one = hypothesis
            if open_one is not None:
                return Judgement(
                    status=Outcome.UNDECIDED, hypothesis=open_one.name,
                    reason=f"not established: {open_one.name} – {open_one.reason}",
                )  # fmt: skip
            return _concluded(list(self.conclusion(m, orbit)))
        except (DerivativeError, NoTwinError, NotAutonomousError) as error:
            return Judgement(status=Outcome.UNDECIDED, reason=f"could not be measured: {error}")

    def check(
        self,
        m: LoopMap,
        starts: Any = None,
        *,
        orbits: Sequence[Orbit] | None = None,
        loops: int | None = None,
        rng: int | np.random.Generator | None = 0,
    ) -> StatementReport:
        """Check the statement on the orbits of a map.

        Parameters
        ----------
        m : LoopMap
            The map.
        starts : array, (batch, *state_shape) or state_shape, optional
            Where the orbits begin; ``m.start(rng)`` if left out.
        orbits : sequence of Orbit, optional
            What `orbits_of` returned, in place of starts, so that many statements classify once.
        loops : int, optional
            Budget of loops per start, as in `dynloop.classify`.
        rng : int, Generator or None
            For starts and the classification.

        Returns
        -------
        StatementReport
            One outcome a start, or one a start and token.

        Raises
        ------
        InvalidArgumentError
            If a start is not finite, `loops` is out of range or `orbits` is empty.
        ShapeError
            If `starts` does not fit the map.
        """
        given = orbits_of(m, starts, loops=loops, rng=rng) if orbits is None else list(orbits)
        if not given:
            raise InvalidArgumentError("orbits is empty; give what orbits_of returned, or starts")
        tokens = self.by_token and m.causal
        rows = [[self.judge(m, one) for one in (orbit.tokens() if tokens else [orbit])] for orbit in given]
        shape = (len(rows), len(rows[0])) if tokens else (len(rows),)
        flat = [one for row in rows for one in row]

        def column(field: str, dtype: Any = object) -> np.ndarray[Any, Any]:
            values = np.empty(len(flat), dtype=dtype)
            values[:] = [getattr(one, field) for one in flat]
            return values.reshape(shape)

        return StatementReport(
            name=self.name, title=self.title, claim=self.claim, status=column("status"),
            hypothesis=column("hypothesis"), quantity=column("quantity"), value=column("value", np.float64),
            bound=column("bound", np.float64), source=column("source"), reason=column("reason"),
            settings={"map": m.name, "dtype": given[0].map.dtype_name, "regimes": [one.regime_text for one in given]},
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}, {self.title}: {self.claim}>"


def _concluded(found: Sequence[Measured]) -> Judgement:
    """Judge by the worst number: one that is violated, else one that is unclear, else the one nearest to its bound."""
    if not found:
        return Judgement(status=Outcome.UNDECIDED, reason="nothing could be measured")
    order: dict[bool | None, int] = {False: 0, None: 1, True: 2}
    worst = min(found, key=lambda one: (order[one.holds], -one.value / one.bound if one.bound > 0 else -one.value))
    said = f"{worst.quantity} {worst.value:.2g}, bound {worst.bound:.2g} ({worst.source})"
    if worst.unclear:
        said = f"{worst.unclear}; {said}"
    status = {True: Outcome.APPLIES_HOLDS, False: Outcome.VIOLATED, None: Outcome.UNDECIDED}[worst.holds]
    if worst.holds:
        said = "; ".join(f"{one.quantity} {one.value:.2g}, bound {one.bound:.2g} ({one.source})" for one in found)
    return Judgement(
        status=status, quantity=worst.quantity, value=worst.value, bound=worst.bound, source=worst.source, reason=said
    )
