"""What makes fixed points emerge: norm, injection, depth and gain varied, with an error over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.inference.single_run import NUMBERS, Run, run
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Regime
from dynloop.result import Result

__all__ = ["FACTORS", "Ablation", "ablate", "joined"]

FACTORS = ("norm", "injection", "layers", "gain")
_HEADS = {"rate": "rate", "step": "relative step", "fall": "fall", "closure": "closure gap", "distinctness": "distinct"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Ablation(Result):
    """Regimes, rates and polygons of blocks, one row a setting; seeds are the sample.

    A number of one run is that of its worst token: the largest rate, step and closure gap, the least distinctness. Its
    mean is over the runs in which it is defined, its standard error over the same (nan with fewer than two).

    Attributes
    ----------
    norm, injection : array of str, (rows,)
        The settings.
    layers : ndarray of int, (rows,)
    gain : ndarray, (rows,)
    regimes : tuple of str, (r,)
        The regimes that occur, in the order of `Regime`.
    share, share_error : ndarray, (rows, r)
        Share of tokens in each, averaged over seeds, and its standard error.
    rate, rate_error : ndarray, (rows,)
        Contraction factor per loop, of the runs in which every token converges.
    step, step_error : ndarray, (rows,)
        Relative step ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖ of the last loop.
    fall, fall_error : ndarray, (rows,)
        Exponent a of the law step ~ t^a, fitted to the second half of the loops, of the runs that stay above the
        floor: −1 on a ray, 0 where nothing settles.
    closure, closure_error : ndarray, (rows,)
        Relative closure gap ‖Σ g_l‖ / Σ‖g_l‖ of the loop after the last: 0 for a closed polygon.
    distinctness, distinctness_error : ndarray, (rows,)
        Least distance between two sections, relative to the largest section.
    defined : dict of str to ndarray of int, (rows,)
        In how many runs each number is defined.
    by_seed : dict of str to ndarray, (rows, seeds) or (rows, seeds, r)
        Every run: the numbers, ``"share"``, ``"period"`` (the largest that occurs, −1 if none) and ``"reason"``.
    seeds : ndarray of int, (seeds,)
        Of the blocks and their starts.
    settings : dict
        What is the same in all runs.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.ablate(injection=["concat"], layers=2, width=16, heads=2, tokens=3, seeds=[0], loops=128)
    >>> found.setting(0)["injection"], found.said(0), found.by_seed["closure"].shape
    ('concat', 'CYCLIC 100', (1, 1))
    """

    norm: Array
    injection: Array
    layers: Array
    gain: Array
    regimes: tuple[str, ...]
    share: Array
    share_error: Array
    rate: Array
    rate_error: Array
    step: Array
    step_error: Array
    fall: Array
    fall_error: Array
    closure: Array
    closure_error: Array
    distinctness: Array
    distinctness_error: Array
    defined: Mapping[str, Array]
    by_seed: Mapping[str, Array]
    seeds: Array
    settings: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> str:
        """Return the table as text: rows of ``| … |``, readable in a terminal and as Markdown."""
        heads = [*FACTORS, "regimes (% of tokens)", *_HEADS.values()]
        body = [[*self.setting(i).values(), self.said(i), *self._numbers(i)] for i in range(len(self.norm))]
        cells = [heads, *[[f"{c:g}" if isinstance(c, float) else str(c) for c in row] for row in body]]
        widths = [max(len(row[j]) for row in cells) for j in range(len(heads))]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
        return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])

    def setting(self, row: int) -> dict[str, Any]:
        """Return the setting of a row."""
        return {name: getattr(self, name)[row].item() for name in FACTORS}

    def said(self, row: int) -> str:
        """Return the regimes of a row with their shares in percent, the largest first."""
        order = np.argsort(-self.share[row], kind="stable")
        parts = []
        for j in order[self.share[row][order] > 0]:
            error = self.share_error[row, j]
            spread = "" if np.isnan(error) else f" ± {100 * error:.2g}"
            parts.append(f"{self.regimes[j]} {100 * self.share[row, j]:.3g}{spread}")
        return ", ".join(parts)

    def _numbers(self, row: int) -> Iterator[str]:
        for name in NUMBERS:
            mean, error, count = (
                getattr(self, name)[row],
                getattr(self, f"{name}_error")[row],
                self.defined[name][row],
            )
            if not count:
                yield "–"
                continue
            of = "" if count == len(self.seeds) else f" ({count} of {len(self.seeds)})"
            yield f"{mean:.2g}" + ("" if np.isnan(error) else f" ± {error:.1g}") + of

    def __repr__(self) -> str:
        seeds = len(self.seeds)
        return f"Ablation: {len(self.norm)} settings × {seeds} seed{'s' if seeds != 1 else ''}\n{self.table()}"


def ablate(
    *,
    norm: str | Sequence[str] = "pre",
    injection: str | Sequence[str] = "concat",
    layers: int | Sequence[int] = 4,
    gain: float | Sequence[float] = 1.0,
    seeds: int | Sequence[int] = 5,
    make: Callable[..., LoopMap] | None = None,
    loops: int = 512,
    polish: Any = "auto",
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Ablation:
    """Vary the parts of a looped block and say which settle, in what way and how fast.

    Every combination of the four factors is a row, and every seed a run: one block, one start.

    Parameters
    ----------
    norm, injection, layers, gain : value or sequence of values
        The factors: see `synthetic.looped_transformer`.
    seeds : int or sequence of int
        How many seeds (0, 1, …), or which.
    make : callable, optional
        ``make(norm=…, injection=…, layers=…, gain=…, seed=…, **options) -> LoopMap`` that knows its starts: blocks with
        random weights (`synthetic.looped_transformer`) if left out, or a function of one's own that trains or loads
        them.
    loops, polish : optional
        Budget of each run, and as in `classify`. Numbers are measured after exactly so many loops.
    executor : concurrent.futures.Executor, optional
        Where runs are made; in this process, one after another, if left out. For processes, `make` must be a function
        of a module.
    progress : callable, optional
        Called as ``progress(runs done, runs)``.
    **options
        Passed to `make`, the same in every run, such as ``width=64, tokens=12``.

    Returns
    -------
    Ablation
        One row a setting, with errors over seeds; `table` shows it, and `dynloop.draw_ablation` draws it.

    Raises
    ------
    InvalidArgumentError
        If a factor is empty or `make` returns no map; and as in `make` and `classify`.
    NoStartError
        If a map knows no starts.

    Notes
    -----
    The question is that of Blayney et al. 2026 (arXiv 2604.11791), Figure 6, where distances between successive states
    decide. Here the regimes of `classify` do: on a ray the relative step falls as 1/t and looks like convergence, and
    the closure gap tells that it is none.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.ablate(injection=["none", "concat"], layers=2, width=16, heads=2, tokens=3, seeds=[0], loops=128)
    >>> found.injection.tolist(), bool(found.closure[0] > 0.1 > 1e-6 > found.closure[1])
    (['none', 'concat'], True)
    """
    factors = {
        "norm": _values("norm", norm), "injection": _values("injection", injection),
        "layers": _values("layers", layers), "gain": _real("gain", _values("gain", gain)),
    }  # fmt: skip
    if make is None:
        _check_names(factors)
    used = _seeds(seeds)
    loops = checked_int(loops, "loops", 8, meaning="the budget of a run", remedy="Leave it out for 512")
    settings = [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]
    jobs = [(setting, seed) for setting in settings for seed in used]
    fixed = (loops, polish, options)
    done: list[Run] = []
    for one in _runs(make or _random, jobs, fixed, executor):
        done.append(one)
        if progress is not None:
            progress(len(done), len(jobs))
    about = {"loops": int(loops), "polish": polish, "make": _name(make), **{k: _plain(v) for k, v in options.items()}}
    return _gathered(settings, used, done, about)


def joined(parts: Sequence[Ablation]) -> Ablation:
    """Return several ablations as one: their settings as rows, their seeds as the sample.

    Raises
    ------
    InvalidArgumentError
        If there is none, what is the same in all runs differs, or a setting lacks a seed that another has.
    """
    if not parts:
        raise InvalidArgumentError("parts is empty; give at least one ablation")
    about = dict(parts[0].settings)
    settings: list[dict[str, Any]] = []
    runs: dict[tuple[int, int], Run] = {}
    for one in parts:
        if dict(one.settings) != about:
            raise InvalidArgumentError(f"parts must share their settings; got {dict(one.settings)} beside {about}")
        for row in range(len(one.norm)):
            setting = one.setting(row)
            if setting not in settings:
                settings.append(setting)
            i = settings.index(setting)
            runs |= {(i, int(seed)): _again(one, row, j) for j, seed in enumerate(one.seeds)}
    seeds = list(dict.fromkeys(seed for _, seed in runs))
    lacking = [(settings[i], seed) for i in range(len(settings)) for seed in seeds if (i, seed) not in runs]
    if lacking:
        raise InvalidArgumentError(
            f"parts lack seed {lacking[0][1]} of {lacking[0][0]}; run it, or leave it out of all"
        )
    return _gathered(settings, seeds, [runs[i, seed] for i in range(len(settings)) for seed in seeds], about)


def _again(found: Ablation, row: int, seed: int) -> Run:
    shares = dict(zip(found.regimes, found.by_seed["share"][row, seed].tolist(), strict=True))
    return Run(
        shares=shares, period=int(found.by_seed["period"][row, seed]), reason=str(found.by_seed["reason"][row, seed]),
        numbers={name: float(found.by_seed[name][row, seed]) for name in NUMBERS},
    )  # fmt: skip


def _random(**options: Any) -> LoopMap:
    from dynloop.maps.synthetic import looped_transformer

    return looped_transformer(**options)


def _runs(make: Any, jobs: Sequence[Any], fixed: Any, executor: Executor | None) -> Iterator[Run]:
    if executor is None:
        for setting, seed in jobs:
            yield run(make, setting, seed, *fixed)
        return
    pending = [executor.submit(run, make, setting, seed, *fixed) for setting, seed in jobs]
    try:
        for future in pending:
            yield future.result()
    finally:
        for future in pending:
            future.cancel()


def _gathered(settings: list[dict[str, Any]], seeds: list[int], runs: list[Run], about: dict[str, Any]) -> Ablation:
    shape = (len(settings), len(seeds))
    met = {name for one in runs for name, share in one.shares.items() if share > 0}
    regimes = tuple(regime.name for regime in Regime if regime.name in met)
    share = np.array([[one.shares.get(name, 0.0) for name in regimes] for one in runs]).reshape(*shape, len(regimes))
    by_seed: dict[str, Array] = {
        "share": share,
        "period": np.array([one.period for one in runs], dtype=np.int64).reshape(shape),
        "reason": np.array([one.reason for one in runs]).reshape(shape),
    }
    fields: dict[str, Array] = {name: np.array([row[name] for row in settings]) for name in FACTORS}
    fields["share"], fields["share_error"], _ = _mean(np.moveaxis(share, 1, -1))
    defined = {}
    for name in NUMBERS:
        by_seed[name] = np.array([one.numbers[name] for one in runs]).reshape(shape)
        fields[name], fields[f"{name}_error"], defined[name] = _mean(by_seed[name])
    return Ablation(
        regimes=regimes, defined=defined, by_seed=by_seed, seeds=np.array(seeds, dtype=np.int64), settings=about,
        **fields,
    )  # fmt: skip


def _mean(values: Array) -> tuple[Array, Array, Array]:
    """Return the mean over the last axis, its standard error, and how many values there are; nan is no value."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=-1) / count
        spread = np.where(known, values - mean[..., None], 0.0)
        error = np.sqrt((spread**2).sum(axis=-1) / (count - 1.0) / count)
    return mean, np.where(count > 1, error, np.nan), count


