"""Some layers of a plain transformer, looped: what they do for ever, by how the loop is closed.
=============================================================================================

A feed-forward model was not made to be looped, and how it is looped decides what happens. The same middle layers are
looped five ways:

    plain        x ← layers(x)                 the stream only adds up
    add          x ← layers(x + e)             e is the state that entered the block
    half         x ← layers(x / 2 + e)         an injection that forgets
    norm         x ← norm(layers(x))           closed by the model's last norm, no injection: the prompt is the start
    add, norm    x ← norm(layers(x + e))

Run ``pip install 'dynloop[models]'``, then ``python examples/looped_feed_forward.py``. Without --model it is a small
Llama with random weights; with ``--model FOLDER --block model.layers.10:14 --norm model.norm`` it is a causal language
model of transformers that lies in FOLDER (nothing is downloaded). The plain form and ``add`` are unbounded and take
minutes; ``--ways`` chooses.

What was seen with the random Llama: plain grows and stays UNDECIDED (no ray is proved), add is a RAY, the other three
converge within tens of loops to a cycle of the layers (spectral radius 0.79, 0.85 and 0.61 to 0.67 by token), each
solved to a residual of 1e-14. Random weights: this shows the method, and says nothing about trained models.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import numpy as np
import torch

import dynloop as dl

SEED, LAYERS, WIDTH, TOKENS = 0, 8, 32, 8


def half(x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
    """Forget half of the state, and add what entered the block."""
    return x / 2 + e


def ways(norm: str) -> dict[str, dict[str, Any]]:
    """Return the ways to loop a block: what `open_checkpoint` is told besides the block."""
    return {
        "plain": {},
        "add": {"injection": "add"},
        "half": {"injection": half},
        "norm": {"closing_norm": norm},
        "add, norm": {"injection": "add", "closing_norm": norm},
    }


def random_llama() -> Any:
    """Make a small Llama with random weights; the generator of torch is left as it was."""
    transformers = importlib.import_module("transformers")
    config = transformers.LlamaConfig(
        num_hidden_layers=LAYERS, hidden_size=WIDTH, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=2 * WIDTH, vocab_size=64, bos_token_id=0, eos_token_id=0, initializer_range=0.15,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return transformers.LlamaForCausalLM(config)


def look(model: Any, ids: list[int], block: str, options: dict[str, Any], loops: int) -> tuple[Any, str]:
    """Classify every token of one looped model; return the result, and a line about it."""
    m = dl.open_checkpoint(model, ids, block=block, **options)
    found = dl.classify(m, loops=loops)
    rates = found.rate[np.isfinite(found.rate)]
    said = f", contraction {rates.min():.3f} … {rates.max():.3f} per loop" if len(rates) else ""
    return found, found.summary().splitlines()[0] + said


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Loop the block in every way that was chosen; return what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="a folder with a causal language model of transformers")
    parser.add_argument("--block", default="model.layers.3:6", help="the modules of one loop")
    parser.add_argument("--norm", default="model.norm", help="the norm that closes a loop")
    parser.add_argument("--ids", type=int, nargs="+", default=list(range(3, 3 + TOKENS)), help="the prompt")
    parser.add_argument("--ways", nargs="+", default=list(ways("")), help="which ways to loop")
    parser.add_argument("--loops", type=int, default=400)
    chosen = parser.parse_args(arguments)
    if chosen.model:
        loader = importlib.import_module("transformers").AutoModelForCausalLM
        model = loader.from_pretrained(chosen.model, local_files_only=True, trust_remote_code=False)
    else:
        model = random_llama()
    known, found = ways(chosen.norm), {}
    for way in chosen.ways:
        if way not in known:
            parser.error(f"--ways takes {', '.join(known)}; got {way!r}")
        found[way], said = look(model, chosen.ids, chosen.block, known[way], chosen.loops)
        print(f"{way:10s} {said}")
    return found


if __name__ == "__main__":
    main()
