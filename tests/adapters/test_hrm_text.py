"""HRM-Text: the map against transformers' own code, its options, prompts, and what is refused."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.casting import assert_golden, assert_halves
from tests.adapters.golden import DATA, SUFFIX, changed, golden

FOLDER = DATA / "hrm_text"
SIZES = {
    "vocab_size": 23, "hidden_size": 24, "num_attention_heads": 2, "head_dim": 8, "intermediate_size": 20,
    "max_position_embeddings": 32, "num_hidden_layers": 1,
}  # fmt: skip
PROMPT = [3, 1, 4, 1, 5, 9, 2]


def live(kind="HrmTextForCausalLM", **options):
    """A model of transformers whose every weight is drawn, biases too."""
    transformers = pytest.importorskip("transformers")
    model = getattr(transformers, kind)(transformers.HrmTextConfig(**(SIZES | options)))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(generator=generator).mul_(0.25)
    return model.eval()


# -- oracle: the model's own code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_states_and_logits_are_the_models_own(dtype, granularity):
    m = open_checkpoint(FOLDER, golden("hrm_text")["input_ids"][0], dtype=dtype, granularity=granularity)
    assert_golden("hrm_text", m, 0, dtype, pair=True)
    np.testing.assert_allclose(m.start()[0].numpy(), golden("hrm_text")[f"x0{SUFFIX[dtype]}"][:, 0], rtol=1e-6)


def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules():
    m = open_checkpoint(FOLDER, golden("hrm_text")["input_ids"][0])
    assert m.layer_names[:4] == ("L step 0 block 0", "L step 0 block 1", "L step 0 norm", "L step 1 block 0")
    assert_halves("hrm_text", m, 0, lambda name: 0 if name.startswith("H") else 1)


@pytest.mark.parametrize(
    ("options", "extra"),
    [
        ({"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "num_hidden_layers": 2}, {}),
        ({"tie_word_embeddings": True, "L_cycles": 1, "rms_norm_eps": 0.1, "embedding_scale": 3.0}, {}),
        ({"head_dim": 6, "L_cycles": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}, {}),
        (
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}, "initializer_range": 0.5},
            {},
        ),
        ({}, {"token_type_ids": [1, 1, 1, 0, 0, 0, 0]}),
        ({"L_bp_cycles": [1, 1]}, {"attention_mask": [1, 0, 1, 1, 1, 0, 0], "token_type_ids": [1, 0, 1, 0, 1, 0, 0]}),
        ({"prefix_lm": False}, {"attention_mask": [1, 1, 1, 1, 1, 0, 0]}),
    ],
)
def test_a_live_model_with_any_option_gives_what_transformers_gives(options, extra):
    prompt = {"input_ids": PROMPT, **extra}
    report = check_adapter(open_checkpoint(live(**options), prompt), loops=(1, 3), tolerance=1e-4)
    assert {"square 1: output", "square 3: output", "live model"} <= set(report.gaps)
    assert max(report.gaps[f"square {n}: output"] for n in (1, 3)) <= 2e-5


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_is_the_live_one(tmp_path, tied):
    model = live(attention_bias=True, mlp_bias=True, tie_word_embeddings=tied, num_hidden_layers=2)
    model.save_pretrained(tmp_path / "c")  # writes fused weights, and biases that are not
    a, b = open_checkpoint(model, PROMPT), open_checkpoint(tmp_path / "c", PROMPT)
    assert torch.equal(a.decode(a(a.start())), b.decode(b(b.start())))


def test_a_model_without_a_head_reads_out_its_last_hidden_state():
    m = open_checkpoint(live("HrmTextModel"), PROMPT)
    x = m(m.start())
    assert torch.equal(m.decode(x), x[:, 0])
    check_adapter(m, loops=(2,), tolerance=1e-4)


# -- invariants ------------------------------------------------------------------------------------------------------


def test_a_folder_keeps_every_rule_in_float64():
    report = check_adapter(open_checkpoint(FOLDER, PROMPT, dtype="float64"), loops=(2,), tolerance=1e-5)
    assert report.gaps["granularity"] <= 1e-12
    assert report.gaps["square 2: output"] <= 1e-5


def test_a_step_of_one_token_leaves_the_tokens_before_it_though_the_pair_is_not_called_causal():
    m = open_checkpoint(FOLDER, PROMPT, dtype="float64")
    x = m.start()
    y = x.clone()
    y[:, :, 4] += 1.0
    changed_rows = (m(y) - m(x)).abs().amax(dim=(0, 3)) > 0
    assert not changed_rows[:, :4].any()
    assert changed_rows[:, 4:].all()
    assert not m.causal


def test_a_fixed_point_is_polished_to_rounding(tmp_path):
    def pull(weights):
        """Give every MLP a bias that all states are drawn to."""
        generator = torch.Generator().manual_seed(0)
        for stack in ("L_module", "H_module"):
            for i in range(2):
                mlp = f"model.{stack}.layers.{i}.mlp"
                weights |= {f"{mlp}.{name}_proj.bias": torch.zeros(96) for name in ("gate", "up")}
                weights[f"{mlp}.down_proj.bias"] = 2 * torch.randn(64, generator=generator)

    folder = changed("hrm_text", tmp_path / "c", config=lambda c: c.update(mlp_bias=True), tensors=pull)
    m = open_checkpoint(folder, [3], dtype="float64")
    found = dl.find_fixed_points(m, m.power(30)(m.start()))
    assert len(found.points) == 1
    y = m.native(found.points[0])
    assert float((m(y) - y).norm() / y.norm()) <= 1e-13


def test_the_prompt_is_the_start_of_the_slow_half_alone():
    a, b = open_checkpoint(FOLDER, [1, 2, 3]), open_checkpoint(FOLDER, [4, 5, 6])
    x = torch.randn(2, *a.state_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(a(x), b(x))
    assert torch.equal(a.start()[:, 1], b.start()[:, 1])


def test_the_start_of_another_prompt():
    a, b = open_checkpoint(FOLDER, [1, 2, 3]), open_checkpoint(FOLDER, [4, 5, 6])
    assert torch.equal(a.start(kind="prompt:4 5 6"), b.start())


def test_one_token_and_the_full_context_open():
    assert open_checkpoint(FOLDER, [5]).state_shape == (2, 1, 64)
    m = open_checkpoint(FOLDER, np.zeros(64, dtype=int), dtype="bfloat16")
    assert m(m.start(n=2)).shape == (2, 2, 64, 64)


def test_description_is_one_line_that_names_the_map():
    said = open_checkpoint(FOLDER, PROMPT).describe()
    assert "3 × z_L ← L(z_L + z_H), then z_H ← H(z_H + z_L)" in said
    assert "state 2 × 7 × 64, not causal, float32" in said
    assert "\n" not in said


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("num_attention_heads", 3, "num_attention_heads must divide hidden_size"),
        ("hidden_act", "xielu", "the config says hidden_act = 'xielu'"),
        ("rope_parameters", {"rope_type": "axial"}, "the config says rope_type = 'axial'"),
        ("L_cycles", 0, "needs L_cycles to be a positive int; it says 0"),
        ("tie_word_embeddings", "no", "needs tie_word_embeddings to be true or false; it says 'no'"),
        ("is_causal", False, "the config says is_causal = False"),
        ("quantization_config", {"bits": 4}, "the config says quantization_config"),
        ("head_dim", 8, r"gqkv_proj.weight has shape \(256, 64\), the config implies \(128, 64\)"),
        ("num_layers_per_stack", 1, r"layers.1.attn.gqkv_proj.weight has no place in the model"),
        ("attention_bias", True, r"self_attn.gate_proj.bias of shape \(64,\) is missing"),
    ],
)
def test_options_that_do_not_work_are_refused_by_name(tmp_path, field, value, said):
    folder = changed("hrm_text", tmp_path / "c", config=lambda c: c.update({field: value}))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.z_L_init", "lm_head.weight", "model.L_module.layers.0.mlp.down_proj.weight"])
def test_a_missing_tensor_is_named(tmp_path, name):
    folder = changed("hrm_text", tmp_path / "c", tensors=lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match=f"the tensor {name} of shape .* is missing"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([], "input_ids is empty; give at least one token"),
        ([97], r"input_ids holds 97; ids lie in 0 … 96"),
        ([0] * 65, "has 65 tokens, and the model has positions for 64"),
        ("words", "needs a tokenizer"),
        ({"input_ids": [1, 2], "labels": [1, 2]}, "it has no input 'labels'"),
        ({"input_ids": [1, 2], "token_type_ids": [1]}, "token_type_ids has 1 entries for 2 tokens"),
        ({"input_ids": [1, 2], "token_type_ids": [1, 2]}, "token_type_ids holds 2"),
        ({"input_ids": [1, 2], "attention_mask": [0, 1]}, "leaves the first tokens nothing to attend to"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said) as caught:
        open_checkpoint(FOLDER, prompt)
    assert "\n" not in str(caught.value)


def test_types_are_refused_where_the_model_reads_none(tmp_path):
    folder = changed("hrm_text", tmp_path / "c", config=lambda c: c.update(prefix_lm=False))
    with pytest.raises(PromptError, match="prefix_lm = false, so it reads no token_type_ids"):
        open_checkpoint(folder, {"input_ids": [1, 2], "token_type_ids": [1, 0]})
