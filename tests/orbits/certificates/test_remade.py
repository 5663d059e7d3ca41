"""A step that is made again computes what the step computes, or is refused by the name of what it does."""

import math
from math import sin as sine

import numba
import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError

pytest.importorskip("flint")

from dynloop.orbits.certificates.backend import exact, nearest, workprec
from dynloop.orbits.certificates.enclosure import BallMap
from dynloop.orbits.certificates.trace import UndecidedError

W = np.array([[0.5, 0.25], [-0.125, 0.75]])
COUNTS = np.array([3, 1])
SHARE = np.float64(0.3)
COUNTER = [0]
ZOO = [name for name in dl.zoo.__dir__() if name[0].islower() and name != "counter_example"]


@numba.njit
def helper(a, b=0.25):
    return inner(a) * b


@numba.njit
def inner(a):
    return a * SHARE + math.exp(-a)


def closed_over(c):
    def step(x, params, out):
        square = lambda t: t * t
        out[0] = c * square(x[0]) + sine(x[1])
        out[1] = helper(x[0]) + helper(x[1], 2.0)

    return step


def whole_arrays(x, params, out):
    out[:] = W @ np.tanh(x) + 0.5 * x[::-1] - np.dot(x, x) / x.shape[0]


def loops(x, params, out):
    total = 0.0
    for i in range(len(x)):
        total += x[i] ** COUNTS[i]
    work = np.zeros(2)
    for i, value in enumerate(x):
        work[i] = max(value, total) if total > 0.2 else min(value, total)
    out[0] = work.sum()
    out[1] = np.where(x[0] > 0, work[1], 7.0) + abs(x[1]) % 1.0 + float(3) + (2.0 if x[1] else 1.0)


def complexes(x, params, out):
    z = complex(x[0], x[1])
    w = (z * z + (1 + 2j)) / (z - 3) ** 2
    out[0] = w.real + abs(w)
    out[1] = w.imag


@pytest.mark.parametrize("step", [closed_over(0.7), whole_arrays, loops, complexes])
def test_values_and_derivatives_are_those_of_the_step(step):
    m = dl.KernelMap(step, 2)
    for x in np.random.default_rng(0).uniform(0.1, 0.9, (5, 2)):
        compare(m, x)


def compare(m, x):
    with workprec(128):
        image = BallMap(m)([exact(float(c)) for c in x])
        values = np.array([nearest(v) for v in image.values])
        slopes = np.array([[nearest(s) for s in row] for row in image.slopes])
    assert np.abs(m.displacement(values, interpreted(m, x))).max() < 1e-13
    size = np.abs(slopes).max()
    for j, e in enumerate(1e-6 * np.eye(m.dimension)):
        difference = m.displacement(interpreted(m, x + e), interpreted(m, x - e)) / 2e-6
        assert np.abs(slopes[:, j] - difference).max() < 1e-6 * (1 + size**2)


def interpreted(m, x):
    """F(x) in plain Python: a step that is compiled for one test costs seconds."""
    for step in m.steps:
        out = np.empty(m.dimension)
        getattr(step, "py_func", step)(x, m.params, out)
        x = out
    return x


@pytest.mark.parametrize("name", ZOO)
def test_every_map_of_the_zoo_runs_on_balls(name):
    m = dl.zoo.tanh_network(6) if name == "tanh_network" else getattr(dl.zoo, name)()
    for x in m.start(3, 4):
        compare(m, x)


def test_layers_are_composed():
    def double(x, params, out):
        out[0] = 2 * x[0]

    def bend(x, params, out):
        out[0] = x[0] * x[0] + params[0]

    compare(dl.KernelMap([double, bend], 1, params=[0.125]), np.array([0.3]))


def draws(x, params, out):
    out[0] = x[0] + np.random.random()  # noqa: NPY002 - a step that draws is what is tested


def inverts(x, params, out):
    out[0] = np.linalg.norm(x)


def counts(x, params, out):
    COUNTER[0] += 1
    out[0] = x[0] + COUNTER[0]


def remembers(x, params, out):
    global SEEN
    SEEN = 1
    out[0] = x[0]


def asks_its_type(x, params, out):
    out[0] = 0.5 * x[0] if isinstance(x[0], float) else 2 * x[0]


def asks_the_dtype(x, params, out):
    out[0] = 0.5 * x[0] if x.dtype == np.float64 else 2 * x[0]


