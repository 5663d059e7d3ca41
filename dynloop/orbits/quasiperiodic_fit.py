"""A torus is believed where lines at combinations of few frequencies, fitted to one half, predict the other half.

Frequencies are in cycles per loop. Lines are taken up from the strongest down and fitted together, as in Laskar's
frequency analysis (Physica D 67, 1993), but at integer combinations of base frequencies only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import LinAlgError
from scipy.signal.windows import kaiser

from dynloop.maps.base import Array
from dynloop.orbits.line_model import LineModel, centred_times, fitted, rms

__all__ = ["QuasiperiodicFit", "quasiperiodic_fit"]

_TAPER = 20.0  # Kaiser window: side lobes 1e-10 of a line
_LOWEST = 2  # bins of a trend; the constant is fitted
_MATCH = 0.1  # bins within which a peak is a combination of known frequencies, whatever its order
_CLOSE = 1.5  # bins within which it is one of low order: two of them may be one peak
_APART = 1.0  # bins by which two lines differ to be fitted both
_ORDERS = 160, 40, 14, 7  # largest Σ|k| of a combination of one, two, … frequencies
_LOW = 12, 8, 5, 3  # what is a low order
_DEPTH = 1e-4  # of the strongest line that is left: lines down to this are taken up together
_ROUNDS, _MOST = 24, 256  # of fits, and of lines
_HOPELESS = (20, 0.5), (60, 0.1), (120, 0.02)  # so many lines that leave more than this are no torus's
_ENOUGH, _SMALL = 1e-10, 1e-3  # what is left is not worth another round, or another frequency


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class QuasiperiodicFit:
    """A signal as a sum of lines at integer combinations of base frequencies.

    Attributes
    ----------
    frequencies : ndarray, (bases,)
        Base frequencies, cycles per loop.
    errors : ndarray, (bases,)
        How far those fitted to the first half and to the second are apart.
    noise : ndarray, (bases,)
        How far they would be apart if what is left of the halves were noise.
    residual : float
        What the lines leave of the half that they were fitted to, root mean square, as a share of the signal.
    prediction : float
        What they leave of the other half; of the two ways the worse.
    lines, order : int
        Number of lines, and the largest Σ|k| among their combinations.
    loops : int
        Length of the signal.
    """

    frequencies: Array
    errors: Array
    noise: Array
    residual: float
    prediction: float
    lines: int
    order: int
    loops: int


def quasiperiodic_fit(signals: Array) -> QuasiperiodicFit:
    """Fit lines to signals of one orbit, and see how well those of each half predict the other.

    Parameters
    ----------
    signals : ndarray, (loops, count)
        One row a loop, on the attractor; at least 256 of them. The signals share their frequencies.

    Returns
    -------
    QuasiperiodicFit
        Without lines, and with a residual of 1, where the signals are constant, too short or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.orbits.quasiperiodic_fit import quasiperiodic_fit
    >>> tones = np.cos(2 * np.pi * np.sqrt([2, 3]) * np.arange(2048)[:, None])
    >>> fit = quasiperiodic_fit(tones.sum(axis=1, keepdims=True) + 0.3 * tones.prod(axis=1, keepdims=True))
    >>> np.round(fit.frequencies, 9).tolist(), fit.lines, fit.prediction < 1e-10
    ([0.267949192, 0.414213562], 4, True)
    """
    n = len(signals)
    values = signals - signals.mean(axis=0)
    size = np.sqrt((values**2).mean(axis=0))
    empty = LineModel(np.zeros(0), np.zeros((0, 0), dtype=int), np.zeros((1, signals.shape[1])))
    if n < 256 or not (np.isfinite(size) & (size > 0)).all():
        return _record(empty, n, [1.0], [1.0], [empty.frequencies] * 2)
    values = values / size
    model = _grown(empty, values)
    bases = range(len(model.frequencies), 0, -1)
    tried = [_judged(part, values) for part in _parts(model, values, bases)]
    return min(tried, key=lambda fit: fit.prediction) if tried else _record(empty, n, [1.0], [1.0], [np.zeros(0)] * 2)


def _parts(model: LineModel, values: Array, bases: Iterable[int]) -> Iterator[LineModel]:
    """Yield the model on its first frequencies, for each number of them: a late one may be a cluster of lines."""
    noise = rms(model.leaves(centred_times(len(values)), values))
    count = len(model.vectors)
    strong = (np.hypot(model.amplitudes[1 : 1 + count], model.amplitudes[1 + count :]) > 0.1 * noise).any(axis=1)
    for number in bases:
        kept = strong & (model.vectors[:, number:] == 0).all(axis=1)
        rows = np.concatenate([[True], kept, kept])
        if (model.vectors[kept, :number] != 0).any(axis=0).all():
            yield LineModel(model.frequencies[:number], model.vectors[kept, :number], model.amplitudes[rows])


def _judged(model: LineModel, values: Array) -> QuasiperiodicFit:
    """Fit a model to either half, and see what it leaves there and of the other."""
    n = len(values)
    times, halves = np.array_split(centred_times(n), 2), np.array_split(values, 2)
    left, missed, found = [], [], []
    for own, other in ((0, 1), (1, 0)):
        try:
            one, rest = fitted(model, times[own], halves[own], steps=3)
        except LinAlgError:
            return _record(model, n, [1.0], [np.inf], [model.frequencies] * 2)
        found.append(one.frequencies)
        left.append(rms(rest))
        missed.append(rms(one.leaves(times[other], halves[other])))
    return _record(model, n, left, missed, found)


def _record(model: LineModel, n: int, left: list[float], missed: list[float], found: list[Array]) -> QuasiperiodicFit:
    count = len(model.vectors)
    power = (model.amplitudes[1:] ** 2).sum(axis=1)
    slope = 2 * np.pi * np.sqrt(((power[:count] + power[count:])[:, None] * model.vectors**2).sum(axis=0) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.sqrt(24 * model.amplitudes.shape[1]) * max(left) / (slope * (n / 2) ** 1.5)
    return QuasiperiodicFit(
        frequencies=model.frequencies, errors=np.abs(found[0] - found[1]), noise=noise, residual=max(left),
        prediction=max(missed), lines=count, order=int(np.abs(model.vectors).sum(axis=1).max(initial=0)), loops=n,
    )  # fmt: skip


def _grown(model: LineModel, values: Array) -> LineModel:
    """Take up lines and fit them, round after round, until nothing is left or nothing helps."""
    times, left = centred_times(len(values)), values
    for _ in range(_ROUNDS):
        more = _taken_up(model, left)
        if more is None:
            break
        try:
            model, left = fitted(more, times, values, steps=1)
        except LinAlgError:
            break
        size = rms(left)
        if size <= _ENOUGH or any(len(model.vectors) > count and size > most for count, most in _HOPELESS):
            break
    return model


def _taken_up(model: LineModel, left: Array) -> LineModel | None:
    """Return the model with the strongest lines of what is left, not fitted yet; None if there are none to take up."""
    n, bases = len(left), len(model.frequencies)
    power = (np.abs(np.fft.rfft(left * kaiser(n, _TAPER, sym=False)[:, None], axis=0)) ** 2).sum(axis=1)
    power[:_LOWEST] = 0
    tops = np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] >= power[2:])) + 1
    tops = tops[np.argsort(-power[tops], kind="stable")]
    tops = tops[power[tops] >= _DEPTH**2 * power[tops[:1]]][: max(0, min(n // 20, _MOST) - len(model.vectors))]
    vectors, lines = model.vectors, _folded(model.vectors @ model.frequencies)
    fresh = np.nan
    for f in _interpolated(power, tops) / n:
        known = bool(np.abs(lines - f).min(initial=1.0) * n < 1)  # a line, the frequency of which is still a little off
        found = _combinations(model.frequencies, lines, f, n, exact=not known)
        if len(found) == 0 and not known and np.isnan(fresh):
            fresh = f
        vectors, lines = np.concatenate([vectors, found]), np.append(lines, _folded(found @ model.frequencies))
    frequencies = model.frequencies
    alone = len(vectors) == len(model.vectors) or (len(tops) and fresh == _interpolated(power, tops[:1])[0] / n)
    if alone and fresh > 0 and bases < len(_ORDERS) and rms(left) >= _SMALL:
        frequencies = np.append(frequencies, fresh)
        vectors = np.pad(vectors, ((0, 1), (0, 1)))
        vectors[-1, -1] = 1
    return LineModel(frequencies, vectors, model.amplitudes) if len(vectors) > len(model.vectors) else None


def _combinations(frequencies: Array, lines: Array, f: float, n: int, *, exact: bool) -> Array:
    """Return the combinations that a peak may be: those of low order that lie close, else the lowest that fits."""
    bases = len(frequencies)
    if bases == 0:
        return np.zeros((0, 0), dtype=int)
    k = _integers(bases)
    at = _folded(k @ frequencies)
    off, chosen = np.abs(at - f) * n, list[int]()
    for i in np.flatnonzero((off <= _CLOSE) & (np.abs(k).sum(axis=1) <= _LOW[bases - 1])):
        if np.abs(np.concatenate([lines, at[chosen], [0.0]]) - at[i]).min() * n >= _APART:
            chosen.append(int(i))
    if not chosen and exact:
        chosen = np.flatnonzero(off <= _MATCH)[:1].tolist()
    return np.asarray(k[chosen])


@lru_cache
def _integers(bases: int) -> Array:
    """Return integer vectors, one of k and −k, by ascending Σ|k|."""
    most = _ORDERS[bases - 1]
    k = np.stack(np.meshgrid(*[np.arange(-most, most + 1)] * bases, indexing="ij"), axis=-1).reshape(-1, bases)
    order = np.abs(k).sum(axis=1)
    k = k[(order <= most) & (np.arange(len(k)) > len(k) // 2)]
    return np.asarray(k[np.argsort(np.abs(k).sum(axis=1), kind="stable")])


def _interpolated(power: Array, tops: Array) -> Array:
    before, at, after = (np.log(power[tops + i] + np.finfo(float).tiny) for i in (-1, 0, 1))
    return np.asarray(tops + 0.5 * (before - after) / (before - 2 * at + after))


def _folded(frequencies: Array) -> Array:
    return np.asarray(np.abs((frequencies + 0.5) % 1.0 - 0.5))
