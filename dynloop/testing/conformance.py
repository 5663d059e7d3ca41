"""The rules that every map keeps: `check_map` measures them one by one and says which is broken, by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import NoStartError
from dynloop.maps.base import LoopMap, as_rng
from dynloop.result import Result
from dynloop.testing import map_rules as rules
from dynloop.testing.untouched import global_state, module_state, modules_in

__all__ = ["MapReport", "check_map"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapReport(Result):
    """What `check_map` measured on a map that keeps every rule.

    Attributes
    ----------
    map : str
        Name of the map.
    gaps : dict of float
        By rule, the largest relative deviation that was measured; 0 where bits agree.
    tolerances : dict of float
        By rule, the deviation that is allowed.
    skipped : dict of str
        By rule, why it (or part of it) was not checked.
    settings : dict
        Dtype, number of probes, the dtype in which derivatives were checked.

    Examples
    --------
    >>> import dynloop as dl
    >>> report = dl.testing.check_map(dl.zoo.henon())
    >>> report.map, all(gap <= report.tolerances[rule] for rule, gap in report.gaps.items())
    ('henon', True)
    """

    map: str
    gaps: Mapping[str, float]
    tolerances: Mapping[str, float]
    skipped: Mapping[str, str]
    settings: Mapping[str, Any]


def check_map(m: LoopMap, states: Any = None, *, rng: int | np.random.Generator | None = 0) -> MapReport:
    """Check the rules that every map must keep, on a few states.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : array, (batch, *state_shape), optional
        Where to check; one state may come without the batch axis. By default starts of the map, or N(0, 1) where it
        knows none.
    rng : int, Generator or None
        For the starts, the directions of derivatives and the perturbed rows.

    Returns
    -------
    MapReport
        The measured gaps.

    Raises
    ------
    ConformanceError
        If a rule is broken. The message names the rule, the number measured, what is allowed and the remedy.

    Notes
    -----
    The rules: a map and each of its layers keep shape, dtype and type · the same batch gives the same bits, also after
    other calls · a row's result does not depend on the other rows · states given in are not changed · sections are the
    states between the layers · power(p) is F applied p times · rotate(l) carries section l to section l of the next
    loop · with ``causal=True`` a token's result does not depend on later tokens · J·V agrees with central differences ·
    ⟨w, J v⟩ = ⟨Jᵀ w, v⟩ · weights, flags, hooks, gradients, random states and global settings stay as they were.

    A derivative can be silently zero (vjp through an inner ``no_grad``, jvp through ``.detach()``), so it is always
    compared with differences, in float64 where the map has a float64 twin. Probes at which one-sided differences
    disagree (a kink) are left out and counted in `skipped`.

    Examples
    --------
    >>> import dynloop as dl
    >>> report = dl.testing.check_map(dl.zoo.henon())
    >>> report.gaps["power"], report.gaps["derivative"] < 1e-6
    (0.0, True)
    """
    generator = as_rng(rng)
    probes = _probes(m, states, generator)
    m = m.in_dtype_of(probes)
    book = rules.Book(m)
    modules = modules_in(getattr(m, "layers", ()))
    world, model = global_state(), module_state(modules)
    for rule in (
        rules.check_shapes,
        rules.check_input_unchanged,
        rules.check_determinism,
        rules.check_sections,
        rules.check_power,
        rules.check_rotate,
        rules.check_rows,
        rules.check_causality,
        rules.check_derivatives,
    ):
        with book.calling(rule.__name__.removeprefix("check_").replace("_", " ")):
            rule(book, probes, generator)
    rules.check_unchanged(book, "model", model, module_state(modules), "A layer changes its own module; let it not.")
    rules.check_unchanged(book, "globals", world, global_state(), "Use generators and settings of the map's own.")
    settings = {"dtype": m.dtype_name, "probes": len(probes), "derivatives_in": book.derivatives_in}
    return MapReport(map=m.name, gaps=book.gaps, tolerances=book.tolerances, skipped=book.skipped, settings=settings)


def _probes(m: LoopMap, states: Any, generator: np.random.Generator) -> Any:
    """Return at least three native states, ``(batch, *state_shape)``, new arrays throughout."""
    try:
        given, _ = m.batch(m.start(generator, 3) if states is None else states)
    except NoStartError:
        given = m.native(generator.standard_normal((3, *m.state_shape)))
    x = m.numpy(given)
    while len(x) < 3:
        x = np.concatenate([x, x[:1] * (1 + 0.01 * generator.standard_normal(x[:1].shape))])
    return m.in_dtype_of(given).native(x)