def cuts_to_integers(x, params, out):
    a = np.array([1, 2])
    a[0] = x[0]
    out[0] = a[0]


def of_integers(x, params, out):
    a = np.zeros(1, np.int64)
    a[0] = x[0]
    out[0] = a[0]


def single(x, params, out):
    out[0] = np.float32(x[0])


def indexes(x, params, out):
    out[0] = W[0][params[0]]


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (draws, "numpy.random"), (inverts, ".norm"), (counts, "COUNTER"), (remembers, "SEEN"),
        (asks_its_type, "isinstance"), (asks_the_dtype, ".dtype"), (cuts_to_integers, "read-only"),
        (of_integers, "float64|numpy.int64"), (single, "numpy.float32"),
        (indexes, "index"),
    ],
)  # fmt: skip
def test_what_has_no_rigorous_form_is_refused_by_name(step, named, monkeypatch):
    monkeypatch.setattr("dynloop.maps.kernel.try_out", lambda *_: None)
    with pytest.raises(InvalidArgumentError, match=rf"step '{step.__name__}' of .* no rigorous form .*({named})"):
        dl.certify(dl.KernelMap(step, 1, params=[1.0]), [0.25])


def test_a_step_cannot_swallow_what_is_undecided_or_refused():
    def swallows(x, params, out):
        y = 0.5 * x[0]
        try:
            if x[0] < 0:
                y = 2 * x[0]
        except:  # noqa: E722 - a step that swallows everything is what is tested
            y = 0.25 * x[0]
        out[0] = y

    found = dl.certify(dl.KernelMap(swallows, 1), [0.0])
    assert found.status is dl.Status.UNPROVED
    assert "comparison" in found.reason

    def hides(x, params, out):
        try:
            out[0] = math.gamma(x[0] + 1)
        except:  # noqa: E722 - as above
            out[0] = 0.5 * x[0]

    with pytest.raises(InvalidArgumentError, match=r"math\.gamma"):
        dl.certify(dl.KernelMap(hides, 1), [0.0])


def test_constants_next_to_pi_are_pi():
    turn = 2 * math.pi

    def step(x, params, out):
        out[0] = x[0] + np.sin(turn) + math.sin(6.283185307179586) + np.sin(2 * np.pi)

    with workprec(128):
        value = BallMap(dl.KernelMap(step, 1))([exact(0.5)]).values[0]
    assert value.contains(0.5)
    assert value.rad() < 1e-30


def test_a_branch_is_undecided_on_a_box_that_it_cuts():
    def step(x, params, out):
        out[0] = x[0] if x[0] > 0.5 else 1 - x[0]

    B = BallMap(dl.KernelMap(step, 1))
    with workprec(64):
        assert B([exact(0.75)]).values[0] == 0.75
        with pytest.raises(UndecidedError):
            B([exact(0.5) + (exact(0.25)).union(exact(-0.25))])


FACTOR = 0.5


def scales(x, params, out):
    out[0] = FACTOR * x[0] + 0.25


def test_a_map_that_was_compiled_with_other_globals_is_found_out(monkeypatch):
    m = dl.KernelMap(scales, 1)
    assert m([[0.5]]) == 0.5
    assert dl.certify(m, [0.5]).status is dl.Status.PROVED
    monkeypatch.setitem(globals(), "FACTOR", 0.75)
    for x in (0.5, 1.0):
        found = dl.certify(m, [x])
        assert found.status is dl.Status.UNPROVED
        assert "as it was compiled" in found.reason
    with pytest.raises(InvalidArgumentError, match=r"as it was compiled, .* Make the map again"):
        dl.fixed_points_in_box(m, [(-2, 2)])
    assert dl.certify(dl.KernelMap(scales, 1), [1.0]).status is dl.Status.PROVED


def test_integers_that_overflow_are_refused():
    def step(x, params, out):
        k = int(x[0] * 8)
        for _ in range(3):
            k = k * 3037000493 + 1
        out[0] = 0.5 * x[0] + k % 2

    with pytest.raises(InvalidArgumentError, match=r"the integer .* overflows"):
        dl.certify(dl.KernelMap(step, 1), [0.3])


def test_a_table_of_parameters_is_no_one_map():
    m = dl.zoo.logistic().with_table(np.array([[3.0], [4.0]]))
    with pytest.raises(InvalidArgumentError, match=r"2 rows of parameters.*with_row"):
        dl.certify(m, [0.0])
    assert dl.certify(m.with_row(1), [0.75]).multipliers[0] == -2
