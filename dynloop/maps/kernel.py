"""`KernelMap`: a loop given as in-place steps in plain Python, compiled by numba; the fast road for low dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numba
import numpy as np

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, Starter, Stretch, Watch, check_power

__all__ = ["KernelMap"]

Step = Callable[[Array, Array, Array], None]


class KernelMap(LoopMap):
    """A map on vectors whose layers are in-place steps ``step(x, params, out)``, compiled by numba.

    Parameters
    ----------
    step : callable or sequence of callables
        ``step(x, params, out)`` fills `out` and returns nothing; `x` and `out` never overlap. A sequence makes one
        layer of each.
    dim : int
        Number of coordinates; states have shape ``(batch, dim)``, float64.
    params : sequence of float
        The parameters, handed to every step as a float64 array.
    jacobian : callable or sequence of callables, optional
        ``jacobian(x, params, out)`` fills ``out[i, j] = ∂F_i/∂x_j``; one a layer. Left out, derivatives come from
        complex steps where the step is analytic and compiles for complex numbers, else from central differences
        (relative error about 1e-10).
    periods : sequence of float or None, optional
        Length of each angle coordinate, None where a coordinate is no angle.
    name : str
        What messages call the map.
    start : callable, optional
        ``start(numpy_generator, n) -> (n, dim)``.
    facts : mapping, optional
        Exact facts about the map.

    Examples
    --------
    >>> import dynloop as dl
    >>> def step(x, params, out):
    ...     out[0] = params[0] * x[0] * (1 - x[0])
    >>> m = dl.KernelMap(step, 1, params=(2.5,), name="logistic")
    >>> m([[0.5]])
    array([[0.625]])
    """

    kind: ClassVar[str] = "KernelMap"

    def __init__(
        self,
        step: Step | Sequence[Step],
        dim: int,
        *,
        params: Sequence[float] = (),
        jacobian: Step | Sequence[Step] | None = None,
        periods: Sequence[float | None] | None = None,
        name: str = "",
        layer_names: Sequence[str] | None = None,
        start: Starter | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
            raise InvalidArgumentError(f"dim must be a positive int, the number of coordinates; got {dim!r}")
        steps = _as_tuple(step, "step")
        jacobians = None if jacobian is None else _as_tuple(jacobian, "jacobian")
        if jacobians is not None and len(jacobians) != len(steps):
            raise InvalidArgumentError(f"jacobian has {len(jacobians)} functions for {len(steps)} steps; give one a step")
        names = [getattr(f, "__name__", f"layer {l}") for l, f in enumerate(steps)] if layer_names is None else layer_names
        if len(steps) > 1 and len(set(names)) == 1:
            names = [f"layer {l}" for l in range(len(steps))]
        super().__init__((int(dim),), names, periods=periods, name=name, start=start, facts=facts)
        try:
            self.params = np.array(params, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise InvalidArgumentError(f"params must be a sequence of numbers; got {params!r}") from None
        self._steps = tuple(_compiled(f) for f in steps)
        self._jacobians = None if jacobians is None else tuple(_compiled(f) for f in jacobians)
        self._tangents: tuple[Any, Any] | None = None
        self._kernels: tuple[Any, ...] | None = None
        self._wrap = np.full(dim, np.nan) if self.periods is None else self.periods
        self._try_out(steps)

    # -- the map -------------------------------------------------------------------------------------------------

    def layer(self, l: int, states: Array) -> Array:
        """Apply layer `l` (counted from 0) to states ``(batch, dim)``."""
        out = np.empty_like(states)
        self._compiled_kernels()[0][l](states, self.params, out)
        return out

    def power(self, p: int) -> KernelMap:
        """Return F^p as a map of p·k layers."""
        p = check_power(p)
        if p == 1:
            return self
        names = [f"{name}@{i + 1}" for i in range(p) for name in self.layer_names]
        jacobians = None if self._jacobians is None else self._jacobians * p
        return self._with(self._steps * p, jacobians, names, f"{self.name}^{p}")

    def rotate(self, l: int) -> KernelMap:
        """Return the cyclic permutation that starts before layer `l`, counted from 0 (modulo the number of layers)."""
        l = self.check_layer(l)
        if l == 0:
            return self
        turn = lambda items: items[l:] + items[:l]  # noqa: E731 - one expression, used twice on the next lines
        jacobians = None if self._jacobians is None else turn(self._jacobians)
        rotated = self._with(
            turn(self._steps), jacobians, turn(self.layer_names), f"{self.name}, from before {self.layer_names[l]!r}"
        )
        original = self
        rotated._start = (lambda rng, n: original.sections(original.start(rng, n))[l]) if self._start else None
        return rotated

    def _with(self, steps: Any, jacobians: Any, names: Sequence[str], name: str) -> KernelMap:
        periods = None if self.periods is None else [None if np.isnan(p) else float(p) for p in self.periods]
        return KernelMap(
            steps, self.dimension, params=self.params, jacobian=jacobians, periods=periods, name=name,
            layer_names=names, start=self._start,
        )  # fmt: skip

    # -- arrays --------------------------------------------------------------------------------------------------

    def native(self, states: Any, argument: str = "states") -> Array:
        """Convert states to a C-ordered float64 array; check the shape ``(batch, dim)``."""
        if hasattr(states, "detach"):
            states = states.detach().cpu().numpy()
        try:
            array = np.ascontiguousarray(states, dtype=np.float64)
        except (TypeError, ValueError):
            raise ShapeError(
                f"{argument} must be an array of numbers of shape (batch, {self.dimension}); got {type(states).__name__}"
            ) from None
        self.check_batched(np.shape(states), argument)
        return array

    def numpy(self, states: Any) -> Array:
        """Copy an array to NumPy float64."""
        return np.array(states, dtype=np.float64)

    def stack(self, states: Sequence[Array]) -> Array:
        return np.stack(states)

    @property
    def precision(self) -> float:
        """Unit roundoff of float64."""
        return float(np.finfo(np.float64).eps)

    @property
    def dtype_name(self) -> str:
        """``"float64"``."""
        return "float64"

    def twin(self) -> KernelMap:
        """Return the map itself: it works in float64."""
        return self

    # -- hot loops -----------------------------------------------------------------------------------------------

    def watch(self, states: Array, loops: int, reference: Array) -> Watch:
        """Iterate `loops` times, measuring the step, the norm and the distance to `reference`, compiled."""
        found = np.empty((3, loops, len(states), 1))
        states = states.copy()
        self._compiled_kernels()[1](states, np.ascontiguousarray(reference), self.params, self._wrap, found)
        return Watch(states=states, steps=found[0], norms=found[1], returns=found[2])

    def push(self, states: Array, frames: Array) -> tuple[Array, Array]:
        """Return F(x) and J·V: states ``(batch, dim)``, frames ``(batch, k, dim)``."""
        new, pushed = np.empty_like(states), np.empty(frames.shape)
        self._tangent_kernels()[0](states, np.ascontiguousarray(frames, dtype=np.float64), self.params, new, pushed)
        return new, pushed

    def pull(self, states: Array, frames: Array) -> tuple[Array, Array]:
        """Return F(x) and Jᵀ·W: states ``(batch, dim)``, frames ``(batch, k, dim)``."""
        identity = np.broadcast_to(np.eye(self.dimension), (len(states), self.dimension, self.dimension))
        new, columns = self.push(states, identity)  # columns[b, j] = J e_j
        return new, np.einsum("bji,bki->bkj", columns, frames)

    def stretch(self, states: Array, frames: Array, loops: int, mask: Array | None = None) -> Stretch:
        """Iterate and orthonormalise: see `LoopMap.stretch`. A mask is applied to the frames after every loop."""
        states, frames = states.copy(), np.array(frames, dtype=np.float64)
        mask = np.ones_like(states) if mask is None else np.asarray(mask, dtype=np.float64)
        logs = np.empty((loops, *frames.shape[:2]))
        self._tangent_kernels()[1](states, frames, self.params, mask, logs)
        return Stretch(states=states, frames=frames, logs=logs)

    def _tangent_kernels(self) -> tuple[Any, Any]:
        if self._tangents is None:
            if self._jacobians is not None:
                parts = [_analytic(f, J, self.dimension) for f, J in zip(self._steps, self._jacobians, strict=True)]
            else:
                parts = self._complex_parts() or [_central(f, self.dimension) for f in self._steps]
            tangent = _composed_tangents(tuple(parts), self.dimension)
            self._tangents = (_push_kernel(tangent), _stretch_kernel(tangent, self.dimension))
        return self._tangents

    def _complex_parts(self) -> list[Any] | None:
        """Return complex-step tangents where every step allows them and they agree with differences, else None."""
        parts = [_complex_step(f, self.dimension) for f in self._steps]
        x = np.random.default_rng(0).uniform(0.05, 0.95, (3, self.dimension))
        V = np.eye(self.dimension)
        y, exact, near = np.empty(self.dimension), np.empty_like(V), np.empty_like(V)
        with np.errstate(all="ignore"):
            for step, part in zip(self._steps, parts, strict=True):
                for probe in x:
                    try:
                        part(probe, V, self.params, y, exact)
                    except (numba.core.errors.NumbaError, TypeError, ValueError):
                        return None  # the step compares, takes moduli or rounds: it has no complex form
                    _central(step, self.dimension)(probe, V, self.params, y, near)
                    if not np.allclose(exact, near, rtol=1e-6, atol=1e-7, equal_nan=True):
                        return None
        return parts

    def _compiled_kernels(self) -> tuple[Any, ...]:
        if self._kernels is None:
            self._kernels = (tuple(_batch_kernel(f) for f in self._steps), _watch_kernel(self._steps, self.dimension))
        return self._kernels

    def _try_out(self, plain: Sequence[Step]) -> None:
        """Run every step once in plain Python, so that mistakes are told in its author's words, not the compiler's."""
        x = np.full(self.dimension, 0.25)
        for name, step in zip(self.layer_names, plain, strict=True):
            out = np.full(self.dimension, np.nan)
            try:
                with np.errstate(all="ignore"):
                    returned = getattr(step, "py_func", step)(x, self.params, out)
            except Exception as error:
                raise InvalidArgumentError(
                    f"step {name!r} failed on a state of {self.dimension} coordinates with params {self.params.tolist()}: "
                    f"{type(error).__name__}: {error}. A step is step(x, params, out) and fills out in place."
                ) from error
            if returned is not None:
                raise InvalidArgumentError(
                    f"step {name!r} returned {type(returned).__name__}; a step fills `out` in place and returns nothing. "
                    "Write out[0] = … instead of return …"
                )


def _as_tuple(functions: Any, argument: str) -> tuple[Any, ...]:
    found = (functions,) if callable(functions) else tuple(functions)
    if not found or not all(callable(f) for f in found):
        raise InvalidArgumentError(f"{argument} must be a function {argument}(x, params, out) or a sequence of them")
    return found


def _compiled(function: Any) -> Any:
    if hasattr(function, "py_func") or numba.config.DISABLE_JIT:
        return function
    return numba.njit(function)


def _batch_kernel(step: Any) -> Any:
    @numba.njit
    def apply(states: Array, params: Array, out: Array) -> None:
        for i in range(states.shape[0]):
            step(states[i], params, out[i])

    return _explained(apply)


def _watch_kernel(steps: tuple[Any, ...], dim: int) -> Any:
    once = _composed(steps)

    @numba.njit
    def watch(states: Array, reference: Array, params: Array, periods: Array, found: Array) -> None:
        x = np.empty(dim)
        y = np.empty(dim)
        spare = np.empty(dim)
        for b in range(states.shape[0]):
            x[:] = states[b]
            for t in range(found.shape[1]):
                once(x, params, y, spare)
                step2 = norm2 = return2 = 0.0
                for j in range(dim):
                    d, n, r = y[j] - x[j], y[j], y[j] - reference[b, j]
                    if periods[j] == periods[j]:
                        d -= np.round(d / periods[j]) * periods[j]
                        n -= np.round(n / periods[j]) * periods[j]
                        r -= np.round(r / periods[j]) * periods[j]
                    step2 += d * d
                    norm2 += n * n
                    return2 += r * r
                found[0, t, b, 0] = np.sqrt(step2)
                found[1, t, b, 0] = np.sqrt(norm2)
                found[2, t, b, 0] = np.sqrt(return2)
                x, y = y, x
            states[b] = x

    return _explained(watch)


def _composed(steps: tuple[Any, ...]) -> Any:
    """Return ``loop(x, params, out, spare)``, the composition of the steps; `x` is left as it was."""
    if len(steps) == 1:
        only = steps[0]

        @numba.njit
        def loop(x: Array, params: Array, out: Array, spare: Array) -> None:
            only(x, params, out)

        return loop
    before, last = _composed(steps[:-1]), steps[-1]

    @numba.njit
    def loop_and_one(x: Array, params: Array, out: Array, spare: Array) -> None:
        before(x, params, spare, out)
        last(spare, params, out)

    return loop_and_one


def _analytic(step: Any, jacobian: Any, dim: int) -> Any:
    """Return ``tangent(x, V, params, y, W)``: y = step(x), rows of W = J·(rows of V), with a given Jacobian."""

    @numba.njit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        J = np.empty((dim, dim))
        jacobian(x, params, J)
        step(x, params, y)
        for a in range(V.shape[0]):
            for i in range(dim):
                total = 0.0
                for j in range(dim):
                    total += J[i, j] * V[a, j]
                W[a, i] = total

    return tangent


def _complex_step(step: Any, dim: int) -> Any:
    """Return the tangent of an analytic step: Im F(x + i h v) / h, exact to rounding (Squire & Trapp 1998)."""
    h = 1e-30

    @numba.njit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        z = np.empty(dim, dtype=np.complex128)
        out = np.empty(dim, dtype=np.complex128)
        step(x, params, y)
        for a in range(V.shape[0]):
            for j in range(dim):
                z[j] = complex(x[j], h * V[a, j])
            step(z, params, out)
            for j in range(dim):
                W[a, j] = out[j].imag / h

    return tangent


def _central(step: Any, dim: int) -> Any:
    """Return the tangent of a step that has no complex form, by central differences along v."""

    @numba.njit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        up, down, moved = np.empty(dim), np.empty(dim), np.empty(dim)
        step(x, params, y)
        size = 1.0
        for j in range(dim):
            size = max(size, abs(x[j]))
        for a in range(V.shape[0]):
            length = 0.0
            for j in range(dim):
                length = max(length, abs(V[a, j]))
            h = 6e-6 * size / length if length > 0 else 1.0
            for j in range(dim):
                moved[j] = x[j] + h * V[a, j]
            step(moved, params, up)
            for j in range(dim):
                moved[j] = x[j] - h * V[a, j]
            step(moved, params, down)
            for j in range(dim):
                W[a, j] = (up[j] - down[j]) / (2 * h)

    return tangent


def _composed_tangents(parts: tuple[Any, ...], dim: int) -> Any:
    if len(parts) == 1:
        return parts[0]
    before, last = _composed_tangents(parts[:-1], dim), parts[-1]

    @numba.njit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        middle, carried = np.empty(dim), np.empty_like(V)
        before(x, V, params, middle, carried)
        last(middle, carried, params, y, W)

    return tangent


def _push_kernel(tangent: Any) -> Any:
    @numba.njit
    def push(states: Array, frames: Array, params: Array, new: Array, pushed: Array) -> None:
        for b in range(states.shape[0]):
            tangent(states[b], frames[b], params, new[b], pushed[b])

    return _explained(push)


def _stretch_kernel(tangent: Any, dim: int) -> Any:
    @numba.njit
    def stretch(states: Array, frames: Array, params: Array, mask: Array, logs: Array) -> None:
        k = frames.shape[1]
        y, W = np.empty(dim), np.empty((k, dim))
        for b in range(states.shape[0]):
            x, V = states[b], frames[b]
            for t in range(logs.shape[0]):
                tangent(x, V, params, y, W)
                x[:] = y
                for a in range(k):  # modified Gram–Schmidt, twice for safety where directions nearly coincide
                    for j in range(dim):
                        V[a, j] = W[a, j] * mask[b, j]
                for a in range(k):
                    before = np.sqrt((V[a] * V[a]).sum())
                    for _ in range(2):
                        for c in range(a):
                            along = (V[c] * V[a]).sum()
                            for j in range(dim):
                                V[a, j] -= along * V[c, j]
                    length = np.sqrt((V[a] * V[a]).sum())
                    # below rank tolerance nothing but rounding is left of the direction
                    if length <= dim * 2.3e-16 * before or length == 0.0:
                        logs[t, b, a] = -np.inf
                        for j in range(dim):
                            V[a, j] = 0.0
                    else:
                        logs[t, b, a] = np.log(length)
                        for j in range(dim):
                            V[a, j] /= length

    return _explained(stretch)


def _explained(kernel: Any) -> Any:
    """Wrap a compiled function so that a numba traceback becomes one sentence."""

    def call(*arguments: Any) -> None:
        try:
            kernel(*arguments)
        except numba.core.errors.NumbaError as error:
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "unknown reason")
            raise InvalidArgumentError(
                f"numba cannot compile the step: {first}. Use numbers, NumPy functions and indexing only."
            ) from error

    return call
