"""Whether captured layers are the model: each gives what its module gave, at two states, and nothing random."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dynloop.adapters.captured.layer import CapturedLayer, Rows
from dynloop.adapters.captured.nearby import nearby
from dynloop.adapters.captured.recording import Call, same_randomness
from dynloop.adapters.captured.rounds import gap, tolerance
from dynloop.errors import NotAutonomousError

__all__ = ["check_replay", "choose_rows"]

_FOLLOWS = 1e-4  # beyond this, evaluating float64 throughout is not the same function as the model's own rounding


def check_replay(
    layers: Sequence[CapturedLayer], loops: Sequence[Sequence[Call]], names: Sequence[str], where: str
) -> float:
    """Compare every layer with every recorded call of its module.

    Parameters
    ----------
    layers : sequence of CapturedLayer
        One a module of the loop.
    loops : sequence of loops
        Recorded at different states.
    names : sequence of str
        One a layer.

    Returns
    -------
    float
        The largest relative gap.

    Raises
    ------
    NotAutonomousError
        If a layer gives something else than its module gave, or something else at each call.
    """
    worst = 0.0
    for i, layer in enumerate(layers):
        found = []
        for seed, loop in enumerate((*loops, loops[0])):
            with same_randomness(seed + 1):
                found.append(layer.plain(loop[i].state.movedim(layer.batch_axis, 0)))
        allowed = tolerance(loops[0][i].state.dtype)
        again = gap(found[-1], found[0])
        if not again <= allowed:
            raise NotAutonomousError(
                f"{where}: {names[i]} gives different outputs at one state (relative gap {again:.2g}): "
                "it draws random numbers or keeps something from call to call; switch that off"
            )
        for loop, out in zip(loops, found, strict=False):
            off = gap(out, loop[i].out.movedim(layer.batch_axis, 0))
            if not off <= allowed:
                raise NotAutonomousError(
                    f"{where}: {names[i]}, called again with the arguments of the real pass, is off by {off:.2g} "
                    "(relative): it reads something that the model's forward sets beside its arguments; name a block "
                    "whose modules read their arguments alone"
                )
            worst = max(worst, off)
        _choose_following(layer, loops[0][i])
    return worst


def _choose_following(layer: CapturedLayer, call: Call) -> None:
    """Let a float64 layer round as the model does where it cannot be evaluated in float64 throughout."""
    x = call.state.movedim(layer.batch_axis, 0)
    try:
        layer.follows = bool(gap(layer(x.double()).to(x.dtype), layer.plain(x)) <= max(_FOLLOWS, tolerance(x.dtype)))
    except (RuntimeError, TypeError, ValueError, AttributeError):
        layer.follows = False


def choose_rows(layer: CapturedLayer, state: torch.Tensor) -> Rows:
    """Return how a layer is to be called on several states, so that every row is what it is alone."""
    x = nearby(state, 1, 3)
    alone = torch.cat([layer.plain(x[i : i + 1]) for i in range(len(x))])
    for rows in ("together", "expanded"):
        layer.rows = rows
        try:
            found = layer.plain(x)
        except Exception:  # noqa: S112 - a module may refuse several rows in any way; one by one is left
            continue
        if found.shape == alone.shape and gap(found, alone) <= tolerance(state.dtype, other_order=True):
            return rows
    return "one by one"
