"""Maps that the properties share beside `dynloop.testing.strategies`: compiled loops of a few coordinates."""

import numpy as np
from hypothesis import strategies as st

import dynloop as dl
from dynloop.maps.compiled.jit import jit


def _bend(x, params, out):
    for i in range(x.size):
        out[i] = x[i] + params[0] * np.sin(x[(i + 1) % x.size])


def _press(x, params, out):
    for i in range(x.size):
        out[i] = params[1] * x[i] / (1 + x[i] * x[i])


def _mix(x, params, out):
    total = 0.0
    for i in range(x.size):
        total += x[i]
    for i in range(x.size):
        out[i] = 0.5 * x[i] + params[2] * (i + 1) * total


STEPS = {"bend": jit(_bend), "press": jit(_press), "mix": jit(_mix)}  # compiled once: a plain function is at every map
LOOPS = (("bend",), ("press", "mix"))


def kernel(kinds, dim, params):
    """One loop of compiled layers; every choice of kinds and dim compiles once."""
    return dl.KernelMap([STEPS[k] for k in kinds], dim, params=params, layer_names=[f"{k} {i}" for i, k in enumerate(
        kinds)], name=f"kernel {', '.join(kinds)} dim {dim} params {params}")  # fmt: skip


def kernels():
    """Draw loops of compiled layers."""
    number = st.integers(-8, 8).map(lambda i: i / 4)
    return st.builds(kernel, st.sampled_from(LOOPS), st.just(2), st.tuples(number, number, number))
