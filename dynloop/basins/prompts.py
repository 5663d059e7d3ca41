"""Path independence over prompts: for how many prompts every start tried comes to one limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.adapters.address import with_prompt
from dynloop.adapters.registry import open_checkpoint
from dynloop.arguments import checked_int, checked_list
from dynloop.basins.proportions import checked_confidence, standard_error, wilson
from dynloop.errors import InvalidArgumentError, PromptError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.paths.independence import path_independence
from dynloop.orbits.paths.verdict import PathIndependence
from dynloop.result import Result

__all__ = ["PromptIndependence", "path_independence_of_prompts"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class PromptIndependence(Result):
    """Whether the start matters, prompt by prompt.

    Attributes
    ----------
    independent : float
        Share of prompts for which every start tried came to one limit: the fraction of the biggest basin is 1.
    standard_error : float
        Of it, prompts being independent draws; 1/(prompts + 1) where it is 0 or 1.
    interval : (float, float)
        Wilson's interval of it.
    dependent, undecided : float
        Shares of prompts for which two starts ended differently, and of those about which the limits do not decide.
    biggest : ndarray, (prompts,)
        Share of starts that came to the limit that most came to. What has no limit counts for none, so that this is 0
        where no start has one.
    verdicts : tuple of str, (prompts,)
        ``"path independent"``, ``"path dependent"`` or ``"undecided"``.
    results : tuple of PathIndependence, (prompts,)
        The comparisons, with their evidence.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.path_independence_of_prompts(None, [dl.zoo.logistic(2.5), dl.zoo.logistic(3.2)], starts=4)
    >>> found.verdicts, found.undecided
    (('path independent', 'path independent'), 0.0)
    """

    independent: float
    standard_error: float
    interval: tuple[float, float]
    dependent: float
    undecided: float
    biggest: Array
    verdicts: tuple[str, ...]
    results: tuple[PathIndependence, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def path_independence_of_prompts(
    checkpoint: Any,
    prompts: Sequence[Any],
    *,
    starts: int = 8,
    loops: int | None = None,
    confidence: float = 0.95,
    rng: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PromptIndependence:
    """Ask for every prompt whether the start matters, and give the share for which it does not.

    Parameters
    ----------
    checkpoint : path-like, model object or Checkpoint
        As in `classify_prompts`.
    prompts : sequence of prompts, or of maps
        Each as `open_checkpoint` takes it; or the maps themselves, one a prompt (`checkpoint` is None then).
    starts : int
        Starts for each prompt, ``m.start(rng, starts)``.
    loops : int, optional
        Budget of loops per start, as in `classify`.
    confidence : float
        Of the interval.
    rng : int
        For starts; the same number is used for each prompt.
    progress : callable, optional
        ``progress(prompts done, prompts)``.

    Returns
    -------
    PromptIndependence
        The share, and every comparison.

    Raises
    ------
    InvalidArgumentError
        If there is no prompt, or an argument is out of range.
    PromptError
        If a prompt does not fit the checkpoint.
    NoStartError
        If a map knows no starts of its own.

    Notes
    -----
    See `path_independence` for what makes two ends one limit. "Every start" are those that were tried: a basin with a
    share q of the starts is missed by n of them with probability (1 − q)ⁿ, 43 % for q = 10 % and n = 8.

    Examples
    --------
    >>> import dynloop as dl
    >>> maps = [dl.zoo.logistic(r) for r in (2.5, 3.2)]
    >>> found = dl.path_independence_of_prompts(None, maps, starts=4)
    >>> found.independent, found.biggest.tolist()
    (1.0, [1.0, 1.0])
    """
    checked_confidence(confidence)
    starts = checked_int(starts, "starts", 2, meaning="the starts to compare", remedy="Leave it out for 8")
    maps = _maps(checkpoint, prompts)
    results = []
    for m in maps:
        results.append(path_independence(m, m.start(rng, starts), loops=loops, rng=rng))
        if progress is not None:
            progress(len(results), len(maps))
    verdicts = np.array([found.verdict for found in results])
    n, count = len(results), np.array([(verdicts == "path independent").sum()])
    low, high = wilson(count, n, confidence)[0].tolist()
    return PromptIndependence(
        independent=float(count[0] / n), standard_error=float(standard_error(count, n)[0]), interval=(low, high),
        dependent=float((verdicts == "path dependent").mean()), undecided=float((verdicts == "undecided").mean()),
        biggest=np.array([_biggest(found.limit) for found in results]), verdicts=tuple(verdicts.tolist()),
        results=tuple(results), settings={"starts": int(starts), "loops": loops, "confidence": confidence},
    )  # fmt: skip


def _biggest(limit: Array) -> float:
    counts = np.bincount(limit[limit >= 0])
    return float(counts.max() / len(limit)) if len(counts) else 0.0


def _maps(checkpoint: Any, prompts: Sequence[Any]) -> list[LoopMap]:
    given = checked_list(prompts, "prompts", "prompts or maps", "Pass [prompt], or [map] with checkpoint=None")
    if not given:
        raise InvalidArgumentError("prompts is empty; give at least one prompt, or one map")
    if all(isinstance(one, LoopMap) for one in given):
        return given
    maps: list[LoopMap] = []
    first = checkpoint if isinstance(checkpoint, LoopMap) else None
    for i, prompt in enumerate(given):
        try:
            maps.append(open_checkpoint(checkpoint, prompt) if first is None else with_prompt(first, prompt))
        except PromptError as error:
            raise PromptError(f"prompts[{i}]: {error}") from None
        first = maps[0] if first is None else first
    return maps
