"""`KernelMap`: a loop given as in-place steps in plain Python, compiled by numba; the fast road for low dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, Starter, check_power
from dynloop.maps.compiled import jit
from dynloop.maps.compiled.captures import capture_loop, recurrence_loop
from dynloop.maps.compiled.loops import apply_loop, push_loop, stretch_loop, watch_loop
from dynloop.maps.compiled.memory import memory
from dynloop.maps.compiled.reading import NUMBERS
from dynloop.maps.compiled.surveys import survey_loop
from dynloop.maps.compiled.sweeps import period_loop, record_loop
from dynloop.maps.compiled.tangents import Tangent
from dynloop.maps.compiled.ways import tangents_of
from dynloop.maps.measured import Stretch, Survey, Watch
from dynloop.maps.trial import as_steps, compare_derivatives, try_out

__all__ = ["KernelMap"]

Step = Callable[[Array, Array, Array], None]
Push = Callable[[Array, Array, Array, Array, Array], None]


_WORTH_COMPILING = 2000  # numbers pushed, from which a map compiles its push


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
        ``jacobian(x, params, out)`` fills ``out[i, j] = ∂F_i/∂x_j``; one a layer. It is compared with the step once,
        and refused if it agrees with it nowhere. Left out, derivatives come from complex steps where the step is
        analytic, and from dual numbers where it compares, takes moduli or rounds: exact to rounding. Where it calls
        what neither can do, and without the compiler, they are central differences (relative error about 1e-10).
    tangent : callable or sequence of callables, optional
        In place of `jacobian`, where products with it cost less than its entries: ``tangent(x, V, params, out, W)``
        fills `out` with F(x) and the rows of `W` with DF(x) times the rows of `V` ``(k, dim)``.
    periods : sequence of float or None, optional
        Length of each angle coordinate, None where a coordinate is no angle.
    name : str
        What messages call the map.
    start : callable, optional
        ``start(numpy_generator, n) -> (n, dim)``.
    facts : mapping, optional
        Exact facts about the map.
    layer_names : sequence of str, optional
        One name a layer; those of the steps if left out.

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
        params: Sequence[float] | Array = (),
        jacobian: Step | Sequence[Step] | None = None,
        tangent: Push | Sequence[Push] | None = None,
        periods: Sequence[float | None] | None = None,
        name: str = "",
        layer_names: Sequence[str] | None = None,
        start: Starter | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        dim = checked_int(dim, "dim", 1, meaning="the number of coordinates", remedy="Pass dim=1 for a scalar map")
        steps = as_steps(step, "step")
        if jacobian is not None and tangent is not None:
            raise InvalidArgumentError("jacobian and tangent are two forms of one thing; leave out one of them")
        jacobians = None if jacobian is None else as_steps(jacobian, "jacobian", len(steps))
        pushes = None if tangent is None else as_steps(tangent, "tangent", len(steps))
        names = (
            [getattr(f, "__name__", f"layer {l}") for l, f in enumerate(steps)] if layer_names is None else layer_names
        )
        if len(steps) > 1 and len(set(names)) == 1:
            names = [f"layer {l}" for l in range(len(steps))]
        super().__init__((int(dim),), names, periods=periods, name=name, start=start, facts=facts)
        try:
            self.params = np.array(params, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise InvalidArgumentError(f"params must be a sequence of numbers; got {params!r}") from None
        self._hold(steps, jacobians, pushes, self.params[None])
        try_out(steps[: self._cycle], self.layer_names, self.dimension, self.params)
        if derivatives := self._jacobians or self._pushes:
            kind = "jacobian" if self._jacobians else "tangent"
            compare_derivatives(self, self._steps[: self._cycle], derivatives, kind, self.params)

    def _hold(
        self, steps: Sequence[Any], jacobians: Sequence[Any] | None, pushes: Sequence[Any] | None, table: Array
    ) -> None:
        """Keep the layers and their derivatives, compiled, and the parameters."""
        self._table = table  # (1, parameters), or a row for each state of a batch
        self._steps = tuple(jit(f) for f in steps)
        self._jacobians = None if jacobians is None else tuple(jit(f) for f in jacobians)
        self._pushes = None if pushes is None else tuple(jit(f) for f in pushes)
        self._cycle = _shortest_cycle(self._steps, self._jacobians or self._pushes or self._steps)
        self._tangents: tuple[Tangent, ...] | None = None
        self._pushed = 0  # numbers, until now
        self._wrap = np.full(self.dimension, np.nan) if self.periods is None else self.periods

    # -- the map -------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[Any, ...]:
        """The layers, ``step(x, params, out)`` each, compiled where there is a compiler."""
        return self._steps

    @property
    def table(self) -> Array:
        """The parameters ``(1, parameters)``, or a row for each state of a batch."""
        return self._table

    def layer(self, l: int, states: Array) -> Array:
        """Apply layer `l` (counted from 0) to states ``(batch, dim)``."""
        out = np.empty_like(states)
        apply_loop(self._steps[l])(len(states), self.dimension, 0, states, self._table, out)
        return out

    def power(self, p: int) -> KernelMap:
        """Return F^p as a map of p·k layers."""
        p = check_power(p)
        if p == 1:
            return self
        names = [f"{name}@{i + 1}" for i in range(p) for name in self.layer_names]
        return self._with(list(range(self.layer_count)) * p, names, f"{self.name}^{p}")

    def rotate(self, l: int) -> KernelMap:
        """Return the cyclic permutation that starts before layer `l`, counted from 0 (modulo the number of layers)."""
        l = self.check_layer(l)
        if l == 0:
            return self
        names = self.layer_names[l:] + self.layer_names[:l]
        order = [*range(l, self.layer_count), *range(l)]
        rotated = self._with(order, names, f"{self.name}, from before {self.layer_names[l]!r}")
        original = self
        rotated._start = (lambda rng, n: original.sections(original.start(rng, n))[l]) if self._start else None
        return rotated

    def part(self, l: int) -> KernelMap:
        """Return layer `l`, counted from 0, as a map of its own."""
        l = self.check_layer(l)
        return self._with([l], self.layer_names[l : l + 1], f"{self.layer_names[l]} of {self.name}")

    def _with(self, order: Sequence[int], names: Sequence[str], name: str) -> KernelMap:
        """Return a map of these layers in this order; they have been tried out."""
        periods = None if self.periods is None else [None if np.isnan(p) else float(p) for p in self.periods]
        steps, jacobians, pushes = (
            None if known is None else [known[l] for l in order]
            for known in (self._steps, self._jacobians, self._pushes)
        )
        made = KernelMap.__new__(KernelMap)
        LoopMap.__init__(made, self.state_shape, names, periods=periods, name=name, start=self._start)
        made.params = self.params
        made._hold(steps or (), jacobians, pushes, self._table)
        return made

    def with_table(self, table: Array) -> KernelMap:
        """Return the map with a row of `table`, ``(batch, parameters)``, as the parameters of every state of a batch.

        Facts are left out: they are of one choice of parameters.
        """
        table = np.ascontiguousarray(table, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != self.params.size:
            raise ShapeError(
                f"table must have shape (batch, {self.params.size}), the parameters of {self.name}; got {table.shape}"
            )
        made = self._with(list(range(self.layer_count)), self.layer_names, self.name)
        made._table, made._tangents = table, self._tangent_parts()
        return made

    def with_row(self, b: int) -> KernelMap:
        """Return the map with the parameters of row b of its table alone."""
        made = self._with(list(range(self.layer_count)), self.layer_names, self.name)
        made.params, made._table, made._tangents = self._table[b].copy(), self._table[b : b + 1], self._tangents
        return made

    def same_loop(self, other: KernelMap) -> bool:
        """Say whether the map `other` differs in its parameters alone."""
        mine, theirs = (
            (
                *(None if known is None else [_identity(f) for f in known]
                  for known in (m._steps, m._jacobians, m._pushes)),
                m.dimension, m._wrap.tobytes(),
            )
            for m in (self, other)
        )  # fmt: skip
        return mine == theirs

    # -- arrays --------------------------------------------------------------------------------------------------

    def native(self, states: Any, argument: str = "states") -> Array:
        """Convert states to a C-ordered float64 array; check the shape ``(batch, dim)``."""
        if hasattr(states, "detach"):
            states = states.detach().cpu().double().numpy()
        try:
            array = np.ascontiguousarray(states, dtype=np.float64)
        except (TypeError, ValueError):
            raise ShapeError(
                f"{argument} must be an array of numbers of shape (batch, {self.dimension}); "
                f"got {type(states).__name__}. Convert it with numpy.asarray."
            ) from None
        self.check_batched(np.shape(states), argument)
        return array

    def numpy(self, states: Any) -> Array:
        """Copy an array to NumPy float64."""
        return np.array(states, dtype=np.float64)

    def stack(self, states: Sequence[Array]) -> Array:
        """Stack arrays on a new leading axis."""
        return np.stack(states)

    @property
    def precision(self) -> float:
        """Unit roundoff of float64."""
        return float(np.finfo(np.float64).eps)

    @property
    def dtype_name(self) -> str:
        """``"float64"``."""
        return "float64"

    @property
    def first_window(self) -> int:
        """Looking at a row costs as much as some fifty compiled loops of it."""
        return 64

    def twin(self, dtype: str = "float64") -> KernelMap:  # noqa: ARG002 - it has one dtype
        """Return the map itself: it works in float64."""
        return self

    # -- hot loops -----------------------------------------------------------------------------------------------

    def watch(self, states: Array, loops: int, reference: Array) -> Watch:
        """Iterate `loops` times, measuring the step, the norm and the distance to `reference`, compiled."""
        found = np.empty((3, loops, len(states), 1))
        states = states.copy()
        watch, reference = watch_loop(self._steps[: self._cycle], self.dimension), np.ascontiguousarray(reference)
        work = loops * self.layer_count * self.dimension
        watch(len(states), work, 0, states, reference, self._table, self._wrap, self._repeat, found)
        return Watch(states=states, steps=found[0], norms=found[1], returns=found[2])

    def survey(
        self, states: Array, loops: int, largest: Array, *, floor: float, ceiling: float, returns: tuple[float, float],
        trend: bool,
    ) -> Survey:  # fmt: skip
        """Iterate `loops` times and sum up the window, compiled: see `LoopMap.survey`."""
        states, found = states.copy(), np.empty((len(NUMBERS), len(states)))
        survey = survey_loop(self._steps[: self._cycle], self.dimension, self.periods is not None)
        work = loops * self.layer_count * self.dimension
        survey(
            len(states), work, loops, states, self._table, self._wrap, self._repeat, loops,
            np.ascontiguousarray(largest[:, 0]), floor, ceiling, np.array(returns), trend, found,
        )  # fmt: skip
        kinds = {"settled": bool, "finite": bool, "period": np.int64, "near": np.int64}
        numbers: dict[str, Any] = {
            name: values[:, None].astype(kinds.get(name, np.float64), copy=False)
            for name, values in zip(NUMBERS, found, strict=True)
        }
        if not trend:
            del numbers["decay"]
        return Survey(**{"rate": None, "rate_error": None, "decay": None} | numbers | {"states": states})

    def record(self, states: Array, loops: int, transient: int) -> Array:
        """Return the states after the transient, ``(batch, loops, dim)``; nan from where an orbit is lost."""
        states, found = states.copy(), np.empty((len(states), loops, self.dimension))
        work = (transient + loops) * self.layer_count * self.dimension
        record = record_loop(self._steps[: self._cycle], self.dimension)
        record(len(states), work, 0, states, self._table, self._repeat, transient, found)
        return found

    def find_periods(self, states: Array, transient: int, longest: int, tolerance: float) -> Array:
        """Return the period of every orbit, ``(batch,)``: 0 if there is none up to `longest`, −1 if it is lost.

        Looked for after `transient` loops from `states` ``(batch, dim)``; `tolerance` is relative to the largest
        coordinate.
        """
        found = np.empty(len(states), dtype=np.int64)
        work = (transient + 2 * longest) * self.layer_count * self.dimension
        period = period_loop(self._steps[: self._cycle], self.dimension)
        settings = (self._repeat, transient, longest, tolerance)
        period(len(states), work, 0, states, self._table, self._wrap, *settings, found)
        return found

    def capture(self, states: Array, limit: int, *neighbourhoods: Any) -> tuple[Array, Array, Array]:
        """Iterate until captured by a neighbourhood: labels and loops ``(batch,)``, and the states then.

        The neighbourhoods are as `maps.compiled.captures.capture_loop` takes them. A quarter of the limit is taken for
        the work of a row, in choosing threads.
        """
        states = states.copy()
        labels, loops = np.empty((2, len(states)), dtype=np.int64)
        capture = capture_loop(self._steps[: self._cycle], self.dimension, self.periods is not None)
        work = 0.25 * limit * self.layer_count * self.dimension
        settings = (self._table, self._wrap, self._repeat, limit)
        capture(len(states), work, 0, states, *settings, *neighbourhoods, labels, loops)
        return labels, loops, states

    def recur(self, states: Array, limit: int, want: int, low: Array, inverse: Array, room: int) -> tuple[Array, Array]:
        """Iterate until recurrent in cells: loops ``(batch,)``, −1 lost, −2 not recurrent; and the states then.

        From `states` ``(batch, dim)``, for at most `limit` loops; recurrent is an orbit after `want` visits in a row to
        cells that it was in before. A cell counts from the corner `low` ``(dim,)``, `inverse` ``(dim,)`` being one over
        its sides; `room` is the size of the table of visited cells, a power of two, of which half may be used.
        """
        states, found = states.copy(), np.empty(len(states), dtype=np.int64)
        recur = recurrence_loop(self._steps[: self._cycle], self.dimension, self.periods is not None)
        work = 0.25 * limit * self.layer_count * self.dimension
        recur(
            len(states), work, 0, states, self._table, self._wrap, self._repeat, limit, want, low, inverse, room, found
        )
        return found, states

    def push(self, states: Array, frames: Array) -> tuple[Array, Array]:
        """Return F(x) and J·V: states ``(batch, dim)``, frames ``(batch, k, dim)``."""
        self._pushed += frames.size * self.layer_count
        if self._jacobians is not None and self._pushed <= _WORTH_COMPILING:
            return self._push_interpreted(states, np.asarray(frames, dtype=np.float64))
        new, pushed = np.empty_like(states), np.empty(frames.shape)
        push = push_loop(self._tangent_parts(), self.dimension)
        frames, work = np.ascontiguousarray(frames, dtype=np.float64), self.layer_count * frames[0].size
        push(len(states), work, frames.shape[1], states, frames, self._table, self._repeat, new, pushed)
        return new, pushed

    def _push_interpreted(self, states: Array, frames: Array) -> tuple[Array, Array]:
        """Push as plain Python, by given Jacobians: what takes a millisecond is not worth a second of compiling."""
        x, V, J = states, frames, np.empty((self.dimension, self.dimension))
        with np.errstate(all="ignore"):
            for step, jacobian in zip(self._steps, self._jacobians or (), strict=True):
                new, pushed = np.empty_like(x), np.empty_like(V)
                for b in range(len(x)):
                    getattr(step, "py_func", step)(x[b], self._table[b % len(self._table)], new[b])
                    getattr(jacobian, "py_func", jacobian)(x[b], self._table[b % len(self._table)], J)
                    pushed[b] = V[b] @ J.T
                x, V = new, pushed
        return x, V

    def pull(self, states: Array, frames: Array) -> tuple[Array, Array]:
        """Return F(x) and Jᵀ·W: states ``(batch, dim)``, frames ``(batch, k, dim)``."""
        identity = np.broadcast_to(np.eye(self.dimension), (len(states), self.dimension, self.dimension))
        new, columns = self.push(states, identity)  # columns[b, j] = J e_j
        return new, np.einsum("bji,bki->bkj", columns, frames)

    def stretch(
        self,
        states: Array,
        frames: Array,
        loops: int,
        mask: Array | None = None,
        *,
        every: int = 1,
        gather: int = 1,
        overwrite: bool = False,  # noqa: ARG002 - frames of few coordinates are copied
    ) -> Stretch:
        """Iterate and orthonormalise: see `LoopMap.stretch`."""
        states, frames = states.copy(), np.array(frames, dtype=np.float64, order="C")
        masks = np.ascontiguousarray(np.empty((0, 0)) if mask is None else mask, dtype=np.float64)
        logs = np.empty((loops // (every * gather), *frames.shape[:2]))
        k = frames.shape[1]
        literal = k if memory(k, self.dimension).small else 0
        stretch = stretch_loop(self._tangent_parts(), self.dimension, literal, masked=mask is not None)
        work = loops * self.layer_count * (1 + k) * self.dimension
        stretch(len(states), work, k, states, frames, self._table, masks, self._repeat, every, gather, logs)
        return Stretch(states=states, frames=frames, logs=logs)

    def _tangent_parts(self) -> tuple[Tangent, ...]:
        """Return the compiled tangents of one cycle."""
        if self._tangents is None:
            steps, jacobians, pushes = (
                None if known is None else known[: self._cycle]
                for known in (self._steps, self._jacobians, self._pushes)
            )
            wrap = tuple(np.nan_to_num(self._wrap).tolist())
            self._tangents = tangents_of(
                steps or (), self.dimension, jacobians=jacobians, pushes=pushes, periods=wrap, params=self.params
            )
        return self._tangents

    @property
    def _repeat(self) -> int:
        return self.layer_count // self._cycle


def _identity(f: Any) -> Any:
    """Return what two functions share that are one: compiled twice, or defined by one line run twice."""
    plain = getattr(f, "py_func", f)
    code = getattr(plain, "__code__", None)
    if code is None or plain.__kwdefaults__:
        return plain
    cells = tuple(id(cell.cell_contents) for cell in plain.__closure__ or ())
    return code, id(plain.__globals__), cells, id(plain.__defaults__) if plain.__defaults__ else None


def _shortest_cycle(*sequences: tuple[Any, ...]) -> int:
    """Return the least d such that every sequence is its first d entries over and over: d = k for F^p of k layers."""
    n = len(sequences[0])
    return next(d for d in range(1, n + 1) if n % d == 0 and all(s == s[:d] * (n // d) for s in sequences))
