"""What an adapter is: a `Family` turns one kind of checkpoint, read as a `Source`, into a `Checkpoint`, a map."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from dynloop.errors import InvalidArgumentError, PromptError
from dynloop.maps.base import Starter
from dynloop.maps.torch import Layer, TorchMap

__all__ = [
    "Checkpoint",
    "Family",
    "Granularity",
    "ReadOut",
    "Source",
    "check_granularity",
    "start_kinds",
    "starts_around",
]

Granularity = Literal["layer", "sublayer"]
ReadOut = Literal["logits", "numbers", "state"]
Decoder = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Source:
    """A checkpoint as it was read, before any family has looked at it.

    Attributes
    ----------
    name : str
        What messages call it: the path as it was given, or the class of a live model.
    config : mapping
        The content of ``config.json``, or of the live model's config.
    tensors : mapping of str to tensor
        The weights under their stored names, detached. Those of a live model share its storage.
    folder : pathlib.Path or None
        Where the files lie (a tokenizer may lie beside them); None for a live model.
    model : object or None
        The live model object, never changed.

    Examples
    --------
    >>> import dynloop as dl
    >>> source = dl.open_checkpoint("demo").source
    >>> source.config["model_type"], len(source.tensors) > 0, source.model is None
    ('dynloop_looped_lm', True, True)
    """

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor] = field(repr=False)
    folder: Path | None = None
    model: Any = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Family:
    """One kind of checkpoint: how to know it, and how to make a map of it.

    Attributes
    ----------
    name : str
        Short name, such as ``"albert"``.
    description : str
        One loop of the map, as an equation or a sentence.
    identifies : str
        The config fields and tensor names by which it is known; shown when a checkpoint is not recognised.
    recognises : callable
        ``recognises(config, tensor_names) -> bool``; never raises on another family's config.
    open : callable
        ``open(source, prompt, granularity, dtype, device) -> Checkpoint``. `prompt` None means the family's own
        default prompt (or a `PromptError` where there is none), `dtype` and `device` None those of the weights.
        Raises `CheckpointError` where weights and config disagree, `PromptError` where the prompt does not fit.
    own_output : callable, optional
        ``own_output(checkpoint, loops) -> tensor (1, …) or None``: what other code than the map's (best the model's
        own) gives after `loops` loops on the same prompt; None where there is none. `dynloop.testing.check_adapter`
        compares the map with it.
    live_config : callable, optional
        ``live_config(model) -> mapping or None``: the config of a live model of this family that carries none under
        ``model.config``; None where the model is of another family.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.open_checkpoint("demo")
    >>> m.family.name, m.family.recognises(m.source.config, m.source.tensors.keys())
    ('looped_lm', True)
    """

    name: str
    description: str
    identifies: str
    recognises: Callable[[Mapping[str, Any], Collection[str]], bool]
    open: Callable[[Source, Any, Granularity, torch.dtype | None, torch.device | None], Checkpoint]
    own_output: Callable[[Checkpoint, int], torch.Tensor | None] | None = None
    live_config: Callable[[Any], Mapping[str, Any] | None] | None = None


class Checkpoint(TorchMap):
    """A real checkpoint's loop with its prompt held fixed; a `TorchMap` that can also decode its states.

    Parameters
    ----------
    layers : mapping of str to callable
        The layers of one loop in order, each ``(batch, *state_shape)`` to the same, in the dtype of the state.
    state_shape : sequence of int
        ``(tokens, width)``, or with a leading axis for product states.
    family : Family
        The adapter that made it.
    source : Source
        What it was made of.
    prompt : mapping of str to array
        The prompt as the model's own inputs, without a batch axis.
    tokens : sequence of str or int
        One entry a position: the token's text, or its id where no tokenizer is at hand.
    decode : callable
        The model's read-out, ``(batch, *state_shape)`` to ``(batch, …)``, in the dtype of the state.
    summary : str
        The map in words (layers, injection, closing norm, prompt), without dtype and sizes.
    granularity : {"layer", "sublayer"}
        How finely the loop was cut.
    read_out : {"logits", "numbers", "state"}
        What `decode` gives: logits, classes on the last axis; numbers of another meaning; or the state itself.
    kinds : mapping of str to callable, optional
        Starts by kind, ``"noise"`` and ``"embedding"`` (see `start_kinds`), beside the model's own `start`.
    heads : mapping of str to callable, optional
        Further read-outs by name, such as Ouro's ``"exit_gate"``, called as `decode` is.
    causal, dtype, device, start
        As in `TorchMap`.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.open_checkpoint("demo")
    >>> m.decode(m(m.start())).shape[:2] == (1, len(m.tokens))
    True
    """

    kind: ClassVar[str] = "checkpoint"

    def __init__(
        self,
        layers: Mapping[str, Layer],
        state_shape: Sequence[int],
        *,
        family: Family,
        source: Source,
        prompt: Mapping[str, Any],
        tokens: Sequence[str | int],
        decode: Decoder,
        summary: str,
        start: Starter,
        granularity: Granularity = "layer",
        read_out: ReadOut = "numbers",
        kinds: Mapping[str, Starter] | None = None,
        heads: Mapping[str, Decoder] | None = None,
        causal: bool = False,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(
            layers,
            state_shape,
            causal=causal,
            name=f"{family.name} {source.name}",
            dtype=dtype,
            device=device,
            start=start,
        )
        self.family, self.source, self.granularity = family, source, granularity
        self.prompt: Mapping[str, Any] = dict(prompt)
        self.tokens = tuple(tokens)
        self.read_out: ReadOut = read_out
        self.kinds: Mapping[str, Starter] = dict(kinds or {})
        self.heads: Mapping[str, Decoder] = dict(heads or {})
        self._decode, self._summary = decode, summary

    def start(self, rng: int | np.random.Generator | None = 0, n: int = 1, *, kind: str | None = None) -> Any:
        """Draw `n` starts, shape ``(n, *state_shape)``.

        Parameters
        ----------
        rng : int, Generator or None
            Seed or generator; None draws a new seed.
        n : int
            How many starts.
        kind : str, optional
            None: the model's own start. ``"noise"``: noise of the model's own kind, or normal noise of the size of the
            embedding. ``"embedding"``: row 0 is what the prompt contributes, the others are noise around it.
            ``"prompt:TEXT"``: the same of another prompt of as many tokens, given as text or as ids with spaces
            between; the map keeps its own prompt.

        Raises
        ------
        InvalidArgumentError
            If the family has no start of this kind.
        PromptError
            If the other prompt cannot be read, or has another number of tokens.
        """
        if kind is None:
            return super().start(rng, n)
        if isinstance(kind, str) and kind.startswith("prompt:") and "embedding" in self.kinds:
            return self.drawn(self._elsewhere(kind.removeprefix("prompt:")), rng, n)
        if kind not in self.kinds:
            known = [*map(repr, self.kinds), *(["'prompt:TEXT'"] if "embedding" in self.kinds else [])]
            raise InvalidArgumentError(
                f"{self.name} has no start of kind {kind!r}; "
                + (f"use {', '.join(known)}, or leave kind out" if known else "leave kind out")
            )
        return self.drawn(self.kinds[kind], rng, n)

    def _elsewhere(self, text: str) -> Starter:
        """Return the starts at the embedding of another prompt."""
        try:
            other = self.family.open(self.source, text, self.granularity, None, self.device)
        except PromptError:
            ids = text.replace(",", " ").split()
            if not ids or not all(word.isdecimal() for word in ids):
                raise
            other = self.family.open(self.source, [int(word) for word in ids], self.granularity, None, self.device)
        if other.state_shape != self.state_shape:
            raise PromptError(
                f"{self.name}: kind='prompt:…' needs a prompt of as many tokens as the map's own; got "
                f"{len(other.tokens)} for {len(self.tokens)}"
            )
        return other.kinds["embedding"]

    def decode(self, states: Any, *, head: str | None = None) -> torch.Tensor:
        """Read out states as the model does after its last loop.

        Parameters
        ----------
        states : array, (batch, *state_shape)
            Tensors and arrays keep their floating dtype: float64 states are read out in float64.
        head : str, optional
            One of the further read-outs of `heads`; the model's output if left out.

        Returns
        -------
        tensor, (batch, …)
            In the dtype of `states`; what the axes mean depends on the family (see `describe`).

        Raises
        ------
        ShapeError
            If `states` has another shape.
        InvalidArgumentError
            If there is no such `head`.
        """
        if head is not None and head not in self.heads:
            known = f"the heads {', '.join(map(repr, self.heads))}" if self.heads else "no further heads"
            raise InvalidArgumentError(f"{self.name} has {known}; got head={head!r}. Leave it out for the output.")
        own = states if isinstance(states, torch.Tensor | np.ndarray) else self.native(states)
        kept = torch.as_tensor(own)
        if not kept.is_floating_point():
            kept = self.native(kept)
        self.check_batched(tuple(kept.shape), "states")
        read = self._decode if head is None else self.heads[head]
        return read(kept.to(self.device))

    def describe(self) -> str:
        """Return one line that says which map was made of the checkpoint."""
        layers = " → ".join(self.layer_names) if self.layer_count <= 6 else f"{self.layer_count} layers"
        sizes = " × ".join(map(str, self.state_shape))
        reach = "causal" if self.causal else "not causal"
        shown = " ".join(map(str, self.tokens[:8])) + (" …" if len(self.tokens) > 8 else "")
        return (
            f"{self.name}: one loop = {layers} ({self._summary}); state {sizes}, {reach}, {self.dtype_name}; "
            f"{len(self.tokens)} tokens: {shown}"
        )


def check_granularity(granularity: str) -> Granularity:
    """Return `granularity` if it is one.

    Parameters
    ----------
    granularity : str
        "layer" or "sublayer".

    Returns
    -------
    {"layer", "sublayer"}
        The same text.

    Raises
    ------
    InvalidArgumentError
        If it is neither.

    Examples
    --------
    >>> from dynloop.adapters.base import check_granularity
    >>> check_granularity("sublayer")
    'sublayer'
    """
    allowed: tuple[Granularity, ...] = get_args(Granularity)
    for one in allowed:
        if granularity == one:
            return one
    raise InvalidArgumentError(
        f"granularity must be 'layer' or 'sublayer'; got {granularity!r}. Leave it out for 'layer'"
    )


def starts_around(own: torch.Tensor) -> Starter:
    """Return the starts of a family whose model begins at one fixed state `own`.

    Row 0 is `own` itself. Rows 1, 2, … are there for questions about many starts (path independence, basins):
    `own` plus N(0, s²) noise, s being the root mean square of `own`, or 1 where `own` is zero.

    Parameters
    ----------
    own : tensor, state_shape
        Where the model begins.

    Returns
    -------
    callable
        ``draw(generator, n) -> ndarray, (n, *state_shape)``, in float64.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from dynloop.adapters.base import starts_around
    >>> draw = starts_around(torch.tensor([3.0, 4.0]))
    >>> draw(np.random.default_rng(0), 5)[0]
    array([3., 4.])
    """
    centre = own.detach().to(device="cpu", dtype=torch.float64).numpy()
    scale = float(np.sqrt(np.mean(centre**2))) or 1.0

    def draw(rng: np.random.Generator, n: int) -> Any:
        noise = rng.standard_normal((n, *centre.shape))
        noise[0] = 0.0
        return centre + scale * noise

    return draw


def start_kinds(e: torch.Tensor, noise: Starter | None = None) -> dict[str, Starter]:
    """Return the starts that the embedding of a prompt gives, by kind.

    Parameters
    ----------
    e : tensor, state_shape
        The embedding.
    noise : callable, optional
        The noise of the model, ``noise(generator, n) -> array, (n, *state_shape)``. Left out, it is N(0, s²), s being
        the root mean square of e, or 1 where e is zero.

    Returns
    -------
    dict of str to callable
        "noise", and "embedding", which is `starts_around` e.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from dynloop.adapters.base import start_kinds
    >>> kinds = start_kinds(torch.ones(3, 8))
    >>> {kind: draw(np.random.default_rng(0), 4).shape for kind, draw in kinds.items()}
    {'noise': (4, 3, 8), 'embedding': (4, 3, 8)}
    """
    scale = float(e.detach().double().square().mean().sqrt()) or 1.0

    def normal(rng: np.random.Generator, n: int) -> Any:
        return scale * rng.standard_normal((n, *e.shape))

    return {"noise": noise or normal, "embedding": starts_around(e)}
