"""Every figure type of arXiv 2604.11791 from one command: ``python examples/paper_figures.py ADDRESS out``.
=========================================================================================================

ADDRESS is what `dynloop classify` takes: a folder, ``demo:NAME`` or ``synthetic:NORM+INJECTION``. Written are

- ``steps.png``: relative change of every section from loop to loop;
- ``distances.png``: distance of every section to its state after the last loop, and to the solved fixed point where
  there is one, which is the better reference: an orbit that has not settled has distance zero to itself;
- ``attention.png``: Frobenius distances between the attention maps of all pairs of loops, averaged over heads;
- ``trajectory.png``: the last token's states in the plane of their principal components, the last loop drawn as a
  polygon through its sections, closed or not;
- ``stages.png``: stage curves loop by loop, beside those of a feed-forward model (``--feed-forward ADDRESS``).

The verdict of `dynloop.classify` stands in the title of each: a figure that flattens may show a ray.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt

import dynloop as dl
from dynloop.adapters.address import open_address


def main(words: list[str] | None = None) -> list[Path]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("out", type=Path, help="a folder for the figures")
    parser.add_argument("--prompt", help="what the checkpoint reads; its default prompt if left out")
    parser.add_argument("--feed-forward", help="address of a model to compare stages with; it is iterated once")
    parser.add_argument("--loops", type=int, default=128, help="loops to follow (at least 8)")
    parser.add_argument("--stage-loops", type=int, default=4, help="loops whose stage curves are drawn")
    given = parser.parse_args(words)
    m = open_address(given.address, prompt=given.prompt)
    other = open_address(given.feed_forward, prompt=given.prompt) if given.feed_forward else None
    given.out.mkdir(parents=True, exist_ok=True)
    start = m.start(0)
    record = dl.trajectory(m, start, given.loops - 1, sections=True)
    sections = np.stack([m.numpy(one) for one in record.sections])[:, :, 0]  # (loops, layers + 1, *state_shape)
    found = dl.classify(m, start, loops=max(given.loops, 512))
    verdict = f"{m.name}: {found.summary()}"
    figures = {
        "steps": steps(m, sections),
        "distances": distances(m, sections, solved(m, found)),
        "attention": attention(dl.attention_stability(m, start, loops=given.loops, every=max(1, given.loops // 128))),
        "trajectory": trajectory(sections),
        "stages": stages(m, other, start, given.stage_loops),
    }
    written = []
    for name, figure in figures.items():
        figure.suptitle(verdict, fontsize=9)
        written.append(given.out / f"{name}.png")
        figure.savefig(written[-1], dpi=150)
        plt.close(figure)
        print(written[-1])
    print(verdict)
    return written


def solved(m: Any, found: Any) -> Any:
    """Return the sections of the fixed point that every token converges to, or None."""
    if not all(regime in (dl.Regime.CYCLIC, dl.Regime.VANISHING) for regime in found.regime.ravel()):
        return None
    with torch.no_grad():
        return m.numpy(m.sections(m.native(found.states)))[:, 0]


def sizes(x: Any) -> Any:
    """Return norms over the axes of a state, ``(loops, sections)``."""
    return np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=-1)


def lines(ax: Any, m: Any, values: Any) -> None:
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, values.shape[1]))
    for l, colour in enumerate(colours):
        name = f"before {m.layer_names[l]}" if l < m.layer_count else "after the last layer"
        ax.plot(np.where(values[:, l] > 0, values[:, l], np.nan), color=colour, linewidth=1, label=name)
    ax.set(yscale="log", xlabel="loop")
    if values.shape[1] <= 8:
        ax.legend(frameon=False, fontsize=7)


def steps(m: Any, sections: Any) -> Any:
    figure, ax = plt.subplots(layout="constrained")
    lines(ax, m, sizes(sections[1:] - sections[:-1]) / sizes(sections[1:]))
    ax.set_ylabel("relative change from loop to loop")
    return figure


def distances(m: Any, sections: Any, limit: Any) -> Any:
    figure, axes = plt.subplots(1, 1 if limit is None else 2, layout="constrained", sharey=True, squeeze=False)
    references = [("to the state after the last loop", sections[-1])]
    references += [] if limit is None else [("to the solved fixed point", limit)]
    for ax, (title, reference) in zip(axes[0], references, strict=True):
        lines(ax, m, sizes(sections - reference) / np.maximum(sizes(reference[None]), np.finfo(float).tiny))
        ax.set_title(title, fontsize=9)
    axes[0, 0].set_ylabel("relative distance")
    return figure


def attention(found: Any) -> Any:
    """Show every attention's pairwise distances, averaged over heads; at most sixteen."""
    shown = np.unique(np.linspace(0, len(found.attentions) - 1, min(16, len(found.attentions))).astype(int))
    columns = int(np.ceil(np.sqrt(len(shown))))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, layout="constrained", squeeze=False, figsize=(3 * columns, 2.8 * rows))
    mean = found.distances[0].mean(axis=1)
    for ax in axes.ravel()[len(shown) :]:
        ax.set_axis_off()
    for ax, i in zip(axes.ravel(), shown, strict=False):
        image = ax.imshow(mean[i], origin="lower", cmap="magma", vmin=0, vmax=mean.max())
        ax.set_title(found.attentions[i], fontsize=8)
    figure.colorbar(image, ax=axes, label="Frobenius distance, mean over heads")
    return figure


def trajectory(sections: Any) -> Any:
    token = sections.reshape(*sections.shape[:2], -1, sections.shape[-1])[:, :, -1]  # (loops, sections, width)
    centre = token.reshape(-1, token.shape[-1]).mean(axis=0)
    _, values, axes = np.linalg.svd(token.reshape(-1, token.shape[-1]) - centre, full_matrices=False)
    share = values**2 / max((values**2).sum(), np.finfo(float).tiny)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros_like(axes)])
    flat = (token - centre) @ axes.T
    figure, ax = plt.subplots(layout="constrained")
    path = flat[:, :-1].reshape(-1, 2)
    ax.plot(*path.T, color="0.75", linewidth=0.6)
    ax.scatter(*flat[:, 0].T, c=np.arange(len(flat)), cmap="viridis", s=8, label="states, by loop")
    gap = np.linalg.norm(token[-1, -1] - token[-1, 0])
    edges = np.linalg.norm(np.diff(token[-1], axis=0), axis=-1).sum()
    ax.plot(
        *flat[-1].T,
        color="#b5402a",
        marker="o",
        markersize=3,
        label=f"last loop: gap {gap / max(edges, 1e-300):.1e} of its length",
    )
    ax.set(xlabel=f"first component ({share[0]:.0%})", ylabel=f"second ({share[1]:.0%})" if len(share) > 1 else "")
    ax.legend(frameon=False)
    return figure


def stages(m: Any, other: Any, start: Any, loops: int) -> Any:
    looped = dl.inference_stages(m, start, loops=loops)
    once = None if other is None else dl.inference_stages(other, loops=1)
    metrics = [name for name in looped.curves if once is None or name in once.curves]
    columns = -(-len(metrics) // 2)
    figure, axes = plt.subplots(2, columns, layout="constrained", squeeze=False, figsize=(3.2 * columns, 6))
    for ax in axes.ravel()[len(metrics) :]:
        ax.set_axis_off()
    for ax, metric in zip(axes.ravel(), metrics, strict=False):
        dl.draw_stages(looped, metric, feed_forward=once, ax=ax)
    if once is not None:
        print(dl.align_stages(looped, once))
    return figure


if __name__ == "__main__":
    main()
