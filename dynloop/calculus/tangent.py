"""Push J·V and pull Jᵀ·W through one loop, checked against a silent zero; J is never formed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import DerivativeError, InvalidArgumentError, ShapeError
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


def check_derivative(m: LoopMap, states: Any, rng: np.random.Generator, *, directions: int = 3) -> None:
    """Refuse a map whose derivative is silently zero.

    Some code cuts the derivative without a word (an inner ``no_grad``, ``.detach()``). This compares the pushed
    vectors with central differences along random directions, at the first of `states`.

    Raises
    ------
    DerivativeError
        If no direction agrees, or if the map cannot be differentiated at all.
    """
    m = m.in_dtype_of(states)
    x = states[:1]
    frames = random_frames(m, directions, 1, rng).reshape(1, directions, *m.state_shape)
    try:
        _, pushed = m.push(x, frames)
    except (RuntimeError, NotImplementedError) as error:
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise DerivativeError(
            f"{m.name} cannot be differentiated: {first} Use eager attention, or plain torch operations."
        ) from error
    point, V, J = m.numpy(x), m.numpy(frames)[0], m.numpy(pushed)[0]
    if not np.isfinite(J).all():
        raise DerivativeError(f"the derivative of {m.name} is NaN or infinite at the state that was tried")
    fine = m.precision <= 1e-15  # central differences of a dtype with fewer digits show gross errors only
    h = m.precision ** (1 / 3 if fine else 1 / 2) * max(1.0, float(np.abs(point).max()))
    here, up, down = (m.numpy(m(m.native(point + s * h * V))) for s in (0, 1, -1))
    differences = np.stack([  # the last two for a point at an edge, where the map jumps on one side
        m.displacement(up, down) / (2 * h), m.displacement(up, here) / h, m.displacement(here, down) / h,
    ])  # fmt: skip
    noise = 40 * m.precision / h * (1 + np.abs(up).max())
    size = np.abs(differences).reshape(3, len(J), -1).max(axis=2)
    if np.abs(J).max() == 0 and size.min(axis=0).max() > noise:
        raise DerivativeError(
            f"the derivative of {m.name} is zero although the map moves: something inside cuts it "
            "(torch.no_grad, .detach(), inference_mode). Give layers without it."
        )
    off = np.abs(J - differences).reshape(3, len(J), -1).max(axis=2) / (size + noise / (1e-3 if fine else 0.5))
    if np.all(off > (1e-3 if fine else 0.5)):
        raise DerivativeError(
            f"the derivative of {m.name} is {off.min():.1%} off finite differences at best: "
            "a part of it is cut (torch.no_grad, .detach()) or wrong. Give layers without it, or a correct Jacobian."
        )
