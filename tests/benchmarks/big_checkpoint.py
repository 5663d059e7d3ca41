"""A checkpoint of Ouro-1.4B's size with random weights: what opening it and classifying a prompt cost.

`python -m tests.benchmarks.big_checkpoint --out FOLDER` writes the weights (bfloat16, 24 layers of width 2048, 2.9 GB,
in shards; kept for the next run), then in processes of their own reads the files once, opens the checkpoint, and
classifies 32 tokens within 64 loops; it prints times and peak memory beside the size of the weights.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

CONFIG = {
    "model_type": "ouro", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
    "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 128, "vocab_size": 49152,
    "max_position_embeddings": 65536, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "hidden_act": "silu",
    "tie_word_embeddings": False, "total_ut_steps": 4, "torch_dtype": "bfloat16",
}  # fmt: skip


def shapes(config):
    """Return the name and shape of every tensor, the layers first."""
    width, inner, words = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    found = {}
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        found |= {f"{at}self_attn.{name}_proj.weight": (width, width) for name in "qkvo"}
        found |= {f"{at}mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
        found |= {f"{at}mlp.down_proj.weight": (width, inner)}
        norms = ("input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2")
        found |= {f"{at}{name}.weight": (width,) for name in norms}
    found |= {f"{name}.weight": (words, width) for name in ("model.embed_tokens", "lm_head")}
    return found | {
        "model.norm.weight": (width,), "model.early_exit_gate.weight": (1, width), "model.early_exit_gate.bias": (1,),
    }  # fmt: skip


def write(folder, config=CONFIG, shards=8, seed=0):
    """Write config and weights: matrices N(0, 2/(5·width)), norms one."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    named, generator, placed = list(shapes(config).items()), torch.Generator().manual_seed(seed), {}
    for i in range(shards):
        file, tensors = f"model-{i + 1:05}-of-{shards:05}.safetensors", {}
        for name, shape in named[i::shards]:
            if "norm" in name:
                tensors[name] = torch.ones(shape, dtype=torch.bfloat16)
            else:
                draw = torch.randn(shape, generator=generator, dtype=torch.float32)
                tensors[name] = (draw * (0.4 / config["hidden_size"]) ** 0.5).bfloat16()
            placed[name] = file
        save_file(tensors, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))


def measure(task, folder, tokens, loops):
    """Do one task in this process; print its seconds and its peak of memory in bytes as JSON."""
    began, said = time.perf_counter(), ""
    if task == "read":  # what opening is compared with: every byte of the files, once
        buffer = bytearray(1 << 24)
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
    else:
        import numpy as np

        import dynloop as dl
        from dynloop.adapters.registry import families

        families()  # imports torch and every adapter, which is no part of opening
        imported = time.perf_counter()
        ids = np.random.default_rng(0).integers(CONFIG["vocab_size"], size=tokens)
        m = dl.open_checkpoint(folder, prompt=ids)
        if task == "open":
            began = imported
        if task == "loop":
            x, began = m.start(), time.perf_counter()
            m(x)
        if task == "classify":
            began = time.perf_counter()
            found = dl.classify(m, loops=loops)
            said = found.summary()
    seconds, status = time.perf_counter() - began, Path("/proc/self/status").read_text()
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])  # getrusage would count the process that started it
    print(json.dumps({"task": task, "seconds": seconds, "peak": peak, "said": said}))


def main():
    """Write the checkpoint where it is not yet, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--loops", type=int, default=64)
    parser.add_argument("--tasks", nargs="+", default=["read", "open", "read", "open", "loop", "classify"])
    parser.add_argument("--here", action="store_true", help="measure the one task in this process")
    given = parser.parse_args()
    if given.here:
        measure(given.tasks[0], given.out, given.tokens, given.loops)
        return
    if not (given.out / "model.safetensors.index.json").is_file():
        write(given.out)
    weights = sum(path.stat().st_size for path in given.out.glob("*.safetensors"))
    print(f"weights {weights / 2**30:.2f} GiB")
    for task in given.tasks:
        command = [sys.executable, "-m", "tests.benchmarks.big_checkpoint", "--here", "--out", str(given.out)]
        command += ["--tokens", str(given.tokens), "--loops", str(given.loops), "--tasks", task]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        got = json.loads(done.stdout.splitlines()[-1])
        print(f"{task:9} {got['seconds']:8.2f} s   peak {got['peak'] / 2**30:.2f} GiB", got["said"], flush=True)


if __name__ == "__main__":
    main()
