"""Records without a map: what settled is said to have settled, and nothing else is."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.orbits.records.dtype import CEILING, EPS
from tests.orbits.records import DTYPES, c3, contraction, embedded, henon, logistic, noisy, record, rounded, turning

GOLDEN = np.pi * (np.sqrt(5) - 1)


@pytest.fixture(scope="module")
def trajectories():
    name = os.environ.get("DYNLOOP_TRAJECTORIES", "")
    if not name:
        pytest.skip("DYNLOOP_TRAJECTORIES is unset; it names a folder of recorded trajectories of Huginn-0125")
    found = sorted(Path(name).glob("*.npy"))
    assert found, f"DYNLOOP_TRAJECTORIES names {name}, which holds no .npy"
    return found


# -- what settled ------------------------------------------------------------------------------------------------------


def test_the_records_of_huginn_settled(trajectories):
    for path in trajectories:
        found = dl.classify_trajectory(np.load(path))
        assert (found.verdict, found.dtype, found.period) == ("settled", "bfloat16", 1), path
        assert 0.82 <= found.rate <= 0.91
        assert 0.012 <= found.floor <= 0.016
        assert 20 <= found.settled_at <= 37
        assert 0 < found.rate_error < 0.03


def test_a_settled_record_cut_before_the_floor_is_not_settled(trajectories):
    for path in trajectories:
        assert dl.classify_trajectory(np.load(path)[:24]).verdict != "settled"
        assert dl.classify_trajectory(np.load(path)[36:]).verdict == "undecided"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_contraction_settles_with_its_own_rate(dtype):
    step, start = contraction(rate=0.5)
    found = dl.classify_trajectory(record(step, start, 128, dtype), dtype=dtype)
    assert found.verdict == "settled", found.reason
    assert found.rate == pytest.approx(0.5, abs=max(0.02, 3 * found.rate_error))
    assert found.floor <= CEILING[dtype]
    # ‖x_1 − x_0‖ is some 3 times the state: loops until 0.5^t reaches the floor
    assert abs(found.settled_at - np.log(EPS[dtype] / 10) / np.log(0.5)) < 8


@settings(max_examples=30)
@given(rate=st.floats(0.3, 0.9), seed=st.integers(0, 50))
def test_a_noisy_contraction_settles_with_its_own_rate(rate, seed):
    step, start = contraction(rate=rate, seed=seed)
    found = dl.classify_trajectory(noisy(step, start, EPS["bfloat16"], 96, seed), dtype="bfloat16")
    assert found.verdict == "settled", found.reason
    assert found.rate == pytest.approx(rate, abs=max(0.05, 4 * np.nan_to_num(found.rate_error)))


def test_faster_than_geometric_settles():
    found = dl.classify_trajectory(record(lambda x: 0.5 * (x + 7 / x), [80.0], 32))
    assert (found.verdict, found.floor) == ("settled", pytest.approx(0, abs=1e-15))


# -- what did not ------------------------------------------------------------------------------------------------------

MOVING = {
    "logistic 4": (logistic(4.0), [0.3]),
    "Hénon": (henon, [0.1, 0.1]),
    "Hénon in 64 dimensions": embedded(henon, [0.1, 0.1]),
    "logistic 4 in 64 dimensions": embedded(logistic(4.0), [0.3]),
    "2-cycle": (logistic(3.2), [0.3]),
    "8-cycle": (logistic(3.55), [0.3]),
    "8-cycle in 64 dimensions": embedded(logistic(3.55), [0.3]),
    "rotation by the golden angle": (turning(GOLDEN), [0.4, 0.3]),
    "rotation in 64 dimensions": embedded(turning(GOLDEN / 5), [0.4, 0.3]),
    "ray": (lambda x: x + np.array([1.0, -2.0, 0.5]), np.ones(3)),
    "exponential growth": (lambda x: 1.1 * x, np.ones(3)),
    "C2": (lambda x: x + np.exp(-x), np.zeros(1)),
    "C3": (c3, [0.5, 0.2]),
    "C3 in 64 dimensions": embedded(c3, [0.5, 0.2]),
    "x − x³": (lambda x: x - x**3, [0.8]),
    "x − x³ around 1": (lambda x: x - (x - 1) ** 3, [1.8, 0.4]),
    "logistic 3": (logistic(3.0), [0.3]),
    "square root": (lambda x: x + 1 / x, [1.0]),
    "tent": (lambda x: 1 - np.abs(1 - 2 * x), [0.3]),
}


@pytest.mark.parametrize("loops", [64, 256])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MOVING)
def test_motion_is_never_settled(name, dtype, loops):
    step, start = MOVING[name]
    found = dl.classify_trajectory(record(step, start, loops, dtype), dtype=dtype)
    allowed = {"moving", "undecided"} | ({"periodic"} if "cycle" in name else set())
    allowed |= {"growing"} if name in ("ray", "exponential growth") else set()
    assert found.verdict in allowed, found.reason
    if found.verdict == "periodic":
        assert found.period == int(name[0]), found.reason


@given(seed=st.integers(0, 10_000), size=st.floats(0.1, 300), loops=st.integers(32, 96), n=st.sampled_from([1, 3, 64]))
def test_noise_around_a_constant_is_never_settled(seed, size, loops, n):
    rng = np.random.default_rng(seed)
    states = rng.standard_normal(n) + size * EPS["bfloat16"] * rng.standard_normal((loops, n))
    assert dl.classify_trajectory(rounded(states, "bfloat16"), dtype="bfloat16").verdict in ("undecided", "moving")


@pytest.mark.parametrize("size", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_chaos_in_many_dimensions_around_a_constant_is_not_settled(size, seed):
    rng = np.random.default_rng(seed)
    n, centre = 128, rng.standard_normal(256)
    J = 4 * rng.standard_normal((n, n)) / np.sqrt(n)
    start = centre + 3 * rng.standard_normal(256)
    start[:n] = centre[:n] + size * rng.standard_normal(n)

    def step(x):
        y = x - centre
        return centre + np.concatenate([size * (J @ np.tanh(y[:n] / size)), 0.6 * y[n:]])

    assert dl.classify_trajectory(record(step, start, 96, "bfloat16")).verdict in ("undecided", "moving")


def test_a_small_cycle_after_a_decay_is_not_rest():
    step, start = embedded(logistic(3.2), [0.3], size=1.5)
    states = record(step, start, 128, "bfloat16")
    found = dl.classify_trajectory(states)
    steps = np.linalg.norm(np.diff(states[-9:], axis=0), axis=1) / np.linalg.norm(states[-1])
    assert steps.min() > EPS["bfloat16"]
    assert found.verdict == "undecided", found.reason


def test_a_ray_that_rounding_stops_is_not_settled():
    states = record(lambda x: x + np.linspace(0.5, 1, 64), np.zeros(64), 700, "bfloat16")
    assert not (states[-1] - states[-2]).any()
    assert dl.classify_trajectory(states).verdict == "undecided"


def test_a_record_that_never_moves_is_undecided():
    found = dl.classify_trajectory(np.ones((32, 5)))
    assert found.verdict == "undecided"
    assert "bit for bit" in found.reason


def test_a_jump_to_the_floor_is_no_approach():
    states = 1 + 1e-16 * np.arange(32)[:, None] * np.ones(4)
    states[0] = 5
    assert dl.classify_trajectory(states).verdict == "undecided"


# -- what returns, and what grows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("r", "period"), [(3.2, 2), (3.5, 4), (3.55, 8)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_cycle_is_found_with_its_least_period(r, period, dtype):
    found = dl.classify_trajectory(record(logistic(r), [0.3], 512, dtype), dtype=dtype)
    assert (found.verdict, found.period) == ("periodic", period), found.reason
    assert found.floor <= CEILING[dtype]


def test_the_rate_towards_a_cycle_is_that_of_its_multiplier():
    found = dl.classify_trajectory(record(logistic(3.2), [0.45], 64))
    assert found.rate == pytest.approx(0.4, abs=0.03)  # multiplier 0.16 over two loops


def test_a_cycle_in_bfloat16():
    found = dl.classify_trajectory(record(logistic(3.2), [0.3], 64, "bfloat16"), dtype="bfloat16")
    assert found.verdict in ("periodic", "undecided")
    assert found.period in (2, -1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("n", [2, 8])
def test_a_slow_approach_that_rounding_stopped_is_no_cycle(n, dtype):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pull = 10 ** rng.uniform(0.3, 1)  # x ← −x + a·x³ comes to 0 like t^−½, until it is rounded to −x
        drawn = [rng.uniform(0.1, 0.4) / np.sqrt(pull)]
        step, start = embedded(lambda x, pull=pull: -x + pull * x**3, drawn, n, seed, size=1.0)
        found = dl.classify_trajectory(record(step, start, 256, dtype), dtype=dtype)
        assert found.verdict != "periodic", found.reason


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("r", "period"), [(3.0, 1), (1 + np.sqrt(6), 2), (3.5440903595519, 4)])
def test_where_a_period_doubles_rounding_stops_the_approach_and_no_double_is_claimed(r, period, dtype):
    """The orbit comes near like t^−½ and is stopped on a cycle of twice the loops that the map does not have."""
    for loops in (64, 256, 1000):
        for step, start in ((logistic(r), [0.37]), embedded(logistic(r), [0.62], seed=loops)):
            found = dl.classify_trajectory(record(step, start, loops, dtype), dtype=dtype)
            assert found.verdict != "periodic" or found.period == period, found.reason


@pytest.mark.parametrize(("dtype", "size"), [("float32", 0.001), ("float16", 0.02)])
@pytest.mark.parametrize("n", [4, 64])
def test_coordinates_that_fall_do_not_hide_a_neutral_flip(n, dtype, size):
    """The others contract by 0.6; what is left is a flip that is too small for rounding to let it fall."""
    seen = []
    for seed in range(8):
        states = record(*embedded(lambda x: -x + x**3, [size], n, seed), 96, dtype)
        found = dl.classify_trajectory(states, dtype=dtype)
        assert found.verdict != "periodic", found.reason
        seen.append("rounding may have stopped a slow approach" in found.reason)
    assert any(seen)


def test_a_cycle_is_believed_from_where_no_approach_stops():
    """Two states in turn, so far apart relative to their norm: below 4 eps^⅓ undecided, above it periodic."""
    bound = 4 * EPS["float32"] ** (1 / 3)

    def states(apart):
        fall = 3 * 0.5 ** np.arange(96)[:, None] * np.ones(64)
        return rounded(1 + fall + apart / 2 * (-1.0) ** np.arange(96)[:, None], "float32")

    assert dl.classify_trajectory(states(1.1 * bound), dtype="float32").period == 2
    assert "apart" in dl.classify_trajectory(states(0.9 * bound), dtype="float32").reason


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rate", [0.8, 0.9])
def test_a_state_that_stopped_for_good_long_ago_has_settled(dtype, rate):
    """Not one of the last 512 states moves any more: noise is read off the loops before."""
    centre, away = np.array([1.3, 1.8]), np.array([1.0, -3.9])
    found = dl.classify_trajectory(record(lambda x: centre + rate * (x - centre), centre + away, 1200, dtype))
    assert found.verdict == "settled", found.reason
    assert found.rate == pytest.approx(rate, abs=0.01)


def test_growth_by_a_factor_and_along_a_line():
    found = dl.classify_trajectory(record(lambda x: 1.1 * x, np.ones(3)))
    assert (found.verdict, found.growth) == ("growing", pytest.approx(1.1, abs=1e-9))
    found = dl.classify_trajectory(record(lambda x: x + 2.0, np.ones(4)))
    assert found.verdict == "growing"
    assert "straight line, by 4 per loop" in found.reason


def test_steps_that_still_fall_give_a_rate_and_the_loops_to_come():
    step, start = contraction(rate=0.8)
    found = dl.classify_trajectory(record(step, start, 40))
    assert found.verdict == "moving"
    assert found.rate == pytest.approx(0.8, abs=0.01)
    assert "more loops would reach the floor" in found.reason


# -- the dtype ---------------------------------------------------------------------------------------------------------


def test_the_dtype_is_read_off_the_numbers():
    states = record(*contraction(), 64)
    for dtype in DTYPES:
        assert dl.classify_trajectory(rounded(states, dtype)).dtype == dtype
        assert dl.classify_trajectory(rounded(states, dtype).astype(np.float32)).dtype == (
            "float32" if dtype == "float64" else dtype
        )
    assert dl.classify_trajectory(torch.from_numpy(states).to(torch.bfloat16)).dtype == "bfloat16"
    assert dl.classify_trajectory(torch.from_numpy(states).half()).dtype == "float16"
    assert dl.classify_trajectory(np.round(states)).dtype == "float64"  # integers fit every format


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16, np.float32, np.dtype("float16"), "float64"])
def test_a_dtype_may_be_named_in_any_way(dtype):
    found = dl.classify_trajectory(record(*contraction()), dtype=dtype)
    assert found.dtype in str(dtype)
    assert found.settings["dtype_known"] == "as given"


def test_autocast_is_suspected_where_states_are_float32_but_layers_were_not():
    step, start = contraction()
    states = noisy(step, start, EPS["bfloat16"], 96).astype(np.float32)
    found = dl.classify_trajectory(states)
    assert found.verdict == "undecided"
    assert "give dtype='bfloat16'" in found.reason
    assert dl.classify_trajectory(states, dtype="bfloat16").verdict == "settled"


# -- invariance --------------------------------------------------------------------------------------------------------

KINDS = {
    "settled": lambda seed: noisy(*contraction(rate=0.8, seed=seed), 0.5 * EPS["bfloat16"], 64, seed),
    "moving": lambda seed: record(*embedded(henon, [0.1, 0.1], seed=seed)),
    "growing": lambda seed: record(lambda x: x + np.arange(1.0, 65), np.random.default_rng(seed).standard_normal(64)),
    "periodic": lambda seed: record(*embedded(logistic(3.2), [0.3], seed=seed), 96),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(seed=st.integers(0, 20), scale=st.sampled_from([1e-3, 0.25, 7.0, 1e6]), drawn=st.integers(0, 100))
def test_orthogonal_coordinates_and_scale_do_not_matter(kind, seed, scale, drawn):
    states = KINDS[kind](seed)
    dtype = "bfloat16" if kind == "settled" else "float64"
    rng = np.random.default_rng(drawn)
    turn = np.linalg.qr(rng.standard_normal((64, 64)))[0]
    found = dl.classify_trajectory(states, dtype=dtype)
    assert found.verdict == kind, found.reason
    for other in (states[:, rng.permutation(64)], scale * states, scale * states @ turn):
        again = dl.classify_trajectory(other, dtype=dtype)
        assert (again.verdict, again.period) == (found.verdict, found.period)
        # where a float64 record returns to its last digit, new coordinates round that digit anew
        near = 1e-6 if kind != "periodic" else 0.05
        np.testing.assert_allclose([again.rate, again.growth], [found.rate, found.growth], rtol=near)
        assert kind == "periodic" or again.settled_at == found.settled_at


@settings(max_examples=30)
@given(seed=st.integers(0, 200), more=st.integers(1, 300))
def test_more_loops_at_the_floor_change_nothing(seed, more):
    states = noisy(*contraction(rate=0.8, seed=seed), 0.5 * EPS["bfloat16"], 64 + more, seed)
    short, long = (dl.classify_trajectory(states[:n], dtype="bfloat16") for n in (64, 64 + more))
    assert short.verdict == long.verdict == "settled", (short.reason, long.reason)
    assert long.rate == pytest.approx(short.rate, abs=0.03)
    for found in (short, long):  # noise may exceed its usual size now and then, but late loops are at the floor
        steps = np.linalg.norm(np.diff(states, axis=0), axis=1)[found.settled_at :] / np.linalg.norm(states[-1])
        assert steps.max() < 2 * found.floor


# -- tokens and sections -----------------------------------------------------------------------------------------------


def test_a_token_is_measured_by_its_own_norm():
    """Theory note C14: one huge token at rest hides the motion of another in every joint norm."""
    rest = 1e6 * record(*contraction(rate=0.5), 128)
    move = record(*embedded(henon, [0.1, 0.1]), 128)
    found = dl.classify_trajectory(np.stack([rest, move], axis=1))
    assert found.tokens.verdict.tolist() == ["settled", "moving"]
    assert found.verdict == "moving"
    assert found.summary() == "moving: 50 % of tokens settled, 50 % of tokens moving"
    assert found.tokens.rate.shape == (2,)
    assert found.settled_at == found.period == -1


def test_tokens_of_several_periods_return_together():
    two, eight = (record(*embedded(logistic(r), [0.3], seed=1), 512) for r in (3.2, 3.55))
    rest = record(*contraction(rate=0.5), 512)
    found = dl.classify_trajectory(np.stack([two, eight, rest], axis=1))
    assert (found.verdict, found.period) == ("periodic", 8)
    assert found.tokens.period.tolist() == [2, 8, 1]


def sections_of(rate=0.5, loops=96, gap=0.0, size=1.0):
    """Two layers, x + a and then a contraction back to zero: the sections of a cycle, or of a point where size is 0."""
    rng = np.random.default_rng(3)
    a = size * rng.standard_normal(16)
    x, states, sections = 3 * rng.standard_normal(16), [], []
    centre = rng.standard_normal(16)
    for _ in range(loops):
        middle = x + a
        after = centre + rate * (middle - a - centre)
        states.append(x)
        sections.append([x, middle, after + gap])
        x = after + gap
    return np.array(states), np.array(sections)


def test_sections_say_cyclic_or_vanishing():
    states, sections = sections_of()
    found = dl.classify_trajectory(states, sections=sections)
    assert (found.verdict, found.dichotomy) == ("settled", "cyclic"), found.reason
    assert found.closure < 1e-14
    states, sections = sections_of(size=0.0)
    found = dl.classify_trajectory(states, sections=sections)
    assert (found.verdict, found.dichotomy) == ("settled", "vanishing"), found.reason
    assert dl.classify_trajectory(states).dichotomy == "not applicable"
    assert np.isnan(dl.classify_trajectory(states).closure)


def test_states_may_be_those_after_the_loops_of_the_sections():
    _, sections = sections_of()
    found = dl.classify_trajectory(sections[:, -1], sections=sections)
    assert found.dichotomy == "cyclic"


def test_a_record_that_did_not_settle_has_no_dichotomy():
    m = dl.zoo.henon()
    orbit = dl.trajectory(m, [0.1, 0.1], 63, sections=True)
    found = dl.classify_trajectory(orbit.states[:-1], sections=orbit.sections[: len(orbit.states) - 1])
    assert found.dichotomy == "not applicable"


# -- misuse ------------------------------------------------------------------------------------------------------------


def test_what_is_no_record_is_refused_in_one_line():
    good, sections = sections_of(loops=32)
    holed = good.copy()
    holed[9, 2] = np.nan
    cases = [
        (ShapeError, "16 loops at least; got \\(5, 3\\)", {"states": np.ones((5, 3))}),
        (ShapeError, "states\\[:, None\\]", {"states": np.ones(50)}),
        (ShapeError, "got \\(32, 0\\)", {"states": np.ones((32, 0))}),
        (InvalidArgumentError, "NaN or infinity in loop 9; cut the record there: states\\[:9\\]", {"states": holed}),
        (InvalidArgumentError, "floating-point", {"states": np.ones((32, 3), dtype=int)}),
        (InvalidArgumentError, "floating-point", {"states": np.ones((32, 3), dtype=complex)}),
        (InvalidArgumentError, "dtype must be one of", {"states": good, "dtype": "int8"}),
        (ShapeError, "sections must have shape", {"states": good, "sections": sections[:, 0]}),
        (ShapeError, "sections must have shape", {"states": good, "sections": sections[:-1]}),
        (ShapeError, "two at least", {"states": good, "sections": sections[:, :1]}),
        (InvalidArgumentError, "sections of the same loops", {"states": good + 1, "sections": sections}),
        (InvalidArgumentError, "left out", {"states": good, "sections": sections[:, :2]}),
    ]
    for error, says, arguments in cases:
        with pytest.raises(error, match=says) as caught:
            dl.classify_trajectory(**arguments)
        assert "\n" not in str(caught.value)


def test_a_record_is_not_changed_and_the_result_is_kept(tmp_path):
    states = record(*contraction()).reshape(64, 4, 16)
    before = states.copy()
    found = dl.classify_trajectory(states)
    assert np.array_equal(states, before)
    back = dl.load(found.save(tmp_path / "record"))
    assert back.summary() == found.summary()
    assert repr(back) == repr(found)
    np.testing.assert_array_equal(back.tokens.verdict, found.tokens.verdict)


def test_small_motion_on_a_line_is_not_noise_however_thin_it_is_spread():
    rng = np.random.default_rng(2)
    way, centre, x, states = rng.choice([-1.0, 1.0], 256), rng.standard_normal(256), 0.3, []
    for t in range(96):
        x = 4 * x * (1 - x)
        states.append(centre + 0.02 * x * way + 3 * 0.6**t * way[::-1])
    assert dl.classify_trajectory(np.array(states), dtype="bfloat16").verdict == "undecided"
