"""Going on with a classification: the same record, its unfinished lines replaced by what more loops found."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from dynloop.arguments import checked_kind
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Classification, Evidence, Regime

__all__ = ["checked_map", "checked_resume", "last_states", "merged"]


def checked_resume(m: LoopMap, earlier: Classification, loops: int | None, polish: str) -> int:
    """Return the total budget with which to go on, four times the loops done if none is given.

    Raises
    ------
    InvalidArgumentError
        If `earlier` is no classification, or of another map, or no loops are left.
    """
    checked_map(m, earlier, "resume")
    made = earlier.settings
    if polish not in ("auto", made["polish"]):
        raise InvalidArgumentError(
            f"resume was made with polish={made['polish']!r}; got {polish!r}. Leave it out, or begin anew"
        )
    done = int(made["loops"])
    if loops is None:
        return 4 * done
    least = done if earlier.unfinished is not None else 0
    if isinstance(loops, bool) or not isinstance(loops, int | np.integer) or loops <= least:
        raise InvalidArgumentError(
            f"loops is the budget in total, and resume has spent {done} of them; got {loops!r}. Give an int above that"
        )
    return int(loops)


def checked_map(m: LoopMap, made: Classification, argument: str) -> None:
    """Raise `InvalidArgumentError` if `made` is no classification, or of a map of another name or shape."""
    checked_kind(made, Classification, argument, "Give what classify returned")
    mine = {"map": m.name, "layers": m.layer_names, "causal": m.causal, "state_shape": m.state_shape}
    for name, value in mine.items():
        its = made.settings.get(name)
        if _plain(its) != _plain(value):
            raise InvalidArgumentError(
                f"{argument} was made with another map: its {name} is {its!r}, that of the map {value!r}; give the map "
                "that it was made with"
            )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | list) else value


def merged(earlier: Classification, later: Classification, starts: Array, m: LoopMap) -> Classification:
    """Return `earlier` with the lines of the starts that `later` is of replaced, except certain ones by undecided ones.

    `later` has a batch axis; `earlier` may have none.
    """
    shape, rows = np.shape(earlier.regime), np.shape(later.regime)
    groups = rows[1:]
    undecided = np.reshape(earlier.regime, (-1, *groups))[starts] == Regime.UNDECIDED
    lines = undecided | (later.regime != Regime.UNDECIDED)

    def put(old: Array, new: Array) -> Array:
        old, new = np.asarray(old), np.asarray(new)
        own = new.shape[len(rows) :]
        kind = np.promote_types(old.dtype, new.dtype) if old.dtype.kind == "U" else old.dtype
        whole = np.reshape(old, (-1, *groups, *own)).astype(kind)  # a copy
        part = whole[starts]
        part[lines] = new[lines]
        whole[starts] = part
        return whole.reshape(shape + own)

    evidence = Evidence(**{
        f.name: put(getattr(earlier.evidence, f.name), getattr(later.evidence, f.name)) for f in fields(Evidence)
    })  # fmt: skip
    per_line = ("regime", "period", "rate", "rate_error", "dichotomy", "reason")
    final = last_states(m, earlier)
    final[starts] = later.states
    states, left = m.native(final), later.unfinished
    return replace(
        earlier, evidence=evidence, states=states if np.ndim(earlier.states) > len(m.state_shape) else states[0],
        settings=later.settings, unfinished=None if left is None else left.under(starts),
        **{name: put(getattr(earlier, name), getattr(later, name)) for name in per_line},
    )  # fmt: skip


def last_states(m: LoopMap, found: Classification) -> Array:
    """Return a copy of the states at which a classification ended, ``(batch, *state_shape)``."""
    states = np.array(found.states) if isinstance(found.states, np.ndarray) else m.numpy(found.states)
    return states.reshape(-1, *m.state_shape)
