"""Train a looped block to remember one bit, and look at the two basins that make its memory.
==========================================================================================

The block is one transformer layer of width 16 on 4 tokens, with its prompt injected in every loop, so that nothing but
the state tells one run from another. It starts from noise; the bit is the sign of what the noise holds along a fixed
direction, averaged over tokens. After any number of loops every token must read that sign along the direction, and
states that hold the same bit should be alike. A loop with one attractor cannot do that: training makes two. (Without
the second wish it makes nine: each token then has a memory of its own. Wished for from the beginning, it leaves one.)

``basin_fractions`` counts where random starts go, ``track_edge`` follows the boundary to the state on it, a saddle, and
``basins`` labels a plane through both attractors and the saddle. Trains in seconds on one core.

Run ``python examples/bistable_block.py``; with ``--out picture.png`` the plane is drawn (needs matplotlib).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.maps.synthetic import LoopedTransformer

TOKENS, WIDTH = 4, 16
SIZES = {"norm": "huginn", "injection": "concat", "layers": 1, "width": WIDTH, "heads": 2, "causal": False}
STEPS, BATCH, RATE = 300, 64, 3e-3
SPREAD = 0.05  # weight of the variance among states that hold the same bit, in the second half
FIRST, THEN = (1, 4), (4, 24)  # loops, drawn for every batch; in the first 100 steps and then


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, TOKENS, WIDTH))


def train(seed: int = 0, steps: int = STEPS) -> tuple[dl.TorchMap, torch.Tensor]:
    """Return the loop of a trained block in float64, and the direction that its bit is read along."""
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    block = LoopedTransformer(**SIZES)
    block.draw(generator)
    e = torch.randn(TOKENS, WIDTH, generator=generator)
    v = functional.normalize(torch.randn(WIDTH, generator=generator), dim=0)
    optimizer = torch.optim.Adam(block.parameters(), lr=RATE)
    for step in range(steps):
        low, high = FIRST if step < steps // 3 else THEN
        x = torch.from_numpy(noise(rng, BATCH)).float()
        bit = ((x @ v).mean(dim=1) > 0).float()
        for _ in range(int(rng.integers(low, high + 1))):
            for layer in block.layers_for(e).values():
                x = layer(x)
        loss = functional.binary_cross_entropy_with_logits(4 * (x @ v), bit[:, None].expand(-1, TOKENS))
        for side in (bit > 0, bit < 1):
            if step >= steps // 2:
                loss = loss + SPREAD * x[side].var(dim=0).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(block.parameters(), 1.0)
        optimizer.step()
    block.requires_grad_(requires_grad=False).double()
    layers = block.layers_for(e.double())
    m = dl.TorchMap(
        list(layers.values()), (TOKENS, WIDTH), layer_names=list(layers), name="trained to remember a bit",
        dtype=torch.float64, start=noise,
    )  # fmt: skip
    return m, v.double()


def main(words: list[str] | None = None) -> dl.Basins:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", type=int, default=80, help="starts along each side of the plane")
    parser.add_argument("--samples", type=int, default=500, help="random starts for the fractions")
    parser.add_argument("--out", type=Path, help="where to draw the plane")
    options = parser.parse_args(words)

    m, v = train(options.seed)
    fractions = dl.basin_fractions(m, samples=options.samples, rng=options.seed)
    print(fractions)
    if len(fractions.attractors) < 2:
        raise SystemExit("one attractor only: this seed did not learn the task; try another")
    starts = noise(np.random.default_rng(1), 200)
    label = dl.by_classification(m, starts)(m.native(starts))
    bit = (torch.from_numpy(starts) @ v).mean(dim=1).numpy() > 0
    agree = np.mean((label == 1) == bit)
    print(f"bit and basin agree for {100 * max(agree, 1 - agree):.0f} % of 200 fresh starts")

    one, other = (attractor.points[0] for attractor in fractions.attractors[:2])
    edge = dl.track_edge(m, one, other)
    saddle = dl.find_fixed_points(m, edge.states[-1:], period=max(1, edge.period))
    print(f"edge state: {edge.status.name}, period {edge.period}; {saddle}")
    plane = dl.plane_through(one, other, edge.states[-1], n=options.cells)
    found = dl.basins(m, plane)
    print(found)
    if options.out is not None:
        dl.draw_basins(found).figure.savefig(options.out, dpi=120)
    return found


if __name__ == "__main__":
    main()
