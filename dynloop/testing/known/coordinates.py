"""Changes of coordinates with exact inverses, and how a core of few coordinates is hidden in a block of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap

__all__ = ["Coordinates", "Core", "affine_layer", "fixed", "hidden", "orthogonal"]

Core = Callable[[torch.Tensor], torch.Tensor]


def fixed(array: Array) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return constants that follow the dtype of a state."""
    tensor = torch.as_tensor(np.array(array, dtype=np.float64))
    return lambda x: tensor.to(x.dtype)


def affine_layer(A: Array, b: Array) -> Core:
    """Return ``x ← A x + b`` of states ``(batch, n)``; A is ``(n, n)``, b ``(n,)``."""
    transposed, shift = fixed(A.T), fixed(b)
    return lambda x: x @ transposed(x) + shift(x)


def orthogonal(rng: np.random.Generator, n: int) -> Array:
    """Draw an orthogonal matrix ``(n, n)``."""
    Q, R = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(Q * np.sign(np.diag(R)))


class Coordinates:
    """``x = h(z)``: two shears by tanh, a rotation, a shift; `back` is the exact inverse.

    Parameters
    ----------
    rng : Generator
        For the rotation and the shears.
    dim : int
        Number of coordinates.
    bend : float
        Size of the shears; 0 makes the change affine.
    """

    def __init__(self, rng: np.random.Generator, dim: int, bend: float) -> None:
        self.dim, self.half, self.bend = dim, dim // 2, bend if dim > 1 else 0.0
        self.rotation = fixed(orthogonal(rng, dim))
        self.shift = fixed(rng.standard_normal(dim))
        down = rng.standard_normal((self.half, dim - self.half)) / np.sqrt(max(1, self.half))
        up = rng.standard_normal((dim - self.half, self.half)) / np.sqrt(dim)
        self.down, self.up = fixed(down), fixed(up)

    def move(self, z: Array, x: Array) -> None:
        """Choose the shift so that h(z) = x."""
        self.shift = fixed(self.shift(torch.zeros(1).double()).numpy() + x - self.of(z))

    def of(self, z: Array) -> Array:
        """Return h of one point, in NumPy."""
        return np.asarray(self.to(torch.as_tensor(np.asarray(z, dtype=np.float64))[None])[0].numpy())

    def to(self, z: torch.Tensor) -> torch.Tensor:
        """Return x = h(z) of ``(batch, dim)``."""
        if self.bend:
            a, b = z[..., : self.half], z[..., self.half :]
            b = b + self.bend * torch.tanh(a @ self.down(z))
            a = a + self.bend * torch.tanh(b @ self.up(z))
            z = torch.cat([a, b], dim=-1)
        return z @ self.rotation(z) + self.shift(z)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """Return z with h(z) = x."""
        z = (x - self.shift(x)) @ self.rotation(x).T
        if self.bend:
            a, b = z[..., : self.half], z[..., self.half :]
            a = a - self.bend * torch.tanh(b @ self.up(z))
            b = b - self.bend * torch.tanh(a @ self.down(z))
            z = torch.cat([a, b], dim=-1)
        return z


def hidden(
    cores: Sequence[Core],
    start: Sequence[float] | Array,
    rng: np.random.Generator,
    *,
    dim: int,
    bend: float = 0.3,
    rest: float = 0.6,
    vanishing: Sequence[float] | Array | None = None,
    dtype: torch.dtype = torch.float64,
    name: str = "",
) -> tuple[TorchMap, Array, list[Coordinates]]:
    """Hide a core of few coordinates in `dim`: each layer goes from coordinates of its own to those of the next.

    Layer l is h_{l+1} ∘ (core_l ⊕ D_l) ∘ h_l⁻¹, D_l a contraction of the coordinates that are left, so that the loop is
    conjugate, by h_1, to the composed cores beside a contraction.

    Parameters
    ----------
    cores : sequence of callables
        One a layer, on the first coordinates ``(…, n)``.
    start : sequence of float, (n,)
        Where the orbit begins, in the coordinates of the core.
    rng : Generator
        For coordinates, contraction and the rest of the start.
    dim : int
        Number of coordinates, at least n.
    bend : float
        How nonlinear the coordinates are.
    rest : float
        Spectral radius of the contraction of a loop.
    vanishing : sequence of float, (n,), optional
        A point that every core fixes and that is to be the same point in the coordinates of every layer.
    dtype : torch.dtype
        Working dtype.
    name : str
        What messages call the map.

    Returns
    -------
    m : TorchMap
        The block.
    start : ndarray, (dim,)
        Where the orbit begins.
    coordinates : list of Coordinates
        One a layer.
    """
    n, k = len(start), len(cores)
    changes = [Coordinates(rng, dim, bend) for _ in range(k)]
    if vanishing is not None:
        point = np.concatenate([np.asarray(vanishing, dtype=np.float64), np.zeros(dim - n)])
        for h in changes[1:]:
            h.move(point, changes[0].of(point))
    pull = orthogonal(rng, dim - n) * rest ** (1 / k) if dim > n else np.zeros((0, 0))
    contraction = fixed(pull)

    def layer(l: int) -> Core:
        before, after, core = changes[l], changes[(l + 1) % k], cores[l]

        def step(x: torch.Tensor) -> torch.Tensor:
            z = before.back(x)
            return after.to(torch.cat([core(z[..., :n]), z[..., n:] @ contraction(x)], dim=-1))

        return step

    first = np.concatenate([np.asarray(start, dtype=np.float64), 0.3 * rng.standard_normal(dim - n)])
    m = TorchMap([layer(l) for l in range(k)], (dim,), dtype=dtype, name=name)
    return m, changes[0].of(first), changes
