"""Settle the class of random transformers by long iteration in float64, away from the classifier.

`python -m tests.benchmarks.regimes.settle_transformers` writes `transformers.json`, block by block, and goes on where
it was cut; it takes a quarter of an hour. Nothing of dynloop is used but the weights: `compiled_block` iterates the
orbit and companions, 131072 loops, or 1048576 where those do not tell. Companion i differs from the orbit in token i
alone and is put back to that form, at distance 1e-8, after every loop; the mean logarithm of its growth is the largest
exponent of token i's own cocycle. Of a block that is not causal the one companion differs in all tokens. An orbit that
returns in every token is done at once; one of which every other token is chaotic, after 65536 loops.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import dynloop as dl
from tests.benchmarks.regimes.compiled_block import orbit, weights

HERE = Path(__file__).with_name("transformers.json")
CHUNK, SURE, LONG, LONGER = 2**13, 2**16, 2**17, 2**20  # loops
APART, AT_REST, RETURNED = 1e-8, 1e-13, 1e-10
SIZES = {"layers": 2, "width": 16, "heads": 2, "tokens": 4}
OPEN = {"UNCLEAR", "QUASIPERIODIC"}


def blocks():
    """Yield the arguments of every block: each norm and injection at some gains and seeds."""
    plan = [
        ("huginn", "concat", (1.0, 3.0)), ("ouro", "concat", (1.0, 2.0)), ("pre", "concat", (1.0, 3.5)),
        ("post", "concat", (1.0, 4.0)), ("pre", "none", (1.0,)), ("pre", "add", (1.0,)), ("huginn", "none", (4.0,)),
        ("ouro", "none", (1.0, 3.0)), ("huginn", "add", (1.0, 3.0)), ("ouro", "add", (2.0,)),
        ("none", "concat", (0.5,)),
    ]  # fmt: skip
    for seed in range(4):
        for norm, injection, gains in plan:
            for gain in gains:
                yield {"norm": norm, "injection": injection, "gain": gain, "seed": seed, "causal": seed % 2 == 0}


class Settling:
    """One orbit, iterated chunk by chunk, and what it has shown."""

    def __init__(self, options):
        self.options = {**SIZES, **options}
        self.map = dl.synthetic.looped_transformer(**self.options)
        self.block = weights(self.map, self.options)
        self.groups = SIZES["tokens"] if options["causal"] else 1
        self.x = self.map.numpy(self.map.start(0)[0])
        self.apart = np.zeros((self.groups, *self.x.shape))
        drawn = np.random.default_rng(1).standard_normal(self.apart.shape)
        for g in range(self.groups):
            own = slice(g, g + 1) if self.groups > 1 else slice(None)
            self.apart[g, own] = drawn[g, own] * APART / np.linalg.norm(drawn[g, own])
        self.loops, self.growth, self.size, self.norm, self.marks = 0, [], [], [], {}

    def go_on(self):
        """Iterate one chunk; check its last loops against the block itself."""
        self.record, logs = orbit(self.x, self.apart, CHUNK, self.block, self.groups, APART)
        self.x, self.loops = self.record[-1], self.loops + len(self.record)
        self.growth.append(logs.mean(axis=0))
        self.size.append(self.rows(self.record - self.record.mean(axis=0)).max(axis=0))
        self.norm.append(self.rows(self.record).max(axis=0))
        self.marks[self.loops] = self.x
        if self.finite:
            with torch.no_grad():
                again = self.map.numpy(self.map.loop(self.map.native(self.record[-65:-1])))
            assert np.abs(again - self.record[-64:]).max() <= 1e-12 * np.abs(self.record[-64:]).max()

    @property
    def finite(self):
        return bool(np.isfinite(self.x).all())

    def rows(self, x):
        """Return norms ``(…, groups)`` of states ``(…, tokens, width)``."""
        return np.linalg.norm(x, axis=-1) if self.groups > 1 else np.linalg.norm(x, axis=(-2, -1))[..., None]

    def exponents(self):
        """Return own exponents over the later half of the chunks, and their standard errors."""
        half = np.array(self.growth[len(self.growth) // 2 :])
        return half.mean(axis=0), half.std(axis=0, ddof=min(1, len(half) - 1)) / np.sqrt(len(half))

    def found(self):
        """Return regime and period by group."""
        if not self.finite:
            return [("DIVERGENT", -1)] * self.groups
        if self.grown():
            return [("RAY", -1)] * self.groups
        return [self.of_group(g) for g in range(self.groups)]

    def of_group(self, g):
        """Return the class of a bounded group: the least lag at which a whole chunk returns, or the exponents."""
        part = self.record[:, g] if self.groups > 1 else self.record.reshape(len(self.record), -1)
        size = np.linalg.norm(part, axis=1).max()
        if np.linalg.norm(part[-64:] - part[-65:-1], axis=1).max() <= AT_REST * size:
            return self.at_rest(g), 1
        back = np.linalg.norm(part[-1] - part[: -CHUNK // 2 - 1 : -1], axis=1)
        for p in np.flatnonzero(back[1:] <= RETURNED * size) + 1:
            if np.linalg.norm(part[p:] - part[:-p], axis=1).max() <= RETURNED * size:
                return (self.at_rest(g), 1) if p == 1 else ("PERIODIC", int(p))
        if (self.norm[-1] > 2 * self.norm[0]).any():
            return "UNCLEAR", -1  # unbounded, and no ray
        mean, error = (v[: g + 1] for v in self.exponents())
        n = self.loops / 2
        if (mean > np.maximum(10 * error, 5 * np.log(n) / n)).any() and self.loops >= SURE:
            return "CHAOTIC", -1
        steady = np.array(self.size[len(self.size) // 2 :])[:, g]
        if abs(mean.max()) < 5 * np.log(n) / n and np.ptp(steady) < 0.05 * steady.max() and self.loops >= LONG:
            return "QUASIPERIODIC", -1
        return "UNCLEAR", -1

    def at_rest(self, g):
        """Return the class of a converged group, from the increments of its layers."""
        with torch.no_grad():
            sections = self.map.numpy(self.map.sections(self.map.native(self.x[None])))[:, 0]
        longest = self.rows(np.diff(sections, axis=0))[:, g].max()
        return "VANISHING" if longest < 1e-10 * self.rows(self.x)[g] else "CYCLIC"

    def grown(self):
        """Say whether every row gains as much in the last octave of loops as it does, per loop, in the one before."""
        if self.loops < 2**16 or self.loops & (self.loops - 1):
            return False
        now, half, quarter = (self.marks[self.loops // d] for d in (1, 2, 4))
        first, second = half - quarter, now - half
        gain, turn = self.rows(second) / self.rows(first), self.rows(second / 2 - first) / self.rows(first)
        return bool((np.abs(gain - 2) < 0.02).all() and (turn < 0.02).all() and (self.rows(first) > 100).all())

    def evidence(self):
        exponents, errors = self.exponents()
        return {"loops": self.loops, "own_exponents": exponents.tolist(), "errors": errors.tolist(),
                "norm": self.rows(self.x).tolist(), "size": self.size[-1].tolist()}  # fmt: skip


def settle(options):
    """Return the class of every group (token, or the whole state) with the numbers behind it."""
    orbit = Settling(options)
    while orbit.loops < LONGER and orbit.finite:
        orbit.go_on()
        found = orbit.found()
        unclear = {name for name, _ in found} & OPEN
        if not unclear or (unclear == {"QUASIPERIODIC"} and orbit.loops >= LONG):
            break
    return {"regime": [f[0] for f in found], "period": [f[1] for f in found], "evidence": orbit.evidence()}


def main(again):
    written = {} if again or not HERE.exists() else json.loads(HERE.read_text(encoding="utf8"))
    for options in blocks():
        name = f"{options['norm']}+{options['injection']} gain {options['gain']} seed {options['seed']}"
        if name in written and "UNCLEAR" not in written[name]["regime"]:
            continue
        began = time.perf_counter()
        written[name] = {"options": {**SIZES, **options}, **settle(options)}
        HERE.write_text(json.dumps(written, indent=1) + "\n", encoding="utf8")
        row = written[name]
        print(
            name,
            row["regime"],
            row["period"],
            row["evidence"]["loops"],
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="settle anew what is settled already")
    torch.set_num_threads(1)
    main(parser.parse_args().again)
