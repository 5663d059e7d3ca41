"""Linear maps for the tests of linear algebra: a matrix, as one or more layers of a loop."""

import numpy as np
import torch

import dynloop as dl


def linear(*matrices, dtype=torch.float64):
    """The loop whose layers multiply by the given matrices, first to last."""
    tensors = [torch.tensor(np.asarray(A), dtype=dtype) for A in matrices]
    layers = [lambda x, A=A: x @ A.T for A in tensors]
    return dl.TorchMap(layers, (len(matrices[0]),), dtype=dtype)


def orthogonal(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def spirals(*pairs):
    """Block-diagonal matrix of scaled rotations: multipliers r·exp(±iφ) for each (r, φ)."""
    A = np.zeros((2 * len(pairs), 2 * len(pairs)))
    for i, (r, angle) in enumerate(pairs):
        c, s = r * np.cos(angle), r * np.sin(angle)
        A[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return A


def block(**kwargs):
    """A small looped transformer; it settles on a fixed point."""
    small = {"norm": "huginn", "injection": "add", "layers": 2, "width": 16, "heads": 2, "tokens": 4}
    return dl.synthetic.looped_transformer(**(small | kwargs))


def settled(m, loops=400):
    start = m.start(0)
    return m.numpy(m.watch(start, loops, start).states)[0]
