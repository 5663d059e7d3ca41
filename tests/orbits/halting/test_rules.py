"""Halting rules: stops in closed form, and judgements on orbits of every regime."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.orbits.halting.stopping import RULES, changed, divergence, log_probabilities
from dynloop.orbits.paths.apart import apart

STEP, KL, ACCELERATION, ARGMAX = range(4)


def affine(a, c=1.0):
    """x ← c + a (x − c): the orbit is c + (x_0 − c) a^t."""
    return dl.TorchMap([lambda x: c + a * (x - c)], (1,))


def two_classes(x):
    """Logits (x, 1/2): the first class wins where x > 1/2."""
    return torch.cat([x, torch.full_like(x, 0.5)], dim=-1)[:, None]


def first(held, needed=1):
    """The first loop (loop t is entry t) in which a condition has held in so many loops running."""
    times = 0
    for t, holds in enumerate(held):
        times = times + 1 if holds else 0
        if times == needed:
            return t
    return -1


def softmax(x):
    p = 1 / (1 + np.exp(0.5 - x))
    return np.stack([p, 1 - p])


# -- oracles ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(a=st.floats(0.05, 0.95), start=st.floats(-3, 4))
def test_stops_and_errors_are_those_of_the_closed_form(a, start):
    found = dl.halting_rules(affine(a), [[start]], logits=two_classes)
    x = 1 + (start - 1) * a ** np.arange(257.0)
    with np.errstate(all="ignore"):
        step = np.abs(np.diff(x)) / np.abs(x[1:])
        bend = np.abs(np.diff(x, 2)) / np.abs(x[2:])
    p = softmax(x)
    kl = (p[:, 1:-1] * np.log(p[:, 1:-1] / p[:, 2:])).sum(axis=0)
    same = (x[1:-1] > 0.5) == (x[2:] > 0.5)
    lead = np.zeros(1, dtype=bool)  # loop 0
    near = min(np.abs(s - t).min() for s, t in ((step, 0.03), (bend, 0.03), (kl, 5e-4), (np.abs(x - 0.5), 0)))
    if near < 1e-9:
        return  # rounding decides the comparison
    expected = [
        first([*lead, *(step < 0.03)]), first([*lead, *lead, *(kl < 5e-4)]),
        first([*lead, *lead, *(bend < 0.03)], 2), first([*lead, *lead, *same], 5),
    ]  # fmt: skip
    assert found.stopped_at[:, 0].tolist() == expected
    for rule in range(4):
        there = x[expected[rule]]
        assert found.state_error[rule, 0] == pytest.approx(abs(there - 1) / max(abs(there), 1), rel=1e-6, abs=1e-12)
        q = softmax(there)
        kl = (softmax(1.0) * np.log(softmax(1.0) / q)).sum()
        assert found.output_error[rule, 0] == pytest.approx(kl, rel=1e-6, abs=1e-12)
        assert found.changed[rule, 0] == (there <= 0.5)
    assert (
        found.right[[STEP, ACCELERATION], 0].tolist() == (found.state_error[[STEP, ACCELERATION], 0] <= 0.05).tolist()
    )
    assert found.right[KL, 0] == (found.output_error[KL, 0] <= 0.01)
    assert found.right[ARGMAX, 0] == (found.changed[ARGMAX, 0] == 0)


def test_a_slow_approach_stops_early_and_is_wrong():
    found = dl.halting_rules(affine(0.99), [[3.0]], logits=two_classes)
    assert found.regime.tolist() == ["VANISHING"]
    assert found.stopped_at[:, 0].tolist() == [1, 2, 3, 6]
    assert found.judgement[:, 0].tolist() == ["wrong", "wrong", "wrong", "right"]
    assert found.error[STEP, 0] == pytest.approx(1.98 / 2.98)
    assert "from the limit, tolerance 0.05" in found.reason[STEP, 0]


def test_at_the_origin_errors_are_relative_to_the_orbit():
    fast = dl.halting_rules(affine(0.5, 0.0), [[3.0]])
    assert fast.stopped_at[STEP, 0] > 50  # the step is half of the state until it is rounding beside the start
    assert fast.judgement[STEP, 0] == "right"
    slow = dl.halting_rules(affine(0.98, 0.0), [[3.0]])
    assert slow.stopped_at[STEP, 0] == 1
    assert slow.judgement[STEP, 0] == "wrong"
    assert slow.error[STEP, 0] == 1.0


def test_on_a_ray_the_step_falls_although_nothing_converges():
    m = dl.TorchMap([lambda x: x + torch.tensor([3.0, 4.0], dtype=x.dtype)], (2,))
    found = dl.halting_rules(m, [[0.0, 0.0]], logits=lambda x: torch.nn.functional.normalize(x)[:, None])
    assert found.regime.tolist() == ["RAY"]
    assert found.stopped_at[:, 0].tolist() == [34, 2, 3, 6]  # 1/t < 0.03; the direction is constant
    assert found.judgement[:, 0].tolist() == ["wrong", "right", "wrong", "right"]
    assert found.error[STEP, 0] == pytest.approx((512 - 34) / 512)
    assert "nothing converged" in found.reason[STEP, 0]


@pytest.mark.parametrize(
    ("m", "start", "regime"),
    [
        (dl.zoo.logistic(3.2), [0.3], "PERIODIC"),
        (dl.zoo.logistic(4.0), [0.3], "CHAOTIC"),
        (dl.zoo.henon(), [0.1, 0.1], "CHAOTIC"),
        (dl.zoo.ring(), [0.5, 0.4], "QUASIPERIODIC"),
    ],
)
def test_where_nothing_converges_a_stop_is_wrong_whatever_the_threshold(m, start, regime):
    found = dl.halting_rules(m, [start], thresholds={"relative_step": 9.0, "acceleration": 9.0})
    assert found.regime.tolist() == [regime]
    assert found.stopped_at[STEP, 0] > 0
    assert found.stopped_at[ACCELERATION, 0] > 0
    assert not found.right.any()
    assert found.judgement[STEP, 0] == "wrong"
    assert found.state_error[STEP, 0] > 0.1
    kept = dl.halting_rules(m, [start])
    assert kept.judgement[ACCELERATION, 0] == "never stopped"


def test_a_small_cycle_is_no_limit_and_its_error_says_how_small():
    m = dl.TorchMap([lambda x: 1 + 1e-3 * torch.sign(1 - x) + 0 * x], (1,))
    found = dl.halting_rules(m, [[1.5]])
    assert found.regime.tolist() == ["PERIODIC"]
    assert found.judgement[STEP, 0] == "wrong"
    assert found.error[STEP, 0] == pytest.approx(2e-3, rel=0.01)


def test_growth_without_bound_never_stops():
    found = dl.halting_rules(dl.TorchMap([lambda x: 2 * x**2], (1,)), [[3.0]], logits=two_classes)
    assert found.regime.tolist() == ["DIVERGENT"]
    assert found.stopped_at[[STEP, ACCELERATION], 0].tolist() == [-1, -1]
    assert not found.right[[STEP, ACCELERATION]].any()


def test_an_answer_that_turns_later_makes_argmax_stable_wrong():
    """A slow rotation: the answer stays for 50 loops and then turns."""
    cos, sin = np.cos(0.015), np.sin(0.015)
    turn = torch.tensor([[cos, -sin], [sin, cos]])
    m = dl.TorchMap([lambda x: x @ turn.T], (2,))
    said = dl.classify(m, [[1.0, 0.0]], loops=64)
    found = dl.halting_rules(m, [[1.0, 0.0]], loops=64, logits=lambda x: x[:, None], classification=said)
    assert found.stopped_at[ARGMAX, 0] == 6
    assert found.judgement[ARGMAX, 0] == "wrong"
    assert found.error[ARGMAX, 0] == 1.0


def test_every_token_must_meet_a_rule():
    rates = torch.tensor([[0.1], [0.9]], dtype=torch.float64)
    both = dl.halting_rules(dl.TorchMap([lambda x: 1 + rates * (x - 1)], (2, 1), causal=True), np.full((1, 2, 1), 3.0))
    slow = dl.halting_rules(affine(0.9), [[3.0]])
    assert both.stopped_at[STEP, 0] == slow.stopped_at[STEP, 0]
    assert both.state_error[STEP, 0] == slow.state_error[STEP, 0]


@pytest.mark.slow
def test_the_demos_show_when_rules_can_be_trusted():
    settling = dl.halting_rules(dl.open_checkpoint("demo:hop-injected"), loops=64)
    assert settling.right.all()
    growing = dl.halting_rules(dl.open_checkpoint("demo:hop-plain"), loops=64)
    assert growing.regime.tolist() == ["RAY"]
    assert growing.judgement[:, 0].tolist() == ["wrong", "right", "wrong", "right"]
    turning = dl.halting_rules(dl.open_checkpoint("demo:hop-turning"), loops=64)
    assert turning.stopped_at.tolist() == [[-1]] * 4


# -- what is not known is not claimed --------------------------------------------------------------------------------


def test_undecided_orbits_leave_rules_on_states_unjudged():
    m, starts = affine(0.5), [[3.0]]
    said = dl.classify(m, starts)
    said.regime[:] = dl.Regime.UNDECIDED
    found = dl.halting_rules(m, starts, logits=two_classes, classification=said)
    assert found.judgement[:, 0].tolist() == ["unknown", "right", "unknown", "right"]
    assert np.isnan(found.error[STEP, 0])
    assert "whether it converges is not known" in found.reason[STEP, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_limit_that_the_orbit_does_not_approach_judges_nothing(dtype):
    m, starts = affine(0.5), np.array([[3.0]], dtype=dtype)
    said = dl.classify(m, starts)
    other = dataclasses.replace(said, states=said.states - 9)
    found = dl.halting_rules(m, starts, classification=other)
    assert found.judgement[STEP, 0] == "unknown"
    assert "not seen to come near the limit" in found.reason[STEP, 0]


def test_without_logits_rules_on_outputs_are_not_applicable():
    found = dl.halting_rules(affine(0.5), [[3.0]])
    assert found.judgement[[KL, ARGMAX], 0].tolist() == ["not applicable"] * 2
    assert found.stopped_at[[KL, ARGMAX], 0].tolist() == [-1, -1]
    assert not found.right[[KL, ARGMAX]].any()


def test_a_read_out_of_numbers_is_no_distribution():
    m = dl.open_checkpoint("demo")
    assert m.read_out == "logits"
    m.read_out = "numbers"
    found = dl.halting_rules(m, loops=32)
    assert found.judgement[KL, 0] == "not applicable"


# -- invariants ------------------------------------------------------------------------------------------------------


def test_rows_do_not_depend_on_the_batch():
    m, starts = dl.zoo.logistic(2.9), np.array([[0.1], [0.3], [0.8]])
    together = dl.halting_rules(m, starts)
    for b, start in enumerate(starts):
        alone = dl.halting_rules(m, start)
        assert alone.stopped_at.shape == (4,)
        np.testing.assert_array_equal(alone.stopped_at, together.stopped_at[:, b])
        np.testing.assert_allclose(alone.error, together.error[:, b], atol=1e-12)
        assert alone.regime == together.regime[b]


def test_a_classification_at_hand_gives_the_same_and_saves_the_work(monkeypatch):
    m, starts = dl.zoo.logistic(3.2), [[0.1], [0.3]]
    fresh, said = dl.halting_rules(m, starts), dl.classify(m, starts)
    monkeypatch.setattr("dynloop.orbits.halting.rules.classify", None)
    again = dl.halting_rules(m, starts, classification=said)
    np.testing.assert_array_equal(fresh.judgement, again.judgement)
    single = dl.halting_rules(m, [0.1], classification=said.__class__(**_row(said, 0)))
    np.testing.assert_array_equal(single.judgement, fresh.judgement[:, 0])


def _row(said, b):
    fields = {name: getattr(said, name) for name in said.__dataclass_fields__}
    for name in ("regime", "period", "rate", "dichotomy", "reason"):
        fields[name] = fields[name][b : b + 1].reshape(())
    return fields | {"states": said.states[b]}


def test_a_lower_threshold_never_stops_sooner():
    m = dl.zoo.logistic(2.9)
    stops = [
        dl.halting_rules(m, [[0.1]], thresholds={"relative_step": t, "acceleration": t}).stopped_at[
            [STEP, ACCELERATION], 0
        ]
        for t in (0.3, 0.03, 0.003, 3e-4)
    ]
    assert (np.diff(stops, axis=0) >= 0).all()


def test_the_record_is_saved_and_says_itself(tmp_path):
    found = dl.halting_rules(dl.zoo.logistic(2.8), [[0.1], [0.3]])
    again = dl.load(found.save(tmp_path / "rules"))
    np.testing.assert_array_equal(again.stopped_at, found.stopped_at)
    assert again.rules == RULES
    assert "relative_step: 2 right; loop" in repr(found)
    assert "kl: 2 not applicable" in repr(found)


def test_progress_is_told():
    seen = []
    dl.halting_rules(dl.zoo.logistic(3.2), [[0.3]], loops=16, progress=lambda done, most: seen.append((done, most)))
    assert seen[-1] == (32, 32)


def test_divergence_of_equal_and_of_impossible_outputs():
    p = np.log([[[0.5, 0.5]]])
    with np.errstate(divide="ignore"):
        q = np.log([[[1.0, 0.0]]])
    assert divergence(p, p) == 0
    assert divergence(q, p) == pytest.approx(np.log(2))
    assert divergence(p, q) == np.inf
    assert divergence(p, np.full_like(p, np.nan)) == np.inf
    assert changed(q, np.full_like(p, np.nan)) == 1


def test_distance_is_relative_to_the_larger_and_knows_zero():
    m = dl.zoo.henon()
    zero, one = np.zeros((1, 2)), np.ones((1, 2))
    assert apart(m, zero, zero) == 0
    assert apart(m, zero, one) == 1
    assert apart(m, one, one * np.inf) == np.inf


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loops": 7}, "loops must be an int of at least 8, the loops to follow; got 7"),
        ({"loops": True}, "loops must be an int"),
        (
            {"thresholds": {"step": 1}},
            "thresholds names the rule 'step'; the rules are relative_step, kl, acceleration",
        ),
        ({"thresholds": {"kl": 0}}, r"thresholds\['kl'\] must be a positive number; got 0"),
        ({"thresholds": {"argmax_stable": 2.5}}, "counts loops, so it must be an int; got 2.5"),
        ({"state_tolerance": 0}, "state_tolerance must be a positive number; got 0"),
        ({"output_tolerance": np.inf}, "output_tolerance must be a positive number; got inf"),
        ({"logits": 3}, "logits must be a callable, states to logits; got int"),
        ({"logits": lambda x: x}, r"logits must give \(batch, …, classes\) with two classes at least"),
        ({"classification": 3}, "classification must be what dynloop.classify returned; got int"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        dl.halting_rules(affine(0.5), [[3.0]], **options)
    assert "\n" not in str(caught.value)


def test_a_classification_of_other_starts_is_refused():
    said = dl.classify(affine(0.5), [[3.0], [2.0]])
    with pytest.raises(ShapeError, match="classify the same starts, or leave it out"):
        dl.halting_rules(affine(0.5), [[3.0]], classification=said)


def test_logits_of_another_batch_are_refused():
    with pytest.raises(ShapeError, match="for 2 states"):
        log_probabilities(lambda x: np.zeros((len(x) - 1, 3)), np.zeros((2, 1)))
