"""`check_adapter`: it passes what is right, and names the rule that a wrong adapter breaks."""

import dataclasses

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.adapters.base import Checkpoint, starts_around
from dynloop.adapters.fitting import build, parts
from dynloop.adapters.live import live_source
from dynloop.adapters.looped_icl import FAMILY
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import ConformanceError, InvalidArgumentError
from dynloop.nn import Linear
from dynloop.testing.adapter import AdapterReport, check_adapter
from tests.adapters.golden import DATA, LOOPS, SUFFIX, golden

ARRAYS = golden("looped_icl")
PROMPT = {"xs": ARRAYS["xs"][0], "ys": ARRAYS["ys"][0]}


def reference(dtype):
    suffix = SUFFIX[dtype]
    return {n: {"state": ARRAYS[f"state_K{n}{suffix}"][:1], "output": ARRAYS[f"logits_K{n}{suffix}"][0]} for n in LOOPS}


def opened(**options):
    return open_checkpoint(DATA / "looped_icl", PROMPT, **options)


def with_family(m, **changes):
    """Return `m` as if it came from a family with `changes`."""
    m.family = dataclasses.replace(m.family, **changes)
    return m


# -- oracle ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
def test_golden_arrays_close_the_square(dtype):
    report = check_adapter(opened(dtype=dtype), reference=reference(dtype))
    squares = {f"square {n}: {what}" for n in LOOPS for what in ("state", "output")}
    assert squares <= set(report.gaps)
    assert max(report.gaps[rule] for rule in squares) <= (1e-13 if dtype == "float64" else 5e-6)
    assert report.map.gaps["derivative"] <= 1e-6


@pytest.mark.parametrize("form", ["z=f(x+z)", "z=f(x*z)"])
def test_without_golden_arrays_torchs_own_layers_close_the_square(form):
    m = opened(dtype="float64")
    m.source.config["model"]["loop_func"] = form
    report = check_adapter(m.family.open(m.source, PROMPT, "sublayer", torch.float64, None))
    assert report.gaps["square 16: output"] <= 1e-13


def test_trained_weights_keep_every_rule(checkpoints):
    path = checkpoints / "looped_linear_regression" / "model_200000.pt"
    report = check_adapter(open_checkpoint(path, dtype="float64"))
    assert report.gaps["square 16: output"] <= 1e-12


# -- invariants ------------------------------------------------------------------------------------------------------


def test_the_report_says_what_was_not_checked_and_can_be_saved(tmp_path):
    report = check_adapter(with_family(opened(), own_output=None))
    assert report.skipped["square 4"] == "no reference is given for it, and the family has no own_output"
    assert report.skipped["live model"] == "the checkpoint was read from files"
    assert not any(rule.startswith("square") for rule in report.gaps)
    again = dl.load(report.save(tmp_path / "report"))
    assert isinstance(again, AdapterReport)
    assert again.gaps == report.gaps


def test_weights_that_were_rounded_have_no_exact_twin():
    report = check_adapter(opened(dtype=torch.bfloat16))
    assert report.skipped["float64"] == "the weights, torch.float32, were rounded to torch.bfloat16"


# -- errors: each rule broken on purpose -----------------------------------------------------------------------------


def test_a_wrong_state_is_found():
    wrong = reference("float64")
    wrong[4]["state"] = wrong[4]["state"] + 1e-6
    with pytest.raises(ConformanceError, match="breaks the rule 'square 4: state': after 4 loops map and model differ"):
        check_adapter(opened(dtype="float64"), reference=wrong)


def test_a_wrong_shape_is_found():
    with pytest.raises(ConformanceError, match=r"'square 1: output': the map gives shape \(1, 7\), the model \(1, 6\)"):
        check_adapter(opened(), reference={1: {"output": np.zeros((1, 6))}})


def test_a_wrong_read_out_is_found():
    m = opened()
    right = m._decode
    m._decode = lambda x: right(x) * 1.001
    with pytest.raises(ConformanceError, match="square 1: output"):
        check_adapter(m)


def test_a_read_out_of_one_dtype_is_found():
    m = opened()
    right = m._decode
    m._decode = lambda x: right(x).float()
    with pytest.raises(ConformanceError, match=r"breaks the rule 'decode': .* float64 states as torch.float32"):
        check_adapter(m)


