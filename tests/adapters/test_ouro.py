"""Ouro: the map against numbers of the public code, masks and windows, its exit gate, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, InvalidArgumentError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.golden import (
    DATA,
    LOOPS,
    SUFFIX,
    changed,
    derivative_gap,
    gap,
    golden,
    native_tolerance,
    option,
    options_of,
    recorded,
)

FOLDER = DATA / "ouro"


def opened(b=0, **options):
    return open_checkpoint(FOLDER, golden("ouro")["input_ids"][b], **options)


# -- oracle: the public code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("b", range(len(golden("ouro")["input_ids"])))
def test_states_logits_and_gates_are_the_models_own(dtype, granularity, b):
    arrays, m = golden("ouro"), opened(b, dtype=dtype, granularity=granularity)
    x, gates = m.start(), []
    assert gap(x[0], arrays[f"x0{SUFFIX[dtype]}"][b]) == 0.0
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        gates.append(m.decode(x, head="exit_gate")[0])
        if n in LOOPS:
            for name, found in ((f"state_K{n}", x), (f"logits_K{n}", m.decode(x))):
                assert gap(found[0], arrays[name + SUFFIX[dtype]][b]) <= native_tolerance("ouro", name, dtype)
            assert gap(torch.stack(gates), arrays[f"gates_K{n}"][:, b]) <= 2e-5


def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules():
    m = opened()
    assert m.layer_names == ("layer 0", "layer 1", "layer 2", "norm")
    assert gap(m.sections(m.start())[1:, 0], golden("ouro")["layers_loop1"][:, 0]) <= 2e-5


@pytest.mark.parametrize("name", options_of("ouro"))
def test_other_options_give_what_the_public_code_gives(name, tmp_path):
    folder, arrays = option(name, tmp_path / "c")
    prompt = {key: arrays[key] for key in ("input_ids", "attention_mask") if key in arrays}
    m, x = open_checkpoint(folder, prompt), None
    seen = np.flatnonzero(arrays.get("attention_mask", np.ones(len(arrays["input_ids"]))))
    for n in range(1, 5):
        x = m(m.start() if x is None else x)
        if n in (1, 4):
            assert gap(x[0, seen], arrays[f"state_K{n}"][seen]) <= 2e-5
            assert gap(m.decode(x)[0, seen], arrays[f"logits_K{n}"][seen]) <= 2e-5
            assert gap(m.decode(x, head="exit_gate")[0, seen], arrays[f"gate_K{n}"][seen]) <= 2e-5


def test_check_adapter_with_recorded_numbers():
    report = check_adapter(opened(), reference=recorded("ouro", 0))
    assert {"square 1: state", "square 4: output", "square 16: output"} <= set(report.gaps)


# -- precision and exact facts ---------------------------------------------------------------------------------------


def test_float64_blocks_are_float64_to_the_last_bit():
    m = open_checkpoint(FOLDER, [5, 3, 8], dtype="float64")
    x = m(m.start())
    found = dl.find_fixed_points(m, m.power(100)(x))
    assert len(found.points) >= 1
    assert float(found.residual.max()) <= 1e-13
    assert derivative_gap(m, x) <= 1e-8


def test_the_prompt_is_the_start_alone():
    a, b = open_checkpoint(FOLDER, [1, 2, 3], dtype="float64"), open_checkpoint(FOLDER, [4, 5, 6], dtype="float64")
    assert not torch.equal(a.start(), b.start())
    assert torch.equal(a(a.start()), b(a.start()))
    assert torch.equal(a.start(kind="prompt:4, 5, 6"), b.start())
    assert torch.equal(a.start(rng=1, n=3, kind="embedding"), a.start(rng=1, n=3))
    size = a.start(rng=1, n=500, kind="noise").square().mean().sqrt()
    assert size.item() == pytest.approx(a.start().square().mean().sqrt().item(), rel=0.05)


def test_the_norm_closes_the_loop():
    m = opened(dtype="float64")
    x = m(m.start())
    gamma = m.layers[-1].weight.double()
    torch.testing.assert_close((x / gamma).square().mean(-1), torch.ones(1, 10).double(), rtol=1e-5, atol=0)


def test_masked_tokens_do_not_move_the_others():
    prompt = {"input_ids": [5, 3, 8, 2, 9], "attention_mask": [0, 1, 1, 0, 1]}
    m = open_checkpoint(FOLDER, prompt, dtype="float64")
    x = m.start()
    y = x.clone()
    y[:, [0, 3]] += 1.0
    assert torch.equal(m(y)[:, [1, 2, 4]], m(x)[:, [1, 2, 4]])
    assert torch.isfinite(m(x)).all()


def test_a_window_ends_what_a_token_reaches(tmp_path):
    def slide(config):
        config.update(use_sliding_window=True, sliding_window=2, layer_types=["sliding_attention"] * 3)

    m = open_checkpoint(changed("ouro", tmp_path / "c", config=slide), [1] * 8, dtype="float64")
    x = m.start()
    y = x.clone()
    y[:, 0] += 1.0
    moved = (m(y) - m(x)).abs().amax(-1)[0]
    assert (moved[:4] > 0).all()  # three layers, one token further each
    assert not moved[4:].any()


def test_a_bfloat16_checkpoint_keeps_its_dtype_and_its_float64_twin_is_exact(tmp_path):
    folder = changed("ouro", tmp_path / "c", tensors=lambda w: w.update({k: v.bfloat16() for k, v in w.items()}))
    m, wide = open_checkpoint(folder, [5, 3, 8]), open_checkpoint(folder, [5, 3, 8], dtype="float64")
    assert m.dtype is torch.bfloat16
    assert torch.equal(m.twin()(wide.start()), wide(wide.start()))


def test_shards_give_the_same_map(tmp_path):
    weights = load_file(FOLDER / "model.safetensors")
    (tmp_path / "config.json").write_text((FOLDER / "config.json").read_text())
    names, placed = sorted(weights), {}
    for i, part in enumerate((names[::2], names[1::2])):
        save_file({name: weights[name] for name in part}, tmp_path / f"model-{i}.safetensors")
        placed |= dict.fromkeys(part, f"model-{i}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    a, b = open_checkpoint(tmp_path, [1, 2]), open_checkpoint(FOLDER, [1, 2])
    assert torch.equal(a(a.start()), b(b.start()))


def test_an_unknown_head_is_refused_with_the_known_ones():
    m = opened()
    with pytest.raises(InvalidArgumentError, match="the heads 'exit_gate'; got head='value'"):
        m.decode(m.start(), head="value")


@pytest.mark.parametrize("tokens", [1, 128])
def test_prompts_of_one_token_and_of_the_whole_context(tokens):
    m = open_checkpoint(FOLDER, np.arange(tokens) % 97)
    assert m.decode(m(m.start(n=2))).shape == (2, tokens, 97)


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_act", "mish", "hidden_act = 'mish'"),
        ("num_key_value_heads", 3, "num_key_value_heads must divide num_attention_heads"),
        ("head_dim", 32, "q_proj.weight has shape"),
        ("layer_types", ["full_attention"], "layer_types must name one kind for each of 3 layers"),
        ("layer_types", ["full_attention", "chunked_attention", "full_attention"], "layer_types = 'chunked_attention'"),
        ("layer_types", ["sliding_attention"] * 3, "says no window"),
        ("use_sliding_window", "x", "use_sliding_window to be true or false"),
        ("tie_word_embeddings", True, r"lm_head\.weight differs"),
        ("num_hidden_layers", 2, r"model\.layers\.2\..* has no place"),
        ("vocab_size", 96, "embed_tokens.weight has shape"),
        ("max_position_embeddings", 0, "max_position_embeddings to be a positive int"),
        ("rms_norm_eps", "a", "rms_norm_eps to be a number"),
        ("rope_scaling", {"type": "ntk"}, "rope_type = 'ntk'"),
    ],
)
def test_wrong_and_unsupported_options_are_refused_by_name(field, value, said, tmp_path):
    folder = changed("ouro", tmp_path / "c", config=lambda c: c.update({field: value}))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.norm.weight", "lm_head.weight", "model.early_exit_gate.bias"])
def test_a_missing_tensor_is_named(name, tmp_path):
    folder = changed("ouro", tmp_path / "c", tensors=lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match=f"{name} of shape .* is missing"):
        open_checkpoint(folder)


def test_a_truncated_file_is_refused(tmp_path):
    path = changed("ouro", tmp_path / "c") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        open_checkpoint(path.parent)


def test_a_config_with_a_key_twice_is_refused(tmp_path):
    path = changed("ouro", tmp_path / "c") / "config.json"
    path.write_text(path.read_text()[:-1] + ', "hidden_size": 32}')
    with pytest.raises(CheckpointError, match="has the key 'hidden_size' twice in one object"):
        open_checkpoint(path.parent)


def test_ids_out_of_range_are_refused():
    with pytest.raises(PromptError, match=r"input_ids holds 97; ids lie in 0 … 96"):
        open_checkpoint(FOLDER, [97])
