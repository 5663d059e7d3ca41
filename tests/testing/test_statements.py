"""The statements hold where they apply, name the hypothesis that fails elsewhere, and catch maps that lie."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.inference import bound
from dynloop.testing.statements import STATEMENTS, Orbit, Outcome, check_statements, limit, orbits_of, statement
from tests.testing.broken import Counting, Forgetful, Hasty, OtherTwin, Sharp, hidden

A = torch.tensor([[0.4, -0.3, 0.1], [0.2, 0.5, 0.0], [0.0, 0.3, -0.6]], dtype=torch.float64)
B = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
START = np.array([[3.0, 1.0, -2.0]])


def turn(x):
    return x @ A.T


def shift(x):
    return x + B


def bend(x):
    return x + 0.3 * torch.tanh(x)


def logistic(x):
    return 3.2 * x * (1 - x)


def torch_map(*layers, kind=dl.TorchMap, shape=(3,), **options):
    return kind(list(layers), shape, dtype=torch.float64, **options)


def block(**options):
    sizes = {"norm": "ouro", "injection": "none", "layers": 2, "width": 8, "heads": 2, "tokens": 3}
    return dl.synthetic.looped_transformer(**sizes | options)


AFFINE = torch_map(turn, shift, bend)
CYCLE = torch_map(lambda x: x + 1, lambda x: logistic(x - 1), shape=(1,))
RAY = torch_map(shift, lambda x: x + 0.1 * B)
HOLDING = {
    "T0": (AFFINE, START), "T1": (AFFINE, START), "T2": (AFFINE, START), "T3": (AFFINE, START), "T4": (AFFINE, START),
    "T5": (CYCLE, [[0.3]]), "T6": (CYCLE, [[0.3]]), "T7": (block(), None), "T8": (block(), None), "T9": (AFFINE, START),
    "T10": (block(), None), "T11": (AFFINE, START), "T12": (RAY, START),
}  # fmt: skip


def outcomes(name, m, starts=None, **options):
    return statement(name).check(m, starts, **options)


def only(report):
    (status,) = set(np.ravel(report.status))
    return status


# -- they hold ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", STATEMENTS, ids=lambda one: one.name)
def test_it_holds_where_it_applies(one):
    report = one.check(*HOLDING[one.name])
    assert only(report) is Outcome.APPLIES_HOLDS, report
    assert (report.hypothesis == "").all()
    assert (report.value <= report.bound).all()
    assert all(report.source.ravel())
    assert not report.violated


def test_there_are_thirteen_and_none_is_empirical():
    assert [one.name for one in STATEMENTS] == [f"T{i}" for i in range(13)]
    assert {one.kind for one in STATEMENTS} == {"theorem"}
    assert all(one.claim.endswith(".") and one.title for one in STATEMENTS)


@pytest.mark.parametrize("norm", ["pre", "post", "huginn", "ouro", "none"])
@pytest.mark.parametrize("injection", ["none", pytest.param("concat", marks=pytest.mark.slow)])
def test_none_is_violated_on_a_synthetic_block(norm, injection):
    table = check_statements(
        block(norm=norm, injection=injection, tokens=2, layers=1, granularity="sublayer"), loops=64
    )
    assert table.violated == (), table
    ends = np.ravel(table["T8"].status)[0] is not Outcome.DOES_NOT_APPLY
    assert ends == (norm in ("post", "huginn", "ouro"))


def test_a_block_that_is_not_causal():
    table = check_statements(block(causal=False))
    assert table.violated == ()
    assert table["T7"].hypothesis[0] == "the loop has a causal mask"
    assert "changing later tokens moves earlier ones" in table["T7"].reason[0]


def test_many_multipliers_of_one_modulus_are_found_at_every_section():
    rng = np.random.default_rng(0)
    first, second = (torch.as_tensor(np.linalg.qr(rng.standard_normal((24, 24)))[0]) for _ in range(2))
    m = torch_map(lambda x: 0.6 * x @ first.T + 1, lambda x: x @ second.T, shape=(24,))
    assert only(outcomes("T4", m, np.ones((1, 24)))) is Outcome.APPLIES_HOLDS


def test_the_norm_is_found_whoever_wrote_it():
    width = 6
    for norm in (
        torch.nn.LayerNorm(width).double(), torch.nn.RMSNorm(width).double(), dl.nn.LayerNorm(width).double(),
        lambda x: torch.nn.functional.rms_norm(x, (width,)),
    ):  # fmt: skip
        if isinstance(norm, torch.nn.Module):
            with torch.no_grad():
                norm.weight.copy_(torch.linspace(0.5, 2, width))
        m = torch_map(lambda x: x + torch.roll(x, 1, -1).sin(), norm, shape=(width,))
        assert only(outcomes("T8", m, np.linspace(-1, 2, width)[None])) is Outcome.APPLIES_HOLDS
    assert not norm.__dict__.get("_forward_hooks")


def test_a_rms_norm_with_a_zero_weight_is_no_norm_of_the_statement():
    norm = torch.nn.RMSNorm(3).double()
    with torch.no_grad():
        norm.weight[1] = 0.0
    assert only(outcomes("T8", torch_map(bend, norm), START)) is Outcome.DOES_NOT_APPLY


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_is_judged_by_its_own_floor(dtype):
    layers = [lambda x: x @ A.T.to(x.dtype), lambda x: x + B.to(x.dtype)]
    table = check_statements(dl.TorchMap(layers, (3,), dtype=dtype), START)
    assert table.violated == (), table
    for name in ("T0", "T2", "T3", "T4", "T6"):
        assert only(table[name]) is Outcome.APPLIES_HOLDS, table[name]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_block_of_low_precision_violates_nothing(dtype):
    assert check_statements(block(dtype=dtype, seed=1), loops=128).violated == ()


def test_starts_of_different_fate():
    table = check_statements(dl.zoo.logistic(2.5), [[0.3], [0.9]], names=["T2", "T12"])
    assert table["T2"].counts() == {"holds": 2}
    assert table.summary() == "of 2 statements 1 hold, 1 not applicable"
    assert "does not apply" in repr(table)


# -- they name what fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "m", "start", "outcome", "hypothesis"),
    [
        ("T1", RAY, START, "does not apply", "the orbit comes to a point with F^p(x) = x"),
        ("T2", CYCLE, [[0.3]], "does not apply", "the orbit converges"),
        ("T3", RAY, START, "does not apply", "the orbit converges"),
        ("T4", RAY, START, "does not apply", "the orbit comes to a point with F^p(x) = x"),
        ("T5", RAY, START, "does not apply", "the orbit comes to a fixed point or a cycle"),
        ("T6", torch_map(lambda x: 2 * x), np.zeros((1, 3)), "does not apply", "ρ(DF^p) < 1"),
        ("T6", torch_map(lambda x: x + 0), START, "undecided", "ρ(DF^p) < 1"),
        ("T7", AFFINE, START, "does not apply", "the loop has a causal mask"),
        ("T8", AFFINE, START, "does not apply", "the loop ends in a norm with no γ_j = 0"),
        ("T9", CYCLE, [[0.3]], "does not apply", "the steps sum"),
        ("T10", AFFINE, START, "does not apply", "the map shows its attention, softmax of q·k/√d"),
        ("T12", AFFINE, START, "does not apply", "every ‖x_i‖ → ∞ and directions converge"),
    ],
    ids=[f"T{i}" for i in (1, 2, 3, 4, 5)] + ["T6 unstable", "T6 marginal", "T7", "T8", "T9", "T10", "T12"],
)
def test_the_hypothesis_that_fails_is_named(name, m, start, outcome, hypothesis):
    report = outcomes(name, m, start)
    assert only(report).value == outcome, report
    assert set(report.hypothesis) == {hypothesis}
    assert np.isnan(report.value).all()


@pytest.mark.parametrize("one", STATEMENTS, ids=lambda one: one.name)
def test_a_loop_that_is_not_autonomous_is_refused_by_all(one):
    report = one.check(torch_map(Counting()), START)
    assert only(report) is Outcome.DOES_NOT_APPLY
    assert report.hypothesis[0] == "the loop is one map"
    assert "one state gave two results" in report.reason[0]


def test_a_layer_that_jumps_at_its_section_breaks_continuity():
    def step(x):
        return torch.where(x >= 1, 0.5 * x + 0.5, 0.4 * x)  # fixed at 1, where it jumps down to 0.4

    report = outcomes("T2", torch_map(step, shape=(1,)), [[3.0]])
    assert only(report) is not Outcome.VIOLATED
    assert report.hypothesis[0] == "every layer is continuous at its section of the limit"


def test_no_contraction_in_this_norm_is_undecided():
    shear = torch.tensor([[0.5, 4.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.1]], dtype=torch.float64)
    report = outcomes("T11", torch_map(lambda x: x @ shear.T + B), START)
    assert only(report) is Outcome.UNDECIDED
    assert "another norm may do" in report.reason[0]


def test_a_token_behind_one_that_moves_has_no_limit_of_its_own():
    row = dl.zoo.counter_example("C14")
    report = outcomes("T2", row.make(), row.start[None])
    assert report.status.shape == (1, 2)
    assert [one.value for one in report.status[0]] == ["holds", "does not apply"]
    assert report.reason[0, 1].startswith("fails: the orbit converges – token 1 is PERIODIC(2)")


# -- they catch maps that lie ------------------------------------------------------------------------------------------


def wobble(x):
    return 0.8 * x + 1.5


@pytest.mark.parametrize("name", ["T0", "T2"])
def test_an_adapter_left_out_of_the_layers_is_caught(name):
    broken = hidden([turn, shift, bend], (3,), wobble)
    sound = torch_map(turn, shift, bend, wobble)
    assert only(outcomes(name, broken, START)) is Outcome.VIOLATED
    assert only(outcomes(name, sound, START)) is Outcome.APPLIES_HOLDS


def test_one_active_layer_alone_is_caught():
    report = outcomes("T3", hidden([turn], (3,), wobble), START)
    assert only(report) is Outcome.VIOLATED
    assert "1 of 1 increments are not zero" in report.quantity[0]


@pytest.mark.parametrize("name", ["T1", "T4", "T5"])
def test_a_permutation_that_forgets_a_layer_is_caught(name):
    report = outcomes(name, torch_map(turn, shift, bend, kind=Forgetful), START)
    assert only(report) is Outcome.VIOLATED, report


def test_a_section_that_returns_sooner_is_caught():
    report = outcomes("T5", torch_map(*CYCLE.layers, kind=Hasty, shape=(1,)), [[0.3]])
    assert only(report) is Outcome.VIOLATED
    assert "divisor of the period" in report.quantity[0]


def test_a_derivative_that_is_not_the_maps_is_caught(monkeypatch):
    def detached(x):
        return 0.5 * x + 1.5 * x.detach()  # twice x, with derivative ½

    assert only(outcomes("T6", torch_map(detached), np.zeros((1, 3)))) is Outcome.UNDECIDED  # it is refused
    monkeypatch.setattr("dynloop.calculus.jacobian.check_derivative", lambda *_, **__: None)
    report = outcomes("T6", torch_map(detached), np.zeros((1, 3)))
    assert only(report) is Outcome.VIOLATED, report


@pytest.mark.parametrize("tokens", [2, 5])
def test_a_map_falsely_declared_causal_is_caught(tokens):
    def mix(x):
        return 0.5 * x + 0.01 * x.mean(dim=1, keepdim=True)

    start = np.random.default_rng(0).standard_normal((1, tokens, 2))
    lying = torch_map(mix, shape=(tokens, 2), causal=True)
    report = outcomes("T7", lying, start)
    assert only(report) is Outcome.VIOLATED
    assert report.value[0] > 1e-4
    assert check_statements(lying, start).violated == ("T7",)


def test_a_large_map_falsely_declared_causal_is_caught():
    def mix(x):
        return 0.5 * x + 1e-3 * x.roll(-1, dims=1)

    start = np.random.default_rng(0).standard_normal((1, 3, 400))
    report = outcomes("T7", torch_map(mix, shape=(3, 400), causal=True), start, loops=64)
    assert only(report) is Outcome.VIOLATED


def test_something_behind_the_closing_norm_is_caught():
    norm = torch.nn.RMSNorm(3).double().requires_grad_(requires_grad=False)
    norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    broken = hidden([bend, norm], (3,), lambda y: y + 0.5 * torch.roll(y, 1, -1))
    assert only(outcomes("T8", broken, START)) is Outcome.VIOLATED
    assert only(outcomes("T8", torch_map(bend, norm), START)) is Outcome.APPLIES_HOLDS


def test_a_twin_with_other_weights_is_caught():
    m = OtherTwin([lambda x: 0.5 * x + 1.0], (1,), dtype=torch.float32)
    table = check_statements(m, [[0.3]])
    said = {name: only(table[name]) for name in ("T2", "T9")}
    assert Outcome.VIOLATED in said.values() or set(said.values()) == {Outcome.UNDECIDED}
    assert Outcome.APPLIES_HOLDS not in (said["T9"],)


@pytest.mark.parametrize("name", ["T2", "T9", "T11"])
def test_a_solver_that_misses_the_limit_is_caught(name, monkeypatch):
    right = limit.polish

    def wrong(*arguments, **options):
        solved = right(*arguments, **options)
        return type(solved)(
            point=solved.point * (1 + 1e-4), residual=solved.residual, status=solved.status, iterations=1
        )

    assert only(outcomes(name, AFFINE, START)) is Outcome.APPLIES_HOLDS
    monkeypatch.setattr(limit, "polish", wrong)
    assert only(outcomes(name, AFFINE, START)) is Outcome.VIOLATED


def test_an_attention_sharper_than_its_weights_is_refused_and_else_caught(monkeypatch):
    torch.manual_seed(0)
    sharp = Sharp(8, 2, dtype=torch.float64)
    with torch.no_grad():
        for weight in sharp.parameters():
            weight.copy_(0.02 * torch.randn(weight.shape, dtype=torch.float64))
    m = torch_map(dl.nn.PreNorm(dl.nn.RMSNorm(8).double(), sharp), shape=(3, 8), causal=True)
    start = np.random.default_rng(0).standard_normal((1, 3, 8))
    assert only(outcomes("T10", m, start, loops=64)) is Outcome.DOES_NOT_APPLY
    monkeypatch.setattr(bound, "_plain", lambda module: True)
    assert only(outcomes("T10", m, start, loops=64)) is Outcome.VIOLATED


def test_a_ray_whose_layers_miss_a_part_is_caught():
    assert only(outcomes("T12", hidden([shift], (3,), lambda x: x + 0.2), START)) is Outcome.VIOLATED


# -- orbits, records, errors -------------------------------------------------------------------------------------------


def test_orbits_are_classified_once_for_all(monkeypatch):
    from dynloop.testing.statements import orbit

    calls = []
    real = orbit.classify
    monkeypatch.setattr(orbit, "classify", lambda *a, **k: calls.append(1) or real(*a, **k))
    check_statements(AFFINE, START)
    assert calls == [1]
    orbits = orbits_of(AFFINE, START)
    assert statement("T0").check(AFFINE, orbits=orbits).counts() == {"holds": 1}
    assert len(calls) == 2


def test_a_report_survives_a_round_trip(tmp_path):
    table = check_statements(AFFINE, START, names=["T2", "T12"])
    again = dl.load(table.save(tmp_path / "table"))
    assert again.summary() == table.summary()
    assert again["T2"].status[0] is Outcome.APPLIES_HOLDS
    assert again["T12"].reason[0] == table["T12"].reason[0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: statement("T13"), InvalidArgumentError, "name must be one of T0, T1"),
        (lambda: check_statements(AFFINE, START, names=["T2"])["T3"], InvalidArgumentError, "one of T2; got 'T3'"),
        (lambda: check_statements(AFFINE, START, loops=4), InvalidArgumentError, "loops must be an int of at least 8"),
        (lambda: check_statements(AFFINE, [[1.0, np.nan, 0.0]]), InvalidArgumentError, "NaN or infinity"),
        (lambda: check_statements(AFFINE, [[1.0]]), ShapeError, "shape"),
        (lambda: statement("T0").check(AFFINE, orbits=[]), InvalidArgumentError, "orbits is empty"),
        (lambda: check_statements(turn, START), InvalidArgumentError, "m must be a map"),
    ],
)
def test_what_is_asked_wrongly_is_said(call, error, words):
    with pytest.raises(error, match=words):
        call()


# -- checkpoints against the model's own code --------------------------------------------------------------------------


def test_a_checkpoint_whose_adapter_was_left_out_is_caught():
    """The layers are what the map iterates; the model's own code knows of one more."""
    m = dl.open_checkpoint("demo:hop-injected")
    orbits = [Orbit(m, m.start(), None, 0)]
    assert only(statement("T0").check(m, orbits=orbits)) is Outcome.APPLIES_HOLDS
    real = m.family.open

    def without(*arguments):
        found = real(*arguments)
        found.layers, found.layer_names = found.layers[1:], found.layer_names[1:]
        return found

    object.__setattr__(m.family, "open", without)
    try:
        lame = m.family.open(m.source, m.prompt, "layer", m.dtype, m.device)
        report = statement("T0").check(lame, orbits=[Orbit(lame, lame.start(), None, 0)])
    finally:
        object.__setattr__(m.family, "open", real)
    assert m.layer_names[0] == "adapter"
    assert only(report) is Outcome.VIOLATED
    assert "the model's own code" in report.reason[0]


def test_a_checkpoint_that_was_varied_is_another_map():
    m = dl.vary(dl.open_checkpoint("demo:hop-injected"), "gain")(0.5)
    report = statement("T0").check(m, orbits=[Orbit(m, m.start(), None, 0)])
    assert only(report) is Outcome.APPLIES_HOLDS


def test_attention_with_norms_on_queries_and_keys_is_not_held_against_their_weights():
    torch.manual_seed(0)
    f = dl.nn.Attention(8, 2, qk_eps=1e-6, dtype=torch.float64)
    with torch.no_grad():
        for weight in f.parameters():
            weight.copy_(torch.randn(weight.shape, dtype=torch.float64))
    m = torch_map(dl.nn.PreNorm(dl.nn.RMSNorm(8).double(), f), lambda x: 0.1 * x, shape=(3, 8), causal=True)
    report = outcomes("T10", m, np.random.default_rng(0).standard_normal((1, 3, 8)), loops=32)
    assert only(report) is Outcome.DOES_NOT_APPLY
    assert "norms of queries and keys have Lipschitz constants of their own" in str(np.ravel(report.reason)[0])