def test_a_read_out_that_mixes_rows_is_found():
    m = opened()
    right = m._decode
    m._decode = lambda x: right(x - x.mean(0))
    with pytest.raises(ConformanceError, match="'decode rows': a row depends on the other rows"):
        check_adapter(m)


def test_a_cut_that_changes_the_loop_is_found():
    def lazy(source, prompt, granularity, dtype, device):
        m = FAMILY.open(source, prompt, granularity, dtype, device)
        if granularity == "sublayer":
            m.layers, m.layer_names = m.layers[:-1], m.layer_names[:-1]
        return m

    with pytest.raises(ConformanceError, match="breaks the rule 'granularity': the loop cut by sublayer differs"):
        check_adapter(with_family(opened(), open=lazy))


def test_a_prompt_rounded_to_float32_is_found():
    m = opened()
    m.layers[0].e = m.layers[0].e.float()
    with pytest.raises(ConformanceError, match="the float64 twin is not the checkpoint opened in float64"):
        check_adapter(m)


def test_starts_that_change_are_found():
    m = opened()
    m._start = lambda _, n: np.random.default_rng().standard_normal((n, 14, 32))
    with pytest.raises(ConformanceError, match="breaks the rule 'start'"):
        check_adapter(m)


def test_too_many_tokens_are_found():
    m = opened()
    m.tokens = (*m.tokens, "extra")
    with pytest.raises(ConformanceError, match="breaks the rule 'tokens': there are 15 tokens for 14 positions"):
        check_adapter(m)


def test_a_map_that_is_no_checkpoint_is_refused():
    with pytest.raises(InvalidArgumentError, match="block must be a Checkpoint; got TorchMap"):
        check_adapter(dl.TorchMap([torch.tanh], (2,)))


@pytest.mark.parametrize("loops", [(), (0, 1)])
def test_loop_counts_are_positive(loops):
    with pytest.raises(InvalidArgumentError, match="loops must be positive ints"):
        check_adapter(opened(), loops=loops)


def test_a_reference_without_the_loop_counts_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"reference has the loop counts \[2\], none of loops="):
        check_adapter(opened(), reference={2: {}})


class Live(torch.nn.Module):
    """Stands for a live model: weights, a config, dropout in training mode."""

    def __init__(self):
        super().__init__()
        self.config = {"model_type": "live"}
        self.linear = torch.nn.Linear(3, 3, dtype=torch.float64)
        self.dropout = torch.nn.Dropout(0.5)


def open_live(source, prompt, granularity, dtype, device, *, harm=None):
    layer = build(lambda: Linear(3, 3, bias=True), parts(source.tensors, "linear"), dtype, device)
    if harm == "copy":
        layer = build(lambda: Linear(3, 3, bias=True), {k: v.clone() for k, v in layer.state_dict().items()})
    elif harm is not None:
        harm(source.model)
    return Checkpoint(
        {"linear": layer}, (2, 3), family=FAMILY, source=source, prompt={}, tokens=(0, 1), decode=lambda x: x,
        summary="", start=starts_around(torch.ones(2, 3)), granularity=granularity, dtype=dtype or torch.float64,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (None, None),
        ("copy", "2 of 2 weights are copies; share the model's storage"),
        (lambda model: model.eval(), "training flag of 0: is not what it was"),
        (
            lambda model: model.requires_grad_(requires_grad=False),
            "requires_grad of 0:linear.weight is not what it was",
        ),
        (lambda model: model.linear.weight.data.mul_(2), "parameter 0:linear.weight is not what it was"),
        (lambda model: model.config.update(loops=3), "config is not what it was"),
    ],
)
def test_harm_to_a_live_model_is_found(harm, said):
    source = live_source(Live(), [])

    def opener(*arguments):
        return open_live(*arguments, harm=harm)

    m = with_family(open_live(source, {}, "layer", None, None, harm=harm if harm == "copy" else None), open=opener)
    m.family = dataclasses.replace(m.family, own_output=None)
    if said is None:
        assert check_adapter(m).gaps["live model"] == 0.0
        return
    with pytest.raises(ConformanceError, match=f"breaks the rule 'live model': {said}"):
        check_adapter(m)
