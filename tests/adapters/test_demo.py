"""The demo checkpoints: they solve their task, they are what their config says, and their orbits are of three kinds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dynloop
from dynloop.adapters.looped_lm import FAMILY, LoopedLM
from dynloop.adapters.registry import demos, open_checkpoint
from dynloop.errors import CheckpointError, PromptError

DEMO = Path(dynloop.__file__).parent / "adapters" / "demo"
SCRIPT = Path(__file__).parents[2] / "examples" / "train_demo.py"
NAMES = ("hop-injected", "hop-plain", "hop-turning")
LETTERS = "abcd"


def answers(prompt: list[str]) -> list[str]:
    """Follow the references one by one: the task, written without tensors."""
    found: list[str] = []
    for i, word in enumerate(prompt):
        found.append(word if word in LETTERS else found[i - int(word)])
    return found


def fresh_prompts(n: int, tokens: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        words = [str(rng.choice(list(LETTERS)))]
        while len(words) < tokens:
            reference = str(rng.integers(1, min(6, len(words)) + 1))
            words.append(str(rng.choice(list(LETTERS))) if rng.random() < 0.2 else reference)
        drawn.append(words)
    return drawn


def model_of(name: str) -> LoopedLM:
    model = LoopedLM(json.loads((DEMO / name / "config.json").read_text(encoding="utf-8")))
    model.load_state_dict(load_file(DEMO / name / "model.safetensors"))
    return model.requires_grad_(False)


def turned(letter: str, loops: int, name: str) -> str:
    return LETTERS[(LETTERS.index(letter) + loops * (name == "hop-turning")) % 4]


def orbit(m, loops: int) -> torch.Tensor:
    """Return the states after 0, 1, …, `loops` loops, ``(loops + 1, tokens, width)``."""
    states = [m.start()]
    for _ in range(loops):
        states.append(m(states[-1]))
    return torch.cat(states)


def test_three_demos_ship_and_are_small():
    assert demos() == NAMES
    assert sum(f.stat().st_size for f in DEMO.rglob("*") if f.is_file()) <= 2 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_the_task_is_solved_on_fresh_prompts(name):
    model = model_of(name)
    words, stated = model.config["vocabulary"], model.config["accuracy"]
    prompts = fresh_prompts(300, model.config["context"], seed=20_26)
    ids = torch.tensor([[words.index(word) for word in prompt] for prompt in prompts])
    right = [answers(prompt) for prompt in prompts]
    torch.manual_seed(0)  # the start of hop-injected is noise
    for loops in (8, 12, 32):
        want = torch.tensor([[words.index(turned(letter, loops, name)) for letter in row] for row in right])
        share = (model(ids, loops).argmax(-1) == want).float().mean().item()
        assert share == pytest.approx(stated[str(loops)], abs=0.015), loops
        assert share >= 0.95, loops
    assert model.config["trained_loops"] == [4, 48]
    # one loop is not enough for tokens far from their letter: the loop does the work
    deep = model.config["deep_accuracy"]
    assert deep["1"] < 0.8
    assert deep["8"] > 0.95


@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("name", NAMES)
def test_the_map_commutes_with_the_model(name, granularity):
    m = open_checkpoint(DEMO / name, granularity=granularity, dtype=torch.float64)
    states = orbit(m, 16)
    for loops in (1, 4, 16):
        own = FAMILY.own_output(m, loops)
        torch.testing.assert_close(m.decode(states[loops][None]), own, rtol=1e-10, atol=1e-10)
    assert own.shape == (1, len(m.tokens), 10)


@pytest.mark.parametrize("name", NAMES)
def test_the_map_answers_a_prompt(name):
    m = open_checkpoint(DEMO / name, prompt="b 1 2 d 1 4 2")
    state = orbit(m, 12)[-1:]
    got = [m.source.config["vocabulary"][i] for i in m.decode(state).argmax(-1)[0]]
    assert got == [turned(letter, 12, name) for letter in ["b", "b", "b", "d", "d", "b", "d"]]


@pytest.mark.parametrize("name", NAMES)
def test_float32_weights_give_a_true_float64_map(name):
    m = open_checkpoint(DEMO / name)
    assert m.dtype is torch.float32
    own = m.start()
    exact, rounded = m.twin()(own.double()), m(own)
    assert exact.dtype is torch.float64
    assert 0 < (exact - rounded).abs().max() < 1e-4
    assert (exact - exact.float().double()).abs().max() > 0
    wide = open_checkpoint(DEMO / name, dtype="float64")
    assert torch.equal(wide(own.double()), exact)
    assert not any(p.requires_grad for layer in m.layers for p in layer.parameters())


def test_layer_names_say_what_a_loop_is():
    assert open_checkpoint(DEMO / "hop-injected").layer_names == ("adapter", "block 0", "block 1")
    plain = open_checkpoint(DEMO / "hop-plain", granularity="sublayer")
    assert plain.layer_names == ("block 0 attention", "block 0 mlp", "block 1 attention", "block 1 mlp")
    assert plain.causal


def test_injected_settles_on_a_cycle_of_layers():
    m = open_checkpoint(DEMO / "hop-injected", dtype=torch.float64)
    last = orbit(m, 128)[-1:]
    norm = last.norm(dim=-1)
    assert ((m(last) - last).norm(dim=-1) / norm).max() < 1e-13
    increments = m.sections(last).diff(dim=0)
    assert increments.norm(dim=-1).min() > 0.1
    assert (increments.sum(0).norm(dim=-1) / norm).max() < 1e-13
    # path independence: another start, the same point
    other = m.start(rng=7)
    for _ in range(128):
        other = m(other)
    assert ((other - last).norm(dim=-1) / norm).max() < 1e-12


def test_turning_returns_after_four_loops_and_not_before():
    m = open_checkpoint(DEMO / "hop-turning", dtype=torch.float64)
    states = orbit(m, 260)[-5:]
    moved = (states[:4] - states[4]).norm(dim=-1) / states[4].norm(dim=-1)
    assert moved[0].max() < 1e-12
    assert moved[1:].min() > 0.1


def test_plain_runs_off_along_a_ray():
    m = open_checkpoint(DEMO / "hop-plain", dtype=torch.float64)
    states = orbit(m, 1024)
    norms = states.norm(dim=-1)
    early, late = (norms[512] - norms[256]) / 256, (norms[1024] - norms[512]) / 512
    torch.testing.assert_close(early, late, rtol=0.1, atol=0)
    assert early.min() > 1
    cosines = torch.nn.functional.cosine_similarity(states[512], states[1024], dim=-1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("a 1 seven", "'seven', which is not in the vocabulary; write tokens of these"),
        ("  ", "the prompt is empty; write at least one token of: a b c d 1 2"),
        (" ".join("a" * 25), "the prompt has 25 tokens, and the model has positions for 24"),
        (np.array([0, 10]), "prompt holds 10; ids lie in 0 … 9"),
        (np.array([[0, 1]]), "must be integers of shape (tokens,)"),
        ({"inputs": [0]}, "input_ids is missing"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_in_one_line(prompt, says):
    with pytest.raises(PromptError) as caught:
        open_checkpoint("demo:hop-plain", prompt=prompt)
    assert says in str(caught.value)
    assert "demo:hop-plain" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_ids_and_named_ids_are_the_same_prompt():
    opened = [open_checkpoint("demo:hop-plain", prompt=p) for p in ("c 1", [2, 4], {"input_ids": torch.tensor([2, 4])})]
    assert {m.tokens for m in opened} == {("c", "1")}
    assert torch.equal(opened[0].start(), opened[2].start())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"norm": "mid"}, "norm = 'mid'"),
        ({"heads": 3}, "heads must divide width"),
        ({"rope": 1}, "rope to be true or false"),
        ({"vocabulary": ["a", "a"]}, "distinct token strings"),
        ({"width": 64}, "has shape"),
        ({"injection": "none"}, "has no place"),
        ({"loop_embedding": True}, "loop_embedding = 'True'"),
        ({"prompt": None}, "no example prompt"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(tmp_path, changed, says):
    folder = tmp_path / "copy"
    shutil.copytree(DEMO / "hop-injected", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changed
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises((CheckpointError, PromptError)) as caught:
        open_checkpoint(folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("norm", ["post", "ouro", "none"])
@pytest.mark.parametrize("injection", ["add", "none"])
def test_every_block_can_be_saved_and_opened(tmp_path, norm, injection):
    sizes = {"layers": 1, "width": 8, "heads": 2, "causal": False, "rope": False, "gain": 0.5}
    config = {"model_type": "dynloop_looped_lm", "norm": norm, "injection": injection, "start": "zeros", **sizes}
    model = LoopedLM(config | {"vocabulary": ["x", "y"], "context": 4})
    model.draw(torch.Generator().manual_seed(1))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(model.config), encoding="utf-8")
    m = open_checkpoint(tmp_path, prompt="x y x")
    torch.testing.assert_close(m.decode(orbit(m, 3)[-1:]), FAMILY.own_output(m, 3), rtol=1e-5, atol=1e-5)
    live = open_checkpoint(model, prompt="x y x")
    assert torch.equal(live(live.start(rng=0)), m(m.start(rng=0)))
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.slow
def test_the_training_script_writes_checkpoints_that_open(tmp_path):
    options = ["--out", str(tmp_path), "--steps", "2", "--only", "hop-plain", "--threads", "1"]
    ran = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    m = open_checkpoint(tmp_path / "hop-plain")
    shipped = json.loads((DEMO / "hop-plain" / "config.json").read_text(encoding="utf-8"))
    assert m.source.config.keys() == shipped.keys()
    assert m.decode(m(m.start())).shape == (1, 24, 10)
