"""`TorchMap`: a loop whose layers are torch callables; hot loops run in torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from dynloop.errors import InvalidArgumentError, NoTwinError, ShapeError
from dynloop.maps.base import Array, LoopMap, Starter, check_power
from dynloop.maps.frames import orthonormalise
from dynloop.maps.measured import Stretch, Watch
from dynloop.maps.memory import free_bytes, weight_count
from dynloop.maps.own_token import OwnToken
from dynloop.maps.torch_tangent import TorchTangent, working_dtype

__all__ = ["TorchMap"]

Layer = Callable[[torch.Tensor], torch.Tensor]
_OFTEN, _FEW = 2, 3  # comparisons of all tokens, after which a few tokens are compared


class TorchMap(LoopMap):
    """A recurrent block given as torch callables, one a layer.

    Parameters
    ----------
    layers : sequence of callables, or mapping of names to callables
        In the order of a loop. Each maps a tensor ``(batch, *state_shape)`` to one of the same shape and dtype, every
        row of the batch by itself. ALL operations of a loop belong here: the injection and the norm that closes the
        loop too.
    state_shape : tuple of int
        Shape of one state; ``(tokens, width)`` for a transformer.
    layer_names : sequence of str, optional
        One name a layer; ``layer 0``, ``layer 1``, … if left out. Not with a mapping, whose keys they are.
    causal : bool
        Whether token i of a layer's output depends on tokens ≤ i alone. Verdicts are then given per token.
    periods : sequence of float or None, optional
        Length of each angle coordinate, None where a coordinate is no angle.
    name : str
        What messages call the map.
    dtype : torch.dtype, optional
        The working dtype. By default that of the layers' parameters; a map without parameters takes the dtype of its
        starts (NumPy float64 starts give float64).
    device : torch.device or str, optional
        Where states live. By default where the layers' parameters are.
    start : callable, optional
        ``start(numpy_generator, n) -> (n, *state_shape)``; used by `start` and by analyses called without starts.
    facts : mapping, optional
        Exact facts about the map.

    Notes
    -----
    Calling the map leaves autograd alone. The analyses run under ``torch.no_grad`` and never change the layers.

    Examples
    --------
    >>> import torch, dynloop as dl
    >>> A = torch.tensor([[0.5, 0.1], [0.0, 0.8]], dtype=torch.float64)
    >>> m = dl.TorchMap([lambda x: x @ A.T, lambda x: x + 1], (2,), layer_names=["contract", "shift"])
    >>> m(torch.zeros(1, 2, dtype=torch.float64))
    tensor([[1., 1.]], dtype=torch.float64)
    """

    kind: ClassVar[str] = "TorchMap"

    def __init__(
        self,
        layers: Sequence[Layer] | Mapping[str, Layer],
        state_shape: Sequence[int],
        *,
        layer_names: Sequence[str] | None = None,
        causal: bool = False,
        periods: Sequence[float | None] | None = None,
        name: str = "",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        start: Starter | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(layers, Mapping):
            if layer_names is not None:
                raise InvalidArgumentError(
                    "layers is a mapping and layer_names was given; name the layers in one place"
                )
            layer_names, layers = list(layers), list(layers.values())
        self.layers = _checked_layers(layers)
        names = [f"layer {l}" for l in range(len(self.layers))] if layer_names is None else list(layer_names)
        if len(names) != len(self.layers):
            raise InvalidArgumentError(
                f"layer_names has {len(names)} names for {len(self.layers)} layers; give one name a layer"
            )
        super().__init__(state_shape, names, causal=causal, periods=periods, name=name, start=start, facts=facts)
        weight = next(_weights(self.layers), None)
        self.dtype = dtype if dtype is not None else (None if weight is None else weight.dtype)
        if self.dtype is not None and not self.dtype.is_floating_point:
            raise InvalidArgumentError(f"dtype must be a real floating dtype; got {self.dtype}. Pass torch.float64.")
        self.device = (
            torch.device(device) if device is not None else (torch.device("cpu") if weight is None else weight.device)
        )
        self._periods = None if self.periods is None else torch.as_tensor(self.periods, device=self.device)
        self._tangent: TorchTangent | None = None
        self._agreed = 0  # how often the own-token tangent was compared with the full product, and agreed

    # -- the map -------------------------------------------------------------------------------------------------

    def layer(self, l: int, states: torch.Tensor) -> torch.Tensor:
        """Apply layer `l` (counted from 0) to states ``(batch, *state_shape)``."""
        version = states._version if type(states) is torch.Tensor and not states.is_inference() else None
        out = self.layers[l](states)
        if version is not None and states._version != version:
            raise InvalidArgumentError(
                f"layer {self.layer_names[l]!r} of {self.name} writes into its input; a layer returns a new tensor. "
                "Let it begin with x = x.clone()."
            )
        if not isinstance(out, torch.Tensor) or out.shape != states.shape:
            got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ShapeError(
                f"layer {self.layer_names[l]!r} of {self.name} must return a tensor of shape {tuple(states.shape)}, "
                f"like its input; got {got}. Wrap the module so that it returns the hidden states alone."
            )
        if out.dtype != states.dtype:
            raise InvalidArgumentError(
                f"layer {self.layer_names[l]!r} of {self.name} turned {states.dtype} into {out.dtype}; a layer keeps "
                f"the dtype of the state. Start in {out.dtype}, or cast inside the layer."
            )
        return out

    def loop(self, states: torch.Tensor) -> torch.Tensor:
        """Apply one loop to native states, without checking their shape."""
        for l in range(len(self.layers)):
            states = self.layer(l, states)
        return states

    def power(self, p: int) -> TorchMap:
        """Return F^p as a map of p·k layers, named ``name@1`` … ``name@p`` by loop."""
        p = check_power(p)
        if p == 1:
            return self
        names = [f"{name}@{i + 1}" for i in range(p) for name in self.layer_names]
        return self._with(self.layers * p, names, f"{self.name}^{p}")

    def rotate(self, l: int) -> TorchMap:
        """Return the cyclic permutation that starts before layer `l`, counted from 0 (modulo the number of layers)."""
        l = self.check_layer(l)
        if l == 0:
            return self
        names = self.layer_names[l:] + self.layer_names[:l]
        rotated = self._with(
            self.layers[l:] + self.layers[:l], names, f"{self.name}, from before {self.layer_names[l]!r}"
        )
        original = self

        def carried(rng: np.random.Generator, n: int) -> Any:
            with torch.no_grad():
                return original.sections(original.start(rng, n))[l]

        rotated._start = carried if self._start is not None else None
        return rotated

    def part(self, l: int) -> TorchMap:
        """Return layer `l`, counted from 0, as a map of its own."""
        l = self.check_layer(l)
        return self._with(self.layers[l : l + 1], self.layer_names[l : l + 1], f"{self.layer_names[l]} of {self.name}")

    def _with(
        self, layers: Sequence[Layer], names: Sequence[str], name: str, dtype: torch.dtype | None = None
    ) -> TorchMap:
        periods = None if self.periods is None else [None if np.isnan(p) else float(p) for p in self.periods.ravel()]
        return TorchMap(
            layers, self.state_shape, layer_names=names, causal=self.causal, periods=periods, name=name,
            dtype=dtype or self.dtype, device=self.device, start=self._start,
        )  # fmt: skip

    # -- arrays --------------------------------------------------------------------------------------------------

    def native(self, states: Any, argument: str = "states") -> torch.Tensor:
        """Convert states to a tensor in the map's dtype, on its device; check the shape ``(batch, *state_shape)``."""
        try:
            # a copy of NumPy arrays: torch can share neither read-only nor reversed ones. Of a list it makes float32
            tensor = states if isinstance(states, torch.Tensor) else torch.as_tensor(np.array(states))
        except (TypeError, ValueError, RuntimeError):
            raise ShapeError(
                f"{argument} must be an array of numbers of shape (batch, {', '.join(map(str, self.state_shape))}); "
                f"got {type(states).__name__}. Convert it with numpy.asarray."
            ) from None
        if tensor.is_complex():
            raise InvalidArgumentError(
                f"{argument} is complex; {self.name} acts on real numbers. Stack real and imaginary parts."
            )
        dtype = self.dtype
        if dtype is None:
            plain = not hasattr(states, "dtype") or not tensor.dtype.is_floating_point
            dtype = torch.float64 if plain else tensor.dtype
        self.check_batched(tuple(tensor.shape), argument)
        return tensor.to(device=self.device, dtype=dtype)

    def numpy(self, states: Any) -> Array:
        """Convert a tensor of any shape to a detached NumPy float64 copy."""
        if isinstance(states, torch.Tensor):
            return states.detach().to(device="cpu", dtype=torch.float64).numpy().copy()
        return np.array(states, dtype=np.float64)

    def stack(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack tensors on a new leading axis."""
        return torch.stack(list(states))

    @property
    def precision(self) -> float:
        """Unit roundoff of the working dtype."""
        return torch.finfo(self.dtype or torch.float64).eps

    @property
    def dtype_name(self) -> str:
        """Name of the working dtype."""
        return str(self.dtype or torch.float64).removeprefix("torch.")

    def in_dtype(self, name: str) -> TorchMap:
        """Return the map with its working dtype fixed (itself where it is fixed already)."""
        if self.dtype is not None:
            return self
        fixed = copy.copy(self)
        fixed.dtype, fixed._tangent = getattr(torch, name), None
        return fixed

    def in_dtype_of(self, states: torch.Tensor) -> TorchMap:
        """Return the map with its working dtype fixed to that of `states` (itself where it is fixed already)."""
        return self.in_dtype(str(states.dtype).removeprefix("torch."))

    def twin(self, dtype: str = "float64") -> TorchMap:
        """Return the same map in float64, or in another dtype above its own.

        Layers that follow the dtype of the state (all of `dynloop.nn`, any callable without weights of its own) are
        shared; modules that do not are copied.

        Parameters
        ----------
        dtype : {"float64", "float32"}
            Its dtype.

        Raises
        ------
        NoTwinError
            If a layer computes in a dtype of its own whatever the state's, or memory has no room for copied weights.
        """
        wanted: torch.dtype = getattr(torch, dtype)
        if self.dtype is wanted:
            return self
        follow = self._with(self.layers, self.layer_names, self.name, wanted)
        if follow._runs():
            return self._same_kind(follow)
        modules = [f for f in self.layers if isinstance(f, torch.nn.Module)]
        needed, free = weight_count(modules) * wanted.itemsize, free_bytes(self.device)
        if free is not None and needed > free:
            raise NoTwinError(
                f"{self.name} has no room for a {dtype} twin: its weights need {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free; give polish='float32' or polish='never', or free memory"
            )
        layers = [copy.deepcopy(f).to(wanted) if isinstance(f, torch.nn.Module) else f for f in self.layers]
        copied = self._with(layers, self.layer_names, self.name, wanted)
        if copied._runs():
            return self._same_kind(copied)
        raise NoTwinError(
            f"{self.name} cannot run in {dtype}: a layer keeps a lower precision inside; give layers that follow the "
            "dtype of the state, or analyse with polish='never'"
        )

    def _same_kind(self, twin: TorchMap) -> TorchMap:
        """Return this object (whatever its subclass) with the layers and dtype of `twin`."""
        same = copy.copy(self)
        same.layers, same.dtype, same._tangent = twin.layers, twin.dtype, None
        return same

    def _runs(self) -> bool:
        """Say whether the layers take states of the map's dtype and do not round them to less inside.

        Rounding shows in the fourth difference along a line: a smooth map leaves h⁴ there, noise of relative size u
        leaves √70·u (Hamming's difference table; Moré and Wild, SIAM J. Sci. Comput. 33 (2011) 1292).
        """
        step, most = (1e-5, 1e-11) if self.dtype is torch.float64 else (3e-3, 1e-4)
        generator = torch.Generator().manual_seed(0)
        x, v = torch.randn((2, *self.state_shape), generator=generator, dtype=torch.float64).to(self.device)
        line = torch.stack([x + step * i * v for i in range(5)]).to(self.dtype)
        try:
            with torch.no_grad():
                y = self.loop(line)
            if y.dtype is not self.dtype:
                return False
        except (RuntimeError, TypeError, InvalidArgumentError):
            return False
        y = y.double()
        noise = (y[0] - 4 * y[1] + 6 * y[2] - 4 * y[3] + y[4]).abs().max() / y.abs().max().clamp_min(1e-300)
        return not bool(noise > most)

    # -- hot loops -----------------------------------------------------------------------------------------------

    def watch(self, states: torch.Tensor, loops: int, reference: torch.Tensor) -> Watch:
        """Iterate `loops` times, measuring per row the step, the norm and the distance to `reference`."""
        measure = torch.float64 if states.dtype == torch.float64 else torch.float32
        found = torch.empty((3, loops, len(states), self.rows), dtype=measure, device=states.device)
        with torch.no_grad():
            buffer = torch.empty_like(states)
            for t in range(loops):
                new = self.loop(states)
                for i, origin in enumerate((states, None, reference)):
                    self._row_norms(new, origin, buffer, found[i, t])
                states = new
        steps, norms, returns = found.to(device="cpu", dtype=torch.float64).numpy()
        return Watch(states=states, steps=steps, norms=norms, returns=returns)

    def _row_norms(self, a: torch.Tensor, b: torch.Tensor | None, buffer: torch.Tensor, out: torch.Tensor) -> None:
        """Write the norm of every row of a − b (of a where b is None), angles wrapped, to `out` ``(batch, rows)``."""
        difference = a if b is None else torch.sub(a, b, out=buffer)
        if self._periods is not None:
            turns = torch.nan_to_num(torch.round(difference / self._periods))
            difference = difference - turns * torch.nan_to_num(self._periods)
        difference = difference.reshape(out.shape[0], self.rows, self.state_shape[-1])
        torch.linalg.vector_norm(difference, dim=-1, dtype=out.dtype, out=out)

    def push(self, states: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return F(x) and J·V: states ``(batch, *s)``, frames ``(batch, k, *s)``; no graph to the weights."""
        wide = frames.transpose(0, 1).to(working_dtype(frames.dtype), copy=True)
        new, pushed = self.tangent.carry(states.detach(), wide)
        return new, pushed.to(frames.dtype).transpose(0, 1)

    def pull(self, states: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return F(x) and Jᵀ·W, without a graph to the weights: see `LoopMap.pull`."""
        new, pulled = self.tangent.pull(states.detach(), frames.transpose(0, 1))
        return new, pulled.transpose(0, 1)

    @property
    def tangent(self) -> TorchTangent:
        """How one loop pushes and pulls tangents."""
        if self._tangent is None:
            self._tangent = TorchTangent(self.loop)
        return self._tangent

    def within_tokens(self, states: torch.Tensor, rng: np.random.Generator) -> OwnToken | None:
        """Return the own-token tangent, if attention is all that mixes the tokens: see `LoopMap.within_tokens`."""
        own = OwnToken(self)
        if not own.exact(states, rng, *([_FEW] if self._agreed >= _OFTEN else [])):
            return None
        self._agreed += 1
        return own

    def stretch(
        self,
        states: torch.Tensor,
        frames: torch.Tensor,
        loops: int,
        mask: torch.Tensor | None = None,
        *,
        every: int = 1,
        gather: int = 1,
        overwrite: bool = False,
    ) -> Stretch:
        """Iterate and orthonormalise: see `LoopMap.stretch`. Frames are carried in float32 or float64."""
        V = frames.transpose(0, 1).to(working_dtype(frames.dtype), copy=not overwrite).contiguous()
        k, count = V.shape[:2]
        record = every * gather
        logs = torch.zeros((loops // record, count, k), dtype=torch.float64, device=states.device)
        tolerance = self.dimension * torch.finfo(V.dtype).eps
        states = states.detach()
        flat_mask = None if mask is None else mask.reshape(count, self.dimension)
        for t in range(loops):
            states, V = self.tangent.carry(states, V)
            if mask is not None:
                V = V * mask
            if (t + 1) % every == 0:
                flat, grown = orthonormalise(V.reshape(k, count, self.dimension), tolerance, flat_mask)
                V, logs[t // record] = flat.reshape(V.shape), logs[t // record] + grown
        return Stretch(states=states, frames=V.transpose(0, 1), logs=logs.cpu().numpy())


def _weights(layers: Sequence[Layer]) -> Iterator[torch.Tensor]:
    for f in layers:
        if isinstance(f, torch.nn.Module):
            yield from (p for p in f.parameters() if p.is_floating_point())


def _checked_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    if callable(layers) and not isinstance(layers, torch.nn.ModuleList | torch.nn.Sequential):
        raise InvalidArgumentError(
            "layers must be a sequence of callables, one a layer; got a single callable. Wrap it: TorchMap([f], …)."
        )
    checked = tuple(layers) if isinstance(layers, Iterable) else ()
    wrong = [f for f in checked if not callable(f)]
    if not checked or wrong:
        empty = "an empty sequence" if isinstance(layers, Iterable) else type(layers).__name__
        what = f"{type(wrong[0]).__name__}, which is not callable" if wrong else empty
        raise InvalidArgumentError(
            f"layers must be a non-empty sequence of callables; got {what}. Pass TorchMap([f, g], …)."
        )
    return checked
