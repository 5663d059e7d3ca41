"""Parcae: the map against the authors' own numbers and against its equations, options, and what is refused."""

import dataclasses
import json
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dynloop as dl
from dynloop.adapters.base import Source
from dynloop.adapters.parcae_reading import read_options
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.casting import assert_golden
from tests.adapters.golden import DATA, SUFFIX, changed, gap, golden
from tests.adapters.parcae_reference import Reference

FOLDER = DATA / "parcae"
IDS = [3, 1, 4, 1, 5, 9]


def drawn(folder, **options):
    """A checkpoint with other options, its weights and angles drawn; the rotary table is stored."""
    config = json.loads((FOLDER / "config.json").read_text()) | {"block_size": 8, "vocab_size": 20} | options
    config["padded_vocab_size"] = 24
    generator = torch.Generator().manual_seed(0)
    shapes = read_options(Source(name="drawn", config=config, tensors={}, model=object())).shapes()
    tensors = {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}
    size = config["n_embd"] // config["num_attention_heads"] // 2
    angles = torch.rand((1, 8, 1, size), generator=generator) * 6
    tensors["freqs_cis"] = torch.stack([angles.cos(), angles.sin()], -1)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder, config, tensors


# -- oracle: the authors' code, and the equations ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_states_and_logits_are_the_models_own(dtype, granularity):
    m = open_checkpoint(FOLDER, golden("parcae")["input_ids"][0], dtype=dtype, granularity=granularity)
    assert_golden("parcae", m, 0, dtype, pair=False)


def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules():
    arrays = golden("parcae")
    m = open_checkpoint(FOLDER, arrays["input_ids"][0])
    assert m.layer_names == ("inject", "block 0", "block 1")
    assert gap(m.sections(torch.as_tensor(arrays["x0"]))[1:], arrays["layers_loop1"]) <= 2e-5


OPTIONS = [
    {"num_key_value_heads": 1, "bias": True, "nonlin_name": "GELU", "norm_class_name": "LayerNorm", "norm_eps": 0.01,
     "n_layers_in_recurrent_block": 1, "mean_recurrence": 3, "mean_backprop_depth": 2, "n_layers_in_coda": 3},
    {"injection_type": "linear", "bias": True, "recurrent_embedding_dimension": 96, "recurrent_num_attention_heads": 3,
     "n_layers_in_recurrent_block": 1, "mean_backprop_depth": 1, "n_layers_in_coda": 1, "qk_norm": False},
    {"injection_type": "add", "init_strategy": "takase-scaled", "logit_softcap": 0.3, "clip_qkv": 0.5,
     "mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "tie_embeddings": False},
    {"injection_type": "linear", "qk_bias": True, "prelude_norm": False, "name": "Gemma-like",
     "n_layers_in_recurrent_block": 3, "mean_recurrence": 1},
    {"n_layers_in_prelude": 0, "n_layers_in_coda": 0, "num_attention_heads": 4, "num_key_value_heads": 4},
    {"n_embd": 32, "num_attention_heads": 1, "num_key_value_heads": 1, "recurrent_num_attention_heads": 2,
     "recurrent_embedding_dimension": 64, "n_layers_in_recurrent_block": 1, "n_layers_in_prelude": 1,
     "mean_backprop_depth": 1},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_any_option_follows_its_equations(tmp_path, options):
    folder, config, tensors = drawn(tmp_path / "c", **options)
    reference = Reference(config, tensors, IDS)
    m = open_checkpoint(folder, IDS, dtype="float64")
    x = y = m.start()[0]
    for _ in range(3):
        x, y = m(x[None])[0], reference.loop(y)
    assert gap(x, y.numpy()) <= 1e-11
    assert gap(m.decode(x[None])[0], reference.logits(y).numpy()) <= 1e-11
    assert m.decode(x[None]).shape == (1, 6, 24)


@pytest.mark.parametrize("options", OPTIONS[:4])
def test_any_option_keeps_every_rule(tmp_path, options):
    folder, *_ = drawn(tmp_path / "c", **options)
    check_adapter(open_checkpoint(folder, IDS), tolerance=1e-4)


# -- invariants ------------------------------------------------------------------------------------------------------


def test_the_float64_twin_has_the_epsilon_of_float64_in_its_prelude_too():
    m, wide = open_checkpoint(FOLDER, IDS), open_checkpoint(FOLDER, IDS, dtype="float64")
    x = wide.start()
    assert torch.equal(m.twin()(x), wide(x))


def test_a_fixed_point_is_polished_to_rounding():
    m = open_checkpoint(FOLDER, [3], dtype="float64")
    found = dl.find_fixed_points(m, m.power(60)(m.start()))
    y = m.native(found.points[0])
    assert float((m(y) - y).norm() / y.norm()) <= 1e-13
    assert abs(found.multipliers[0][0]) < 1


def test_the_ids_enter_by_the_values_too(tmp_path):
    def cut(weights):
        weights["transformer.adapter.B"].zero_()

    folder = changed("parcae", tmp_path / "c", tensors=cut)
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))
    a, b = open_checkpoint(folder, [1, 2, 3]), open_checkpoint(folder, [1, 2, 4])
    assert torch.equal(a(x)[:, :2], b(x)[:, :2])
    assert not torch.allclose(a(x)[:, 2], b(x)[:, 2])


