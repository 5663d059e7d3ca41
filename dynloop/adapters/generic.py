"""Any PyTorch model: name the modules of a block, and one real forward pass makes a map of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Source
from dynloop.adapters.captured.ends import Parts
from dynloop.adapters.captured.names import named_modules
from dynloop.adapters.captured.opening import FAMILY, Wish
from dynloop.adapters.live import check_present, config_of, unwrapped
from dynloop.adapters.working import as_device, as_dtype
from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError

__all__ = ["FAMILY", "capture_block"]


def capture_block(
    model: nn.Module,
    prompt: Any = None,
    *,
    block: Any,
    injection: Callable[..., Any] | str | None = None,
    closing_norm: Callable[..., Any] | str | None = None,
    embedding: Any = None,
    start: Any = None,
    decode: Callable[[torch.Tensor], torch.Tensor] | None = None,
    causal: bool | None = None,
    batch_axis: int = 0,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
) -> Checkpoint:
    """Turn modules of any PyTorch model into the map of one loop.

    The model runs once on the prompt; whatever else its modules are given (masks, rotary tables, position ids, keyword
    arguments) is captured there and held fixed. So a block of a feed-forward model becomes a looped one, and the block
    of a looped model what it is. The model itself is not touched: a stand-in of new modules around the same weights
    runs, in evaluation mode, with copies of what else the modules hold.

    Parameters
    ----------
    model : torch.nn.Module
        Any model. Its weights are shared.
    prompt : callable, array or dict
        Token ids ``(tokens,)`` or numbers, the model's first input; a dict of arrays named as the model's own inputs,
        without a batch axis (entries that are no arrays are passed on as they are); or ``prompt(model)`` that runs the
        model in any other way, on a batch of one.
    block : str, or sequence of str
        The modules in the order of one loop. ``"transformer.h.3:7"`` are members 3 … 6 of a ``ModuleList`` or
        ``Sequential``, ``"transformer.h"`` all of them, ``"encoder.layer.2"`` is one module.
    injection : callable, optional
        ``injection(x, e)`` or ``injection(x)``, called on states ``(batch, *state_shape)`` at the start of every loop;
        ``"add"`` is x + e; another name is a module of the model.
    closing_norm : str or callable, optional
        The name of a module, or a callable, applied to the states at the end of every loop.
    embedding : str or array (*state_shape), optional
        e: what the named module put out in the real pass, or an array. The state that entered the block, if left out.
    start : array (*state_shape), optional
        The model's own start. Left out: the state that entered the block; with an injection, 0 if that is what the
        injection turns into the state that entered (as for x + e).
    decode : callable, optional
        A read-out ``(batch, *state_shape)`` to ``(batch, …)``. By default the rest of the model, run with the state in
        the place of the block's last output.
    causal : bool, optional
        Whether token i depends on tokens ≤ i alone; measured if left out.
    batch_axis : int
        Which axis of the model's inputs and of the states inside counts the batch; 1 for ``nn.TransformerEncoder``
        without ``batch_first``.
    dtype : torch.dtype or str, optional
        The working dtype; that of the state in the model's own pass, if left out. The weights of the block are copied
        if it is another one.
    device : torch.device or str, optional
        Where to compute; where the model is, if left out.

    Returns
    -------
    Checkpoint
        Its layers are the injection, the modules and the closing norm. ``start(kind="embedding")`` is the state that
        entered the block.

    Raises
    ------
    InvalidArgumentError
        If `block` does not name modules that are called one after the other, each taking what the one before returned,
        or nothing shows which of several tensors of its shape is the state; `ShapeError` if shapes do not fit.
    NotAutonomousError
        If the loop is not one map: a key-value cache, random numbers, arguments that differ from loop to loop or depend
        on the state, a step between loops that is not named.
    PromptError
        If the model's own forward pass fails on the prompt.

    Notes
    -----
    Everything is checked against the model at two states, the real one and one beside it: every module replayed gives
    what it gave, also after a copy of the model has run on other inputs; its arguments do not depend on the state or on
    random numbers; and in a model that loops each loop begins where the map says.
    In float64 the code of a module is evaluated in float64 throughout, also where it would round to float32 inside. A
    module that fails so, or that differs then from what it gives with its own rounding by more than 1e-4 (relative),
    keeps its own rounding: its values have no more digits than its code, whatever the dtype.

    Examples
    --------
    >>> import torch, dynloop as dl
    >>> layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).double()
    >>> model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    >>> m = dl.capture_block(model, torch.ones(3, 8).double(), block="layers.1:3", injection="add")
    >>> m.layer_names
    ('injection', 'layers.1', 'layers.2')
    >>> bool(torch.allclose(m.decode(m(m.start())), model.eval()(torch.ones(1, 3, 8).double())))
    True
    """
    model = unwrapped(model)
    if not isinstance(model, nn.Module):
        raise InvalidArgumentError(
            f"model must be a torch.nn.Module; got {type(model).__name__}. Load the model and pass the object itself; "
            "code that comes with a checkpoint is never run."
        )
    check_present(model)
    batch_axis = checked_int(batch_axis, "batch_axis", 0, remedy="Leave it out for batch first.")
    where = f"live {type(model).__name__}"
    names, _ = named_modules(model, block, where)
    own = {id(module): name for name, module in model.named_modules()}
    parts = Parts(
        block=tuple(names),
        injection=own.get(id(injection), injection),  # a module of the model by its name
        closing_norm=own.get(id(closing_norm), closing_norm),
        embedding=embedding,
        batch_axis=batch_axis,
    )
    for argument, value in (("injection", parts.injection), ("closing_norm", parts.closing_norm)):
        if value is not None and not isinstance(value, str) and not callable(value):
            raise InvalidArgumentError(f"{argument} must be a callable or the name of a module; got {value!r:.80}")
    wish = Wish(parts=parts, start=start, decode=decode, causal=causal)
    tensors = {name: t.detach() for name, t in model.state_dict().items() if isinstance(t, torch.Tensor)}
    source = Source(name=where, config=config_of(model) or {}, tensors=tensors, model=model)
    return wish.open(source, prompt, "layer", as_dtype(dtype), as_device(device))
