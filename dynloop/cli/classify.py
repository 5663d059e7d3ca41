"""`dynloop classify`: which regime a recurrent block is in."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop.cli.cases import (
    Case,
    CheckpointOrRecordArgument,
    DtypeOption,
    GranularityOption,
    PromptOption,
    PromptsOption,
    cases,
    one_prompt_option,
)
from dynloop.cli.recorded import RecordedOption, classify_record
from dynloop.cli.results import JsonOption, OutOption, analyse_all, empty_folder
from dynloop.cli.terminal import bar, reported

if TYPE_CHECKING:
    from dynloop.maps.base import LoopMap
    from dynloop.orbits.verdict import Classification

__all__ = ["Polish", "classify"]


class Polish(StrEnum):
    """Values of ``--polish``."""

    AUTO = "auto"
    NEVER = "never"


def classify(
    ctx: typer.Context,
    checkpoint: CheckpointOrRecordArgument = None,
    recorded: RecordedOption = None,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    loops: Annotated[
        int | None, typer.Option(min=1, help="Budget of loops per start.", show_default="chosen by the analysis")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="How many starts; the first is the checkpoint's own.")] = 1,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts and of the analysis.")] = 0,
    polish: Annotated[Polish, typer.Option(help="Whether a limit may be refined in float64.")] = Polish.AUTO,
    as_json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Say which regime the recurrent block of CHECKPOINT is in, with the numbers behind the verdict."""
    if recorded is not None:
        _record_alone(ctx)
        classify_record(recorded, dtype, as_json=as_json, out=out)
        return
    if checkpoint is None:
        raise typer.BadParameter("give CHECKPOINT, or --recorded FILE")
    one_prompt_option(prompt, prompts)
    with reported(relief="fewer --starts, a shorter prompt or a smaller --dtype"):
        from dynloop.orbits.regime import classify as analyse
        from dynloop.views.document import map_entry
        from dynloop.views.table import render

        found = cases(checkpoint, prompt, prompts, granularity, dtype)
        folder = None if out is None else empty_folder(out)

        def verdict(m: LoopMap, case: Case) -> Classification:
            with bar(case.label) as progress:
                return analyse(m, m.start(seed, starts), loops=loops, polish=polish.value, rng=seed, progress=progress)

        def table(verdicts: Classification, m: LoopMap, case: Case) -> Any:
            return render(verdicts, title=case.label, about=[map_entry(m)["description"]])

        settings = {
            "checkpoint": checkpoint,
            "loops": loops,
            "starts": starts,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
            "polish": polish,
        }
        analyse_all(found, verdict, table, settings, as_json=as_json, folder=folder)


def _record_alone(ctx: typer.Context) -> None:
    """Refuse, as wrong usage, what a record cannot heed."""
    heeded = ("recorded", "dtype", "as_json", "out")
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if name not in heeded and source is not None and source.name == "COMMANDLINE":
            what = "CHECKPOINT" if name == "checkpoint" else f"--{name}"
            raise typer.BadParameter(f"--recorded FILE is all there is to classify; leave {what} away")
