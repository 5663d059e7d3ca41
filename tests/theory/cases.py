"""A property is stated by `cases(n, …)`: it is tried on n drawn cases, more by night and fewer on a mutant.

``DYNLOOP_PROPERTIES`` multiplies n (10 by `make nightly`). Cases that ran to their end are counted, test by test; the
summary of pytest adds them up (tests/conftest.py).
"""

import functools
import math
import os

from hypothesis import HealthCheck, Phase, given, settings

SCALE = float(os.environ.get("DYNLOOP_PROPERTIES", "1"))
PLANNED: dict[str, int] = {}
done = 0

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
# a mutant is dead at the first failure: nobody reads a small counter-example
_PHASES = (Phase.generate,) if os.environ.get("DYNLOOP_MUTANT") else tuple(Phase)


def cases(n: int, /, *, decides: float | None = None, **drawn):
    """Try a test on n drawn cases; `drawn` are strategies by argument, as in hypothesis' `given`.

    A test of a verdict that may be UNDECIDED returns whether it was decided, and `decides` is the least share of the
    cases that must be: a classifier that decides nothing contradicts nothing.
    """

    def decorate(test):
        PLANNED[f"{test.__module__}.{test.__name__}"] = n
        verdicts: list[bool] = []

        @functools.wraps(test)
        def counted(*args, **kwargs):
            global done
            said = test(*args, **kwargs)
            assert (said is None) == (decides is None), (
                "a test returns whether it decided if, and only if, `decides` is"
            )
            verdicts.append(bool(said))
            done += 1

        budget = settings(
            max_examples=max(2, math.ceil(n * SCALE)), derandomize=True, database=None, deadline=None, phases=_PHASES,
            suppress_health_check=_SLOW_IS_FINE,
        )  # fmt: skip
        tried = budget(given(**drawn)(counted))
        if decides is None:
            return tried

        def enough():
            verdicts.clear()
            tried()
            assert sum(verdicts) >= decides * len(verdicts), f"decided {sum(verdicts)} of {len(verdicts)}"

        enough.__name__, enough.__module__, enough.__doc__ = test.__name__, test.__module__, test.__doc__
        return enough

    return decorate
