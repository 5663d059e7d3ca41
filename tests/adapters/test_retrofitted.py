"""Models retrofitted with recurrence: both forms against numbers of the public code, their options, and refusals."""

import pytest
import torch

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, NotAutonomousError, PromptError
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

FORMS = ["retrofit_llama", "retrofit_olmo"]
OPTIONS = [*options_of("llama"), *options_of("olmo")]


def opened(form, b=0, **options):
    return open_checkpoint(DATA / form, golden(form)["input_ids"][b], **options)


# -- oracle: the public code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("form", FORMS)
def test_states_and_logits_are_the_models_own(form, dtype, granularity):
    arrays = golden(form)
    for b in range(len(arrays["input_ids"])):
        m = opened(form, b, dtype=dtype, granularity=granularity)
        x = m.native(arrays[f"x0{SUFFIX[dtype]}"][b][None])
        for n in range(1, max(LOOPS) + 1):
            x = m(x)
            if n in LOOPS:
                for name, found in ((f"state_K{n}", x), (f"logits_K{n}", m.decode(x))):
                    assert gap(found[0], arrays[name + SUFFIX[dtype]][b]) <= native_tolerance(form, name, dtype)


@pytest.mark.parametrize("form", FORMS)
def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules(form):
    arrays, m = golden(form), opened(form)
    assert m.layer_names == ("adapter", "block 0", "block 1", "block 2")
    assert gap(m.sections(m.native(arrays["x0"][:1]))[1:, 0], arrays["layers_loop1"][:, 0]) <= 2e-5


@pytest.mark.parametrize("name", OPTIONS)
def test_other_options_give_what_the_public_code_gives(name, tmp_path):
    folder, arrays = option(name, tmp_path / "c")
    m = open_checkpoint(folder, arrays["input_ids"])
    x = m.native(arrays["x0"][None]) if "x0" in arrays else m.start()
    for n in range(1, 5):
        x = m(x)
        if n in (1, 4):
            assert gap(x[0], arrays[f"state_K{n}"]) <= 5e-5
            assert gap(m.decode(x)[0], arrays[f"logits_K{n}"]) <= 5e-5


@pytest.mark.parametrize("form", FORMS)
def test_check_adapter_with_recorded_numbers(form):
    report = check_adapter(opened(form), reference=recorded(form, 0))
    assert {"square 1: state", "square 4: output", "square 16: output"} <= set(report.gaps)


# -- precision and exact facts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_float64_blocks_are_float64_to_the_last_bit(form):
    m = open_checkpoint(DATA / form, [5, 3, 8], dtype="float64")
    x = m(m.start())
    found = dl.find_fixed_points(m, m.power(100)(x))
    assert len(found.points) >= 1
    assert float(found.residual.max()) <= 1e-13
    assert derivative_gap(m, x) <= 1e-8


@pytest.mark.parametrize("form", FORMS)
def test_an_untrained_convert_has_converged_after_one_loop(form, tmp_path):
    def convert(weights):
        width = len(weights["transformer.adapter.weight"])
        weights["transformer.adapter.weight"] = torch.cat([torch.zeros(width, width), torch.eye(width)], 1)

    m = open_checkpoint(changed(form, tmp_path / "c", tensors=convert), [5, 3, 8], dtype="float64")
    x = m.start(n=2)
    torch.testing.assert_close(m(x)[0], m(x)[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(m(m(x)), m(x), rtol=1e-12, atol=1e-12)
    assert not m.push(x[:1], torch.ones_like(x)[:1, None])[1].any()


def test_a_model_that_skips_its_adapter_begins_after_its_first_loop(tmp_path):
    folder, arrays = option("olmo-skip-adapter", tmp_path / "c")
    m = open_checkpoint(folder, arrays["input_ids"], dtype="float64")
    assert "loop n is its loop n + 1" in m.describe()
    e = m.layers[0].e[None]
    torch.testing.assert_close(m.start(), m.layers[1](e), rtol=1e-12, atol=1e-12)
    assert torch.equal(m.start(kind="embedding"), e)


def test_starts_are_noise_or_e(tmp_path):
    folder, arrays = option("olmo-embed-init", tmp_path / "c")
    m = open_checkpoint(folder, arrays["input_ids"], dtype="float64")
    assert torch.equal(m.start()[0], m.layers[0].e)
    assert "start = e" in m.describe()
    noise = opened("retrofit_llama", dtype="float64").start(n=50)
    assert noise.abs().max() <= 3 * (2 / (5 * 64)) ** 0.5  # embed_scale is 1
    assert noise.std().item() == pytest.approx(0.9866 * (2 / (5 * 64)) ** 0.5, rel=0.01)  # of the cut distribution


@pytest.mark.parametrize("form", FORMS)
def test_prompts_of_one_token_and_of_the_whole_context(form):
    for tokens in (1, 128):
        m = open_checkpoint(DATA / form, torch.arange(tokens) % 97)
        assert m.decode(m(m.start())).shape == (1, tokens, 97)
    with pytest.raises(PromptError, match="129 tokens, and the model has positions for 128"):
        open_checkpoint(DATA / form, [1] * 129)


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "field", "value", "said"),
    [
        ("retrofit_llama", "initial_state_mode", "skip-adapter", "initial_state_mode = 'skip-adapter'"),
        ("retrofit_llama", "head_dim", 8, "head_dim must be n_embd / n_heads = 16 in the Llama form"),
        ("retrofit_llama", "rope_scaling", {"rope_type": "ntk", "factor": 2}, "rope_type = 'ntk'"),
        ("retrofit_llama", "rope_scaling", 3, "rope_scaling to be an object or null"),
        ("retrofit_llama", "rope_theta", 0, "rope_theta to be above 1"),
        ("retrofit_llama", "partial_rotary_factor", 0.5, r"partial_rotary_factor = 0\.5"),
        ("retrofit_llama", "num_key_value_heads", 3, "num_key_value_heads must divide n_heads"),
        ("retrofit_llama", "init_values", {"std": 0.1}, "embed_scale to be a number"),
        ("retrofit_llama", "tie_embeddings", True, r"lm_head\.weight differs"),
        ("retrofit_olmo", "initial_state_mode", "zeros", "initial_state_mode = 'zeros'"),
        ("retrofit_olmo", "head_dim", 15, "heads of even width"),
        ("retrofit_olmo", "qk_bias", True, "qk_bias of shape .* is missing"),
    ],
)
def test_wrong_and_unsupported_options_are_refused_by_name(form, field, value, said, tmp_path):
    folder = changed(form, tmp_path / "c", config=lambda c: c.update({field: value}))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_noise_in_every_loop_is_no_map(tmp_path):
    folder = changed("retrofit_olmo", tmp_path / "c", config=lambda c: c.update(test_time_noise=1))
    with pytest.raises(NotAutonomousError, match="test_time_noise"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("retrofit_olmo", "transformer.core_block.2.attn.q_norm.weight"),
        ("retrofit_llama", "transformer.core_block.0.attn.Wqkv.weight"),
        ("retrofit_llama", "lm_head.weight"),
    ],
)
def test_a_missing_tensor_is_named(form, name, tmp_path):
    folder = changed(form, tmp_path / "c", tensors=lambda w: w.pop(name))
    with pytest.raises(CheckpointError, match=f"{name} of shape .* is missing"):
        open_checkpoint(folder)
