"""The constructions are what they claim, by their own mathematics, and no certain verdict on a drawn one is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing import known, strategies
from dynloop.testing.known import cores


def relative(m, a, b):
    return np.linalg.norm(m.displacement(a, b)) / max(np.linalg.norm(b), 1.0)


def after(row, loops):
    m = row.map
    return m.numpy(m.watch(m.native(row.start[None]), loops, m.native(row.start[None])).states)[0]


# -- the constructions, without the classifier -------------------------------------------------------------------------


@settings(max_examples=25)
@given(row=strategies.converging())
def test_limits_are_fixed_and_their_multipliers_have_the_modulus_that_is_said(row):
    m, limit = row.map, row.limit
    assert relative(m, m.numpy(m(m.native(limit[None])))[0], limit) <= 1e-12
    # eigenvalues of a defective matrix of size n are known to eps^(1/n) only: the shear is mild, so 1e-6 will do
    radius = np.abs(np.linalg.eigvals(dl.jacobian(m, limit))).max()
    assert radius == pytest.approx(row.rate, abs=1e-6)


@settings(max_examples=25)
@given(row=strategies.converging())
def test_sections_of_a_vanishing_block_coincide_and_those_of_a_cyclic_one_do_not(row):
    m = row.map
    sections = m.numpy(m.sections(m.native(row.limit[None])))[:, 0]
    spread = np.abs(np.diff(sections, axis=0)).max()
    assert (spread <= 1e-12 * (1 + np.abs(row.limit).max())) == (row.label == "VANISHING")


@pytest.mark.slow
@settings(max_examples=12)
@given(row=strategies.periodic())
def test_cycles_return_after_their_period_and_not_sooner(row):
    m, p = row.map, row.period[0]
    here = after(row, 3000)
    orbit = [here]
    for _ in range(p):
        orbit.append(m.numpy(m(m.native(orbit[-1][None])))[0])
    gaps = [relative(m, x, here) for x in orbit[1:]]
    assert gaps[-1] <= 1e-9
    assert all(gap > 1e-6 for gap in gaps[:-1])


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), dim=st.integers(1, 9), bend=st.floats(0.0, 0.9))
def test_coordinates_have_an_exact_inverse(seed, dim, bend):
    h = known.Coordinates(np.random.default_rng(seed), dim, bend)
    z = torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(h.back(h.to(z)), z, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in ("logistic", "cat") else [pytest.mark.slow]) for kind in known.CHAOS],
)
def test_chaos_stays_bounded_and_has_a_positive_exponent(kind):
    row = known.chaos(np.random.default_rng(0), kind=kind, dim=3)
    exact = {"logistic": np.log(2), "chebyshev 3": np.log(3), "chebyshev 4": np.log(4), "cat": np.log((3 + 5**0.5) / 2)}
    found = dl.lyapunov_spectrum(row.map, row.start, k=1, loops=2000)
    assert found.exponents[0] > 0.1
    if kind in exact:
        assert found.exponents[0] == pytest.approx(exact[kind], abs=0.02)


@settings(max_examples=15)
@given(row=strategies.token_blocks())
def test_token_blocks_are_causal(row):
    m, x = row.map, row.map.native(row.start[None])
    later = x.clone()
    later[:, -1] += 1.0
    assert torch.equal(m(x)[:, :-1], m(later)[:, :-1])


@pytest.mark.parametrize("doublings", range(7))
def test_superstable_parameters_close_the_orbit_of_the_critical_point(doublings):
    r, x, p = cores.superstable_logistic(doublings), 0.5, 2**doublings
    gaps = []
    for _ in range(p):
        x = r * x * (1 - x)
        gaps.append(abs(x - 0.5))
    assert gaps[-1] <= 1e-10
    assert min([*gaps[:-1], 1.0]) > 1e-5


def test_every_row_of_the_catalogue_follows_the_dtype_and_its_seed():
    for row in known.catalogue()[::9]:
        first, again, other = row(0), row(0), row(1)
        np.testing.assert_array_equal(first.start, again.start)
        if row.family not in ("cascade", "captured", "jordan"):
            assert not np.array_equal(first.start, other.start)
        if row.low:
            low = row(0, torch.bfloat16)
            assert low.map(low.map.native(low.start[None])).dtype is torch.bfloat16


# -- the classifier on them --------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(row=strategies.converging() | strategies.periodic() | strategies.divergent())
def test_no_certain_verdict_on_a_drawn_orbit_is_wrong(row):
    assert row.wrong(dl.classify(row.map, row.start)) == []


@pytest.mark.parametrize("regime", [one.name for one in dl.Regime if one is not dl.Regime.UNDECIDED])
def test_maps_of_every_class_are_drawn(regime):
    few = settings(max_examples=2000, phases=[Phase.generate], derandomize=True, database=None)
    row = find(strategies.known_maps(max_dim=6), lambda row: regime in row.truth[0], settings=few)
    assert np.isfinite(row.map.numpy(row.map(row.map.native(row.start[None])))).all()


@settings(max_examples=100)
@given(row=strategies.known_maps(max_dim=5))
def test_maps_have_no_more_coordinates_than_asked_for(row):
    assert row.map.dimension <= 5 or row.map.state_shape[1:] == (4,)  # tokens have a width of their own


@pytest.mark.slow
@settings(max_examples=12)
@given(row=strategies.known_maps(max_dim=6))
def test_no_certain_verdict_on_a_map_of_any_class_is_wrong(row):
    assert row.wrong(dl.classify(row.map, row.start)) == []


@settings(max_examples=6)
@given(row=strategies.converging(max_dim=6), turn=st.integers(1, 3))
def test_a_drawn_class_does_not_depend_on_the_section(row, turn):
    m = row.map.rotate(turn)
    section = row.map.numpy(row.map.sections(row.map.native(row.start[None])))[turn % row.map.layer_count, 0]
    found = dl.classify(m, section)
    assert found.regime[()].name in (row.label, "UNDECIDED")


def test_a_wrong_verdict_is_told_from_a_right_one():
    row = known.cycle(np.random.default_rng(0), period=4)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    other = known.cycle(np.random.default_rng(0), period=5)
    assert "period 4, not 5" in other.wrong(found)[0]
    torus = known.torus(np.random.default_rng(0), tones=1, dim=2)
    assert "not QUASIPERIODIC" in torus.wrong(found)[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: strategies.vanishing(1), "max_dim must be an int of at least 2"),
        (lambda: strategies.periodic(1), "max_period must be at least 2"),
        (lambda: strategies.token_blocks(("follow",)), "one beside 'follow'"),
        (lambda: strategies.token_blocks(("ray",)), "kinds must be of"),
        (lambda: strategies.token_blocks(max_tokens=0), "max_tokens must be a positive int"),
        (lambda: strategies.closed_loops(max_layers=1), "max_layers must be an int of at least 2"),
    ],
)
def test_arguments_out_of_range_are_refused(call, words):
    with pytest.raises(dl.errors.InvalidArgumentError, match=words):
        call()
