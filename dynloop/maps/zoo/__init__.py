"""Maps with exact answers, each carrying its facts.

`facts` is a dictionary; every entry is tested. Its keys, each there where it is known:

``fixed_points`` : list of ndarray, ``multipliers`` : the eigenvalues of the Jacobian at each of them, in that order.
``cycles`` : dictionary from a period p to the points ``(p, dim)``; ``cycle_multipliers`` : eigenvalues of DF^p there.
``exponents`` : exact Lyapunov exponents of a typical orbit, largest first, natural logarithm per loop.
``exponents_measured``, ``exponents_error`` : those known by computation only, and their standard error.
``exponent_sum`` : their exact sum, the mean of log |det DF|.
``kaplan_yorke_dimension`` : of the attractor.
``prime_orbits`` : how many prime periodic orbits there are of period 1, 2, …
``fixed_point_counts`` : how many fixed points F, F², … have.
``rotation_number`` : turns per loop.
``symmetries`` : dictionary from what it does to S on states ``(batch, dim)`` with F(S(x)) = S(F(x)).
``attractors`` : list of the attracting fixed points.
``synchronised_exponents`` : exponents of a typical orbit on the diagonal of a coupled map.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dynloop.maps.zoo.coupled import coupled_logistic, folded_towel, rulkov, tanh_network
from dynloop.maps.zoo.cylinder import dissipative_standard, grebogi, sinai
from dynloop.maps.zoo.interval import cubic, gauss, logistic, tent
from dynloop.maps.zoo.oscillators import duffing_map, holmes_cubic, ikeda
from dynloop.maps.zoo.plane import delayed_logistic, henon, lozi, tinkerbell
from dynloop.maps.zoo.polynomial import newton
from dynloop.maps.zoo.rings import ring
from dynloop.maps.zoo.torus import baker, cat, circle, standard

if TYPE_CHECKING:
    from dynloop.maps.zoo.counter_examples import COUNTER_EXAMPLES, CounterExample, counter_example

__all__ = [
    "COUNTER_EXAMPLES",
    "CounterExample",
    "baker",
    "cat",
    "circle",
    "counter_example",
    "coupled_logistic",
    "cubic",
    "delayed_logistic",
    "dissipative_standard",
    "duffing_map",
    "folded_towel",
    "gauss",
    "grebogi",
    "henon",
    "holmes_cubic",
    "ikeda",
    "logistic",
    "lozi",
    "newton",
    "ring",
    "rulkov",
    "sinai",
    "standard",
    "tanh_network",
    "tent",
    "tinkerbell",
]


def __getattr__(name: str) -> Any:
    """Load the counter-examples when they are asked for: some of them import torch."""
    if name in ("COUNTER_EXAMPLES", "CounterExample", "counter_example"):
        return getattr(import_module("dynloop.maps.zoo.counter_examples"), name)
    raise AttributeError(f"the zoo has no map {name!r}; `dir(dynloop.zoo)` lists them")


def __dir__() -> list[str]:
    return __all__
