"""Orbits that converge by construction: affine and conjugated normal forms, vanishing or cyclic by their layers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import affine_layer, fixed, hidden, orthogonal
from dynloop.testing.known.record import KnownMap, known

__all__ = ["Kind", "affine", "conjugated", "jordan", "nilpotent", "projection"]

Kind = Literal["vanishing", "cyclic"]


def affine(
    rng: np.random.Generator,
    *,
    dim: int,
    layers: int,
    kind: Kind,
    rate: float = 0.8,
    shear: float = 0.0,
    size: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:
    """Make affine layers ``x ← S_{l+1} G_l S_l⁻¹ (x − p_l) + p_{l+1}`` with a contracting product.

    Parameters
    ----------
    rng : Generator
        For every matrix and point.
    dim, layers : int
        Sizes; a cyclic block has at least two layers.
    kind : {"vanishing", "cyclic"}
        Whether the section points p_l are one point.
    rate : float
        Exact spectral radius of the loop.
    shear : float
        Size of the upper triangle in S_l: departure from normality.
    size : float
        Length of the increments of a cyclic block beside a state of norm about √dim.
    dtype : torch.dtype
        Working dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.testing.known import affine
    >>> row = affine(np.random.default_rng(0), dim=3, layers=2, kind="cyclic", rate=0.5)
    >>> np.abs(row.map.numpy(row.map(row.limit[None])) - row.limit).max() < 1e-14
    np.True_
    """
    upper = np.triu(rng.standard_normal((layers, dim, dim)), 1) * shear / np.sqrt(dim)
    S = [orthogonal(rng, dim) @ (np.eye(dim) + u) for u in upper]
    radii = np.concatenate([[rate], rate * rng.uniform(0.2, 1.0, dim // 2)])
    angles = np.concatenate([[rng.uniform(0, np.pi)], rng.uniform(0, np.pi, dim // 2)])
    G = np.zeros((dim, dim))
    for j in range(dim // 2):
        r, a = radii[j] ** (1 / layers), angles[j] / layers
        G[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] = r * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    if dim % 2:
        G[-1, -1] = radii[-1 if dim > 1 else 0] ** (1 / layers)
    common = rng.standard_normal(dim)
    points = np.stack([common] * layers)
    if kind == "cyclic":
        points[1:] += size * rng.standard_normal((layers - 1, dim)) / np.sqrt(dim)
        if layers > 3:
            points[2] = points[1]  # an idle layer
    built = []
    for l in range(layers):
        after = (l + 1) % layers
        A = S[after] @ G @ np.linalg.inv(S[l])
        built.append(affine_layer(A, points[after] - A @ points[l]))
    name = f"affine {kind} dim {dim} layers {layers} rate {rate:.4g}"
    m = TorchMap(built, (dim,), dtype=dtype, name=name)
    start = common + rng.standard_normal(dim)
    return known(name, m, start, kind.upper(), limit=common, rate=rate)


def conjugated(
    rng: np.random.Generator,
    *,
    dim: int,
    layers: int,
    kind: Kind,
    rate: float = 0.8,
    bend: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:
    """Make a spiral ``z ← rate·R z + cubic terms`` beside a contraction, each layer in coordinates of its own.

    Parameters are those of `affine`; `bend` is the size of the nonlinear part of the coordinates. `dim` is at least 2.
    """
    angle, r = rng.uniform(0.1, 3.0) / layers, rate ** (1 / layers)
    turn = fixed(r * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))

    def core(z: torch.Tensor) -> torch.Tensor:
        return (z @ turn(z)) / torch.sqrt(1 + 0.5 * (z * z).sum(dim=-1, keepdim=True))

    name = f"conjugated {kind} dim {dim} layers {layers} rate {rate:.4g}"
    at = np.zeros(2) if kind == "vanishing" else None
    m, start, changes = hidden(
        [core] * layers, rng.uniform(-1, 1, 2), rng, dim=dim, bend=bend, rest=0.7 * rate, vanishing=at, dtype=dtype,
        name=name,
    )  # fmt: skip
    return known(name, m, start, kind.upper(), limit=changes[0].of(np.zeros(dim)), rate=rate)


def jordan(
    rng: np.random.Generator, *, dim: int, rate: float, above: float, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make one Jordan block ``rate·I + above·N``: norms grow for a long while before they fall."""
    A = rate * np.eye(dim) + above * np.eye(dim, k=1)
    name = f"Jordan block dim {dim} rate {rate:.4g} above {above:.4g}"
    m = TorchMap([affine_layer(A, np.zeros(dim))], (dim,), dtype=dtype, name=name)
    return known(name, m, rng.standard_normal(dim), "VANISHING", limit=np.zeros(dim))


def nilpotent(
    rng: np.random.Generator, *, dim: int, layers: int, kind: Kind, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make layers whose product is a nilpotent shift about a point: arrives after `dim` loops, rate 0."""
    Q = orthogonal(rng, dim)
    p = rng.standard_normal((layers, dim))
    if kind == "vanishing":
        p[:] = p[0]
    matrices = [Q @ np.eye(dim, k=1) @ Q.T, *[np.eye(dim)] * (layers - 1)]
    built = [
        affine_layer(A, p[(l + 1) % layers] - A @ p[l]) for l, A in enumerate(matrices)
    ]  # fmt: skip
    name = f"nilpotent {kind} dim {dim} layers {layers}"
    m = TorchMap(built, (dim,), dtype=dtype, name=name)
    return known(name, m, rng.standard_normal(dim), kind.upper(), limit=p[0])


def projection(
    rng: np.random.Generator,
    *,
    dim: int,
    layers: int,
    kind: Kind,
    rate: float = 0.7,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:
    """Make a contraction onto a plane of fixed points of half the dimension: a continuum of limits."""
    Q = orthogonal(rng, dim)
    values = np.concatenate([np.ones(dim - dim // 2), np.full(dim // 2, rate ** (1 / layers))])
    A = (Q * values) @ Q.T
    p = rng.standard_normal((layers, dim))
    if kind == "vanishing":
        p[:] = p[0]
    built = [affine_layer(A, p[(l + 1) % layers] - A @ p[l]) for l in range(layers)]
    name = f"continuum {kind} dim {dim} layers {layers}"
    start = rng.standard_normal(dim)
    keep = (Q * (values == 1)) @ Q.T
    m = TorchMap(built, (dim,), dtype=dtype, name=name)
    return known(name, m, start, kind.upper(), limit=p[0] + keep @ (start - p[0]))
