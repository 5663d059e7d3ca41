"""The interface of everything that can be iterated: `LoopMap`, a map F that is a product of layers.

A concrete kind of map (`TorchMap`, `KernelMap`) supplies the hot loops below; the analyses interpret their numbers and
are written once, on NumPy arrays.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from dynloop.arguments import checked_function, checked_int
from dynloop.errors import InvalidArgumentError, NoStartError, ShapeError
from dynloop.maps.measured import Stretch, Survey, Watch

__all__ = ["Array", "LoopMap", "Starter", "WithinTokens", "as_map", "as_rng", "checked_shape"]

Array = npt.NDArray[Any]
Starter = Callable[[np.random.Generator, int], Any]


def as_rng(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Normalise `rng` as SPEC 7 asks: a seed, a generator (used as it is) or None for fresh entropy."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"rng must be a non-negative int, a numpy Generator or None; got {rng!r}. Pass a seed such as rng=0."
        ) from None


class WithinTokens(Protocol):
    """A causal map whose derivative is its diagonal blocks, one a token: tangents of one token do not reach another."""

    def push(self, states: Any, frames: Any) -> tuple[Any, Any]:
        """Return F(x), and every block applied to its token's tangents ``(batch, k, tokens, width)``."""

    def stretch(
        self, states: Any, frames: Any, loops: int, *, every: int = 1, gather: int = 1, overwrite: bool = False
    ) -> Stretch:
        """Iterate and orthonormalise within each token; `logs` is ``(…, batch, tokens, k)``: see `LoopMap.stretch`."""


