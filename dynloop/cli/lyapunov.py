"""`dynloop lyapunov`: how fast nearby states separate or approach, exponent by exponent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop.cli.cases import (
    Case,
    CheckpointArgument,
    DtypeOption,
    GranularityOption,
    PromptOption,
    PromptsOption,
    cases,
    one_prompt_option,
)
from dynloop.cli.results import JsonOption, OutOption, analyse_all, empty_folder
from dynloop.cli.terminal import bar, reported
from dynloop.errors import InvalidArgumentError

if TYPE_CHECKING:
    from dynloop.calculus.lyapunov import LyapunovSpectrum
    from dynloop.maps.base import LoopMap

__all__ = ["lyapunov"]

_ALL = 64  # coordinates of a state up to which every exponent is found unless -k says otherwise
_SOME = 8  # exponents of a larger one


def lyapunov(
    checkpoint: CheckpointArgument,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            min=1,
            help="How many exponents, the largest first; with --per-token, also how many in each token.",
            metavar="N",
            show_default=f"all up to {_ALL} coordinates, else {_SOME}; 1 with --per-token",
        ),
    ] = None,
    loops: Annotated[int, typer.Option(min=2, help="Loops that are averaged over.")] = 1000,
    transient: Annotated[int, typer.Option(min=0, help="Loops dropped before them.")] = 100,
    qr_every: Annotated[int, typer.Option(min=1, help="Loops between two QR decompositions.")] = 1,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Show each layer's share of each exponent.")] = False,
    per_token: Annotated[
        bool, typer.Option("--per-token", help="Show the own exponents of each token of a causal block.")
    ] = False,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the start and of the first tangents.")] = 0,
    as_json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Measure the Lyapunov exponents of CHECKPOINT: how fast nearby states separate or approach, per loop."""
    one_prompt_option(prompt, prompts)
    if per_layer and per_token:
        raise typer.BadParameter("give --per-layer or --per-token, not both")
    if per_layer and qr_every > 1:
        raise typer.BadParameter("--per-layer decomposes after every layer; leave --qr-every away")
    with reported(relief="a smaller -k, a shorter prompt or a smaller --dtype"):
        from dynloop.calculus.lyapunov import lyapunov_spectrum
        from dynloop.views.document import map_entry
        from dynloop.views.exponents import render

        def check(m: LoopMap, case: Case) -> None:
            if k is not None and k > m.dimension:
                raise InvalidArgumentError(
                    f"{case.label}: -k must be between 1 and {m.dimension}, the coordinates of its state; got {k}. "
                    "Leave it out"
                )
            if per_token and not m.causal:
                raise InvalidArgumentError(
                    f"{case.label}: --per-token needs a causal block, and it is none; leave --per-token away"
                )

        found = cases(checkpoint, prompt, prompts, granularity, dtype, check=check)
        folder = None if out is None else empty_folder(out)

        def spectrum(m: LoopMap, case: Case) -> LyapunovSpectrum:
            with bar(case.label) as progress:
                try:
                    return lyapunov_spectrum(
                        m, m.start(seed, 1), k=_chosen(m, k, per_token), loops=loops, transient=transient,
                        qr_every=qr_every, per_layer=per_layer, per_token=per_token, rng=seed, progress=progress,
                    )  # fmt: skip
                except InvalidArgumentError as error:
                    said = re.sub(r"\bqr_every=(\d+)", r"--qr-every \1", str(error))
                    raise InvalidArgumentError(said) from error

        more = "-k asks for more" if k is None else ""

        def table(exponents: LyapunovSpectrum, m: LoopMap, case: Case) -> Any:
            return render(exponents, m, title=case.label, about=[map_entry(m)["description"]], more=more)

        settings = {
            "checkpoint": checkpoint,
            "k": k,
            "loops": loops,
            "transient": transient,
            "qr_every": qr_every,
            "per_layer": per_layer,
            "per_token": per_token,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
        }
        analyse_all(found, spectrum, table, settings, as_json=as_json, folder=folder)


def _chosen(m: LoopMap, k: int | None, per_token: bool) -> int | None:
    """Return how many exponents to find; None for all."""
    if k is not None:
        return k
    if per_token:
        return 1
    return None if m.dimension <= _ALL else _SOME
