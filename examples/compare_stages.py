"""Do stages and cycles appear by training? Measure the models of ``train_stages.py`` on text they have not seen.
================================================================================================================

``python examples/compare_stages.py examples/weights out`` writes ``out/measured.md`` and two figures:

- the loss by number of loops, with the standard error over passages;
- the regime of every token (`classify_prompts`), the contraction factor, and how far apart the sections of a cycle are;
- the order of stages: which depth of the feed-forward model each looped layer matches (`align_stages`), loop by loop,
  and how alike successive loops are (`inference_stages`);
- ``stages.png``: the curves; ``steps.png``: how far each loop moves the state.

``python examples/train_stages.py --steps 0 --out untrained`` makes the same models with their first weights: what they
do is the architecture's own, and no work of training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from safetensors.torch import load_file
from train_stages import CONTEXT, RECIPES, loss_of, passages, read_text

import dynloop as dl
from dynloop.adapters.looped_lm import LoopedLM

LOOPED = [name for name, recipe in RECIPES.items() if recipe.loops[1] > 1]
COUNTED, TRAINED = (1, 2, 3, 4, 6, 8, 16, 64), 4
METRICS = ("concentration", "mixing", "matrix_entropy", "kl")


def main(words: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="the folder that train_stages.py wrote")
    parser.add_argument("out", type=Path, help="a folder for the tables and the figures")
    parser.add_argument("--passages", type=int, default=24, help="of 32 words, for regimes and stages")
    parser.add_argument("--loops", type=int, default=512, help="loops to classify within")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    text, rng = read_text(), np.random.default_rng(1)
    long = passages(text.held_out, 10 * given.passages, rng)
    prompts = [ids.tolist() for ids in passages(text.held_out, given.passages, rng, CONTEXT // 2)]
    tables = [losses(given.weights, long), regimes(given.weights, prompts, given.loops)]
    maps = {
        name: [dl.open_checkpoint(given.weights / name, p, dtype=torch.float64) for p in prompts] for name in RECIPES
    }
    once = dl.inference_stages(maps["feed-forward"], loops=1)
    trained = {name: dl.inference_stages(maps[name], loops=TRAINED) for name in LOOPED}
    tables.append(stages(trained, once))
    tables.append(repeats({name: dl.inference_stages(maps[name], loops=4 * TRAINED) for name in LOOPED}))
    draw_stages(trained, once).savefig(given.out / "stages.png", dpi=110)
    draw_steps(maps).savefig(given.out / "steps.png", dpi=110)
    said = "\n\n".join(tables)
    (given.out / "measured.md").write_text(said + "\n", encoding="utf-8")
    print(said)
    return said


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


@torch.no_grad()
def losses(weights: Path, batch: torch.Tensor) -> str:
    """Nats a word on passages ``(n, CONTEXT + 1)``, by loops."""
    rows = []
    for name in RECIPES:
        model = LoopedLM(json.loads((weights / name / "config.json").read_text(encoding="utf-8")))
        model.load_state_dict(load_file(weights / name / "model.safetensors"))
        cells = [name]
        for loops in COUNTED if name in LOOPED else COUNTED[:1]:
            each = np.array([loss_of(model, passage[None], loops).item() for passage in batch])
            cells.append(f"{each.mean():.2f} ± {each.std(ddof=1) / len(each) ** 0.5:.2f}")
        rows.append(cells + [""] * (len(COUNTED) + 1 - len(cells)))
    return table(["nats a word after … loops", *map(str, COUNTED)], rows)


def regimes(weights: Path, prompts: list[list[int]], loops: int) -> str:
    rows = []
    for name in LOOPED:
        found = dl.classify_prompts(weights / name, prompts, loops=loops, dtype=torch.float64)
        shares = [
            f"{regime} {100 * share:.0f} ± {100 * error:.0f}"
            for regime, share, error in zip(found.regimes, found.share, found.standard_error, strict=True)
        ]
        rate = np.concatenate([one.rate.ravel() for one in found.results])
        distinct = np.concatenate([np.ravel(one.evidence.section_distance) for one in found.results])
        rows.append([name, ", ".join(shares), middle(rate), middle(distinct)])
    return table(["", f"regimes within {loops} loops (% of tokens)", "rate per loop", "distance of sections"], rows)


def middle(values: np.ndarray) -> str:
    """Median and range of what is a number."""
    values = values[np.isfinite(values)]
    return f"{np.median(values):.2f} ({values.min():.2f} – {values.max():.2f})" if len(values) else "–"


def stages(trained: dict[str, dl.InferenceStages], once: dl.InferenceStages) -> str:
    rows = []
    for name, looped in trained.items():
        found = dl.align_stages(looped, once, metrics=METRICS)
        depths = "; ".join(" ".join(map(str, row)) for row in found.depth)
        gain = " ".join(f"{a / b:.2f}" for a, b in zip(found.distance, found.by_chance, strict=True))
        rows.append([name, depths, gain, f"{found.p_joint:.3f} (least {found.least_p:.3f})"])
    return table(["", "depths matched, loop by loop", "distance / by chance", "p over all loops"], rows)


def repeats(looped: dict[str, dl.InferenceStages]) -> str:
    """Concordance of loop t with loop t + 1 at the beginning, in the range of training, and after it."""
    at = [0, 1, TRAINED - 1, 4 * TRAINED - 2]
    rows = [
        [f"{name}, {metric}", *(f"{found.repeat[metric][t]:.3f}" for t in at)]
        for name, found in looped.items() for metric in METRICS
    ]  # fmt: skip
    return table(["repeat score", *(f"loops {t + 1}, {t + 2}" for t in at)], rows)


def draw_stages(looped: dict[str, dl.InferenceStages], once: dl.InferenceStages) -> plt.Figure:
    figure, axes = plt.subplots(len(looped), len(METRICS), layout="constrained", squeeze=False, figsize=(12, 5.5))
    for row, (name, found) in zip(axes, looped.items(), strict=True):
        for ax, metric in zip(row, METRICS, strict=True):
            dl.draw_stages(found, metric, feed_forward=once, ax=ax)
            ax.set_title(f"{name}: {metric}", fontsize=9)
    return figure


def draw_steps(maps: dict[str, list[dl.TorchMap]], loops: int = 128) -> plt.Figure:
    figure, ax = plt.subplots(layout="constrained", figsize=(6, 4))
    for name in LOOPED:
        each = []
        for m in maps[name]:
            x = m.numpy(dl.trajectory(m, m.start(0), loops).states)[:, 0]
            each.append(np.linalg.norm(np.diff(x, axis=0), axis=-1) / np.linalg.norm(x[1:], axis=-1))
        steps = np.concatenate(each, axis=1)  # (loops, tokens of all passages)
        low, mid, high = np.quantile(steps, [0.1, 0.5, 0.9], axis=1)
        (line,) = ax.plot(mid, label=f"{name}, median and 80 % of tokens")
        ax.fill_between(range(loops), low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    ax.set(yscale="log", xlabel="loop", ylabel="relative step of a token")
    ax.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
