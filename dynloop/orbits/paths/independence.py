"""Does the start matter? `path_independence` runs one map from several starts and compares where they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError, NoTwinError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.orbits.paths.agreement import compare
from dynloop.orbits.paths.verdict import PathIndependence, names_of, verdict_on
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification
from dynloop.result import Status

__all__ = ["path_independence"]

Progress = Callable[[int, int], None]
_STARTS = 4  # drawn if none are given


def path_independence(
    m: LoopMap,
    starts: Any = None,
    *,
    others: Sequence[Any] = (),
    loops: int | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> PathIndependence:
    """Run a map from several starts, and from where other prompts had converged, and compare where they end.

    Parameters
    ----------
    m : LoopMap
        The map, its prompt held fixed.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where to begin. Left out, four draws of ``m.start(rng, 4)``: of a checkpoint with a start of its own, that start
        and three with noise added.
    others : sequence of maps or prompts
        Each another prompt: a map on the same states, or, where `m` is a checkpoint, a prompt as `open_checkpoint`
        takes it, with as many tokens. It is run from its own start, and where it ends is one more start for `m`.
    loops : int, optional
        Budget of loops per start, as in `classify`.
    rng : int or Generator
        For starts, and for `classify`.
    progress : callable, optional
        Called as ``progress(loops done, budget)`` while the starts of `m` are classified.

    Returns
    -------
    PathIndependence
        The verdict, cosines, distances, and which limit every start came to.

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two starts, or `others` holds what is no prompt of `m`.
    ShapeError
        If a start or another map has states of another shape.
    PromptError
        If a prompt does not fit the checkpoint.
    NoStartError
        If `starts` is left out, or another map is given, and the map knows no starts of its own.

    Notes
    -----
    The score is the asymptotic alignment of Anil et al. 2022 (arXiv 2211.09961): the cosine between the converged
    state and the one that is reached when the loop is started anew from the converged state of another prompt. A cosine
    near 1 alone is no evidence of one limit: tokens share a large mean. So the verdict rests on distances, against the
    errors of the limits that `classify` solved for, and cycles are compared in phase. Two chaotic or quasi-periodic
    orbits are undecided: whether they fill one attractor is no question about limits. No finite number of starts proves
    path independence; the verdict is about those that were tried. Below float64 everything is said of the float64
    twin, where there is one.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.path_independence(dl.zoo.logistic(3.2), [[0.1], [0.3], [0.8]]).verdict
    'path independent'
    >>> import numpy as np
    >>> two_sinks = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> found = dl.path_independence(two_sinks, np.array([[0.5], [-0.5], [0.1]]))
    >>> found.verdict, found.limit.tolist()
    ('path dependent', [0, 1, 0])
    """
    generator = as_rng(rng)
    own = as_map(m).start(generator, _STARTS) if starts is None else as_map(m).batch(starts)[0]
    m = m.in_dtype_of(own)
    dtype, own = m.dtype_name, m.numpy(own)
    reading, m = m, _in_float64(m)
    sources = [f"start {i}" for i in range(len(own))]
    ends, kinds = _ends_of_others(reading, others, loops, generator)
    usable = np.isfinite(ends).reshape(len(ends), m.dimension).all(axis=1)
    sources += [f"other {i}" for i in np.flatnonzero(usable)]
    if len(own) + len(ends) < 2:
        raise InvalidArgumentError(
            "path independence compares two starts or more; got one start and no others. Give more starts, or others="
        )
    states = m.native(np.concatenate([own, ends[usable]]))
    said = classify(m, states, loops=loops, rng=generator, progress=progress)
    found = compare(m, said, m.numpy(states), m.numpy(said.states))
    verdict, reason = verdict_on(found, said, sources, unusable=int((~usable).sum()))
    alignment = np.full((len(ends), m.rows), np.nan)
    alignment[usable] = found.cosine[0, len(own) :]
    pairs = found.cosine[np.triu_indices(len(sources), 1)]
    return PathIndependence(
        verdict=verdict,
        independent=verdict == "path independent",
        reason=reason,
        score=float(_mean(alignment.ravel())),
        alignment=alignment,
        agreement=_mean(pairs),
        cosine=found.cosine,
        distance=found.distance,
        limit=found.limit,
        regime=np.array([names_of(row) for row in np.reshape(said.regime, (len(sources), -1))]),
        status=_status(said, len(sources)),
        sources=tuple(sources),
        others=kinds,
        classification=said,
        settings={"map": m.name, "dtype": dtype, "loops": said.settings["loops"]},
    )


def _ends_of_others(
    m: LoopMap, others: Sequence[Any], loops: int | None, rng: np.random.Generator
) -> tuple[Array, tuple[str, ...]]:
    """Return where every other prompt ends from its own start, ``(others, *state_shape)``, and its regime."""
    if isinstance(others, str | bytes | Mapping | LoopMap) or not isinstance(others, Sequence):
        raise InvalidArgumentError(
            f"others must be a list of maps or prompts; got {type(others).__name__}. Write others=[prompt]."
        )
    ends, kinds = np.zeros((len(others), *m.state_shape)), []
    for i, other in enumerate(others):
        other = other if isinstance(other, LoopMap) else _with_prompt(m, other)
        if other.state_shape != m.state_shape:
            raise ShapeError(
                f"others[{i}] has states of shape {other.state_shape}, and {m.name} of shape {m.state_shape}; give "
                "prompts with as many tokens"
            )
        other = _in_float64(other)
        said = classify(other, loops=loops, rng=rng)
        ends[i] = other.numpy(said.states)[0]
        kinds.append(names_of(np.ravel(said.regime)))
    return ends, tuple(kinds)


def _with_prompt(m: LoopMap, prompt: Any) -> LoopMap:
    from dynloop.adapters.address import with_prompt  # torch is imported for checkpoints alone

    return with_prompt(m, prompt)


def _status(said: Classification, n: int) -> Array:
    """Return one status a start: the first of its groups that was not decided."""
    rows = np.reshape(said.evidence.status, (n, -1))
    found = np.empty(n, dtype=object)
    found[:] = [next((s for s in row if s is not Status.DECIDED), Status.DECIDED) for row in rows]
    return found


def _mean(values: Array) -> Array:
    """Return the mean over axis 0 of what is not nan; nan where nothing is left."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))


def _in_float64(m: LoopMap) -> LoopMap:
    """Return the float64 twin, where there is one."""
    try:
        return m.twin()
    except NoTwinError:
        return m
