"""Looped language models of our own: embed, iterate one block of `dynloop.maps.synthetic`, read out; the demos."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import fill, fitting_tensors, widest
from dynloop.adapters.prompts import named_inputs, token_ids
from dynloop.adapters.settings import choice, count, number
from dynloop.errors import CheckpointError, InvalidArgumentError, PromptError
from dynloop.maps.base import Starter
from dynloop.maps.synthetic import INJECTIONS, NORMS, LoopedTransformer
from dynloop.nn import Linear, RMSNorm

__all__ = ["FAMILY", "LoopedLM"]

MODEL_TYPE = "dynloop_looped_lm"
STARTS = ("zeros", "embedding", "noise")
_SIZES = ("layers", "width", "heads", "context")
_MAP = ("model_type", "norm", "injection", *_SIZES, "causal", "rope", "gain", "vocabulary", "start")
_ABOUT = ("prompt", "task", "trained_loops", "accuracy", "deep_accuracy", "seed", "steps", "torch")


class LoopedLM(nn.Module):
    """Embedding, looped block, norm and head: ``logits = head(norm(F_e^n(x_0)))``, the token embeddings being e.

    Parameters
    ----------
    config : mapping
        What ``config.json`` says: `norm`, `injection`, `layers`, `width`, `heads`, `causal`, `rope`, `gain` as in
        `dynloop.maps.synthetic.looped_transformer`; `vocabulary`, the list of token strings; `context`, the largest
        number of tokens; `start`, the state before the first loop: "zeros", "embedding" (e itself) or "noise"
        (N(0, 1)). Whatever else is there describes the model and changes nothing.

    Notes
    -----
    Weights are zero until they are drawn (`draw`) or loaded. Everything is computed in the dtype of the state.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        width, words = config["width"], len(config["vocabulary"])
        named = ("norm", "injection", "layers", "width", "heads", "causal", "rope", "gain")
        self.block = LoopedTransformer(**{name: config[name] for name in named})
        self.embed = nn.Embedding(words, width, _weight=torch.zeros(words, width))
        self.norm = RMSNorm(width)
        self.head = Linear(width, words)

    def draw(self, generator: torch.Generator) -> None:
        """Draw all weights: embeddings from N(0, 1), head from N(0, 1/width), the block as synthetic blocks are."""
        self.block.draw(generator)
        with torch.no_grad():
            self.embed.weight.normal_(generator=generator)
            self.head.weight.normal_(generator=generator).div_(self.config["width"] ** 0.5)

    def first(self, e: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return the state before the first loop, in the shape of e."""
        start = self.config["start"]
        if start == "noise":
            return torch.randn(e.shape, generator=generator, dtype=e.dtype, device=e.device)
        return e if start == "embedding" else torch.zeros_like(e)

    def loop(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """Apply one loop to ``(batch, tokens, width)``, each row with its own prompt e of the same shape."""
        if self.block.inject is not None:
            x = self.block.inject(x, e)
        for branch in self.block.branches:
            x = branch(x)
        return x if self.block.close is None else self.block.close(x)

    def read_out(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(batch, tokens, vocabulary)`` of states ``(batch, tokens, width)``."""
        logits: torch.Tensor = self.head(self.norm(x))
        return logits

    def forward(self, ids: torch.Tensor, loops: int, start: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits after `loops` loops on prompts ``(batch, tokens)``, in the dtype of `start` if given."""
        e = self.embed(ids)
        x = self.first(e) if start is None else start
        for _ in range(loops):
            x = self.loop(x, e)
        return self.read_out(x)


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:  # noqa: ARG001 - the config says it all
    return config.get("model_type") == MODEL_TYPE


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    model = _model(source, dtype, device)
    config = model.config
    ids = _read_prompt(prompt, source.name, config)
    e = model.embed(torch.as_tensor(ids, device=model.embed.weight.device))
    words: list[str] = config["vocabulary"]
    fed = config["injection"]
    said = "the prompt is the start alone" if fed == "none" else f"the prompt enters every loop by {fed}"
    return Checkpoint(
        model.block.layers_for(e, granularity),
        tuple(e.shape),
        family=FAMILY,
        source=source,
        prompt={"input_ids": ids},
        tokens=[words[i] for i in ids],
        decode=model.read_out,
        summary=f"{config['norm']} norm, {said}, start {config['start']}",
        start=_starter(config["start"], e),
        kinds=start_kinds(e, _starter("noise", e)),
        granularity=granularity,
        read_out="logits",
        causal=config["causal"],
        dtype=e.dtype,
        device=e.device,
    )


def _model(source: Source, dtype: torch.dtype | None, device: torch.device | None) -> LoopedLM:
    """Build the model of a checkpoint: config checked, weights checked and filled in, frozen."""
    config = _checked(source.config, source.name)
    try:
        with torch.device("meta"):
            model = LoopedLM(config)
    except InvalidArgumentError as error:
        raise CheckpointError(f"{source.name}: the config describes no block ({error})") from error
    tensors = fitting_tensors(source, {name: tuple(weight.shape) for name, weight in model.state_dict().items()})
    device = device or tensors["embed.weight"].device
    return fill(model, tensors, dtype or widest(tensors), device)


def _checked(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the config, every field that the map depends on being checked."""
    for field in config:
        if field not in (*_MAP, *_ABOUT):
            raise CheckpointError(
                f"{where}: the config says {field} = {str(config[field])[:40]!r}, which the {MODEL_TYPE} adapter does "
                "not know; remove the field if it changes nothing"
            )
    checked: dict[str, Any] = dict(config)
    for field, allowed in (("norm", NORMS), ("injection", INJECTIONS), ("start", STARTS)):
        checked[field] = choice(config, field, where, allowed)
    checked |= {field: count(config, field, where) for field in _SIZES}
    checked["gain"] = number(config, "gain", where)
    for field in ("causal", "rope"):
        if not isinstance(config.get(field), bool):
            raise CheckpointError(
                f"{where}: the config needs {field} to be true or false; it says {config.get(field)!r}, so correct it"
            )
    words = config.get("vocabulary")
    plain = isinstance(words, list) and all(isinstance(word, str) and word.split() == [word] for word in words)
    if not words or not plain or len(set(words)) < len(words):
        raise CheckpointError(
            f"{where}: the config needs vocabulary to be a list of distinct token strings without spaces; it says "
            f"{str(words)[:60]}, so correct it"
        )
    return checked


def _read_prompt(prompt: Any, where: str, config: Mapping[str, Any]) -> Any:
    """Return the token ids ``(tokens,)`` of text, of ids, of ``{"input_ids": ids}``, or of the example (None)."""
    words: list[str] = config["vocabulary"]
    if prompt is None:
        prompt = config.get("prompt")
        if not isinstance(prompt, str):
            raise PromptError(f"{where} has no example prompt in its config; pass prompt= text or token ids")
    if isinstance(prompt, Mapping):
        prompt = named_inputs(prompt, where, required=("input_ids",))["input_ids"]
    if isinstance(prompt, str):
        prompt = _tokenise(prompt, where, words)
    return token_ids(prompt, where, vocabulary=len(words), context=config["context"], name="prompt")


def _tokenise(text: str, where: str, words: list[str]) -> list[int]:
    shown = " ".join(words[:24]) + (" …" if len(words) > 24 else "")
    parts = text.split()
    if not parts:
        raise PromptError(f"{where}: the prompt is empty; write at least one token of: {shown}")
    unknown = [part for part in parts if part not in words]
    if unknown:
        raise PromptError(
            f"{where}: the prompt has the token {unknown[0][:20]!r}, which is not in the vocabulary; write tokens of "
            f"these with spaces between: {shown}"
        )
    return [words.index(part) for part in parts]


def _starter(start: str, e: torch.Tensor) -> Starter:
    if start == "noise":
        return lambda rng, n: rng.standard_normal((n, *e.shape))
    return starts_around(e if start == "embedding" else torch.zeros_like(e))


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor:
    """Run the model's own forward on the first start; it knows nothing of layers."""
    model = _model(checkpoint.source, checkpoint.dtype, checkpoint.device)
    ids = torch.as_tensor(checkpoint.prompt["input_ids"], device=checkpoint.device)
    with torch.no_grad():
        logits: torch.Tensor = model(ids[None], loops, checkpoint.start())
    return logits


FAMILY = Family(
    name="looped_lm",
    description="x ← norm?(blocks(W[x, e])), x + e or x for W[x, e]; e the token embeddings; start 0, e or noise",
    identifies=f"model_type {MODEL_TYPE}",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
)
