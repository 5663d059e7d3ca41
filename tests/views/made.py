"""Classifications made by hand, for the tests of what shows them."""

import numpy as np

from dynloop.orbits.verdict import Classification, Evidence, Regime
from dynloop.result import Status


def made(regimes, *, causal=False, periods=None, reasons=None, **numbers) -> Classification:
    """A classification with these regimes; numbers that are not given are nan."""
    regime = np.empty(np.shape(regimes), dtype=object)
    regime[...] = np.array(regimes, dtype=object).reshape(regime.shape)
    shape = regime.shape
    fields = {name: np.full(shape, np.nan) for name in Evidence.__dataclass_fields__}
    fields["loops"] = np.full(shape, 64)
    fields["increments"] = np.full((*shape, 3), np.nan)
    fields["status"] = np.full(shape, Status.DECIDED, dtype=object)
    rate = np.broadcast_to(np.asarray(numbers.pop("rate", np.nan), dtype=float), shape)
    fields |= {name: np.broadcast_to(np.asarray(value), shape) for name, value in numbers.items()}
    default = np.where(regime == Regime.PERIODIC, 2, np.where(regime == Regime.CYCLIC, 1, -1))
    return Classification(
        rate_error=np.full(shape, np.nan),
        regime=regime,
        period=(default if periods is None else np.asarray(periods)).astype(np.int64),
        rate=rate,
        dichotomy=np.where(regime == Regime.CYCLIC, "cyclic", "not applicable"),
        reason=np.array(["because"] * regime.size if reasons is None else reasons, dtype=object).reshape(shape),
        evidence=Evidence(**fields),
        states=np.zeros((1, 2)),
        settings={"map": "a map", "causal": causal, "dtype": "float64"},
    )


def mixed() -> Classification:
    """One start of a causal map: nine tokens CYCLIC, two PERIODIC(2), one UNDECIDED."""
    regimes = [[Regime.CYCLIC] * 9 + [Regime.PERIODIC] * 2 + [Regime.UNDECIDED]]
    reasons = [f"settled at loop {40 + i} with residual {i + 1}e-15" for i in range(9)]
    reasons += ["returns after 2 loops"] * 2 + ["steps shrink too slowly to tell"]
    rate = [[0.8 + 0.01 * i for i in range(9)] + [0.5, 0.5, np.nan]]
    residual = [[1e-15 * (i + 1) for i in range(9)] + [2e-15, 3e-15, np.nan]]
    return made(
        regimes, causal=True, reasons=reasons, rate=rate, residual=residual, floor=2.2e-16, closure=1.4e-15,
        perimeter=1.234,
    )  # fmt: skip
