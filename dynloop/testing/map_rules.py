"""The rules of `check_map`, one function a rule: each measures a gap and enters it in the book of the map."""

# ruff: noqa: ARG001, D401 - rules share one signature, and state what holds

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynloop.errors import ConformanceError, DynloopError, NoTwinError
from dynloop.maps.base import Array, LoopMap
from dynloop.testing.derivatives import adjoint_gap, derivative_gaps

__all__ = [
    "Book",
    "check_causality",
    "check_derivatives",
    "check_determinism",
    "check_input_unchanged",
    "check_power",
    "check_rotate",
    "check_rows",
    "check_sections",
    "check_shapes",
    "check_unchanged",
]


class Book:
    """The map under test and what was measured on it."""

    def __init__(self, m: LoopMap) -> None:
        self.m = m
        self.gaps: dict[str, float] = {}
        self.tolerances: dict[str, float] = {}
        self.skipped: dict[str, str] = {}
        self.derivatives_in = m.dtype_name
        # what a result may depend on the batch it was computed in: float32 blocks were seen to move by 5e-7
        self.rounding = 1e-12 if m.precision < 1e-15 else 8 * m.precision

    def enter(self, rule: str, gap: float, tolerance: float, what: str, remedy: str) -> None:
        """Note the gap of a rule; raise if it is beyond the tolerance (nan is)."""
        self.gaps[rule] = max(float(gap), self.gaps.get(rule, 0.0)) if gap == gap else float("nan")
        self.tolerances[rule] = tolerance
        if not gap <= tolerance:
            self.fail(rule, f"{what} by {gap:.3g} (relative; {tolerance:.3g} is allowed)", remedy)

    def fail(self, rule: str, what: str, remedy: str) -> None:
        """Raise: this rule is broken, this was measured, this helps."""
        raise ConformanceError(f"{self.m.name} breaks the rule {rule!r}: {what}. {remedy}") from None

    @contextmanager
    def calling(self, rule: str) -> Iterator[None]:
        """Turn what a layer raises into a broken rule."""
        try:
            yield
        except ConformanceError:
            raise
        except DynloopError as error:
            raise ConformanceError(f"{self.m.name} breaks the rule {rule!r}: {error}") from error
        except Exception as error:
            raise ConformanceError(
                f"{self.m.name} breaks the rule {rule!r}: {type(error).__name__}: {error}. "
                f"A layer takes (batch, {', '.join(map(str, self.m.state_shape))}) and returns the same."
            ) from error


def _gap(a: Array, b: Array) -> float:
    """Return max |a − b| relative to max |b|; 0 where both are not finite in the same way."""
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    finite = np.isfinite(b)
    scale = np.abs(b[finite]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b)).max()
    return float(difference / scale) if scale > 0 else float(difference)


def _row_gap(m: LoopMap, a: Any, b: Any) -> float:
    """Return the largest gap of a row (batch axis first), each relative to its own size, angles wrapped."""
    x, y = m.numpy(a), m.numpy(b)
    with np.errstate(invalid="ignore"):
        x = np.where(np.isfinite(x) & np.isfinite(y), y + m.displacement(x, y), x)
    return max(_gap(p, q) for p, q in zip(x, y, strict=True))


