"""Huginn: the map against numbers of the public code, its starts, its precision, and what is refused."""

import numpy as np
import pytest
import torch
from scipy import stats

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, InvalidArgumentError, NotAutonomousError, PromptError
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

FOLDER = DATA / "huginn"


def opened(b=0, **options):
    return open_checkpoint(FOLDER, golden("huginn")["input_ids"][b], **options)


# -- oracle: the public code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("b", range(len(golden("huginn")["input_ids"])))
def test_states_and_logits_are_the_models_own(dtype, granularity, b):
    arrays, m = golden("huginn"), opened(b, dtype=dtype, granularity=granularity)
    x = m.native(arrays[f"x0{SUFFIX[dtype]}"][b][None])
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        if n in LOOPS:
            for name, found in ((f"state_K{n}", x), (f"logits_K{n}", m.decode(x))):
                assert gap(found[0], arrays[name + SUFFIX[dtype]][b]) <= native_tolerance("huginn", name, dtype)


def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules():
    arrays, m = golden("huginn"), opened()
    assert m.layer_names == ("adapter", "block 0", "block 1", "block 2", "block 3")
    assert gap(m.sections(m.native(arrays["x0"][:1]))[1:, 0], arrays["layers_loop1"][:, 0]) <= 2e-5


def test_latent_states_of_the_public_code_are_normalised_states():
    arrays, m = golden("huginn"), opened()
    ln_f = next(part for part in m._decode.children())
    assert gap(ln_f(torch.tensor(arrays["state_K4"][:1]))[0], arrays["latent_states_K4"][0]) <= 2e-5


@pytest.mark.parametrize("name", options_of("huginn"))
def test_other_options_give_what_the_public_code_gives(name, tmp_path):
    folder, arrays = option(name, tmp_path / "c")
    m = open_checkpoint(folder, arrays["input_ids"])
    x = m.native(arrays["x0"][None])
    for n in range(1, 5):
        x = m(x)
        if n in (1, 4):
            assert gap(x[0], arrays[f"state_K{n}"]) <= 2e-5
            assert gap(m.decode(x)[0], arrays[f"logits_K{n}"]) <= 2e-5


def test_check_adapter_with_recorded_numbers():
    report = check_adapter(opened(), reference=recorded("huginn", 0))
    assert {"square 1: state", "square 4: output", "square 16: output"} <= set(report.gaps)


# -- precision -------------------------------------------------------------------------------------------------------


def test_float64_blocks_are_float64_to_the_last_bit():
    m = open_checkpoint(FOLDER, [5, 3, 8], dtype="float64")
    x = m(m.start())
    found = dl.find_fixed_points(m, m.power(100)(x))
    assert len(found.points) >= 1
    assert float(found.residual.max()) <= 1e-13
    assert derivative_gap(m, x) <= 1e-8


def test_a_bfloat16_checkpoint_keeps_its_dtype_and_its_float64_twin_is_exact(tmp_path):
    def halve(weights):
        for name in weights:
            if name != "freqs_cis":  # a buffer, kept in float32 by training code
                weights[name] = weights[name].bfloat16()

    folder = changed("huginn", tmp_path / "c", tensors=halve)
    m, wide = open_checkpoint(folder, [5, 3, 8]), open_checkpoint(folder, [5, 3, 8], dtype="float64")
    assert m.dtype is torch.bfloat16
    assert torch.equal(m.twin()(wide.start()), wide(wide.start()))


# -- starts ----------------------------------------------------------------------------------------------------------


def test_starts_are_truncated_normal_noise_of_the_stated_size():
    m = opened(dtype="float64")
    draws = m.start(rng=2, n=40).ravel().numpy() / (2 / 5) ** 0.5  # √(2 / (5 D)) times √D
    assert np.abs(draws).max() <= 3
    assert stats.kstest(draws, stats.truncnorm(-3, 3).cdf).pvalue > 1e-3
    assert torch.equal(m.start(rng=2, n=3)[:1], m.start(rng=2, n=1))
    assert torch.equal(m.start(rng=2, n=3, kind="noise"), m.start(rng=2, n=3))


def test_a_noise_of_zero_is_a_start_at_zero(tmp_path):
    folder = changed("huginn", tmp_path / "c", config=lambda c: c["init_values"].update(std=0.0))
    assert not open_checkpoint(folder, [1, 2]).start(n=2).any()


def test_starts_at_the_embedding_and_at_that_of_another_prompt():
    m, other = opened(dtype="float64"), open_checkpoint(FOLDER, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], dtype="float64")
    assert gap(m.start(kind="embedding")[0], golden("huginn")["e_f64"][0]) <= 1e-5
    assert torch.equal(m.start(kind="prompt:1 2 3 4 5 6 7 8 9 10"), other.start(kind="embedding"))
    with pytest.raises(PromptError, match=r"as many tokens as the map's own; got 2 for 10"):
        m.start(kind="prompt:1 2")
    with pytest.raises(PromptError, match="needs a tokenizer"):
        m.start(kind="prompt:one two")
    with pytest.raises(InvalidArgumentError, match=r"no start of kind 'zero'; use 'noise', 'embedding', 'prompt:TEXT'"):
        m.start(kind="zero")


# -- prompts and read-outs -------------------------------------------------------------------------------------------


