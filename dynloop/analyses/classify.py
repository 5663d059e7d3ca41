"""The analysis ``classify`` as a cell: which regime the starts of one map are in."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from dynloop.analyses.opening import Dtype, Granularity, open_map
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.regime import classify

__all__ = ["classify_cell"]


def classify_cell(
    checkpoint: str,
    prompt: Any = None,
    loops: int | None = None,
    starts: int = 1,
    granularity: Granularity | None = None,
    dtype: Dtype | None = None,
    seed: int = 0,
    polish: Literal["auto", "never", "float64", "float32"] = "auto",
    device: str | None = None,
    keep: Literal["all", "verdict"] = "all",
    **more: Any,
) -> dict[str, Any]:
    """Classify the starts of a map; settings as of ``dynloop classify``.

    Parameters
    ----------
    checkpoint : str
        An address.
    prompt : str, list or dict, optional
        What a checkpoint reads.
    loops, starts, granularity, dtype, seed, polish, device
        As of `dynloop.classify` and `dynloop.adapters.address.open_address`.
    keep : {"all", "verdict"}
        Whether the record keeps the states where the analysis ended and what is needed to go on from there: its largest
        part.
    **more
        Parameters of the map, called ``map.NAME``.

    Returns
    -------
    dict
        ``regime`` (the most frequent, with its period), ``share`` of starts or tokens in it, ``decided`` (the share
        that is not UNDECIDED), ``rate`` (the median; None where there is none), ``loops_used`` (by the start
        that took most), ``summary``, and the `Classification` as ``result``.
    """
    if keep not in ("all", "verdict"):
        raise InvalidArgumentError(f"keep must be 'all' or 'verdict'; got {keep!r}")
    m = open_map(checkpoint, prompt, granularity, dtype, device, more)
    found = classify(m, m.start(seed, starts), loops=loops, polish=polish, rng=seed)
    shares = found.shares()
    regime = next(iter(shares))
    rates = np.ravel(found.rate)[~np.isnan(np.ravel(found.rate))]
    if keep == "verdict":
        found = dataclasses.replace(found, states=found.states[:0], unfinished=None)
    return {
        "regime": regime,
        "share": shares[regime],
        "decided": 1.0 - shares.get("UNDECIDED", 0.0),
        "rate": float(np.median(rates)) if rates.size else None,
        "loops_used": int(np.max(found.evidence.loops)),
        "summary": found.summary(),
        "result": found,
    }