class LoopMap(ABC):
    """A recurrent block with its prompt held fixed, ``F = L_k ∘ … ∘ L_1``.

    Parameters
    ----------
    state_shape : tuple of int
        Shape of one state, without the batch axis.
    layer_names : sequence of str
        One name a layer.
    causal : bool
        Whether row i of F(x) depends on rows ≤ i alone (axis 0 of a state counts tokens).
    periods : sequence of float or None, optional
        Length of each angle coordinate (None where a coordinate is no angle); broadcast to `state_shape`.
    name : str
        What messages call the map.
    start : callable, optional
        ``start(generator, n) -> (n, *state_shape)``.
    facts : mapping, optional
        Exact facts about the map (zoo maps).

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.zoo.henon()
    >>> isinstance(m, dl.LoopMap), m.state_shape, m.layer_names, m.power(3).layer_count
    (True, (2,), ('_henon',), 3)
    """

    kind: ClassVar[str] = "map"

    def __init__(
        self,
        state_shape: Sequence[int],
        layer_names: Sequence[str],
        *,
        causal: bool = False,
        periods: Sequence[float | None] | None = None,
        name: str = "",
        start: Starter | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.state_shape = checked_shape(state_shape)
        self.layer_names = tuple(layer_names)
        self.causal = bool(causal)
        if self.causal and len(self.state_shape) < 2:
            raise ShapeError(
                f"causal=True needs a state of shape (tokens, width); got {self.state_shape}. Leave causal=False."
            )
        self.periods = _checked_periods(periods, self.state_shape)
        self.name = name or f"a {self.kind}"
        self.facts: Mapping[str, Any] = dict(facts or {})
        if start is not None:
            checked_function(start, "start", "start(generator, n) of states (n, *state_shape)", 2)
        self._start = start

    # -- what a kind of map supplies ------------------------------------------------------------------------------

    @abstractmethod
    def layer(self, l: int, states: Any) -> Any:
        """Apply layer `l` (counted from 0) to native states ``(batch, *state_shape)``."""

    @abstractmethod
    def power(self, p: int) -> LoopMap:
        """Return F^p as a map of p·k layers."""

    @abstractmethod
    def rotate(self, l: int) -> LoopMap:
        """Return the cyclic permutation of the layers that starts before layer `l`.

        Layers are counted from 0, so ``rotate(0)`` is F itself and ``rotate(l)`` acts on ``sections(x)[l]``; `l` is
        taken modulo the number of layers.
        """

    @abstractmethod
    def native(self, states: Any, argument: str = "states") -> Any:
        """Convert states to the map's own array type and dtype; check the shape ``(batch, *state_shape)``.

        A message about them calls them by the name in `argument`.
        """

    @abstractmethod
    def numpy(self, states: Any) -> Array:
        """Convert native states to a detached NumPy float64 copy."""

    @abstractmethod
    def watch(self, states: Any, loops: int, reference: Any) -> Watch:
        """Iterate `loops` times from native `states`, measuring steps, norms and the distance to `reference`."""

    # fmt: off
    def survey(
        self, states: Any, loops: int, largest: Array,  # noqa: ARG002 - most maps keep the series
        *, floor: float, ceiling: float, returns: tuple[float, float], trend: bool,  # noqa: ARG002 - as above
    ) -> Survey | None:
        # fmt: on
        """Iterate `loops` times and measure as `watch` from the states themselves, but keep no series.

        None if a map cannot. `largest` ``(batch, rows)`` is the largest norm seen before. Steps are settled at
        ``floor``, or where they stall below ``ceiling · floor``; `returns` are the narrow and the wide relative
        distance of a return; decay is measured if `trend`.
        """
        return None

    @abstractmethod
    def push(self, states: Any, frames: Any) -> tuple[Any, Any]:
        """Return F(x) and DF(x)·V for native states ``(batch, *s)`` and frames ``(batch, k, *s)``."""

    @abstractmethod
    def pull(self, states: Any, frames: Any) -> tuple[Any, Any]:
        """Return F(x) and DF(x)ᵀ·W for native states ``(batch, *s)`` and frames ``(batch, k, *s)``."""

    @abstractmethod
    def stretch(
        self, states: Any, frames: Any, loops: int, mask: Any = None,
        *, every: int = 1, gather: int = 1, overwrite: bool = False,
    ) -> Stretch:  # fmt: skip
        """Iterate `loops` times, carrying frames ``(batch, k, *s)`` along, orthonormalised after each `every` loops.

        The orbits begin at native `states` ``(batch, *s)``. `mask` ``(batch, *s)``, if given, multiplies the frames
        after every loop; with a mask of ones on the first rows it gives the exponents of a prefix of a causal map.
        `gather` decompositions next to each other make one record, their sum; `loops` is a multiple of
        ``every · gather``. A direction is gone, its log R_jj −inf, where R_jj ≤ n·u·(the longest vector of the frame),
        u the unit roundoff (theory note T8). `overwrite` allows to work in the array of frames that is given, which
        saves a copy of it.
        """

    def within_tokens(self, states: Any, rng: np.random.Generator) -> WithinTokens | None:  # noqa: ARG002 - most maps have no such way
        """Return a way to carry tangents within every token of a causal map at once; None if there is none.

        `states` ``(batch, *s)`` and `rng` are for trying whether it gives the diagonal blocks ∂F_i/∂x_i.
        """
        return None

    @abstractmethod
    def part(self, l: int) -> LoopMap:
        """Return layer `l`, counted from 0, as a map of its own."""

    @abstractmethod
    def twin(self, dtype: str = "float64") -> LoopMap:
        """Return the same map in the higher precision `dtype`; raise `NoTwinError` where that is not to be had."""

    @property
    def first_window(self) -> int:
        """Loops after which orbits are looked at first, while they are classified."""
        return 32

    def in_dtype(self, name: str) -> LoopMap:  # noqa: ARG002 - only a map without weights takes any
        """Return the map with its working dtype fixed to the one called `name`, if it has none of its own."""
        return self

    def in_dtype_of(self, states: Any) -> LoopMap:  # noqa: ARG002 - a map of one dtype needs no states
        """Return the map with its working dtype fixed to that of native `states`."""
        return self

    @property
    @abstractmethod
    def precision(self) -> float:
        """Unit roundoff (machine epsilon) of the dtype that the map works in."""

    @property
    @abstractmethod
    def dtype_name(self) -> str:
        """Name of the dtype that the map works in, e.g. ``"float64"``."""

    # -- what every map does with it ------------------------------------------------------------------------------

    @property
    def layer_count(self) -> int:
        """The number k of layers in one loop."""
        return len(self.layer_names)

    @property
    def dimension(self) -> int:
        """The number n of coordinates of a state."""
        return math.prod(self.state_shape)

    @property
    def rows(self) -> int:
        """How many rows a state is measured by (see `Watch`)."""
        return math.prod(self.state_shape[:-1]) if len(self.state_shape) > 1 else 1

    def __call__(self, states: Any) -> Any:
        """Apply one loop: ``(batch, *state_shape)`` to the same shape, in the map's own array type."""
        states = self.native(states)
        for l in range(self.layer_count):
            states = self.layer(l, states)
        return states

    def sections(self, states: Any) -> Any:
        """Return the states before every layer and after the last, stacked: ``(k + 1, batch, *state_shape)``."""
        states = self.native(states)
        found = [states]
        for l in range(self.layer_count):
            found.append(self.layer(l, found[-1]))
        return self.stack(found)

    @abstractmethod
    def stack(self, states: Sequence[Any]) -> Any:
        """Stack native arrays, `states`, on a new leading axis."""

    def detached(self, states: Any) -> Any:
        """Return native states without any graph behind them."""
        return states.detach() if hasattr(states, "detach") else states

    def start(self, rng: int | np.random.Generator | None = 0, n: int = 1) -> Any:
        """Draw `n` starts, shape ``(n, *state_shape)``, with `rng`: a generator, or the seed of one.

        Raises
        ------
        NoStartError
            If the map knows no starts of its own.
        """
        if self._start is None:
            raise NoStartError(
                f"{self.name} knows no starts of its own; pass starts of shape (batch, {_tail(self.state_shape)})"
            )
        return self.drawn(self._start, rng, n)

    def drawn(self, starter: Starter, rng: int | np.random.Generator | None, n: int) -> Any:
        """Draw `n` starts ``(n, *state_shape)`` by ``starter(generator of rng, n)``, `n` being checked."""
        n = checked_int(n, "n", 1, remedy="Pass n=1 for one start.")
        return self.native(starter(as_rng(rng), n), "start")

    def batch(
        self, starts: Any, rng: int | np.random.Generator | None = 0, *, argument: str = "starts"
    ) -> tuple[Any, bool]:
        """Normalise the starts that an analysis was given as `argument`; draw one with `rng` where they are None.

        Returns
        -------
        states : native array, (batch, *state_shape)
            The starts, with a batch axis.
        single : bool
            Whether the batch axis was missing, so that the result must have none either.
        """
        if starts is None:
            return self.start(rng), False
        shape = tuple(np.shape(starts))
        single = shape == self.state_shape
        if single:
            starts = starts[None] if hasattr(starts, "ndim") else np.asarray(starts)[None]
        states = self.native(starts, argument)
        states = states.clone() if hasattr(states, "clone") else states  # a layer that writes in place spoils no start
        if len(states) == 0:
            raise ShapeError(f"{argument} is empty, shape {shape}; give at least one state of shape {self.state_shape}")
        finite = np.isfinite(self.numpy(states)).reshape(len(states), -1).all(axis=1)
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            where = argument if single else f"{argument}[{bad}]"
            raise InvalidArgumentError(f"{where} holds NaN or infinity; every state must be finite, so remove it")
        return states, single

    def displacement(self, a: Array, b: Array) -> Array:
        """Return a − b on NumPy states, angle coordinates wrapped to the shortest way round."""
        few = np.ndim(a) == 2 and len(a) > 16 * np.shape(a)[1]  # coordinates: five times faster along the batch
        difference: Array = np.subtract(a, b, dtype=np.float64, order="F" if few else "K")
        if self.periods is None:
            return difference
        turns = np.where(np.isfinite(self.periods), difference / self.periods, 0.0)
        difference -= np.round(turns) * np.where(np.isfinite(self.periods), self.periods, 0.0)
        return difference

    def check_batched(self, shape: tuple[int, ...], argument: str) -> None:
        """Raise `ShapeError`, which names `argument`, unless `shape` is ``(batch, *state_shape)``."""
        if shape[1:] == self.state_shape and len(shape) == len(self.state_shape) + 1:
            return
        rule = f"{self.name} acts on states of shape (batch, {_tail(self.state_shape)}); {argument} has shape {shape}"
        if shape == self.state_shape:
            raise ShapeError(f"{rule}. Add the batch axis: state[None].")
        raise ShapeError(f"{rule}. Reshape it to (batch, {_tail(self.state_shape)}).")

    def check_layer(self, l: int) -> int:
        """Return `l` modulo the number of layers; refuse what is no integer."""
        return checked_int(l, "l", meaning="the layer to start before") % self.layer_count

    def __repr__(self) -> str:
        layers = ", ".join(self.layer_names[:6]) + (", …" if self.layer_count > 6 else "")
        kind = "causal " if self.causal else ""
        return f"<{kind}{type(self).__name__} {self.name!r} on {self.state_shape}, {self.layer_count} layers: {layers}>"


def as_map(m: Any) -> LoopMap:
    """Return `m` if it is a map; raise otherwise."""
    if not isinstance(m, LoopMap):
        raise InvalidArgumentError(
            f"m must be a map; got {type(m).__name__}. Make one by TorchMap([f, …], state_shape) or open_checkpoint."
        )
    return m


def check_power(p: int, argument: str = "p") -> int:
    """Return `p`, given as `argument`, if it is a positive int; raise otherwise."""
    return checked_int(p, argument, 1, meaning="the number of loops", remedy=f"Pass {argument}=1 for F itself.")


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a state as a tuple of ints; raise `ShapeError` otherwise."""
    try:
        checked = tuple(operator.index(s) for s in shape)
    except TypeError:
        raise ShapeError(f"state_shape must be a tuple of ints such as (2,); got {shape!r}") from None
    if not checked or min(checked) < 1:
        raise ShapeError(f"state_shape needs one or more positive sizes; got {checked}. Pass (1,) for a scalar map.")
    return checked


def _tail(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _checked_periods(periods: Sequence[float | None] | None, shape: tuple[int, ...]) -> Array | None:
    """Return the periods broadcast to the state, NaN where a coordinate is no angle."""
    if periods is None:
        return None
    values = np.array([np.nan if p is None else float(p) for p in np.ravel(np.array(periods, dtype=object))])
    if np.any(values <= 0) or np.any(np.isinf(values)):
        raise InvalidArgumentError(f"periods must be positive and finite, or None for no angle; got {list(periods)!r}")
    try:
        return np.broadcast_to(values.reshape(shape) if values.size == np.prod(shape) else values, shape).copy()
    except ValueError:
        raise ShapeError(
            f"periods has {values.size} entries for a state of shape {shape}; give one a coordinate"
        ) from None
