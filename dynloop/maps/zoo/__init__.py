"""Maps with exact answers, each carrying its facts.

`facts` is a dictionary; every entry is tested. Its keys, each there where it is known:

``fixed_points`` : list of ndarray, and ``multipliers`` : the eigenvalues of the Jacobian at each of them, in that order.
``cycles`` : dictionary from a period p to the points ``(p, dim)``; ``cycle_multipliers`` : eigenvalues of DF^p there.
``exponents`` : exact Lyapunov exponents of a typical orbit, largest first, natural logarithm per loop.
``exponents_measured``, ``exponents_error`` : those known by computation only, and their standard error.
``exponent_sum`` : their exact sum, the mean of log |det DF|.
``prime_orbits`` : numbers of prime periodic orbits, ``fixed_point_counts`` : numbers of fixed points of Fⁿ, n = 1, 2, ….
``rotation_number`` : turns per loop.
"""

from __future__ import annotations

from dynloop.maps.zoo.counter_examples import COUNTER_EXAMPLES, CounterExample, counter_example
from dynloop.maps.zoo.interval import cubic, gauss, logistic, tent
from dynloop.maps.zoo.plane import delayed_logistic, henon, lozi, tinkerbell
from dynloop.maps.zoo.rings import ring
from dynloop.maps.zoo.torus import baker, cat, circle, standard

__all__ = [
    "COUNTER_EXAMPLES",
    "CounterExample",
    "baker",
    "cat",
    "circle",
    "counter_example",
    "cubic",
    "delayed_logistic",
    "gauss",
    "henon",
    "logistic",
    "lozi",
    "ring",
    "standard",
    "tent",
    "tinkerbell",
]