def test_without_a_stored_table_the_base_is_50000(tmp_path):
    folder = changed("parcae", tmp_path / "c", tensors=lambda w: w.pop("freqs_cis"))
    a, b = open_checkpoint(folder, IDS), open_checkpoint(FOLDER, IDS)
    torch.testing.assert_close(a(b.start()), b(b.start()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "deviation", "bound"),
    [
        ("like-init", 0.98658 * (2 / 5 / 64) ** 0.5, 3.0001 * (2 / 5 / 64) ** 0.5),
        ("normal", 1.0, 10.0),
        ("embed", 1 / 8, 10.0),
        ("unit", 0.992, 10.0),
    ],
)
def test_starts_are_the_noise_that_the_config_says(tmp_path, kind, deviation, bound):
    folder = changed("parcae", tmp_path / "c", config=lambda c: c.update(state_init=kind))
    m = open_checkpoint(folder, IDS, dtype="float64")
    starts = m.start(rng=1, n=50)
    assert starts.std().item() == pytest.approx(deviation, rel=0.02)
    assert starts.abs().max().item() <= bound
    assert torch.equal(m.start(rng=1, n=1), starts[:1])
    if kind == "unit":
        np.testing.assert_allclose(starts.std(-1).numpy(), 1.0, rtol=1e-6)


def test_kinds_of_starts(tmp_path):
    arrays = golden("parcae")
    m = open_checkpoint(FOLDER, arrays["input_ids"][0], dtype="float64")
    assert gap(m.start(kind="embedding"), arrays["e_f64"]) <= 1e-5
    assert torch.equal(m.start(kind="noise"), m.start())
    narrow, *_ = drawn(tmp_path / "c", **OPTIONS[5])
    assert set(open_checkpoint(narrow, IDS).kinds) == {"noise"}


def test_zero_starts_are_zero(tmp_path):
    folder = changed("parcae", tmp_path / "c", config=lambda c: c.update(state_init="zero"))
    assert not open_checkpoint(folder, IDS).start(n=3).any()


class Parcae(torch.nn.Module):
    """A stand-in for a live model: the authors' class keeps its config as a dataclass."""

    def __init__(self, config, tensors):
        super().__init__()
        fields = [(name, type(value)) for name, value in config.items()]
        self.config = dataclasses.make_dataclass("ParcaeConfig", fields)(**config)
        self._tensors = tensors

    def state_dict(self):
        return self._tensors


def test_a_live_model_is_known_by_its_class_and_may_have_no_rotation():
    config = json.loads((FOLDER / "config.json").read_text())
    config.pop("_class_name")
    tensors = load_file(FOLDER / "model.safetensors")
    m, turned = open_checkpoint(Parcae(config, tensors), IDS), open_checkpoint(FOLDER, IDS)
    x = m.start()
    assert torch.equal(m(x), turned(x))
    plain = open_checkpoint(Parcae(config | {"rope_settings": {"use_rope": False}}, tensors), IDS)
    assert not torch.allclose(plain(x), m(x))
    still = dict(tensors, freqs_cis=torch.stack([torch.ones(1, 64, 1, 16), torch.zeros(1, 64, 1, 16)], -1))
    torch.testing.assert_close(plain(x)[:, :1], m(x)[:, :1], rtol=1e-5, atol=1e-5)  # position 0 is not turned
    torch.testing.assert_close(open_checkpoint(Parcae(config, still), IDS)(x), plain(x), rtol=1e-5, atol=1e-5)


def test_weights_of_torch_save_open_and_a_stored_copy_of_a_tied_head_is_accepted(tmp_path):
    tensors = load_file(FOLDER / "model.safetensors")
    folder = changed("parcae", tmp_path / "c")
    (folder / "model.safetensors").unlink()
    torch.save({**tensors, "lm_head.weight": tensors["transformer.wte.weight"]}, folder / "model.pt")
    a, b = open_checkpoint(folder, IDS), open_checkpoint(FOLDER, IDS)
    assert torch.equal(a.decode(a(a.start())), b.decode(b(b.start())))


def test_one_token_and_the_full_context_open():
    assert open_checkpoint(FOLDER, [96]).state_shape == (1, 64)
    m = open_checkpoint(FOLDER, np.zeros(64, dtype=int), dtype="bfloat16")
    assert m(m.start(n=2)).dtype is torch.bfloat16


