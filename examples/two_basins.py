"""Train a looped block to remember one bit, and draw the basins of its two answers.

The block has an injection and four tokens of width 8. Its start is ±u with noise, u a fixed state; after 2 to 12 loops
a fixed readout of the mean over tokens must have the sign of the start. To hold the bit for any number of loops the
block needs two attractors, and training makes them. ``basins`` finds both without being told and labels 200² starts of
the plane through the origin along u and along noise; the picture shows them.

Run ``python examples/two_basins.py --out basins.png``; it takes about a minute on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.maps.synthetic import LoopedTransformer

TOKENS, WIDTH, HEADS = 2, 6, 1
STEPS, BATCH, RATE, NOISE = 300, 64, 5e-3, 1.0
LOOPS = 2, 12


def train(steps: int = STEPS, seed: int = 0) -> tuple[dl.TorchMap, torch.Tensor, torch.Tensor]:
    """Train the block; return it as a map in float64, with u and the readout."""
    generator = torch.Generator().manual_seed(seed)
    body = LoopedTransformer(norm="huginn", injection="concat", layers=1, width=WIDTH, heads=HEADS, causal=False)
    body.draw(generator)
    e, u = torch.randn(2, TOKENS, WIDTH, generator=generator)
    readout = functional.normalize(torch.randn(WIDTH, generator=generator), dim=0)
    layers = list(body.layers_for(e).values())
    body.requires_grad_(True)
    optimiser = torch.optim.Adam(body.parameters(), lr=RATE)
    for _ in range(steps):
        bit = torch.randint(2, (BATCH,), generator=generator).float()
        x = (2 * bit - 1)[:, None, None] * u + NOISE * torch.randn(BATCH, TOKENS, WIDTH, generator=generator)
        for _ in range(int(torch.randint(LOOPS[0], LOOPS[1] + 1, (), generator=generator))):
            for layer in layers:
                x = layer(x)
        loss = functional.binary_cross_entropy_with_logits(4 * (x.mean(dim=1) @ readout), bit)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(body.parameters(), 1.0)
        optimiser.step()
    body = body.double().requires_grad_(False)
    layers = list(body.layers_for(e.double()).values())
    return dl.TorchMap(layers, (TOKENS, WIDTH), name="one bit", dtype=torch.float64), u.double(), readout.double()


def main(arguments: list[str] | None = None) -> dl.Basins:
    """Train, label, draw; return the basins."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("basins.png"))
    parser.add_argument("-n", type=int, default=200, help="starts along each axis")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args(arguments)
    m, u, readout = train(given.steps)
    noise = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = dl.basins(m, dl.plane(np.zeros(m.state_shape), u, noise, 2.0, given.n))
    print(found)
    for one in found.attractors:
        print(f"attractor {one.label} answers {float(one.points[0].mean(axis=0) @ readout.numpy()):+.2f}")
    ax = dl.draw_basins(found)
    ax.set(xlabel="a: start = a·u + b·noise", ylabel="b", title="which answer a start leads to")
    ax.figure.savefig(given.out, dpi=150)
    return found


if __name__ == "__main__":
    main()
