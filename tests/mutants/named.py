"""The mutants by name; each is a plausible slip, and `what` says which."""

from tests.mutants.patching import Mutant, Patch
from tests.mutants.slips import arithmetic, layers, verdicts

__all__ = ["MUTANTS", "apply"]

MUTANTS: dict[str, Mutant] = {**layers.MUTANTS, **arithmetic.MUTANTS, **verdicts.MUTANTS}


def apply(name):
    """Break the library for the rest of this process."""
    MUTANTS[name].apply(Patch())
