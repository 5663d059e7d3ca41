"""Which blocks settle: random looped transformers by norm, injection and gain, over seeds.
========================================================================================

``python examples/ablation.py out`` runs small blocks in a minute; ``--full`` those of width 128 with 12 layers over 512
loops and 10 seeds, which takes some two hours on one core. Each run is saved when it is done, and a second
call goes on from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import dynloop as dl
from dynloop.inference.ablation import Ablation, joined

SETTINGS = [
    {"norm": "pre", "injection": "concat", "gain": 1.0},
    {"norm": "pre", "injection": "add", "gain": 1.0},
    {"norm": "huginn", "injection": "concat", "gain": 1.0},
    {"norm": "ouro", "injection": "concat", "gain": 1.0},
    {"norm": "pre", "injection": "none", "gain": 1.0},
    {"norm": "ouro", "injection": "none", "gain": 1.0},
    {"norm": "pre", "injection": "concat", "gain": 4.0},
]
SMALL = {"layers": 2, "width": 16, "heads": 2, "tokens": 4, "loops": 128, "seeds": 2}
FULL = {"layers": 12, "width": 128, "heads": 4, "tokens": 12, "loops": 512, "seeds": 10}


def main(words: list[str] | None = None) -> Ablation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder for the results and the figure")
    parser.add_argument("--full", action="store_true", help="width 128, 12 layers, 512 loops, 10 seeds")
    parser.add_argument("--seeds", type=int, help="how many seeds")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    sizes = dict(FULL if given.full else SMALL)
    if given.seeds is not None:
        sizes["seeds"] = given.seeds
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = range(sizes.pop("seeds"))
    parts = []
    for setting in SETTINGS:
        for seed in seeds:
            name = "-".join(str(value) for value in [*setting.values(), *sizes.values(), seed])
            path = given.out / f"{name}.npz"
            part = dl.load(path) if path.exists() else dl.ablate(**setting, **sizes, seeds=[seed])
            part.save(path)
            parts.append(part)
            print(seed, part.table().splitlines()[-1], flush=True)
    found = joined(parts)
    found.save(given.out / "ablation")
    (given.out / "ablation.md").write_text(found.table() + "\n", encoding="utf-8")
    dl.draw_ablation(found).figure.savefig(given.out / "ablation.png", dpi=150)
    print(found)
    return found


if __name__ == "__main__":
    main()
