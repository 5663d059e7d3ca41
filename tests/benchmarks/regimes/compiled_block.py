"""The looped transformer written anew and compiled, so that 1e5 loops take seconds: nothing of dynloop but weights."""

from __future__ import annotations

import math

import numba
import numpy as np

EPS = 1e-6
_PLACES = {
    "pre": (1, 0, 0, 0),
    "post": (0, 0, 1, 0),
    "huginn": (1, 0, 1, 0),
    "ouro": (1, 1, 0, 1),
    "none": (0, 0, 0, 0),
}


def weights(m, options):
    """Return what `orbit` needs of a block, its matrices turned so that rows are inputs."""
    found = {k: v.detach().double().numpy() for f in m.layers for k, v in f.named_parameters()}
    assert all(np.all(v == 1) for v in found.values() if v.ndim == 1), "the norms are taken to have weight 1"
    parts = [p for f in m.layers if hasattr(f, "__getitem__") for p in f]

    def stack(name):
        every = [getattr(p.f, name).weight.detach().double().numpy().T for p in parts if hasattr(p.f, name)]
        return np.ascontiguousarray(np.stack(every))

    width, tokens = options["width"], options["tokens"]
    e, adapter = np.zeros((tokens, width)), np.zeros((0, width))
    if options["injection"] != "none":
        e = m.layers[0].e.double().numpy()
    if options["injection"] == "concat":
        adapter = np.ascontiguousarray(m.layers[0].module.adapter.weight.detach().double().numpy().T)
    half = options["width"] // options["heads"] // 2
    angles = np.outer(np.arange(tokens), 10000.0 ** (-np.arange(half) / half))
    return (
        np.stack([stack(name) for name in "qkvo"], axis=1), stack("up"), stack("down"), e, adapter,
        np.stack([np.cos(angles), np.sin(angles)]), np.array(_PLACES[options["norm"]], dtype=bool),
        options["heads"], options["causal"], float(options["gain"]),
    )  # fmt: skip


@numba.njit
def _times(x, W, out):
    """Write x W into `out`, row by row."""
    out[:] = 0.0
    for i in range(len(x)):
        for j in range(W.shape[0]):
            a = x[i, j]
            for k in range(W.shape[1]):
                out[i, k] += a * W[j, k]


@numba.njit
def _norm(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j] * x[i, j]
        factor = 1 / math.sqrt(total / x.shape[1] + EPS)
        for j in range(x.shape[1]):
            out[i, j] = factor * x[i, j]
    return out


@numba.njit
def _attend(x, qkvo, turns, heads, causal):
    """Return multi-head attention with rotary positions of ``(tokens, width)``."""
    tokens, width = x.shape
    q, k, v, mixed = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.zeros_like(x)
    _times(x, qkvo[0], q)
    _times(x, qkvo[1], k)
    _times(x, qkvo[2], v)
    size = width // heads
    half = size // 2
    for part in (q, k):
        for i in range(tokens):
            for h in range(heads):
                for j in range(half):
                    c, s = turns[0, i, j], turns[1, i, j]
                    a, b = part[i, h * size + j], part[i, h * size + half + j]
                    part[i, h * size + j], part[i, h * size + half + j] = a * c - b * s, b * c + a * s
    score = np.empty(tokens)
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        for i in range(tokens):
            seen = i + 1 if causal else tokens
            top = -np.inf
            for j in range(seen):
                score[j] = np.sum(q[i, own] * k[j, own]) / math.sqrt(size)
                top = max(top, score[j])
            total = 0.0
            for j in range(seen):
                score[j] = math.exp(score[j] - top)
                total += score[j]
            for j in range(seen):
                for c in range(h * size, (h + 1) * size):
                    mixed[i, c] += score[j] / total * v[j, c]
    _times(mixed, qkvo[3], q)
    return q


@numba.njit
def _mlp(x, up, down):
    inner, out = np.empty((len(x), up.shape[1])), np.empty_like(x)
    _times(x, up, inner)
    for i in range(len(x)):
        for j in range(up.shape[1]):
            a = inner[i, j]
            inner[i, j] = 0.5 * a * (1 + math.erf(a / math.sqrt(2.0)))
    _times(inner, down, out)
    return out


@numba.njit
def loop(x, block):
    """Return one loop from x ``(tokens, width)``; of a causal block, x may be its first tokens alone."""
    qkvo, up, down, e, adapter, turns, places, heads, causal, gain = block
    before, inside, after, closing = places
    n = len(x)
    if len(adapter):
        joined, mapped = np.concatenate((x, e[:n]), axis=1), np.empty_like(x)
        _times(joined, adapter, mapped)
        x = mapped
    else:
        x = x + e[:n]
    for layer in range(len(qkvo)):
        for kind in range(2):
            y = _norm(x) if before else x
            y = _attend(y, qkvo[layer], turns, heads, causal) if kind == 0 else _mlp(y, up[layer], down[layer])
            if inside:
                y = _norm(y)
            x = x + gain * y
            if after:
                x = _norm(x)
    return _norm(x) if closing else x


@numba.njit
def orbit(x, apart, loops, block, groups, length):
    """Return `loops` states after x ``(loops, tokens, width)`` and the log growth of companions ``(loops, groups)``.

    Companion g of a causal block (`groups` > 1) differs from the orbit in token g alone, by `apart[g]`, and is put back
    to that form after every loop, at distance `length`; the one of another block differs in all tokens. `apart`
    ``(groups, tokens, width)`` is changed in place.
    """
    states, logs = np.empty((loops, *x.shape)), np.empty((loops, groups))
    for t in range(loops):
        new = loop(x, block)
        for g in range(groups):
            n = g + 1 if groups > 1 else len(x)
            first = g if groups > 1 else 0
            gap = (loop(x[:n] + apart[g, :n], block) - new[:n])[first:]
            grown = math.sqrt(np.sum(gap * gap))
            logs[t, g] = math.log(grown / length + 1e-300)
            apart[g, first:n] = gap * (length / max(grown, 1e-300))
        states[t] = new
        x = new
        if not np.isfinite(np.sum(x)):
            return states[: t + 1], logs[: t + 1]
    return states, logs
