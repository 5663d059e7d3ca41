"""A file of prompts: every form of a line, and a message with a number for every bad one."""

import numpy as np
import pytest

from dynloop.adapters.jsonl import read_prompts
from dynloop.errors import PromptError


def test_every_form(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(
        b'\xef\xbb\xbf"hello"\r\n\n{"prompt": "world", "answer": 3}\n[1, 2, 3]\n{"prompt": [4]}\n'
        b'{"xs": [[0.5, 1]], "ys": [2]}\n{"prompt": {"input_ids": [7], "attention_mask": [true]}}'
    )
    found = read_prompts(file)
    assert [number for number, _ in found] == [1, 3, 4, 5, 6, 7]
    texts = [value for _, value in found]
    assert texts[:2] == ["hello", "world"]
    assert texts[2].dtype == np.int64
    np.testing.assert_array_equal(texts[2], [1, 2, 3])
    np.testing.assert_array_equal(texts[3], [4])
    np.testing.assert_array_equal(texts[4]["xs"], [[0.5, 1]])
    np.testing.assert_array_equal(texts[5]["attention_mask"], [True])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"prompt": ', "not JSON (expecting value, column 12)"),
        ("hello", "not JSON"),
        ("[]", "one or more integers"),
        ("[1, 2.5]", "token ids"),
        ("[true]", "token ids"),
        (f"[{2**70}]", "token ids"),
        ("3", "a prompt must be"),
        ("null", "a prompt must be"),
        ("{}", "a prompt must be"),
        ('{"prompt": null}', "a prompt must be"),
        ('{"xs": [[1, 2], [3]]}', "'xs' is ragged"),
        ('{"xs": "text"}', "'xs' must be a list of numbers"),
        ('{"xs": []}', "'xs' must be a list of numbers"),
        ('{"xs": [NaN]}', "NaN is no number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_returned(tmp_path, line, says):
    file = tmp_path / "prompts.jsonl"
    file.write_text(f'"fine"\n\n{line}\n"fine"\n')
    with pytest.raises(PromptError) as caught:
        read_prompts(file)
    assert f"{file}, line 3" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_text(tmp_path):
    (tmp_path / "latin").write_bytes('"é"'.encode("latin-1"))
    with pytest.raises(PromptError, match="line 1: not UTF-8"):
        read_prompts(tmp_path / "latin")


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty").write_text("\n \n")
    with pytest.raises(PromptError, match="holds no prompt"):
        read_prompts(tmp_path / "empty")
    with pytest.raises(PromptError, match=r"cannot read .* \(no such file"):
        read_prompts(tmp_path / "missing")
    with pytest.raises(PromptError, match="cannot read"):
        read_prompts(tmp_path)