def check_shapes(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """Layers keep shape, dtype, type and device, and stay finite somewhere."""
    m, sections = book.m, probes
    for l in range(m.layer_count):
        before, sections = sections, m.layer(l, sections)
        for what in ("shape", "dtype", "device"):
            old, new = getattr(before, what, None), getattr(sections, what, None)
            if type(before) is not type(sections) or old != new:
                got = type(sections).__name__ if new is None else new
                book.fail(
                    "shapes",
                    f"layer {m.layer_names[l]!r} turned {what} {old} into {got}",
                    f"Return states of {what} {old}.",
                )
    finite = np.isfinite(m.numpy(sections)).reshape(len(sections), -1).all(axis=1)
    if not finite.any():
        book.fail(
            "shapes", "one loop takes every probe to NaN or infinity", "Pass `states` inside the domain of the map."
        )
    book.gaps["shapes"] = book.tolerances["shapes"] = 0.0


def check_determinism(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """The same batch gives the same bits, also after a call on other states."""
    m = book.m
    first = m.numpy(m(probes))
    m(m.native(m.numpy(probes)[::-1] * 0.5))
    gap = _gap(m.numpy(m(probes)), first)
    book.enter(
        "determinism", gap, 0.0, "the same states gave another result, off",
        "Call .eval() on the model (dropout), empty its caches, and draw no random numbers inside a layer.",
    )  # fmt: skip


def check_input_unchanged(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """No layer writes to the states it is given."""
    m, x = book.m, probes
    for l in range(m.layer_count):
        kept = m.numpy(x)
        y = m.layer(l, x)
        if not np.array_equal(m.numpy(x), kept, equal_nan=True):
            what = f"layer {m.layer_names[l]!r} changed the states it was given"
            book.fail(
                "input unchanged", f"{what} by {_gap(m.numpy(x), kept):.3g} (relative)", "Write x = x + y, not x += y."
            )
        x = y
    book.gaps["input unchanged"] = book.tolerances["input unchanged"] = 0.0


def check_sections(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """Sections are the states between the layers."""
    m, sections = book.m, book.m.sections(probes)
    if len(sections) != m.layer_count + 1:
        book.fail("sections", f"{len(sections)} sections for {m.layer_count} layers", "Return k + 1 sections.")
    steps = [m.layer(l, sections[l]) for l in range(m.layer_count)]
    pairs = [(sections[0], probes), (sections[-1], m(probes)), *zip(sections[1:], steps, strict=True)]
    book.enter(
        "sections", max(_row_gap(m, a, b) for a, b in pairs), book.rounding,
        "sections differ from the states between layers",
        "sections(x)[0] is x, sections(x)[l + 1] is layer l of sections(x)[l].",
    )  # fmt: skip


def check_power(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """power(p) is F applied p times, with p·k layers."""
    m, x = book.m, probes
    for p in (1, 2, 3):
        x = m(x)
        if m.power(p).layer_count != p * m.layer_count:
            book.fail("power", f"power({p}) has {m.power(p).layer_count} layers", f"It has {p * m.layer_count}.")
        gap = _row_gap(m, m.power(p)(probes), x)
        book.enter(
            "power", gap, book.rounding, f"power({p}) differs from {p} calls", "power(p) repeats the layers p times."
        )


def check_rotate(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """rotate(l) carries section l to section l of the next loop; l counts modulo k."""
    m, k = book.m, book.m.layer_count
    now = m.sections(probes)
    following = m.sections(now[-1])
    for l in sorted({0, 1 % k, k // 2, k - 1}):
        for turn in (l, l - k, l + k):
            gap = _row_gap(m, m.rotate(turn)(now[l]), following[l])
            book.enter(
                "rotate", gap, book.rounding, f"rotate({turn}) misses section {l} of the next loop",
                "rotate(l) applies layers l, …, k − 1, 0, …, l − 1, l counted modulo k.",
            )  # fmt: skip


def check_rows(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """A row's result does not depend on the other rows of the batch."""
    m, x = book.m, book.m.numpy(probes)
    together = m(probes)
    others = x[generator.permutation(len(x))] * (1 + 0.1 * generator.standard_normal(x.shape))
    for i in range(len(x)):
        mixed = others.copy()
        mixed[i] = x[i]
        for change, result in (
            ("the other rows change", m(m.native(mixed))[i]),
            ("it comes alone", m(probes[i : i + 1])[0]),
        ):
            book.enter(
                "rows", _row_gap(m, result[None], together[i : i + 1]), book.rounding,
                f"the result of row {i} changes when {change},",
                "Let no layer mix the batch axis: no batch norm, no mean over axis 0.",
            )  # fmt: skip


def check_causality(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """Where the map claims to be causal, tokens do not depend on later ones."""
    m, x = book.m, book.m.numpy(probes)
    if not m.causal:
        book.skipped["causality"] = "the map does not claim to be causal"
        return
    tokens, scale = m.state_shape[0], max(float(np.abs(x).mean()), 1e-3)
    together = m(probes)
    for i in sorted({1, tokens // 2, tokens - 1} - {0, tokens}):
        changed = x.copy()
        changed[:, i:] += scale * generator.standard_normal(changed[:, i:].shape)
        gap = _gap(m.numpy(m(m.native(changed))[:, :i]), m.numpy(together[:, :i]))
        book.enter(
            "causality", gap, book.rounding, f"tokens before {i} change when tokens from {i} on change,",
            "Give the attention its causal mask, or say causal=False.",
        )  # fmt: skip
    if tokens == 1:
        book.skipped["causality"] = "there is one token only"


def check_derivatives(book: Book, probes: Any, generator: np.random.Generator) -> None:
    """J·V agrees with central differences, and Jᵀ is the transpose of J."""
    m, twin = book.m, book.m
    try:
        twin = m.twin()
    except NoTwinError as error:
        book.skipped["derivative in float64"] = str(error)
    x = twin.native(m.numpy(probes))
    book.derivatives_in = twin.dtype_name
    x = x[np.flatnonzero(np.isfinite(m.numpy(twin(x))).reshape(len(x), -1).all(axis=1))[:4]]
    with book.calling("derivative"):
        gaps, kinks, vanished = derivative_gaps(twin, x, generator)
    if kinks:
        book.skipped["derivative"] = f"{kinks} of {kinks + len(gaps)} directions lie at a kink"
    if vanished:
        book.fail(
            "derivative", f"J·V is zero along {vanished} directions in which the map moves",
            "A layer runs under .detach(), torch.no_grad or inference_mode; let it be differentiated.",
        )  # fmt: skip
    if len(gaps):
        book.enter(
            "derivative", float(np.max(gaps)), 1e-6 if twin.precision < 1e-15 else 4 * twin.precision**0.5,
            "J·V differs from central differences",
            "A part is cut from the graph (.detach(), no_grad), a Jacobian is wrong, or a layer rounds to less inside.",
        )  # fmt: skip
    with book.calling("adjoint"):
        gap = adjoint_gap(twin, x, generator)
    book.enter(
        "adjoint", gap, 1e-10 if twin.precision < 1e-15 else 100 * twin.precision, "⟨w, J v⟩ and ⟨Jᵀ w, v⟩ differ",
        "Reverse mode is cut by torch.no_grad or .detach() inside a layer; remove it.",
    )  # fmt: skip


def check_unchanged(book: Book, rule: str, before: dict[str, Any], after: dict[str, Any], remedy: str) -> None:
    """Two snapshots agree: of the model, or of the process."""
    changed = [name for name in before if name not in after or before[name] != after[name]]
    changed += [name for name in after if name not in before]
    if changed:
        book.fail(rule, f"{changed[0]} is not what it was ({len(changed)} things changed)", remedy)
    book.gaps[rule] = book.tolerances[rule] = 0.0
