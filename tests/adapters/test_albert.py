"""ALBERT: the map against transformers, live models, text, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, NotAutonomousError, PromptError
from dynloop.testing.adapter import check_adapter
from dynloop.testing.untouched import module_state
from tests.adapters.golden import DATA, LOOPS, SUFFIX, changed, gap, golden, tolerance

FOLDER = DATA / "albert"
PROMPT = {"input_ids": [1, 2, 3, 4, 5], "attention_mask": [1, 1, 0, 1, 0], "token_type_ids": [0, 1, 1, 0, 0]}
SIZES = {
    "vocab_size": 50, "embedding_size": 12, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 20, "initializer_range": 0.3,
}  # fmt: skip


def opened(**options):
    arrays = golden("albert")
    return open_checkpoint(FOLDER, {name: arrays[name][0] for name in ("input_ids", "attention_mask")}, **options)


def live(kind="AlbertModel", **options):
    """A model of transformers with random weights, in training mode, dropout on."""
    transformers = pytest.importorskip("transformers")
    config = transformers.AlbertConfig(**SIZES, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(transformers, kind)(config).double().train()


# -- oracle: transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_states_and_logits_are_the_models_own(dtype, granularity):
    arrays, m = golden("albert"), opened(dtype=dtype, granularity=granularity)
    x = m.start()
    assert gap(x, arrays[f"x0{SUFFIX[dtype]}"]) <= (1e-15 if dtype == "float64" else 1e-6)
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        if n in LOOPS:
            state, output = f"state_K{n}", f"logits_K{n}"
            assert gap(x, arrays[state + SUFFIX[dtype]]) <= tolerance("albert", state, dtype)
            assert gap(m.decode(x), arrays[output + SUFFIX[dtype]]) <= tolerance("albert", output, dtype)


def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules():
    m = opened()
    assert gap(m.sections(m.start())[1:], golden("albert")["layers_loop1"]) <= 2e-5


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"hidden_act": "gelu"}, 1),
        ({"hidden_act": "gelu_new", "inner_group_num": 3, "layer_norm_eps": 1e-5}, 3),
        ({"hidden_act": "silu", "inner_group_num": 2, "layer_norm_eps": 0.1}, 2),
        ({"hidden_act": "relu"}, 1),
        ({"hidden_act": "tanh", "tie_word_embeddings": False}, 1),
    ],
)
@pytest.mark.parametrize("kind", ["AlbertModel", "AlbertForMaskedLM", "AlbertForSequenceClassification"])
def test_live_models_give_what_transformers_gives_masked_padding_included(kind, options, layers):
    m = open_checkpoint(live(kind, **options), PROMPT)
    report = check_adapter(m, tolerance=1e-12)
    assert m.layer_count == layers
    assert {"square 1: output", "square 4: output", "square 16: output", "live model"} <= set(report.gaps)
    assert m.decode(m.start()).shape[-1] == (50 if kind == "AlbertForMaskedLM" else 24)
    assert m.read_out == ("logits" if kind == "AlbertForMaskedLM" else "state")


def test_a_folder_gives_what_transformers_gives_on_other_prompts():
    report = check_adapter(open_checkpoint(FOLDER, [3, 1, 4, 1, 5, 9, 2, 6], dtype="float64"), loops=(3, 7))
    assert report.gaps["square 7: output"] <= 1e-12


# -- invariants ------------------------------------------------------------------------------------------------------


def test_a_live_model_is_shared_and_left_as_it_was():
    model = live("AlbertForMaskedLM")
    before = module_state([model])
    m = open_checkpoint(model, PROMPT, granularity="sublayer")
    x = m(m.start())
    m.decode(x)
    m.push(x, torch.ones_like(x)[:, None])
    assert module_state([model]) == before
    assert model.training
    storages = {p.untyped_storage().data_ptr() for p in model.parameters()}
    mine = [p for layer in m.layers for p in layer.parameters()]
    assert len(mine) == 16
    assert {p.untyped_storage().data_ptr() for p in mine} <= storages
    assert not any(p.requires_grad for p in mine)
    assert all(p.requires_grad for p in model.parameters())


def test_dropout_of_a_live_model_in_training_does_not_reach_the_map():
    m = open_checkpoint(live(), PROMPT)
    assert torch.equal(m(m.start()), m(m.start()))


def test_masked_tokens_do_not_move_the_others():
    m = open_checkpoint(live(), PROMPT)
    x = m.start()
    y = x.clone()
    y[:, [2, 4]] += 1.0
    assert torch.equal(m(y)[:, [0, 1, 3]], m(x)[:, [0, 1, 3]])
    assert "given ids, 2 of them masked" in m.describe()


def test_the_prompt_is_the_start_alone():
    a, b = open_checkpoint(FOLDER, [1, 2, 3]), open_checkpoint(FOLDER, [4, 5, 6])
    assert not torch.equal(a.start(), b.start())
    assert torch.equal(a(a.start()), b(a.start()))


def test_further_starts_are_noise_of_the_size_of_the_first():
    starts = opened(dtype="float64").start(rng=1, n=300)
    away = (starts[1:] - starts[0]).square().mean().sqrt()
    assert away.item() == pytest.approx(starts[0].square().mean().sqrt().item(), rel=0.02)


def test_default_prompt_is_seeded_and_said():
    m, again = open_checkpoint(FOLDER), open_checkpoint(FOLDER)
    assert m.tokens == again.tokens
    assert len(m.tokens) == m.state_shape[0] == 16
    assert "prompt = 16 token ids drawn with seed 0" in m.describe()


def test_text_goes_through_the_tokenizer_beside_the_weights(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[UNK]": 0, "[CLS]": 1, "a": 2, "loop": 3, "closes": 4}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no password
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    folder = changed("albert", tmp_path / "c")
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]").save_pretrained(folder)  # noqa: S106 - a token of text, no password
    m = open_checkpoint(folder, "a loop closes")
    assert m.tokens == ("[CLS]", "a", "loop", "closes")
    assert torch.equal(m.start(), open_checkpoint(folder, [1, 2, 3, 4]).start())


@pytest.mark.slow
def test_transformers_is_not_imported_for_ids():
    code = (
        "import sys, dynloop.adapters.registry as r\n"
        f"m = r.open_checkpoint({str(FOLDER)!r}, [1, 2, 3]); m(m.start())\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- errors ----------------------------------------------------------------------------------------------------------


def test_layers_that_are_not_shared_are_no_loop():
    with pytest.raises(NotAutonomousError, match="num_hidden_groups = 2, so the weights change with depth"):
        open_checkpoint(live(num_hidden_groups=2), PROMPT)


def test_unknown_activations_are_refused_by_name(tmp_path):
    folder = changed("albert", tmp_path / "c", config=lambda c: c.update(hidden_act="gelu_fast"))
    with pytest.raises(CheckpointError, match="the config says hidden_act = 'gelu_fast'"):
        open_checkpoint(folder)


def test_a_missing_tensor_is_named(tmp_path):
    name = "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.bias"
    folder = changed("albert", tmp_path / "c", tensors=lambda t: t.pop(name))
    with pytest.raises(CheckpointError, match=f"the tensor {name} of shape .96,. is missing"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("text", "a text prompt needs a tokenizer, and none lies beside the weights; give token ids"),
        (" ", "the prompt is empty text"),
        ([1, 97], r"input_ids holds 97; ids lie in 0 … 96"),
        ([-1], "input_ids holds -1"),
        (np.ones((1, 4), int), r"Leave the batch axis out: input_ids\[0\]"),
        ([0.5, 1.0], r"input_ids must be integers of shape \(tokens,\)"),
        ([], r"input_ids is empty; give at least one token"),
        (np.ones(65, int), "the prompt has 65 tokens, and the model has positions for 64"),
        ({"input_ids": [1, 2], "attention_mask": [1]}, "attention_mask has 1 entries for 2 tokens"),
        ({"input_ids": [1, 2], "attention_mask": [0, 0]}, "attention_mask is zero everywhere"),
        ({"input_ids": [1, 2], "token_type_ids": [0, 2]}, "token_type_ids holds 2; ids lie in 0 … 1"),
        ({"ids": [1]}, "input_ids is missing"),
        ({"input_ids": [1], "position_ids": [0]}, "it has no input 'position_ids'"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said) as caught:
        open_checkpoint(FOLDER, prompt)
    assert "\n" not in str(caught.value)


def test_without_transformers_a_text_prompt_says_what_to_install(tmp_path, monkeypatch):
    folder = changed("albert", tmp_path / "c")
    (folder / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PromptError, match=r"run `pip install 'dynloop\[models\]'`, or give token ids"):
        open_checkpoint(folder, "text")
    with pytest.raises(CheckpointError, match=r"run `pip install 'dynloop\[models\]'`"):
        open_checkpoint(folder, [1, 2]).family.own_output(open_checkpoint(folder, [1, 2]), 1)


def test_a_damaged_tokenizer_is_a_prompt_error(tmp_path):
    pytest.importorskip("transformers")
    folder = changed("albert", tmp_path / "c")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(PromptError, match="its tokenizer cannot be used") as caught:
        open_checkpoint(folder, "text")
    assert "\n" not in str(caught.value)


def test_a_longest_prompt_fits():
    assert open_checkpoint(FOLDER, np.ones(64, int)).state_shape == (64, 48)
