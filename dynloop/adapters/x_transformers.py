"""x-transformers (PyPI): a live ``TransformerWrapper(looped=True)``, whose attention layers are called once a loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.captured.causality import is_causal
from dynloop.adapters.captured.layer import CapturedLayer
from dynloop.adapters.captured.nearby import nearby
from dynloop.adapters.captured.read_out import Tail
from dynloop.adapters.captured.recording import OTHER_SEED, Call, Forward, Recording, record, same_randomness
from dynloop.adapters.captured.replay import check_replay, choose_rows
from dynloop.adapters.captured.rounds import check_arguments, gap, rounds_of, tolerance
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.adapters.captured.state_dtype import following
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.errors import CheckpointError, NotAutonomousError

__all__ = ["FAMILY", "SubLayer"]

_LOOPS = 2  # of the recorded pass: enough to see that all loops are alike
_CORE = "attn_layers"


class SubLayer(nn.Module):
    """One attention or feed-forward layer with its norms and its residual, ``(batch, tokens, width)`` to the same.

    Parameters
    ----------
    parts : nn.Module
        ``(norms, block, residual)`` as `AttentionLayers` keeps them, norms being (pre, post branch, post main).
    block : CapturedLayer
        The block, with its arguments.
    own : torch.dtype
        The dtype of the model.
    """

    def __init__(self, parts: Any, block: CapturedLayer, own: torch.dtype) -> None:
        super().__init__()
        self.norms, self.block, self.residual, self.own = parts[0], block, parts[2], own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it to states, in their dtype throughout."""
        before, on_branch, after = self.norms
        with following(x.dtype, self.own):
            inner, outer, named = self.residual.prepare(x)
            y = self.block(inner if before is None else before(inner))
            y = y if on_branch is None else on_branch(y)
            x = self.residual(y, outer, layer_hiddens=[], mask=None, **named)
            return x if after is None else after(x)


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    if config.get("_class_name") == "TransformerWrapper":
        return bool(config.get("looped"))
    return not config.get("model_type") and {"exit_gate.weight", f"{_CORE}.layers.0.1.to_q.weight"} <= set(names)


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    if source.model is None:
        raise CheckpointError(
            f"{source.name} holds weights of x-transformers, whose options are not stored; build the "
            "TransformerWrapper, load the weights, and pass the model object"
        )
    model: Any = stand_in(source.model)
    model = model if device is None else model.to(device)
    read = read_language_prompt(
        prompt, source, vocabulary=source.config["num_tokens"], context=source.config["max_seq_len"]
    )
    forward = _forward(read, _LOOPS)
    own = next(model.parameters()).dtype
    work = dtype or own
    if torch.promote_types(own, work) is not work:
        model, own = model.to(work), work
    with torch.no_grad():
        recording, layers = _cut(model, forward, source.name, own)
    if work is not own:
        layers = {name: stand_in(layer).to(work) for name, layer in layers.items()}
    if granularity == "layer":
        layers = _joined(layers, model.attn_layers.len_default_block)
    state = recording.calls[0].state
    tokens = read.tokens if state.shape[1] == len(read.tokens) else tuple(range(state.shape[1]))
    gate = model.exit_gate

    def exit_gate(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), following(x.dtype, own):
            return gate(x)[..., 0]  # type: ignore[no-any-return] # a module of theirs

    m = Checkpoint(
        dict(layers),
        tuple(state.shape[1:]),
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=tokens,
        decode=Tail(model, forward, [_CORE], recording, len(recording.calls) - 1, 0, own),
        summary=(
            "attention and feed-forward layers, each normed before and after, no injection: the prompt is the start "
            f"alone, decode = logits, prompt = {read.said}"
        ),
        start=starts_around(state[0]),
        kinds=start_kinds(state[0]),
        heads={"exit_gate": exit_gate},
        granularity=granularity,
        read_out="logits",
        dtype=work,
        device=state.device,
    )
    m.causal = bool(is_causal(m, state))
    return m


def _forward(read: LanguagePrompt, loops: int) -> Forward:
    """Return the model's own forward pass of so many loops."""

    def forward(model: nn.Module) -> Any:
        device = next(model.parameters()).device
        ids, mask = (
            torch.as_tensor(read.inputs[name], device=device)[None] for name in ("input_ids", "attention_mask")
        )
        named = {} if bool(mask.all()) else {"mask": mask.bool()}
        return model(ids, looped_steps=loops, looped_pred_all_logits=False, **named)

    return forward


