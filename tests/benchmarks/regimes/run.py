"""Classify orbits of known class and count what is right, wrong and undecided: `make regimes`.

`python -m tests.benchmarks.regimes.run --seeds 0 1 --dtypes float64 bfloat16` prints, for every dtype, the confusion
matrix (rows: what is true; columns: the verdict), every wrong certain verdict with its reason, the kinds of UNDECIDED,
and where the time goes. It ends with status 1 if a certain verdict was wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch

import dynloop as dl
from tests.benchmarks.regimes.items import every_item

DTYPES = ("float64", "float32", "bfloat16")


def weigh(key, seed, dtype, polish="auto"):
    """Classify one row by seed in a dtype; return what came of it as plain data."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    row = _rows()[key](seed, getattr(torch, dtype))
    began = time.perf_counter()
    record = {"key": key, "family": _rows()[key].family, "seed": seed, "dtype": dtype, "name": row.name}
    try:
        found = dl.classify(row.map, row.start, polish=polish)
    except dl.errors.DynloopError as error:
        return record | {"verdicts": [], "raised": f"{type(error).__name__}: {error}", "seconds": 0.0, "wrong": []}
    verdicts = [
        {"truth": "/".join(sorted(t)) or "none fits", "regime": r.name, "period": int(p), "reason": str(w),
         "loops": int(n)}
        for t, r, p, w, n in zip(row.truth, np.ravel(found.regime), np.ravel(found.period), np.ravel(found.reason),
                                 np.ravel(found.evidence.loops), strict=True)
    ]  # fmt: skip
    seconds = time.perf_counter() - began
    return record | {"verdicts": verdicts, "wrong": row.wrong(found), "seconds": seconds}


_KEPT = {}


def _rows():
    if not _KEPT:
        _KEPT.update({row.key: row for row in every_item()})
    return _KEPT


def report(records, out=sys.stdout):
    """Print the matrix and the lists of one dtype after the other; return how many certain verdicts were wrong."""

    def say(*words):
        print(*words, file=out)

    wrong = 0
    for dtype in DTYPES:
        own = [r for r in records if r["dtype"] == dtype]
        if not own:
            continue
        verdicts = [v for r in own for v in r["verdicts"]]
        open_ = [v for v in verdicts if v["regime"] == "UNDECIDED" and v["truth"] != "none fits"]
        faulty = [r for r in own if r["wrong"]]
        wrong += len(faulty)
        say(f"\n== {dtype}: {len(own)} orbits, {len(verdicts)} verdicts, {len(faulty)} orbits with a wrong one, "
            f"{len(open_)} UNDECIDED where a regime fits ({100 * len(open_) / max(1, len(verdicts)):.1f} %), "
            f"{sum(r['seconds'] for r in own):.0f} s")  # fmt: skip
        _matrix(verdicts, say)
        for r in faulty:
            say(f"WRONG  {r['key']} | seed {r['seed']}")
            for fault in r["wrong"]:
                say(f"       {fault[:400]}")
        for r in own:
            if r.get("raised"):
                say(f"RAISED {r['key']} | seed {r['seed']} | {r['raised'][:200]}")
        _undecided(own, say)
        slowest = sorted(own, key=lambda r: -r["seconds"])[:8]
        say("slowest: " + "; ".join(f"{r['key']} {r['seconds']:.1f} s" for r in slowest))
    return wrong


def _matrix(verdicts, say):
    count = Counter((v["truth"], v["regime"]) for v in verdicts)
    columns = [r.name for r in dl.Regime if any(v["regime"] == r.name for v in verdicts)]
    say(f"{'truth':24}" + "".join(f"{c[:10]:>12}" for c in columns))
    for truth in sorted({v["truth"] for v in verdicts}):
        say(f"{truth:24}" + "".join(f"{count[truth, c] or '·':>12}" for c in columns))


def _undecided(records, say):
    """Group what is undecided by family and by the words of its reason, numbers left out."""
    kinds, where = Counter(), defaultdict(set)
    for r in records:
        for v in r["verdicts"]:
            if v["regime"] == "UNDECIDED" and v["truth"] != "none fits":
                kind = re.sub(r"[-+]?\d[\d.e+-]*", "#", v["reason"])[:150]
                kinds[v["truth"], kind] += 1
                where[v["truth"], kind].add(r["family"])
    for (truth, kind), n in kinds.most_common():
        say(f"UNDECIDED {n:4d} {truth}: {kind} [{', '.join(sorted(where[truth, kind]))}]")


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--polish", default="auto", choices=("auto", "never"))
    parser.add_argument("--only", default="", help="a part of the keys to run")
    parser.add_argument("--families", nargs="+", default=[], help="families to run; all if left out")
    parser.add_argument("--skip", nargs="+", default=[], help="families to leave out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save", type=Path, help="write every record to this file, one line each")
    given = parser.parse_args()
    work = [
        (row.key, seed, dtype, given.polish)
        for dtype in given.dtypes for seed in given.seeds for row in _rows().values()
        if given.only in row.key and (row.low or dtype == "float64")
        and (not given.families or row.family in given.families) and row.family not in given.skip
    ]  # fmt: skip
    records = []
    with ProcessPoolExecutor(given.workers) as pool:
        for one in as_completed([pool.submit(weigh, *arguments) for arguments in work]):
            records.append(record := one.result())
            if given.save:
                with given.save.open("a", encoding="utf8") as file:
                    file.write(json.dumps(record) + "\n")
    sys.exit(1 if report(sorted(records, key=lambda r: (r["family"], r["key"], r["seed"]))) else 0)


if __name__ == "__main__":
    main()
