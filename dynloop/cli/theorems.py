"""`dynloop theorems`: which of the thirteen statements apply to a block, and whether they hold there."""

from __future__ import annotations

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
    from dynloop.testing.statements import StatementTable

__all__ = ["theorems"]


def theorems(
    checkpoint: CheckpointArgument,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    loops: Annotated[
        int | None, typer.Option(min=8, help="Budget of loops per start.", show_default="chosen by classify")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="How many starts.", metavar="N")] = 1,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts and of the classification.")] = 0,
    as_json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Check the theorems on CHECKPOINT: which apply, which hypothesis fails, and whether the others hold."""
    one_prompt_option(prompt, prompts)
    with reported():
        from dynloop.testing.statements import check_statements
        from dynloop.views.document import map_entry
        from dynloop.views.theorems import render

        found = cases(checkpoint, prompt, prompts, granularity, dtype)
        folder = None if out is None else empty_folder(out)

        def check(m: LoopMap, case: Case) -> StatementTable:
            with bar(case.label, "statements") as progress:
                return check_statements(m, m.start(seed, starts), loops=loops, rng=seed, progress=progress)

        def table(checked: StatementTable, m: LoopMap, case: Case) -> Any:
            return render(checked, title=case.label, about=[map_entry(m)["description"]])

        settings = {
            "checkpoint": checkpoint,
            "loops": loops,
            "starts": starts,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
        }
        analyse_all(found, check, table, settings, as_json=as_json, folder=folder)
