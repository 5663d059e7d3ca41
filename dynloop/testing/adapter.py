"""The rules that every adapter keeps: above all, iterating the map and decoding gives what the model itself gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch

from dynloop.adapters.base import Checkpoint
from dynloop.adapters.fitting import widest
from dynloop.adapters.live import config_of
from dynloop.errors import ConformanceError, InvalidArgumentError, NoTwinError
from dynloop.result import Result
from dynloop.testing.conformance import MapReport, check_map
from dynloop.testing.square import Reference, relative_gap, square_gaps
from dynloop.testing.untouched import module_state

__all__ = ["AdapterReport", "check_adapter"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AdapterReport(Result):
    """What `check_adapter` measured on a checkpoint that keeps every rule.

    Attributes
    ----------
    checkpoint : str
        `Checkpoint.describe`.
    gaps : dict of float
        By rule, the largest deviation relative to the largest entry compared with; 0 where bits agree.
    tolerances : dict of float
        By rule, the deviation that is allowed.
    skipped : dict of str
        By rule, why it was not checked.
    map : MapReport
        What `check_map` measured on the same checkpoint.

    Examples
    --------
    >>> import dynloop as dl
    >>> report = dl.testing.check_adapter(dl.open_checkpoint("demo"))
    >>> all(gap <= report.tolerances[rule] for rule, gap in report.gaps.items())
    True
    """

    checkpoint: str
    gaps: Mapping[str, float]
    tolerances: Mapping[str, float]
    skipped: Mapping[str, str]
    map: MapReport


def check_adapter(
    block: Checkpoint,
    *,
    loops: Sequence[int] = (1, 4, 16),
    reference: Reference | None = None,
    tolerance: float | None = None,
    rng: int | np.random.Generator | None = 0,
) -> AdapterReport:
    """Check the rules that every adapter must keep.

    Parameters
    ----------
    block : Checkpoint
        What `open_checkpoint` returned.
    loops : sequence of int
        Loop counts n at which the commuting square ``decode(step^n(start))`` = the model's own output is checked.
    reference : mapping of int to mapping, optional
        ``{n: {"state": (1, *state_shape), "output": (1, …)}}``, recorded with the model's own code on the same prompt;
        either entry may be left out, and the batch axis too. The state after 0 loops, ``{0: {"state": …}}``, says where
        the record began; a model that begins at noise needs it. Left out, the family runs other code than the map's
        (`Family.own_output`: the live model, transformers, or torch's own layers); a family that has none leaves the
        square unchecked, and `skipped` says so.
    tolerance : float, optional
        Largest relative deviation of the square; by default 1e-10 in float64, 2e-5 in float32, 16 roundoffs below.
    rng : int, Generator or None
        For `check_map`.

    Returns
    -------
    AdapterReport
        The measured gaps.

    Raises
    ------
    ConformanceError
        If a rule is broken; the message names the rule and the number measured.
    InvalidArgumentError
        If `block` is no checkpoint, or `reference` has none of the loop counts.

    Notes
    -----
    The rules: the square commutes · every rule of `check_map`, derivatives in float64 included · `start` is finite,
    reproducible and begins with the model's own start · `decode` keeps the batch and the dtype of the states · there is
    one token a position · opening the same source and prompt at the other granularity gives the same loop · the float64
    twin is the checkpoint opened in float64 · a live model keeps its weights, flags, hooks and config, and shares its
    storage with the map.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.adapter import check_adapter
    >>> report = check_adapter(dl.open_checkpoint("demo"))
    >>> report.gaps["granularity"] < 1e-5
    True
    """
    if not isinstance(block, Checkpoint):
        raise InvalidArgumentError(
            f"block must be a Checkpoint; got {type(block).__name__}. Pass what dynloop.open_checkpoint returns; other "
            "maps have check_map."
        )
    book = _Book(block, tolerance)
    model = block.source.model
    before = None if model is None else _model_state(model)
    with torch.no_grad():
        _start(book)
        _decode(book)
        _reopened(book)
        _square(book, loops, reference)
    report = check_map(block, rng=rng)
    if before is None:
        book.skipped["live model"] = "the checkpoint was read from files"
    else:
        _live(book, before)
    return AdapterReport(
        checkpoint=block.describe(), gaps=book.gaps, tolerances=book.tolerances, skipped=book.skipped, map=report
    )


class _Book:
    """The checkpoint under test and what was measured on it."""

    def __init__(self, block: Checkpoint, tolerance: float | None) -> None:
        self.block = block
        usual = {"float64": 1e-10, "float32": 2e-5}.get(block.dtype_name, 16 * block.precision)
        self.tolerance = usual if tolerance is None else tolerance
        self.gaps: dict[str, float] = {}
        self.tolerances: dict[str, float] = {}
        self.skipped: dict[str, str] = {}

    def enter(self, rule: str, gap: float, tolerance: float, what: str) -> None:
        """Note the gap of a rule; raise if it is beyond the tolerance (nan is)."""
        self.gaps[rule], self.tolerances[rule] = gap, tolerance
        if not gap <= tolerance:
            self.fail(rule, f"{what} by {gap:.3g} (relative; {tolerance:.3g} is allowed)")

    def fail(self, rule: str, what: str) -> NoReturn:
        raise ConformanceError(f"{self.block.name} breaks the rule {rule!r}: {what}")

    @contextmanager
    def calling(self, rule: str) -> Iterator[None]:
        """Turn what an adapter raises into a broken rule."""
        try:
            yield
        except (ConformanceError, InvalidArgumentError):
            raise
        except Exception as error:
            raise ConformanceError(
                f"{self.block.name} breaks the rule {rule!r}: {type(error).__name__}: {error}"
            ) from error


def _start(book: _Book) -> None:
    block = book.block
    with book.calling("start"):
        first, again, more = (block.numpy(block.start(0, n)) for n in (1, 1, 3))
    if not np.isfinite(more).all():
        book.fail("start", "a start holds NaN or infinity")
    if more.shape != (3, *block.state_shape):
        book.fail("start", f"start(rng, 3) has shape {more.shape}, not {(3, *block.state_shape)}")
    book.enter(
        "start",
        max(relative_gap(again, first), relative_gap(more[:1], first)),
        0.0,
        "start(0) differs from call to call",
    )
    positions = block.state_shape[-2] if len(block.state_shape) > 1 else len(block.tokens)
    if len(block.tokens) > positions:
        book.fail("tokens", f"there are {len(block.tokens)} tokens for {positions} positions")


def _decode(book: _Book) -> None:
    block = book.block
    with book.calling("decode"):
        states = block(block.start(0, 2))
        read, wide = block.decode(states), block.decode(states.double())
    if read.dtype != states.dtype or wide.dtype != torch.float64:
        book.fail("decode", f"{states.dtype} states came out as {read.dtype}, float64 states as {wide.dtype}")
    if len(read) != 2 or len(wide) != 2:
        book.fail("decode", f"2 states came out as {len(read)}; keep the batch axis in front")
    alone = torch.cat([block.decode(states[i : i + 1].double()) for i in range(2)])
    book.enter(
        "decode rows", relative_gap(block.numpy(alone), block.numpy(wide)), 1e-12, "a row depends on the other rows"
    )
    loose = max(book.tolerance, 1e-12)
    book.enter(
        "decode dtype",
        relative_gap(block.numpy(read), block.numpy(wide)),
        loose,
        "float64 states are decoded differently",
    )


def _reopened(book: _Book) -> None:
    """Open the same source and prompt at the other granularity, and in float64."""
    block, x = book.block, book.block.start()
    other: Any = "sublayer" if block.granularity == "layer" else "layer"
    with book.calling("granularity"):
        finer = block.family.open(block.source, block.prompt, other, block.dtype, block.device)
        gap = relative_gap(block.numpy(finer(x)), block.numpy(block(x)))
    book.enter("granularity", gap, book.tolerance, f"the loop cut by {other} differs")
    stored = widest({k: t for k, t in block.source.tensors.items() if t.is_floating_point()})
    if torch.promote_types(stored, x.dtype) != x.dtype:
        book.skipped["float64"] = f"the weights, {stored}, were rounded to {x.dtype}"
        return
    try:
        twin = block.twin()
    except NoTwinError as error:
        book.skipped["float64"] = str(error)
        return
    with book.calling("float64"):
        wide = block.family.open(block.source, block.prompt, block.granularity, torch.float64, block.device)
        gap = relative_gap(wide.numpy(twin(twin.start())), wide.numpy(wide(wide.start())))
    book.enter("float64", gap, 1e-12, "the float64 twin is not the checkpoint opened in float64: it differs")


def _square(book: _Book, loops: Sequence[int], reference: Reference | None) -> None:
    with book.calling("square"):
        compared, missing = square_gaps(book.block, loops, reference)
    for n in missing:
        book.skipped[f"square {n}"] = "no reference is given for it, and the family has no own_output"
    for n, what, gap in compared:
        book.enter(f"square {n}: {what}", gap, book.tolerance, f"after {n} loops map and model differ in the {what}")


def _model_state(model: Any) -> dict[str, Any]:
    """Return what must stay as it was in a live model: weights, flags, hooks, gradients and config."""
    return {**module_state([model]), "config": repr(config_of(model))}


def _live(book: _Book, before: Mapping[str, Any]) -> None:
    block, model = book.block, book.block.source.model
    after = _model_state(model)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name) or name not in before]
    if changed:
        book.fail("live model", f"{changed[0]} is not what it was ({len(changed)} things changed)")
    shared = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    parameters = [p for layer in block.layers if isinstance(layer, torch.nn.Module) for p in layer.parameters()]
    like = {(t.dtype, t.device) for t in model.state_dict().values()}
    copied = [p for p in parameters if (p.dtype, p.device) in like and p.untyped_storage().data_ptr() not in shared]
    if copied:
        book.fail("live model", f"{len(copied)} of {len(parameters)} weights are copies; share the model's storage")
    book.gaps["live model"] = book.tolerances["live model"] = 0.0
