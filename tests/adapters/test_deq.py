"""DEQ transformers: against equations written out pair by pair, in every layout of their weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.deq_reference import DEQTransformerLM
from tests.adapters.golden import derivative_gap

IDS = [3, 1, 4, 15, 9, 22]
OPTIONS = {
    "plain": {},
    "pre-norm": {"pre_lnorm": True},
    "window": {"local_size": 3},
    "weight norm": {"wnorm": True},
    "narrow embedding": {"d_embed": 8},
    "clusters": {"cutoffs": (5, 12)},
    "clusters narrow": {"cutoffs": (5, 12), "d_embed": 8},
    "adaptive": {"cutoffs": (5, 12), "div_val": 2},
}


def reference(name, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DEQTransformerLM(**OPTIONS[name]).to(dtype).eval()


def folder_of(model, path, *, config=None, tensors=None):
    """Write a checkpoint: config.json with the authors' argument names, and the state_dict."""
    a = model.func.dec_attn
    said = {
        "n_token": 23, "n_head": 2, "d_model": 16, "d_head": 8, "d_inner": 24, "d_embed": model.d_embed,
        "div_val": model.word_emb.div_val, "cutoffs": model.ends[1:-1], "tie_weights": False,
        "pre_lnorm": a.pre_lnorm, "local_size": a.local_size, "dropout": 0.05, "mem_len": 150,
    }  # fmt: skip
    said.update(config or {})
    stored = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    (tensors or (lambda _: None))(stored)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(said))
    save_file(stored, path / "model.safetensors")
    return path


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_the_map_is_the_equations_written_out(name, granularity, tmp_path):
    model = reference(name)
    m = open_checkpoint(folder_of(model, tmp_path / "c"), IDS, granularity=granularity)
    x, z, ids = m.start(), torch.zeros(6, 16).double(), torch.tensor(IDS)
    assert not x.any()
    with torch.no_grad():
        for n in range(1, 17):
            x, z = m(x), model.loop(z, ids)
            if n in (1, 4, 16):
                torch.testing.assert_close(x[0], z, rtol=0, atol=1e-10)
                found = m.decode(x)[0].log_softmax(-1)
                torch.testing.assert_close(found, model.log_probabilities(z), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["plain", "adaptive"])
def test_float32_is_float32_of_the_same(name, tmp_path):
    model = reference(name, torch.float32)
    m = open_checkpoint(folder_of(model, tmp_path / "c"), IDS)
    assert m.dtype is torch.float32
    x, z = m.start(), torch.zeros(6, 16)
    with torch.no_grad():
        for _ in range(4):
            x, z = m(x), model.loop(z, torch.tensor(IDS))
    torch.testing.assert_close(x[0], z, rtol=0, atol=2e-5)


def recorded(model, loops=(1, 4, 16)):
    z, found = torch.zeros(6, 16, dtype=next(model.parameters()).dtype), {}
    with torch.no_grad():
        for n in range(1, max(loops) + 1):
            z = model.loop(z, torch.tensor(IDS))
            if n in loops:
                found[n] = {"state": z.double().numpy()}
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_every_rule_of_adapters_is_kept(name, tmp_path):
    model = reference(name)
    # a weight that is stored as direction and length is made anew, so nothing of a live model is shared there
    m = open_checkpoint(folder_of(model, tmp_path / "c") if name == "weight norm" else model, IDS)
    report = check_adapter(m, reference=recorded(model))
    assert {"square 1: state", "square 16: state", "granularity"} <= set(report.gaps)
    assert ("live model" in report.gaps) is (name != "weight norm")


def test_a_fixed_point_is_polished_and_derivatives_are_exact(tmp_path):
    m = open_checkpoint(folder_of(reference("plain"), tmp_path / "c"), IDS)
    x = m.power(3)(m.start())
    assert derivative_gap(m, x) <= 1e-8
    points = dl.find_fixed_points(m, m.power(300)(m.start()))
    if len(points.points):
        assert float(points.residual.max()) <= 1e-13


def test_tied_tables_may_be_stored_once(tmp_path):
    model = reference("plain")
    with torch.no_grad():
        model.crit.out_layers[0].weight.copy_(model.word_emb.emb_layers[0].weight)
    both = open_checkpoint(folder_of(model, tmp_path / "a", config={"tie_weights": True}), IDS)
    for name in ("crit.out_layers.0.weight", "word_emb.emb_layers.0.weight"):
        once = folder_of(model, tmp_path / "b", config={"tie_weights": True}, tensors=lambda w, name=name: w.pop(name))
        m = open_checkpoint(once, IDS)
        torch.testing.assert_close(m.decode(m(m.start())), both.decode(both(both.start())), rtol=0, atol=1e-12)


def test_starts_and_what_it_says(tmp_path):
    m = open_checkpoint(folder_of(reference("plain"), tmp_path / "c"), IDS)
    model = reference("plain")
    torch.testing.assert_close(m.start(kind="embedding")[0], model.embed(torch.tensor(IDS)).detach())
    assert m.causal
    assert "W_inject e added to queries, keys and values, start = 0, decode = logits" in m.describe()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"d_head": 4}, "n_head · d_head must be d_model"),
        ({"cutoffs": [12, 5]}, "cutoffs to be rising ids"),
        ({"cutoffs": "x"}, "cutoffs to be rising ids"),
        ({"div_val": 0}, "div_val to be a positive int"),
        ({"d_inner": 25}, "ff1_net.weight has shape"),
        ({"pre_lnorm": 1}, "pre_lnorm to be true or false"),
        ({"window_size": 3}, "window_size = 3, which the deq adapter does not know"),
        ({"tie_weights": True}, r"crit.out_layers.0.weight differs from word_emb.emb_layers.0.weight"),
    ],
)
def test_wrong_configs_are_refused_by_name(config, said, tmp_path):
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder_of(reference("plain"), tmp_path / "c", config=config), IDS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["inject_conv.bias", "func.dec_attn.r_r_bias", "crit.out_layers.0.bias"])
def test_a_missing_tensor_is_named(name, tmp_path):
    with pytest.raises(CheckpointError, match=f"{name} of shape .* is missing"):
        open_checkpoint(folder_of(reference("plain"), tmp_path / "c", tensors=lambda w: w.pop(name)), IDS)


def test_prompts_that_do_not_fit_are_refused(tmp_path):
    folder = folder_of(reference("plain"), tmp_path / "c")
    with pytest.raises(PromptError, match="ids lie in 0 … 22"):
        open_checkpoint(folder, [23])
    with pytest.raises(PromptError, match="put padding behind the prompt"):
        open_checkpoint(folder, {"input_ids": [1, 2], "attention_mask": np.array([0, 1])})
