"""Steps of a compiled map and the derivatives given with them, tried in plain Python before anything is compiled.

Mistakes are so told in the words of their author, not in those of the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["as_steps", "compare_derivatives", "try_out"]

_COMPARED: set[tuple[Any, Any]] = set()  # steps and their derivatives that were compared


def as_steps(functions: Any, argument: str, count: int | None = None) -> tuple[Any, ...]:
    """Return a function, or a sequence of `count` of them, as a tuple; `argument` is what messages call it."""
    found = (functions,) if callable(functions) else tuple(functions) if isinstance(functions, Sequence) else ()
    if not found or not all(callable(f) for f in found):
        form = "(x, V, params, out, W)" if argument == "tangent" else "(x, params, out)"
        raise InvalidArgumentError(
            f"{argument} must be a function {argument}{form} or a sequence of them; got "
            f"{type(functions).__name__}. Write it with def"
        )
    if count is not None and len(found) != count:
        raise InvalidArgumentError(f"{argument} has {len(found)} functions for {count} steps; give one a step")
    return found


def try_out(steps: Sequence[Callable[..., Any]], names: Sequence[str], dim: int, params: Array) -> None:
    """Run every step ``step(x, params, out)`` twice; refuse one that fails, returns, or leaves an entry unset."""
    x = np.full(dim, 0.25)
    for name, step in zip(names, steps, strict=False):
        out, again = np.full(dim, np.nan), np.full(dim, 7.0)
        try:
            with np.errstate(all="ignore"):
                returned = getattr(step, "py_func", step)(x, params, out)
                getattr(step, "py_func", step)(x, params, again)
        except Exception as error:
            raise InvalidArgumentError(
                f"step {name!r} failed on a state of {dim} coordinates with {params.size} params: "
                f"{type(error).__name__}: {error}. A step is step(x, params, out) and fills out in place."
            ) from error
        if returned is not None:
            raise InvalidArgumentError(
                f"step {name!r} returned {type(returned).__name__}; a step fills `out` in place and returns "
                "nothing. Write out[0] = … instead of return …"
            )
        left = np.flatnonzero(np.isnan(out) & (again == 7.0))
        if left.size:
            raise InvalidArgumentError(
                f"step {name!r} leaves out[{left[0]}] unset; a step fills all {dim} entries of `out`"
            )
        if not np.all(x == 0.25):
            raise InvalidArgumentError(f"step {name!r} changes its input x; a step writes to `out` alone")


def compare_derivatives(m: LoopMap, steps: Sequence[Any], given: Sequence[Any], kind: str, params: Array) -> None:
    """Compare given derivatives with differences of their steps, each pair once.

    Refused is one that agrees nowhere: at a kink, or where the step is not finite, nothing is compared. `kind` is
    "jacobian" or "tangent".
    """
    for name, step, derivative in zip(m.layer_names, steps, given, strict=False):
        if (step, derivative) in _COMPARED:
            continue
        _COMPARED.add((step, derivative))
        rng, off = np.random.default_rng(0), []
        for x in rng.uniform(0.05, 0.95, (4, m.dimension)):
            v = rng.standard_normal(m.dimension)
            v /= np.linalg.norm(v)
            gap = _off(m, step, _product(derivative, kind, x, v, params), x, v, params)
            if np.isfinite(gap):
                off.append(gap)
        if off and min(off) > 1e-4:
            raise InvalidArgumentError(
                f"the {kind} of step {name!r} of {m.name} is {min(off):.1%} off differences of "
                f"the step at best; check its signs and indices: {kind} entry [i, j] belongs to ∂F_i/∂x_j."
            )


def _product(derivative: Any, kind: str, x: Array, v: Array, params: Array) -> Array:
    """Return what a given derivative makes of a vector."""
    D, n = getattr(derivative, "py_func", derivative), len(x)
    with np.errstate(all="ignore"):
        if kind == "jacobian":
            J = np.empty((n, n))
            D(x, params, J)
            return np.asarray(J @ v)
        pushed = np.empty((1, n))
        D(x, v[None], params, np.empty(n), pushed)
        return np.asarray(pushed[0])


def _off(m: LoopMap, step: Any, product: Array, x: Array, v: Array, params: Array) -> float:
    """Return how far a product with v is off differences of a step at x, relative to their size."""
    F, best, ends = getattr(step, "py_func", step), np.inf, np.empty((3, len(x)))
    with np.errstate(all="ignore"):
        for h in (1e-5, 1e-7, 1e-3):
            for i, point in enumerate((x - h * v, x, x + h * v)):
                F(point, params, ends[i])
            for a, b, length in ((2, 0, 2 * h), (2, 1, h), (1, 0, h)):
                difference = m.displacement(ends[a], ends[b]) / length
                size = np.abs(difference).max() + 1e-14 / h * (1 + np.abs(ends).max())
                best = np.fmin(best, np.abs(product - difference).max() / size)
    return float(best)
