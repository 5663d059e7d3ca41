"""States near another one: moved by its own size, far enough to switch branches."""

from __future__ import annotations

import torch

__all__ = ["displacement", "nearby"]


def displacement(x: torch.Tensor, seed: int, rows: int | None = None) -> torch.Tensor:
    """Return normal noise of the size of a state, of size 1 at a state of zeros.

    Parameters
    ----------
    x : tensor
        A state.
    seed : int
        Of a generator of its own.
    rows : int, optional
        The length of the first axis, if not that of `x`.
    """
    size = float(x.double().square().mean().sqrt()) or 1.0
    shape = x.shape if rows is None else (rows, *x.shape[1:])
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(x)


def nearby(x: torch.Tensor, seed: int, rows: int | None = None) -> torch.Tensor:
    """Return `x` moved by `displacement`: one state, or `rows` of them for a state ``(1, *state_shape)``."""
    return x + displacement(x, seed, rows)
