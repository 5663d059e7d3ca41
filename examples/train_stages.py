"""Train a feed-forward language model and two looped ones on the same text, to see whether stages and cycles appear.
====================================================================================================================

Three models of width 64 read words of the Python documentation (``stdlib_text``) and predict the next. They have the
same kind of layer, the same batches in the same order, and on average the same depth:

============  ======  =========================  =========  ==========
name          layers  loops in training          injection  parameters
============  ======  =========================  =========  ==========
feed-forward  16      1                          none       0.97 M
injected      4       2 … 6, drawn every batch   concat     0.39 M
plain         4       2 … 6, drawn every batch   none       0.38 M
============  ======  =========================  =========  ==========

All start from the embeddings, so that the two looped ones differ in nothing but the injection. Nothing in the loss asks
for fixed points. ``compare_stages.py`` measures what came out; docs/trained_stages.md states it.

Run ``python examples/train_stages.py --out examples/weights`` to make the weights anew; each model takes one thread,
and two are trained at a time. Equal seeds and versions of torch and Python give equal weights.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from stdlib_text import Words, documents
from torch.nn import functional

from dynloop.adapters.looped_lm import MODEL_TYPE, LoopedLM

WORDS, CONTEXT, HELD_OUT = 1400, 64, 10
SIZES = {"norm": "huginn", "width": 64, "heads": 4, "causal": True, "rope": True, "gain": 1.0, "start": "embedding"}
STEPS, BATCH, RATE, WARM_UP = 900, 24, 3e-3, 100


@dataclass(frozen=True)
class Recipe:
    """One model: how deep it is, how often it is looped in training, and what enters every loop."""

    layers: int
    loops: tuple[int, int]
    injection: str


RECIPES = {
    "feed-forward": Recipe(16, (1, 1), "none"),
    "injected": Recipe(4, (2, 6), "concat"),
    "plain": Recipe(4, (2, 6), "none"),
}


@dataclass(frozen=True)
class Text:
    """Token ids of the text to train on and of every tenth document, which is held out, and the vocabulary."""

    words: list[str]
    training: np.ndarray
    held_out: np.ndarray


def read_text() -> Text:
    texts = documents()
    kept = [text for i, text in enumerate(texts) if i % HELD_OUT]
    vocabulary = Words(kept, WORDS)
    training = np.concatenate([vocabulary.ids(text) for text in kept])
    return Text(vocabulary.words, training, np.concatenate([vocabulary.ids(text) for text in texts[::HELD_OUT]]))


def passages(ids: np.ndarray, n: int, rng: np.random.Generator, length: int = CONTEXT + 1) -> torch.Tensor:
    """Draw n passages ``(n, length)`` of a text."""
    starts = rng.integers(0, len(ids) - length + 1, n)
    return torch.from_numpy(ids[starts[:, None] + np.arange(length)])


def train(name: str, text: Text, steps: int, seed: int) -> tuple[LoopedLM, list[float]]:
    """Train one model (AdamW, warm-up, cosine decay to 2 %); return it and the loss of every batch."""
    recipe = RECIPES[name]
    rng = np.random.default_rng(seed)
    sizes = SIZES | {"layers": recipe.layers, "injection": recipe.injection, "context": CONTEXT}
    model = LoopedLM({"model_type": MODEL_TYPE, **sizes, "vocabulary": text.words})
    model.draw(torch.Generator().manual_seed(seed))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    for step in range(steps):
        decay = 0.02 + 0.49 * (1 + math.cos(math.pi * step / steps))
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * decay
        batch, depth = passages(text.training, BATCH, rng), rng.random()
        low, high = recipe.loops
        loss = loss_of(model, batch, low + int(depth * (high + 1 - low)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f"  {name} step {step + 1:4d}  loss {np.mean(losses[-100:]):.3f}", flush=True)
    return model, losses


def loss_of(model: LoopedLM, batch: torch.Tensor, loops: int) -> torch.Tensor:
    """Return the mean loss in nats a word of passages ``(n, length)`` after `loops` loops."""
    logits = model(batch[:, :-1], loops)
    return functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def save(model: LoopedLM, recipe: Recipe, about: dict[str, object], folder: Path) -> None:
    """Write ``model.safetensors`` (float32) and ``config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = model.config | {"trained_loops": list(recipe.loops)} | about
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False) + "\n", encoding="utf-8")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("trained-stages"), help="where to write NAME/")
    parser.add_argument("--only", choices=RECIPES, help="train this model alone")
    parser.add_argument("--steps", type=int, default=STEPS, help="batches to train on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="models trained at a time (default: %(default)s)")
    given = parser.parse_args(words)
    names = [given.only] if given.only else list(RECIPES)
    with ProcessPoolExecutor(min(given.workers, len(names)), mp_context=get_context("spawn")) as pool:
        for said in pool.map(make, names, repeat(given.steps), repeat(given.seed), repeat(given.out)):
            print(said, flush=True)


def make(name: str, steps: int, seed: int, out: Path) -> str:
    """Train one model in a process of its own and write it; say how long it took."""
    torch.set_num_threads(1)
    text, began = read_text(), time.perf_counter()
    model, losses = train(name, text, steps, seed)
    about = {
        "task": f"the next word of the documentation in Python {platform.python_version()}",
        "prompt": " ".join(text.words[i] for i in text.held_out[:CONTEXT]),
        "seed": seed, "steps": steps, "torch": torch.__version__,
    }  # fmt: skip
    save(model, RECIPES[name], about, out / name)
    took = f"{time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of one core"
    last = f", loss {np.mean(losses[-100:]):.3f} in the last" if losses else ""
    return f"{name}: {steps} batches{last}; {took}; wrote {out / name}"


if __name__ == "__main__":
    main()
