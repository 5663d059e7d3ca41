"""x-transformers: a live looped wrapper against its own forward, both granularities, derivatives, refusals."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.adapters.registry import families
from dynloop.errors import CheckpointError, NotAutonomousError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.golden import derivative_gap

x_transformers = pytest.importorskip("x_transformers")
IDS = [3, 1, 4, 1, 5, 9]


def wrapper(core=x_transformers.Decoder, *, wrapped=None, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = core(dim=16, depth=2, heads=2, attn_dim_head=8, pre_and_post_norm=True, **options)
        return x_transformers.TransformerWrapper(
            num_tokens=20, max_seq_len=12, looped=True, max_looped_steps=3, attn_layers=layers, **(wrapped or {})
        )


OPTIONS = {
    "plain": {},
    "rotary": {"rotary_pos_emb": True},
    "rms norm": {"use_rmsnorm": True},
    "alibi": {"alibi_pos_bias": True},
    "swish gate": {"ff_swish": True, "ff_glu": True},
    "query key norm": {"attn_qk_norm": True},
    "grouped keys": {"attn_kv_heads": 1},
    "scaled residual": {"scale_residual": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_the_map_is_the_models_own_loop(options, granularity):
    model = wrapper(**options)
    m = dl.open_checkpoint(model, IDS, granularity=granularity)
    assert m.layer_count == {"layer": 2, "sublayer": 4}[granularity]
    assert m.causal
    for n in (1, 4, 16):
        with torch.no_grad():
            expected = model.eval()(torch.tensor([IDS]), looped_steps=n)
        torch.testing.assert_close(m.decode(m.power(n)(m.start())), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_rule_of_adapters_is_kept(options):
    report = check_adapter(dl.open_checkpoint(wrapper(**options), IDS))
    assert {"square 1: output", "square 16: output", "granularity", "float64", "live model"} <= set(report.gaps)


@pytest.mark.parametrize(("options", "allowed"), [({}, 1e-6), ({"rotary_pos_emb": True}, 1e-6)])
def test_float64_is_exact_and_its_derivatives_too(options, allowed):
    """Its own code takes the softmax in float32 whatever the dtype; the map does not."""
    model = wrapper(**options).double()
    m = dl.open_checkpoint(model, IDS)
    for n in (1, 4, 16):
        with torch.no_grad():
            expected = model.eval()(torch.tensor([IDS]), looped_steps=n)
        torch.testing.assert_close(m.decode(m.power(n)(m.start())), expected, rtol=0, atol=allowed)
    assert derivative_gap(m, m(m.start(rng=1, n=2))) <= 1e-8


def test_a_fixed_point_is_polished_in_float64():
    m = dl.open_checkpoint(wrapper(), IDS, dtype="float64")
    found = dl.find_fixed_points(m, m.power(200)(m.start()))
    assert len(found.points) == 1
    assert float(found.residual.max()) <= 1e-13


def test_an_encoder_with_padding_is_not_causal_and_keeps_its_mask():
    prompt = {"input_ids": np.array(IDS), "attention_mask": np.array([1, 1, 1, 1, 0, 0])}
    m = dl.open_checkpoint(wrapper(x_transformers.Encoder), prompt, dtype="float64")
    assert not m.causal
    x = m.start()
    y = x.clone()
    y[:, 4:] += 1.0
    torch.testing.assert_close(m(y)[:, :4], m(x)[:, :4], rtol=0, atol=1e-14)


def test_the_exit_gate_is_a_head():
    model = wrapper()
    m = dl.open_checkpoint(model, IDS)
    x = m(m.start())
    with torch.no_grad():
        assert torch.equal(m.decode(x, head="exit_gate"), model.exit_gate(x)[..., 0])


def test_memory_tokens_are_positions_of_the_state():
    model = wrapper(wrapped={"num_memory_tokens": 2})
    m = dl.open_checkpoint(model, IDS)
    assert m.state_shape == (8, 16)
    with torch.no_grad():
        expected = model.eval()(torch.tensor([IDS]), looped_steps=2)
    torch.testing.assert_close(m.decode(m.power(2)(m.start())), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"reinject_input": True}, CheckpointError, "does not cut into layers"),
        ({"softclamp_output": True}, CheckpointError, "does not cut into layers"),
        (
            {"add_value_residual": True},
            NotAutonomousError,
            "value_residual of attn_layers.layers.2.1 depends on the state",
        ),
    ],
)
def test_options_that_are_no_chain_of_layers_are_refused(options, error, said):
    with pytest.raises(error, match=said) as caught:
        dl.open_checkpoint(wrapper(**options), IDS)
    assert "\n" not in str(caught.value)


def test_prompts_and_files_that_do_not_fit_are_refused():
    with pytest.raises(PromptError, match="ids lie in 0 … 19"):
        dl.open_checkpoint(wrapper(), [20])
    with pytest.raises(PromptError, match="has positions for 12"):
        dl.open_checkpoint(wrapper(), [1] * 13)
    [family] = [family for family in families() if family.name == "x_transformers"]
    assert family.recognises({}, ["exit_gate.weight", "attn_layers.layers.0.1.to_q.weight"])
    plain = x_transformers.TransformerWrapper(
        num_tokens=20, max_seq_len=12, attn_layers=x_transformers.Decoder(dim=16, depth=1, heads=2)
    )
    with pytest.raises(CheckpointError, match="name the modules of its loop with block="):
        dl.open_checkpoint(plain, IDS)


def test_an_argument_drawn_once_for_all_loops_is_no_part_of_a_map():
    model, drawn = wrapper(), []
    model.register_forward_pre_hook(lambda *_: drawn.append(torch.randn(6, 6)))
    model.attn_layers.register_forward_pre_hook(
        lambda _, args, kwargs: (args, kwargs | {"attn_bias": drawn[-1]}), with_kwargs=True
    )
    with pytest.raises(NotAutonomousError, match=r"attn_bias of .* depends on the state of the block or on random"):
        dl.open_checkpoint(model, IDS)