def _values(name: str, given: Any) -> list[Any]:
    values = [given] if isinstance(given, str) or not np.iterable(given) else list(given)
    if not values:
        raise InvalidArgumentError(f"{name} is empty; give at least one value")
    return values


def _real(name: str, values: list[Any]) -> list[float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise InvalidArgumentError(f"{name} must be numbers; got {value!r}. Pass {name}=1.0.")
    return [float(value) for value in values]


def _check_names(factors: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a name that no random block has before the first is made."""
    from dynloop.maps.synthetic import INJECTIONS, NORMS

    for name, known in (("norm", NORMS), ("injection", INJECTIONS)):
        for value in factors[name]:
            if value not in known:
                raise InvalidArgumentError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def _seeds(seeds: Any) -> list[int]:
    found = range(seeds) if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) else seeds
    listed = list(found) if np.iterable(found) and not isinstance(found, str) else []
    whole = all(isinstance(s, int | np.integer) and not isinstance(s, bool) and s >= 0 for s in listed)
    if not listed or not whole or len(set(listed)) < len(listed):
        raise InvalidArgumentError(
            f"seeds must be a positive int, or distinct ints of at least 0; got {seeds!r}. Leave it out for 5"
        )
    return [int(s) for s in listed]


def _name(make: Any) -> str:
    return "synthetic.looped_transformer" if make is None else getattr(make, "__qualname__", type(make).__name__)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