def test_padding_behind_changes_nothing_for_the_others_and_stays_inside_the_map():
    short, padded = [5, 3, 8], {"input_ids": [5, 3, 8, 0, 0], "attention_mask": [1, 1, 1, 0, 0]}
    a, b = open_checkpoint(FOLDER, short, dtype="float64"), open_checkpoint(FOLDER, padded, dtype="float64")
    x = b.start()
    torch.testing.assert_close(b.decode(b(x))[:, :3], a.decode(a(x[:, :3])), rtol=1e-12, atol=1e-12)
    assert "2 of them masked" in b.describe()


@pytest.mark.parametrize("tokens", [1, 64])
def test_prompts_of_one_token_and_of_the_whole_context(tokens):
    m = open_checkpoint(FOLDER, np.arange(tokens) % 97)
    assert m.decode(m(m.start(n=2))).shape == (2, tokens, 97)


def test_the_description_is_one_line_that_names_the_map():
    said = opened(granularity="sublayer").describe()
    assert "adapter → " not in said
    assert "9 layers (adapter = W [x, e]" in said
    assert "ln_f(coda(ln_f x))" in said
    assert "start = noise" in said
    assert "\n" not in said


def test_the_head_of_no_name_is_refused():
    m = opened()
    with pytest.raises(InvalidArgumentError, match="no further heads; got head='exit_gate'"):
        m.decode(m.start(), head="exit_gate")


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("injection_type", "add", "injection_type = 'add'"),
        ("nonlin_name", "GELU", "nonlin_name = 'GELU'"),
        ("block_class_name", "PreNormBlock", "block_class_name = 'PreNormBlock'"),
        ("state_init", "zero", "state_init = 'zero'"),
        ("initial_state_mode", "embed-init", "initial_state_mode = 'embed-init'"),
        ("n_heads", 5, "n_heads must divide n_embd"),
        ("num_key_value_heads", 2, "num_key_value_heads = 2 of 4 heads"),
        ("num_key_value_heads", 1, "qk_bias has a row for every one of 4 heads"),
        ("n_embd", None, "n_embd to be a positive int"),
        ("num_attention_heads", 2, "n_heads and num_attention_heads are two names of one number"),
        ("qk_bias", "yes", "qk_bias to be true or false"),
        ("init_values", 3, "init_values to be an object"),
        ("block_size", 32, "freqs_cis has shape"),
        ("n_layers_in_recurrent_block", 3, "core_block.3.* has no place"),
        ("n_layers_in_recurrent_block", 5, "core_block.4.norm_1.weight of shape .* is missing"),
        ("n_layers_in_prelude", -1, "n_layers_in_prelude to be an int ≥ 0"),
        ("tie_embeddings", False, "lm_head.weight of shape .* is missing"),
    ],
)
def test_wrong_and_unsupported_options_are_refused_by_name(field, value, said, tmp_path):
    folder = changed("huginn", tmp_path / "c", config=lambda c: c.update({field: value}))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_the_number_of_heads_has_two_names(tmp_path):
    folder = changed("huginn", tmp_path / "c", config=lambda c: c.update(num_attention_heads=c.pop("n_heads")))
    m, plain = open_checkpoint(folder, [1, 2]), open_checkpoint(FOLDER, [1, 2])
    assert torch.equal(m(m.start()), plain(plain.start()))


def test_noise_in_every_loop_is_no_map(tmp_path):
    folder = changed("huginn", tmp_path / "c", config=lambda c: c.update(test_time_noise=0.1))
    with pytest.raises(NotAutonomousError, match=r"test_time_noise = 0\.1, so noise enters every loop"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["freqs_cis", "transformer.adapter.weight", "transformer.core_block.0.norm_3.weight"])
def test_a_missing_tensor_is_named(name, tmp_path):
    folder = changed("huginn", tmp_path / "c", tensors=lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match=f"{name} of shape .* is missing"):
        open_checkpoint(folder)


def test_a_tied_head_that_differs_is_refused_and_one_that_agrees_is_not(tmp_path):
    def store(weights):
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()

    m = open_checkpoint(changed("huginn", tmp_path / "c", tensors=store), [1, 2])
    assert torch.equal(m.decode(m.start()), open_checkpoint(FOLDER, [1, 2]).decode(m.start()))
    renamed = changed("huginn", tmp_path / "e", tensors=lambda w: (store(w), w.pop("transformer.wte.weight")))
    assert torch.equal(open_checkpoint(renamed, [1, 2]).decode(m.start()), m.decode(m.start()))
    other = changed("huginn", tmp_path / "d", tensors=lambda w: (store(w), w["lm_head.weight"].add_(1)))
    with pytest.raises(CheckpointError, match=r"lm_head\.weight differs from transformer\.wte\.weight"):
        open_checkpoint(other)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([], "input_ids is empty; give at least one token"),
        ("", "the prompt is empty text"),
        ([97], r"input_ids holds 97; ids lie in 0 … 96"),
        (np.zeros(65, dtype=int), "the prompt has 65 tokens, and the model has positions for 64"),
        ({"input_ids": [1, 2], "attention_mask": [0, 1]}, "the model's own code reads no mask"),
        ({"input_ids": [1, 2], "attention_mask": [0, 0]}, "attention_mask is zero everywhere"),
        ({"input_ids": [1, 2], "attention_mask": [1]}, "attention_mask has 1 entries for 2 tokens"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said):
        open_checkpoint(FOLDER, prompt)
