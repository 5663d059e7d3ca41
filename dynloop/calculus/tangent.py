"""Push J·V and pull Jᵀ·W through one loop, checked against a silent zero; J is never formed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import DerivativeError, ShapeError
from dynloop.maps.base import LoopMap

__all__ = ["check_derivative", "pull", "push", "random_frames"]


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
    """Draw k random unit tangent vectors for each of `count` states: native array ``(count, k, *state_shape)``."""
    drawn = rng.standard_normal((count * k, m.dimension))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return m.native(drawn.reshape(count * k, *m.state_shape)).reshape(count, k, *m.state_shape)


def check_derivative(m: LoopMap, states: Any, rng: np.random.Generator, *, directions: int = 3) -> None:
    """Refuse a map whose derivative is silently zero.

    Some code cuts the derivative without a word (an inner ``no_grad``, ``.detach()``). This compares the pushed
    vectors with the difference F(x + h v) − F(x) along random directions, at the first of `states`.

    Raises
    ------
    DerivativeError
        If the differences move and the derivative does not, or if the map cannot be differentiated at all.
    """
    m = m.in_dtype_of(states)
    x = states[:1]
    frames = random_frames(m, 1, directions, rng)
    try:
        _, pushed = m.push(x, frames)
    except (RuntimeError, NotImplementedError) as error:
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise DerivativeError(
            f"{m.name} cannot be differentiated: {first} Use eager attention, or plain torch operations."
        ) from error
    base, J = m.numpy(m(x)), m.numpy(pushed)[0]
    h = np.sqrt(m.precision) * max(1.0, float(np.abs(m.numpy(x)).max()))
    moved = m.numpy(x) + h * m.numpy(frames)[0]
    differences = (m.numpy(m(m.native(moved))) - base) / h
    noise = 20 * np.sqrt(m.precision) * (1 + np.abs(base).max())
    if not np.isfinite(J).all():
        raise DerivativeError(f"the derivative of {m.name} is NaN or infinite at the state that was tried")
    if np.abs(J).max() == 0 and np.abs(differences).max() > noise:
        raise DerivativeError(
            f"the derivative of {m.name} is zero although the map moves: something inside cuts it "
            "(torch.no_grad, .detach(), inference_mode). Give layers without it."
        )
    off = np.abs(J - differences).reshape(len(J), -1).max(axis=1)
    size = np.abs(differences).reshape(len(J), -1).max(axis=1)
    if m.precision <= 1e-15 and np.all(off > 0.05 * size + noise):
        raise DerivativeError(
            f"the derivative of {m.name} is {np.min(off / (size + noise)):.1%} off finite differences at best: "
            "a part of it is cut (torch.no_grad, .detach()) or wrong. Give layers without it, or a correct Jacobian."
        )
