"""Settle the class of random transformers by long iteration in float64, away from the classifier.

`python -m tests.benchmarks.regimes.settle_transformers` writes `transformers.json`; it takes half an hour. Nothing of
dynloop is used but the block itself: up to 1e5 loops of the orbit and of companions. Companion i differs from the orbit
in token i alone and is put back to that form, at distance 1e-8, after every loop; the mean logarithm of its growth is
the largest exponent of token i's own cocycle. Of a block that is not causal the one companion differs in all tokens.
Looked at every 4096 loops, an orbit that returns in every token is done, and one with a large exponent after 16384.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch

import dynloop as dl

HERE = Path(__file__).with_name("transformers.json")
ENOUGH, LOOK, APART = 4 * 4096, 4096, 1e-8
AT_REST, RETURNED, LONGEST, LARGE = 1e-13, 1e-10, 1024, 3e-3
SIZES = {"layers": 2, "width": 16, "heads": 2, "tokens": 4}


def blocks():
    """Yield the arguments of every block: each norm and injection at some gains and seeds."""
    plan = [
        ("huginn", "concat", (1.0, 3.0)), ("ouro", "concat", (1.0, 2.0)), ("pre", "concat", (1.0, 3.5)),
        ("post", "concat", (1.0, 4.0)), ("pre", "none", (1.0,)), ("pre", "add", (1.0,)), ("huginn", "none", (4.0,)),
        ("ouro", "none", (1.0, 3.0)), ("huginn", "add", (1.0, 3.0)), ("ouro", "add", (2.0,)),
        ("none", "concat", (0.5,)),
    ]  # fmt: skip
    for seed in range(2):
        for norm, injection, gains in plan:
            for gain in gains:
                yield {"norm": norm, "injection": injection, "gain": gain, "seed": seed, "causal": seed % 2 == 0}


def settle(options, longest):
    """Return the class of every group (token, or the whole state) with the numbers behind it."""
    m = dl.synthetic.looped_transformer(**SIZES, **options)
    groups = SIZES["tokens"] if options["causal"] else 1
    x = torch.as_tensor(m.start(0)[0])
    generator = torch.Generator().manual_seed(1)
    mask = torch.eye(groups)[:, :, None].expand(-1, -1, 1) if options["causal"] else torch.ones(1, 1, 1)
    apart = torch.randn(groups, *x.shape, generator=generator, dtype=torch.float64) * mask
    apart *= APART / apart.flatten(1).norm(dim=1)[:, None, None]
    logs, kept, quiet, marks = np.zeros((longest, groups)), [], 0, {}
    with torch.no_grad():
        for t in range(longest):
            out = m.loop(torch.cat([x[None], x[None] + apart]))
            step = rows(out[0] - x, groups) / rows(out[0], groups)
            x = out[0]
            apart = (out[1:] - x) * mask
            length = apart.flatten(1).norm(dim=1)
            logs[t] = torch.log(length / APART + 1e-300).numpy()
            apart *= (APART / length.clamp_min(1e-300))[:, None, None]
            quiet = quiet + 1 if float(step.max()) <= AT_REST else 0
            if t + 1 in (2**13, 2**14, 2**15):
                marks[t + 1] = x.clone()
            if quiet == 64 or not bool(torch.isfinite(x).all()) or (t + 1 == 2**15 and grown(marks, groups)):
                break
            kept.append(x.clone())
            kept = kept[-2 * LONGEST :] if len(kept) > 4 * LONGEST else kept
            if (t + 1) % LOOK == 0 and done(kept, logs[t // 2 : t + 1].mean(axis=0), groups, t + 1):
                break
    exponents = logs[t // 2 : t + 1].mean(axis=0)
    spread = logs[t // 2 : t + 1].std(axis=0) / np.sqrt(max(1, (t + 1) // 2))
    numbers = {
        "loops": t + 1, "step": np.asarray(step).tolist(), "own_exponents": exponents.tolist(),
        "spread": spread.tolist(), "norm": np.asarray(rows(x, groups)).tolist(),
    }  # fmt: skip
    prefix = np.maximum.accumulate(exponents)
    if quiet == 64:
        found = [at_rest(m, x, g, groups) for g in range(groups)]
    elif not bool(torch.isfinite(x).all()):
        found = [("DIVERGENT", -1)] * groups
    elif t + 1 == 2**15 and grown(marks, groups):
        numbers["growth"] = grown(marks, groups)
        found = [("RAY", -1)] * groups
    else:
        record = torch.stack(kept[-2 * LONGEST :])
        found = [moving(record, g, groups, float(prefix[g])) for g in range(groups)]
        found = [at_rest(m, x, g, groups) if f[0] == "AT REST" else f for g, f in enumerate(found)]
    return {"regime": [f[0] for f in found], "period": [f[1] for f in found], "evidence": numbers}


def done(kept, exponents, groups, loops):
    """Say whether every group returns, or has a large exponent after enough loops."""
    record, prefix = torch.stack(kept[-2 * LONGEST :]), np.maximum.accumulate(exponents)
    found = [moving(record, g, groups, float(prefix[g]))[0] for g in range(groups)]
    return all(f in ("AT REST", "PERIODIC") or (f == "CHAOTIC" and loops >= ENOUGH) for f in found)


def rows(x, groups):
    return x.norm(dim=-1) if groups > 1 else x.norm()[None]


def grown(marks, groups):
    """Say whether every row gained as much from loop 2^13 to 2^14 as it does, per loop, from 2^14 to 2^15."""
    first, second = marks[2**14] - marks[2**13], marks[2**15] - marks[2**14]
    gain = rows(second, groups) / rows(first, groups)
    turn = rows(second / 2 - first, groups) / rows(first, groups)
    linear = (abs(gain - 2) < 0.02).all() and (turn < 0.02).all() and (rows(first, groups) > 100).all()
    return bool(linear)


def at_rest(m, x, g, groups):
    """Return the class of a converged orbit, from the increments of its layers."""
    with torch.no_grad():
        sections = m.sections(x[None])[:, 0]
    increments = sections[1:] - sections[:-1]
    lengths = [float(rows(d, groups)[g]) for d in increments]
    return ("VANISHING" if max(lengths) < 1e-10 * float(rows(x, groups)[g]) else "CYCLIC"), 1


def moving(record, g, groups, exponent):
    """Return the class of an orbit in motion: the least lag at which all of a long record returns, or the exponent."""
    part = record[:, g] if groups > 1 else record
    part = part.flatten(1)
    size = float(part.norm(dim=1).max())
    back = (part[-1] - part[:-1]).norm(dim=1).flip(0)
    for p in (torch.nonzero(back[:LONGEST] <= RETURNED * size).flatten() + 1).tolist():
        if float((part[p:] - part[:-p]).norm(dim=1).max()) <= RETURNED * size:
            return ("AT REST", 1) if p == 1 else ("PERIODIC", p)
    if exponent > LARGE:
        return "CHAOTIC", -1
    return ("QUASIPERIODIC" if abs(exponent) < 3e-4 else "UNCLEAR"), -1


def main(shard, shards, loops):
    out = HERE if shards == 1 else HERE.with_suffix(f".{shard}.json")
    written = {}
    for i, options in enumerate(itertools.islice(blocks(), shard, None, shards)):
        name = f"{options['norm']}+{options['injection']} gain {options['gain']} seed {options['seed']}"
        written[name] = {"options": {**SIZES, **options}, **settle(options, loops)}
        out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf8")
        print(i, name, written[name]["regime"], written[name]["period"], written[name]["evidence"]["loops"], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--loops", type=int, default=100_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    main(given.shard, given.shards, given.loops)
