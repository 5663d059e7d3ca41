"""Kinds of starts that families share: noise, the prompt's embedding, and that of another prompt."""

import pytest
import torch

from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import InvalidArgumentError, PromptError
from tests.adapters.golden import DATA, golden


def test_the_embedding_of_an_albert_is_its_own_start():
    m = open_checkpoint(DATA / "albert", [1, 2, 3], dtype="float64")
    other = open_checkpoint(DATA / "albert", [4, 5, 6], dtype="float64")
    assert torch.equal(m.start(rng=3, n=4, kind="embedding"), m.start(rng=3, n=4))
    assert torch.equal(m.start(kind="prompt:4 5 6"), other.start())
    assert torch.equal(m.twin().start(kind="prompt:4 5 6"), other.start())


def test_the_embedding_of_a_regressor_is_not_its_start():
    arrays = golden("looped_icl")
    prompt = {"xs": arrays["xs"][0], "ys": arrays["ys"][0]}
    m = open_checkpoint(DATA / "looped_icl", prompt, dtype="float64")
    assert not m.start().any()
    torch.testing.assert_close(m.start(kind="embedding")[0], torch.tensor(arrays["e_f64"][0]), rtol=1e-13, atol=1e-13)
    with pytest.raises(PromptError):
        m.start(kind="prompt:a regressor reads no text")


def test_noise_has_the_size_of_the_embedding_and_a_demo_has_all_kinds():
    m = open_checkpoint("demo", dtype="float64")
    e = m.start(kind="embedding")
    assert torch.isfinite(m.start(rng=1, n=3, kind="noise")).all()
    assert torch.equal(m.start(kind=f"prompt:{' '.join(map(str, m.tokens))}"), e)
    albert = open_checkpoint(DATA / "albert", [1, 2, 3], dtype="float64")
    size = albert.start(rng=0, n=400, kind="noise").square().mean().sqrt().item()
    assert size == pytest.approx(albert.start().square().mean().sqrt().item(), rel=0.05)


def test_other_kinds_and_counts_are_refused():
    m = open_checkpoint(DATA / "albert", [1, 2, 3])
    with pytest.raises(InvalidArgumentError, match="no start of kind 'zeros'; use 'noise', 'embedding', 'prompt:TEXT'"):
        m.start(kind="zeros")
    with pytest.raises(InvalidArgumentError, match="n must be a positive int; got 0"):
        m.start(n=0, kind="noise")
    with pytest.raises(PromptError, match="got 2 for 3"):
        m.start(kind="prompt:4,5")
