"""Push J·V and pull Jᵀ·W through one loop, checked against a silent zero; J is never formed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import DerivativeError, InvalidArgumentError, NotAutonomousError, NoTwinError, ShapeError
from dynloop.maps.base import Array, LoopMap

__all__ = ["check_derivative", "checked_frame", "orthonormal", "pull", "push", "random_frames"]

_SMALL = 2**20  # numbers of a frame that is drawn and orthonormalised at once


def push(m: LoopMap, states: Any, frames: Any) -> tuple[Any, Any]:
    """Push tangent vectors through one loop.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : array, (batch, *state_shape)
        Base points.
    frames : array, (batch, k, *state_shape)
        k tangent vectors at every base point.

    Returns
    -------
    new : native array, (batch, *state_shape)
        F(x).
    pushed : native array, (batch, k, *state_shape)
        DF(x)·v for every v.

    Raises
    ------
    ShapeError
        If `frames` does not fit `states`.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> from dynloop.calculus.tangent import push
    >>> push(dl.zoo.henon(), np.zeros((1, 2)), np.eye(2)[None])[1]
    array([[[0. , 0.3],
            [1. , 0. ]]])
    """
    states = m.native(states)
    return m.push(states, _frames(m, states, frames))


def pull(m: LoopMap, states: Any, frames: Any) -> tuple[Any, Any]:
    """Pull cotangent vectors back through one loop: DF(x)ᵀ·w; arguments and errors as in `push`."""
    states = m.native(states)
    return m.pull(states, _frames(m, states, frames))


def _frames(m: LoopMap, states: Any, frames: Any) -> Any:
    shape = tuple(np.shape(frames))
    if len(shape) != len(m.state_shape) + 2 or shape[0] != len(states) or shape[2:] != m.state_shape:
        raise ShapeError(
            f"frames must have shape (batch, k, *state_shape) = ({len(states)}, k, "
            f"{', '.join(map(str, m.state_shape))}); got {shape}. Add the axis k: frames[:, None]."
        )
    flat = m.in_dtype_of(states).native(_merged(frames, m), "frames")
    return flat.reshape(shape)


def _merged(frames: Any, m: LoopMap) -> Any:
    return (
        frames.reshape(-1, *m.state_shape) if hasattr(frames, "reshape") else np.reshape(frames, (-1, *m.state_shape))
    )


def random_frames(m: LoopMap, count: int, k: int, rng: np.random.Generator) -> Any:
    """Draw k random unit tangents for each of `count` states: native array ``(count, k, *state_shape)``.

    They are orthonormal up to a million numbers in all. Beyond, where independent directions are nearly so by
    themselves, they are drawn one by one, so that nothing but the result takes memory.
    """
    shape = (count, k, *m.state_shape)
    if count * k * m.dimension <= _SMALL:
        drawn = orthonormal(rng.standard_normal((count, k, m.dimension)))
        return m.native(drawn.reshape(count * k, *m.state_shape)).reshape(shape)
    rows = (orthonormal(rng.standard_normal((1, m.dimension))) for _ in range(count * k))
    return m.stack([m.native(row.reshape(1, *m.state_shape)) for row in rows]).reshape(shape)


def orthonormal(vectors: Array) -> Array:
    """Orthonormalise the rows of ``(…, k, n)``, k ≤ n; the first keeps its direction."""
    if vectors.shape[-2] == 1:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
    Q, R = np.linalg.qr(np.swapaxes(vectors, -1, -2))
    return np.swapaxes(Q * np.sign(np.diagonal(R, axis1=-2, axis2=-1))[..., None, :], -1, -2)


def checked_frame(m: LoopMap, frame: Any) -> Any:
    """Return a frame ``(k, *state_shape)`` that a user gave, orthonormal and native, with the batch axis in front.

    Raises
    ------
    ShapeError
        If it has another shape, or more vectors than the state has coordinates.
    InvalidArgumentError
        If it is not finite, or not of full rank: its exponents would be those of fewer directions.
    """
    shape = tuple(np.shape(frame))
    if shape[1:] != m.state_shape or len(shape) != len(m.state_shape) + 1 or not 1 <= shape[0] <= m.dimension:
        raise ShapeError(
            f"frame must have shape (k, {', '.join(map(str, m.state_shape))}) with 1 ≤ k ≤ {m.dimension}; got {shape}"
        )
    vectors = m.numpy(m.native(frame, "frame")).reshape(shape[0], -1)
    if not np.isfinite(vectors).all():
        raise InvalidArgumentError("frame holds NaN or infinity; every tangent must be finite")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    rank = int(np.linalg.matrix_rank(unit, tol=m.dimension * max(m.precision, 1e-15)))
    if rank < shape[0]:
        raise InvalidArgumentError(
            f"frame must be of full rank; its {shape[0]} tangents span {rank} directions. Leave it out."
        )
    return m.native(orthonormal(unit).reshape(shape))[None]


def check_derivative(
    m: LoopMap, states: Any, rng: np.random.Generator, *, directions: int = 3, finite: bool = True
) -> None:
    """Refuse a loop that is no map, and a derivative that is not its derivative.

    Some code cuts the derivative without a word (an inner ``no_grad``, ``.detach()``). The pushed vectors are compared
    with differences along random directions, of several lengths and on both sides, at the first of `states`; where no
    difference agrees there, which at a kink none need do, at a point beside it. In less than float64 they are compared
    in the map's float64 twin, if it has one. Where the derivative is not finite there is nothing to compare; this is an
    error if it must be `finite`.

    Raises
    ------
    DerivativeError
        If no difference agrees, or if the map cannot be differentiated at all.
    NotAutonomousError
        If the map gives two answers for one state.
    """
    m = m.in_dtype_of(states)
    x = states[:1]
    first = _checked_products(m, x, rng, directions, finite=finite)
    if first is None:
        return
    try:
        twin = m.twin()
    except NoTwinError:
        twin = m
    point = m.numpy(x)
    beside = point + 1e-2 * max(1.0, float(np.abs(point).max())) * rng.standard_normal(point.shape)
    for near in (beside,) if twin is m else (point, beside):
        if _checked_products(twin, twin.native(near), rng, directions, finite=finite) is None:
            return
    raise first


def _checked_products(
    m: LoopMap, x: Any, rng: np.random.Generator, directions: int, *, finite: bool
) -> DerivativeError | None:
    """Compare pushed vectors with differences at one state; return what is wrong."""
    frames = random_frames(m, directions, 1, rng).reshape(1, directions, *m.state_shape)
    try:
        _, pushed = m.push(x, frames)
    except (RuntimeError, NotImplementedError) as error:
        said = (str(error).splitlines() or ["no reason given"])[0]
        raise DerivativeError(
            f"{m.name} cannot be differentiated: {said} Use eager attention, or plain torch operations."
        ) from error
    root = np.sqrt(m.dimension)  # so that every coordinate moves by about h, however many there are
    point, V, J = m.numpy(x), root * m.numpy(frames)[0], root * m.numpy(pushed)[0].reshape(directions, -1)
    if not np.isfinite(J).all():
        if not finite:
            return None
        raise DerivativeError(f"the derivative of {m.name} is NaN or infinite at the state that was tried")
    size = max(1.0, float(np.abs(point).max()))
    center = m.native(np.repeat(point, directions, axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        here, again = m.numpy(m(center)), m.numpy(m(center))
        if not np.array_equal(here, again, equal_nan=True):
            raise NotAutonomousError(
                f"{m.name} gives two answers for one state: it draws random numbers or keeps a memory. "
                "Call model.eval(), and fix what it draws."
            )
        if not finite and not np.isfinite(here).all():
            return None
        allowed = 1e-3 if m.precision <= 1e-15 else min(0.5, max(1e-2, 60 * m.precision ** (2 / 3)))
        off, moves = np.full(J.shape, np.inf), False
        for h in size * np.array([m.precision ** (1 / 3), 30 * m.precision ** (1 / 2), 0.1 * m.precision ** (1 / 8)]):
            up, down = (m.numpy(m(m.native(point + s * h * V))) for s in (1, -1))
            noise = 40 * m.precision / h * (1 + np.abs(up).max())
            for a, b, length in ((up, down, 2 * h), (up, here, h), (here, down, h)):
                difference = (m.displacement(a, b) / length).reshape(directions, -1)
                off = np.fmin(off, np.abs(J - difference) / (np.abs(difference) + noise / allowed))
                moves |= bool((np.abs(difference).max(axis=1) > noise).all())
    if (off <= allowed).all(axis=1).any():
        return None
    if np.abs(J).max() == 0 and moves:
        return DerivativeError(
            f"the derivative of {m.name} is zero although the map moves: something inside cuts it "
            "(torch.no_grad, .detach(), inference_mode). Give layers without it."
        )
    return DerivativeError(
        f"the derivative of {m.name} is {off.max(axis=1).min():.1%} off finite differences at best: "
        "a part of it is cut (torch.no_grad, .detach()) or wrong. Give layers without it, or a correct Jacobian."
    )