def _cut(model: Any, forward: Forward, where: str, own: torch.dtype) -> tuple[Recording, dict[str, nn.Module]]:
    """Return the recorded calls of the attention layers, and their layers one by one, checked against them."""
    core = model.attn_layers
    blocks = [f"{_CORE}.layers.{i}.1" for i in core.layers_execute_order]
    names = [_CORE, *blocks]
    if len(set(blocks)) != len(blocks) or core.num_residual_streams > 1:
        raise _uncut(where, "layers that run more than once, or several residual streams")
    order = list(range(len(names)))
    recording = record(model, names, forward, where)
    rounds = rounds_of(recording, order, names, where)
    slots = [call.slots for call in rounds[0]]
    x = recording.calls[0].state
    near = nearby(x, 0)
    with same_randomness(OTHER_SEED):
        again = record(model, names, forward, where, slots=slots, replace=lambda i, s: near if i == 0 else s)
    passes = [*rounds, *rounds_of(again, order, names, where)]
    check_arguments(rounds, passes[len(rounds) :], names, where)
    captured = [CapturedLayer(model.get_submodule(n), c, 0) for n, c in zip(blocks, rounds[0][1:], strict=True)]
    check_replay(captured, [loop[1:] for loop in passes], blocks, where)
    for layer, call in zip(captured, rounds[0][1:], strict=True):
        layer.rows = choose_rows(layer, call.state)
    kinds = {"a": "attention", "c": "cross attention", "f": "feed-forward"}
    layers: dict[str, nn.Module] = {
        f"layer {i} {kinds[core.layer_types[i]]}": SubLayer(core.layers[i], block, own)
        for i, block in zip(core.layers_execute_order, captured, strict=True)
    }
    _check_cut(list(layers.values()), passes, where)
    recording.calls = [loop[0] for loop in rounds]
    return recording, layers


def _check_cut(layers: Sequence[nn.Module], passes: Sequence[Sequence[Call]], where: str) -> None:
    """Raise unless the layers, one after the other, are the attention layers, and each loop begins where one ended."""
    for t, loop in enumerate(passes):
        x = loop[0].state
        for layer in layers:
            x = layer(x)
        # in float64 the layers are evaluated in float64 throughout
        if not gap(x, loop[0].out) <= max(tolerance(x.dtype, other_order=True), 1e-5 * (x.dtype is torch.float64)):
            raise _uncut(where, f"an option by which its layers differ by {gap(x, loop[0].out):.2g}")
        following_one = passes[t + 1] if t % _LOOPS < _LOOPS - 1 else None
        if following_one is not None and gap(following_one[0].state, loop[0].out) > 0:
            raise NotAutonomousError(
                f"{where}: a loop does not begin where the one before ended; this option is not one map"
            )


def _uncut(where: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{where} has {what}, which dynloop does not cut into layers; dynloop.capture_block(model, ids, "
        f"block='{_CORE}') makes a map of one factor of it"
    )


def _joined(layers: Mapping[str, nn.Module], size: int) -> dict[str, nn.Module]:
    """Return layers of `size` sublayers each: attention with its feed-forward."""
    parts = list(layers.values())
    return {f"layer {i}": nn.Sequential(*parts[i * size : (i + 1) * size]) for i in range(-(-len(parts) // size))}


def _live_config(model: Any) -> Mapping[str, Any] | None:
    """Return what is needed of a live looped ``TransformerWrapper``; None for other models."""
    if type(model).__name__ != "TransformerWrapper" or not getattr(model, "looped", False):
        return None
    return {
        "_class_name": "TransformerWrapper",
        "looped": True,
        "num_tokens": int(model.num_tokens),
        "max_seq_len": int(model.max_seq_len),
    }


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run the model's own forward with ``looped_steps = loops``; none in float64 where its own code rounds."""
    if checkpoint.source.model is None:
        return None
    model = stand_in(checkpoint.source.model).to(checkpoint.device, checkpoint.dtype)
    prompt = {name: np.asarray(value) for name, value in checkpoint.prompt.items()}
    read = LanguagePrompt(inputs=prompt, tokens=(), said="")
    with torch.no_grad(), following(checkpoint.dtype or torch.float32, next(model.parameters()).dtype):
        logits: torch.Tensor = _forward(read, loops)(model)
    return logits


FAMILY = Family(
    name="x_transformers",
    description="x ← attention layers(x), each x ← norm(x + f(norm x)); no injection",
    identifies="a live TransformerWrapper with looped=True",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
    live_config=_live_config,
)
