"""Rotary tables against those that transformers makes, bit for bit, and what is refused."""

import pytest
import torch

from dynloop.adapters.rope import KINDS, read_rope
from dynloop.errors import CheckpointError

SCALINGS = {
    "none": {},
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 3.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "yarn, all fields": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 16, "beta_slow": 2,
        "attention_factor": 1.3, "truncate": False,
    },
    "yarn, mscale": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 0.7,
        "mscale_all_dim": 1.2,
    },
    "longrope": {
        "rope_type": "longrope", "factor": 2.0, "original_max_position_embeddings": 64,
        "short_factor": [1.0 + 0.1 * i for i in range(8)], "long_factor": [2.0 + i for i in range(8)],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("tokens", [1, 64, 65, 200])
@pytest.mark.parametrize("theta", [10000.0, 500000])
def test_tables_are_those_of_transformers(name, tokens, theta):
    transformers = pytest.importorskip("transformers")
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    scaling = {**SCALINGS[name], "rope_theta": theta}
    config = transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=4, head_dim=16, max_position_embeddings=256, rope_parameters=dict(scaling)
    )
    theirs = llama.LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(tokens)[None])
    for fields in (
        {"rope_theta": theta, "rope_scaling": SCALINGS[name] or None},
        {"rope_parameters": scaling},
    ):
        cos, sin = read_rope(fields, "here", size=16, context=256).tables(tokens)
        assert torch.equal(cos, theirs[0][0])
        assert torch.equal(sin * torch.tensor([-1.0] * 8 + [1.0] * 8), theirs[1][0])


def test_every_kind_is_tried():
    assert {scaling.get("rope_type", "default") for scaling in SCALINGS.values()} == set(KINDS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rope_scaling": {"type": "ntk"}}, "rope_type = 'ntk'"),
        ({"rope_scaling": [1]}, "rope_scaling to be an object or null"),
        ({"rope_theta": 1}, "rope_theta to be above 1"),
        ({"rope_theta": "big"}, "rope_theta to be a number"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: the config needs factor to be a number"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "factor to be a positive number"),
        ({"rope_scaling": {"type": "llama3", "factor": 2}}, "low_freq_factor"),
        (
            {"rope_scaling": {"type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 1}},
            "must differ; both are 1",
        ),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}}, "a list of 8 numbers"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, r"partial_rotary_factor = 0\.5"),
    ],
)
def test_wrong_and_unsupported_fields_are_refused_by_name(fields, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        read_rope(fields, "here", size=16, context=256)
    assert "\n" not in str(caught.value)


def test_heads_of_odd_width_cannot_be_rotated():
    with pytest.raises(CheckpointError, match="heads of even width; the config implies 15"):
        read_rope({}, "here", size=15, context=256)
