"""Records made by iterating maps in NumPy, every state rounded to a dtype, as a model that works in it would."""

import numpy as np
import torch

LONG = 64
DTYPES = ("float64", "float32", "float16", "bfloat16")


def rounded(states, dtype):
    """States in float64 that hold only numbers of a dtype."""
    states = np.ascontiguousarray(states, dtype=np.float64)
    if dtype == "bfloat16":
        return torch.from_numpy(states).to(torch.bfloat16).double().numpy()
    return states.astype(dtype).astype(np.float64)


def record(step, start, loops=LONG, dtype="float64"):
    """Return the states of an orbit, ``(loops, n)``, rounded after every loop."""
    states = [rounded(np.atleast_1d(start), dtype)]
    for _ in range(loops - 1):
        with np.errstate(all="ignore"):
            states.append(rounded(step(states[-1]), dtype))
    return np.array([x for x in states if np.isfinite(x).all()])


def noisy(step, start, size, loops=LONG, seed=1, dtype="float64"):
    """Return an orbit with Gaussian noise of a relative size added in every loop, as rounding in a block adds it."""
    rng = np.random.default_rng(seed)

    def shaken(x):
        y = step(x)
        return y + size * np.linalg.norm(y) / np.sqrt(y.size) * rng.standard_normal(y.shape)

    return record(shaken, start, loops, dtype)


def contraction(n=64, rate=0.85, seed=0):
    """An affine map whose matrix is `rate` times an orthogonal one, and a start."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((n, n)))[0]
    b = rng.standard_normal(n)
    return lambda x: rate * turn @ x + (b - rate * turn @ b), 3 * rng.standard_normal(n)


def embedded(step, start, n=64, seed=0, size=3.0):
    """A low-dimensional map on an orthogonal plane of n dimensions; the other coordinates contract by 0.6."""
    rng = np.random.default_rng(seed)
    turn, centre, d = np.linalg.qr(rng.standard_normal((n, n)))[0], rng.standard_normal(n), len(start)

    def lifted(x):
        y = turn.T @ (x - centre)
        return centre + turn @ np.concatenate([size * step(y[:d] / size), 0.6 * y[d:]])

    return lifted, centre + turn @ np.concatenate([size * np.asarray(start), 2 * rng.standard_normal(n - d)])


def logistic(r):
    return lambda x: r * np.clip(x, 0, 1) * (1 - np.clip(x, 0, 1))


def henon(x):
    return np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]])


def turning(angle):
    """A rotation with the unit circle attracting."""
    c, s = np.cos(angle), np.sin(angle)
    return lambda x: np.array([[c, -s], [s, c]]) @ x * (1.5 - 0.5 * np.linalg.norm(x))


def c3(x):
    """Theory note C3: r = 1 − u, u ← u − u², θ ← θ + u."""
    u, angle = 1 - np.hypot(*x), np.arctan2(x[1], x[0])
    r, angle = 1 - (u - u * u), angle + u
    return np.array([r * np.cos(angle), r * np.sin(angle)])
