"""Text prompts of checkpoints that come with code: tokenizer.json is read, and nobody is asked to run anything."""

import builtins

import pytest

from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import PromptError
from tests.adapters.golden import changed


@pytest.fixture
def nobody_is_asked(monkeypatch):
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("the user was asked to run remote code"))


@pytest.mark.usefixtures("nobody_is_asked")
@pytest.mark.parametrize("family", ["huginn", "ouro", "retrofit_llama"])
def test_text_goes_through_tokenizer_json(family, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    folder = changed(family, tmp_path / "c")
    words = {"[UNK]": 0, "[CLS]": 1, "a": 2, "loop": 3, "closes": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    tokenizer.enable_truncation(2)
    tokenizer.save(str(folder / "tokenizer.json"))
    m = open_checkpoint(folder, "a loop closes")
    assert m.tokens == ("[CLS]", "a", "loop", "closes")
    assert m.prompt["input_ids"].tolist() == [1, 2, 3, 4]
    assert (m.start(kind="prompt:closes a loop") != m.start(kind="embedding")).any()


@pytest.mark.usefixtures("nobody_is_asked")
def test_a_tokenizer_of_code_alone_is_refused(tmp_path):
    folder = changed("ouro", tmp_path / "c")
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(PromptError, match=r"comes with code, which is never run, and without tokenizer\.json"):
        open_checkpoint(folder, "a loop")
