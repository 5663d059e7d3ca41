"""Outside the hypotheses: on each counter-example the conclusion really fails, and the statement names the hypothesis.

The maps and starts are those of `dynloop.maps.zoo.COUNTER_EXAMPLES`; C8 and C9, which are no rows of it, are made here.
For every key stands the statement that a naive reading would apply, the hypothesis that it must name, and a measurement
that shows the conclusion failing on the orbit itself, without any statement.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.maps.zoo import COUNTER_EXAMPLES
from dynloop.testing.statements import Outcome, check_statements, orbits_of, statement
from tests.testing.broken import Counting, hidden

CONVERGES = "the orbit converges"
SUMS = "the steps sum"
POINT = "the orbit comes to a point with F^p(x) = x"
RADIUS = "ρ(DF^p) < 1"
LIMIT = "the orbit comes to a fixed point or a cycle"
STABLE = "ρ(DF^p) < 1"
RAY = "every ‖x_i‖ → ∞ and directions converge"
CONTRACTS = "‖F(x) − F(y)‖ ≤ q‖x − y‖ with q < 1 on a closed set that F keeps"


@dataclass(frozen=True)
class Outside:
    """What is right to say of one counter-example, and how its orbit shows it."""

    name: str
    hypothesis: str
    fails: Callable[[np.ndarray], bool]  # of the states (loops + 1, n) from the start
    loops: int = 400
    outcomes: frozenset[str] = frozenset({"does not apply", "undecided"})


def steps(x):
    return np.linalg.norm(np.diff(x, axis=0), axis=1)


def never_rests(x):
    """Steps at the end are as large as ever: there is no limit."""
    late = steps(x)[-64:]
    return late.max() > 1e-3 * np.linalg.norm(np.ptp(x, axis=0))


def leaves(x):
    return np.linalg.norm(x[-1]) > 10 * np.linalg.norm(x[len(x) // 4])


def returns_only_after(p):
    def fails(x):
        gaps = [np.abs(x[-1] - x[-1 - q]).max() for q in range(1, p + 1)]
        return gaps[-1] < 1e-9 and min(gaps[:-1]) > 1e-3

    return fails


def falls_but_does_not_sum(x):
    """Steps fall, and yet the octave [t, 2t] goes on to add as much as the one before."""
    s, n = steps(x), len(x) - 1
    return s[-1] < 0.05 * s[0] and s[n // 2 :].sum() > 0.6 * s[n // 4 : n // 2].sum()


OUTSIDE = {
    "C1": Outside("T2", CONVERGES, lambda x: np.allclose(steps(x)[-1], np.linalg.norm([1.0, -2.0, 0.5]))),
    "C1b": Outside("T12", RAY, lambda x: steps(x)[-1] > 10 * steps(x)[10]),  # it is faster than every ray
    "C2": Outside("T9", SUMS, lambda x: falls_but_does_not_sum(x) and x[-1, 0] > x[len(x) // 2, 0] + 0.5, loops=4096),
    "C3": Outside("T9", SUMS, falls_but_does_not_sum, loops=4096),
    "C4": Outside("T12", RAY, lambda x: steps(x)[-1] > 1e3 * steps(x)[10]),
    "C4b": Outside("T2", CONVERGES, lambda x: np.isinf(x[-1]).all(), loops=20),
    "C5": Outside("T2", CONVERGES, returns_only_after(2)),
    "C5b": Outside("T3", CONVERGES, returns_only_after(4)),
    "C5c": Outside("T6", STABLE, returns_only_after(5)),
    "C5d": Outside("T6", STABLE, returns_only_after(8)),
    "C6": Outside("T5", LIMIT, never_rests),
    "C7": Outside("T1", POINT, never_rests),
    "C7b": Outside("T2", CONVERGES, never_rests),
    "C10c": Outside("T2", CONVERGES, lambda x: bool((x[-1] != x[-2]).any()) and bool((x[-1] == x[-5]).all())),
    "C11": Outside("T6", STABLE, lambda x: bool((x[-1] == x[0]).all())),  # a disturbance stays for ever
    "C11b": Outside("T11", CONTRACTS, lambda x: x[-1, 1] == x[0, 1]),
    "C13": Outside("T2", CONVERGES, lambda x: np.ptp(x[-64:, 1]) > 0.1),  # the contracting token moves
    "C14": Outside("T2", CONVERGES, lambda x: np.abs(x[-1, 1] - x[-2, 1]) > 0.1),
    "C15": Outside("T12", RAY, lambda x: np.ptp(x[-64:, 1]) > 0.5),
    "C16": Outside("T5", LIMIT, never_rests),
    "C16b": Outside("T5", LIMIT, lambda x: np.abs(x[1200:] - x[1197:-3]).max() > 0.1, loops=3000),
    "C17": Outside("T12", RAY, lambda x: steps(x)[-1] < 0.5 * steps(x)[0], loops=8000),  # growth ends: no ray
    "C18": Outside("T6", RADIUS, lambda x: abs(x[-1, 0]) > 0.5 / np.sqrt(2 * 4000), loops=4000),  # no factor per loop
    "C18b": Outside("T6", RADIUS, lambda x: steps(x)[-1] > 0.9 * steps(x)[-100], loops=4000),
    "C19c": Outside("T6", POINT, lambda x: abs(x[-1, 0]) == 0 and np.linalg.norm(x[-1]) < 1e-9, loops=64),
    "C20": Outside("T5", LIMIT, never_rests),
    "C20b": Outside("T5", LIMIT, never_rests),
    "C20c": Outside("T2", CONVERGES, lambda x: x[-1, 0] == 0 and np.abs(x[:40]).max() > 0.5),
    "C20d": Outside("T2", CONVERGES, lambda x: x[-1, 0] == 0 and np.abs(x[:20]).max() > 0.5),
    "C20e": Outside("T2", CONVERGES, lambda x: x[-1, 0] == 0 and np.abs(x[:40, 0]).max() > 0.5),
}
INSIDE = {
    "C10": ("T2", "T3"), "C10b": ("T2", "T3"), "C12": ("T2", "T6"), "C17b": ("T2", "T9"), "C19": ("T2", "T3"),
    "C19b": ("T2", "T6"),
}  # fmt: skip
SLOW = {"C3", "C10c", "C16", "C16b"}


def rows(keys):
    return [
        pytest.param(row, marks=[pytest.mark.slow] if row.key in SLOW else [], id=row.key)
        for row in COUNTER_EXAMPLES if row.key in keys
    ]  # fmt: skip


def test_every_counter_example_stands_here():
    assert {row.key for row in COUNTER_EXAMPLES} == set(OUTSIDE) | set(INSIDE)
    numbers = {int("".join(c for c in key if c.isdigit())) for key in (*OUTSIDE, *INSIDE, "C8", "C9")}
    assert numbers == set(range(1, 21))


@pytest.mark.parametrize("row", rows(OUTSIDE))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_conclusion_fails_and_the_hypothesis_is_named(row):
    case, m = OUTSIDE[row.key], row.make()
    states = dl.trajectory(m, row.start, case.loops).states
    assert case.fails(m.numpy(states).reshape(case.loops + 1, -1)), row.title
    report = statement(case.name).check(m, row.start[None])
    said = np.ravel(report.status)[-1]  # of tokens the last, which is the one that is misread
    assert said.value in case.outcomes, report
    assert np.ravel(report.hypothesis)[-1] == case.hypothesis
    assert np.ravel(report.reason)[-1].startswith(("fails: ", "not established: "))
    assert not report.violated


@pytest.mark.parametrize("row", rows(INSIDE))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_only_looks_odd_is_inside(row):
    """Rounding, a late capture, growth that saturates, no decay to fit: the theorems hold all the same."""
    m = row.make()
    orbits = orbits_of(m, row.start[None])
    for name in INSIDE[row.key]:
        report = statement(name).check(m, orbits=orbits)
        assert report.counts() == {"holds": 1}, report


@pytest.mark.parametrize(
    ("key", "point", "outcome", "rho"),
    [
        ("C18", [0.0], "undecided", 1.0),
        ("C18b", [2 / 3], "undecided", 1.0),
        ("C19c", [0.0, 0.0], "does not apply", 2.0),
    ],
)
def test_at_the_limit_itself_the_spectral_radius_is_what_fails(key, point, outcome, rho):
    m = dl.zoo.counter_example(key).make()
    report = statement("T6").check(m, [point])
    assert report.counts() == {outcome: 1}
    assert report.hypothesis[0] == STABLE
    assert f"ρ = {rho:g}" in report.reason[0]
    beside = m.native(np.array([point]) + 1e-3)
    later = np.linalg.norm(m.numpy(m.watch(beside, 64, beside).states) - point)
    assert later > 0.5 * np.linalg.norm(np.full(len(point), 1e-3))  # disturbances do not die out by a factor a loop


def test_a_loop_that_counts_is_refused_by_every_statement():
    """C8: T1–T8 do not apply to a loop that depends on its index, though the states converge to no point it fixes."""
    layer = Counting()
    m = dl.TorchMap([layer], (1,), dtype=torch.float64)
    x = torch.ones(1, 1, dtype=torch.float64)
    ahead = [m(x).item(), m(x).item()]
    assert ahead[0] != ahead[1]
    table = check_statements(m, [[1.0]])
    for report in table.reports:
        assert report.counts() == {"does not apply": 1}
        assert report.hypothesis[0] == "the loop is one map"


def test_a_schedule_is_one_map_where_the_clock_is_a_coordinate():
    """C8 mended: a schedule of period 2 becomes an autonomous map with a clock, and T5 finds the period of the pair."""

    def step(x):
        value, clock = x.unbind(-1)
        return torch.stack([0.5 * value + clock, 1 - clock], dim=-1)

    m = dl.TorchMap([step], (2,), dtype=torch.float64)
    table = check_statements(m, [[0.0, 0.0]])
    assert table.regimes == ("PERIODIC(2)",)
    assert table["T5"].counts() == {"holds": 1}
    assert table.violated == ()


def test_an_adapter_that_is_not_counted_opens_the_polygon():
    """C9: at the true fixed point the increments of the layers that are listed do not close; T0 and T2 say so."""

    def inject(x):
        return 0.3 * x + 2.0

    def block(x):
        return x + 0.5 * torch.cos(x)

    broken = hidden([block, lambda x: 0.9 * x], (1,), inject)
    table = check_statements(broken, [[0.0]])
    assert table["T0"].status[0] is Outcome.VIOLATED
    assert table["T2"].status[0] is Outcome.VIOLATED
    point = orbits_of(broken, [[0.0]])[0].point
    sections = broken.sections(torch.as_tensor(point[None])).numpy()
    assert abs(broken(torch.as_tensor(point[None])).numpy() - point).max() < 1e-12  # a fixed point it is
    assert abs(np.diff(sections, axis=0).sum()) > 0.1  # and yet the polygon is open
    whole = dl.TorchMap([block, lambda x: 0.9 * x, inject], (1,), dtype=torch.float64)
    assert check_statements(whole, [[0.0]]).violated == ()