def test_description_is_one_line_that_names_the_map():
    said = open_checkpoint(FOLDER, IDS).describe()
    assert "one loop = inject → block 0 → block 1 (diagonal injection of e = prelude(ids)" in said
    assert "value embeddings of the ids in block 1, start = like-init" in said
    assert "state 6 × 64, causal, float32" in said
    assert "\n" not in said


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"injection_type": "concat"}, "the config says injection_type = 'concat'"),
        ({"block_class_name": "SandwichBlock"}, "the config says block_class_name = 'SandwichBlock'"),
        ({"norm_class_name": "FusedRMSNorm"}, "the config says norm_class_name = 'FusedRMSNorm'"),
        ({"nonlin_name": "Sin"}, "the config says nonlin_name = 'Sin'"),
        ({"state_init": "ones"}, "the config says state_init = 'ones'"),
        ({"use_fused_head": "hhe"}, "the config says use_fused_head = 'hhe'"),
        ({"init_strategy": "mine"}, "the config says init_strategy = 'mine'"),
        ({"attn_impl": "debug-skip"}, "the config says attn_impl = 'debug-skip'"),
        ({"mup_model_scaling_factor": 2}, "the config says mup_model_scaling_factor = 2"),
        ({"rope_settings": {"use_rope": False}}, "use_rope = False, which the model's own loader drops"),
        ({"window": 5}, "the config says window = 5, which the parcae adapter does not know"),
        ({"n_embd": "64"}, "needs n_embd to be a positive int; it says '64'"),
        ({"qk_norm": 1}, "needs qk_norm to be true or false; it says 1"),
        ({"num_attention_heads": 3}, "num_attention_heads must divide the width"),
        ({"recurrent_num_attention_heads": 4}, "one rotary table needs heads of one even width"),
        ({"injection_type": "add", "recurrent_embedding_dimension": 96, "recurrent_num_attention_heads": 3},
         "injection_type 'add' needs recurrent_embedding_dimension = n_embd"),
        ({"recurrent_embedding_dimension": 96, "recurrent_num_attention_heads": 3}, "mixes in value embeddings"),
        ({"qk_bias": True, "num_key_value_heads": 1}, "qk_bias needs num_key_value_heads = num_attention_heads"),
        ({"block_size": 32}, r"freqs_cis has shape \(1, 64, 1, 16, 2\), the config implies \(1, 32, 1, 16, 2\)"),
        ({"mean_backprop_depth": 4, "n_layers_in_recurrent_block": 1}, "has no place in the model|is missing"),
        ({"tie_embeddings": False}, "lm_head.weight of shape .* is missing"),
        ({"prelude_norm": False}, "ln_prelude.weight has no place in the model"),
    ],
)  # fmt: skip
def test_options_that_do_not_work_are_refused_by_name(tmp_path, change, said):
    folder = changed("parcae", tmp_path / "c", config=lambda c: c.update(change))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_a_tied_head_that_differs_is_refused(tmp_path):
    folder = changed("parcae", tmp_path / "c", tensors=lambda w: w.update({"lm_head.weight": torch.zeros(97, 64)}))
    with pytest.raises(CheckpointError, match=r"says tie_embeddings, and lm_head.weight differs from transformer.wte"):
        open_checkpoint(folder)


def test_a_tied_table_may_bear_the_name_of_the_head(tmp_path):
    def rename(weights):
        weights["lm_head.weight"] = weights.pop("transformer.wte.weight")

    a, b = open_checkpoint(changed("parcae", tmp_path / "c", tensors=rename), IDS), open_checkpoint(FOLDER, IDS)
    assert torch.equal(a.decode(a(a.start())), b.decode(b(b.start())))


@pytest.mark.parametrize("name", ["transformer.adapter.A_log", "transformer.C.weight", "value_embeds.3.weight"])
def test_a_missing_tensor_is_named(tmp_path, name):
    folder = changed("parcae", tmp_path / "c", tensors=lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match=f"the tensor {name} of shape .* is missing"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([], "input_ids is empty; give at least one token"),
        ([97], "input_ids holds 97; ids lie in 0 … 96"),
        ([-1], "input_ids holds -1"),
        ([0] * 65, "has 65 tokens, and the model has positions for 64"),
        ("words", "needs a tokenizer"),
        ({"input_ids": [1, 2], "attention_mask": [0, 1]}, "reads no mask"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said) as caught:
        open_checkpoint(FOLDER, prompt)
    assert "\n" not in str(caught.value)


def test_another_model_of_the_same_names_is_not_taken_for_it():
    from dynloop.adapters.parcae import FAMILY

    names = {"transformer.core_block.0.attn.c_q.weight", "transformer.C.weight"}
    assert FAMILY.recognises({}, names)
    assert not FAMILY.recognises({"_class_name": "GPTConfig"}, names)
    assert FAMILY.live_config(types.SimpleNamespace(config=None)) is None
