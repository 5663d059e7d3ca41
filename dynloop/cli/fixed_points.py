"""`dynloop fixed-points`: fixed points and periodic orbits, stable or not."""

from __future__ import annotations

from enum import StrEnum
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

if TYPE_CHECKING:
    from dynloop.maps.base import LoopMap
    from dynloop.orbits.solved import FixedPoints

__all__ = ["fixed_points"]

_FEW = 16  # coordinates up to which many starts cost nothing
_MANY_STARTS, _FEW_STARTS = 64, 4


class Method(StrEnum):
    """Values of ``--method``."""

    AUTO = "auto"
    NEWTON = "newton"
    ANDERSON = "anderson"


def fixed_points(
    checkpoint: CheckpointArgument,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    period: Annotated[int, typer.Option(min=1, help="Search orbits of this prime period.", metavar="P")] = 1,
    starts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Starts that are searched from.",
            metavar="N",
            show_default=f"{_MANY_STARTS} up to {_FEW} coordinates, else {_FEW_STARTS}",
        ),
    ] = None,
    tol: Annotated[
        float | None,
        typer.Option(help="Largest relative residual of a solution.", show_default="1e-12 in float64"),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="How many multipliers.", metavar="N", show_default="all up to 64, else 6"),
    ] = None,
    method: Annotated[Method, typer.Option(help="How to solve; auto goes by the number of coordinates.")] = Method.AUTO,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts.")] = 0,
    as_json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Find the fixed points of CHECKPOINT, or its orbits of a period, with multipliers and stability."""
    one_prompt_option(prompt, prompts)
    if tol is not None and not 0 < tol < 1:
        raise typer.BadParameter(f"--tol is a relative residual between 0 and 1; got {tol}")
    with reported(relief="fewer --starts, a shorter prompt or a smaller --dtype"):
        from dynloop.orbits.fixed_points import find_fixed_points
        from dynloop.views.document import map_entry
        from dynloop.views.fixed_points import render

        found = cases(checkpoint, prompt, prompts, granularity, dtype)
        folder = None if out is None else empty_folder(out)

        def search(m: LoopMap, case: Case) -> FixedPoints:
            count = starts or (_MANY_STARTS if m.dimension <= _FEW else _FEW_STARTS)
            with bar(case.label, "starts") as progress:
                return find_fixed_points(
                    m, m.start(seed, count), period=period, tol=tol, k=k, method=method.value, progress=progress
                )

        def table(points: FixedPoints, m: LoopMap, case: Case) -> Any:
            return render(points, title=case.label, about=[map_entry(m)["description"]])

        settings = {
            "checkpoint": checkpoint,
            "period": period,
            "starts": starts,
            "tol": tol,
            "k": k,
            "method": method,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
        }
        analyse_all(found, search, table, settings, as_json=as_json, folder=folder)
