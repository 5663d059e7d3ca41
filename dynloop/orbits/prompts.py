"""One checkpoint over many prompts: classify each, and say what share of tokens is in which regime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.adapters.address import with_prompt
from dynloop.adapters.jsonl import read_prompts
from dynloop.adapters.registry import open_checkpoint
from dynloop.arguments import checked_int, checked_list
from dynloop.errors import PromptError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification
from dynloop.result import Result

__all__ = ["PromptSummary", "classify_prompts", "summarise"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class PromptSummary(Result):
    """Shares of regimes over prompts and tokens.

    Attributes
    ----------
    regimes : tuple of str, (r,)
        The regimes that occur, the most frequent first; PERIODIC with its period, such as ``"PERIODIC(2)"``.
    share : ndarray, (r,)
        Share of each over all tokens of all prompts (over all starts, where the map is not causal).
    standard_error : ndarray, (r,)
        Of each share, prompts being the sample: tokens of one prompt are not independent. nan with one prompt.
    by_prompt : ndarray, (prompts, r)
        The shares within each prompt.
    counts : ndarray of int, (prompts,)
        How many verdicts each prompt has.
    prompts : tuple
        What was read.
    results : tuple of Classification, (prompts,)
        The verdicts, with their evidence.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify_prompts("demo:hop-injected", [[1, 2, 3], [4, 5, 6, 7]], loops=256)
    >>> found.by_prompt.shape == (2, len(found.regimes)), round(float(found.share.sum()), 12)
    (True, 1.0)
    """

    regimes: tuple[str, ...]
    share: Array
    standard_error: Array
    by_prompt: Array
    counts: Array
    prompts: tuple[Any, ...]
    results: tuple[Classification, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        """Return the share of every regime that occurs, largest first."""
        return dict(zip(self.regimes, self.share.tolist(), strict=True))

    def summary(self) -> str:
        """Say in one line which regimes occur, e.g. ``"97 % of tokens CYCLIC, 3 % UNDECIDED, over 20 prompts"``."""
        what = "tokens" if self.settings.get("causal") else "starts"
        parts = [
            f"{100 * share:.3g}{'' if np.isnan(error) else f' ± {100 * error:.2g}'} %"
            for share, error in zip(self.share, self.standard_error, strict=True)
        ]
        said = [f"{part} {name}" for part, name in zip(parts, self.regimes, strict=True)]
        said[0] = f"{parts[0]} of {what} {self.regimes[0]}"
        count = len(self.counts)
        return ", ".join(said) + f", over {count} prompt{'s' if count != 1 else ''}"

    def __repr__(self) -> str:
        lines = [f"PromptSummary of {self.settings.get('map', 'a map')}: {self.summary()}"]
        for prompt, found in list(zip(self.prompts, self.results, strict=True))[:6]:
            lines.append(f"  {_brief(prompt)}: {found.summary()}")
        if len(self.results) > 6:
            lines.append(f"  … and {len(self.results) - 6} more")
        return "\n".join(lines)


def classify_prompts(
    checkpoint: Any,
    prompts: Sequence[Any] | str | os.PathLike[str],
    *,
    loops: int | None = None,
    polish: Any = "auto",
    starts: int = 1,
    granularity: Any = "layer",
    dtype: Any = None,
    device: Any = None,
    rng: int | np.random.Generator | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PromptSummary:
    """Classify a checkpoint on every prompt of a set.

    Parameters
    ----------
    checkpoint : path-like, model object or Checkpoint
        What `open_checkpoint` takes, or what it returned (then `granularity`, `dtype` and `device` are its own).
    prompts : sequence of prompts, or path-like
        Each as `open_checkpoint` takes it; or a JSONL file of them, one JSON value a line. All are read before the
        first is iterated, so that a bad one costs nothing.
    loops, polish : optional
        As in `classify`.
    starts : int
        Starts per prompt: the first of ``m.start(rng, starts)`` is the checkpoint's own.
    granularity, dtype, device : optional
        As in `open_checkpoint`.
    rng : int or Generator
        For starts, tangents and projections. The same number is used for each prompt.
    progress : callable, optional
        Called as ``progress(prompts done, prompts)``.

    Returns
    -------
    PromptSummary
        Shares with their standard errors, and every verdict.

    Raises
    ------
    PromptError
        If there is no prompt, or one does not fit; the message says which.
    CheckpointError, InvalidArgumentError
        As in `open_checkpoint` and `classify`.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify_prompts("demo:hop-injected", [[1, 2, 3], [4, 5, 6, 7]], loops=256)
    >>> found.counts.tolist(), len(found.results)
    ([3, 4], 2)
    """
    read = _read(prompts)
    starts = checked_int(starts, "starts", 1, meaning="the number of starts a prompt")
    maps = _opened(checkpoint, read, {"granularity": granularity, "dtype": dtype, "device": device})
    results = []
    for m in maps:
        generator = as_rng(rng)
        results.append(classify(m, m.start(generator, int(starts)), loops=loops, polish=polish, rng=generator))
        if progress is not None:
            progress(len(results), len(maps))
    return summarise(results, [prompt for _, prompt in read])


def summarise(results: Sequence[Classification], prompts: Sequence[Any]) -> PromptSummary:
    """Gather the classifications of one map under many prompts."""
    kinds = [found.names().ravel() for found in results]
    counts = np.array([len(names) for names in kinds])
    regimes, inverse = np.unique(np.concatenate(kinds), return_inverse=True)
    row = np.repeat(np.arange(len(results)), counts)
    table = np.zeros((len(results), len(regimes)))
    np.add.at(table, (row, inverse), 1)
    share = table.sum(axis=0) / counts.sum()
    order = np.argsort(-share, kind="stable")
    table, share = table[:, order], share[order]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sum((table - counts[:, None] * share) ** 2, axis=0) * len(counts) / (len(counts) - 1.0)
        error = np.sqrt(spread) / counts.sum()
    first = results[0].settings
    settings = {k: v for k, v in first.items() if k not in ("state_shape", "tokens")}
    return PromptSummary(
        regimes=tuple(str(name) for name in regimes[order]), share=share, standard_error=error,
        by_prompt=table / counts[:, None], counts=counts, prompts=tuple(prompts), results=tuple(results),
        settings=settings,
    )  # fmt: skip


def _read(prompts: Any) -> list[tuple[str, Any]]:
    """Return every prompt with the name that an error calls it by."""
    if isinstance(prompts, str | os.PathLike):
        read = [(f"{os.fspath(prompts)}, line {number}", prompt) for number, prompt in read_prompts(prompts)]
    else:
        given = checked_list(prompts, "prompts", "prompts, or the path of a JSONL file of them", "Pass [prompt]")
        read = [(f"prompts[{i}]", prompt) for i, prompt in enumerate(given)]
    if not read:
        raise PromptError("prompts is empty; give at least one prompt, or the path of a JSONL file of them")
    return read


def _opened(checkpoint: Any, prompts: list[tuple[str, Any]], options: dict[str, Any]) -> list[LoopMap]:
    """Make every map before the first is iterated; weights are read once."""
    maps: list[LoopMap] = []
    first = checkpoint if isinstance(checkpoint, LoopMap) else None
    for name, prompt in prompts:
        try:
            if first is None:
                first = open_checkpoint(checkpoint, prompt, **options)
                maps.append(first)
            else:
                maps.append(with_prompt(first, prompt))
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from None
    return maps


def _brief(prompt: Any) -> str:
    text = " ".join(repr(prompt).split())
    return text if len(text) <= 48 else text[:45] + "…"
