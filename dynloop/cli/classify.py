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
from dynloop.cli.resume import ResumeOption, saved_run
from dynloop.cli.terminal import bar, reported

if TYPE_CHECKING:
    from dynloop.maps.base import LoopMap
    from dynloop.orbits.verdict import Classification

__all__ = ["Polish", "classify"]


class Polish(StrEnum):
    """Values of ``--polish``."""

    AUTO = "auto"
    NEVER = "never"
    FLOAT64 = "float64"
    FLOAT32 = "float32"


def classify(
    ctx: typer.Context,
    checkpoint: CheckpointOrRecordArgument = None,
    recorded: RecordedOption = None,
    resume: ResumeOption = None,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    loops: Annotated[
        int | None, typer.Option(min=1, help="Budget of loops per start.", show_default="chosen by the analysis")
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="How many starts; the first is the checkpoint's own.")] = 1,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts and of the analysis.")] = 0,
    polish: Annotated[Polish, typer.Option(help="Whether, and in which dtype, a limit may be refined.")] = Polish.AUTO,
    as_json: JsonOption = False,
    out: OutOption = None,
) -> None:
    """Say which regime the recurrent block of CHECKPOINT is in, with the numbers behind the verdict."""
    if recorded is not None:
        _alone(ctx, "recorded", "dtype", "as_json", "out")
        classify_record(recorded, dtype, as_json=as_json, out=out)
        return
    if resume is not None:
        _alone(ctx, "resume", "loops", "as_json", "out")
    elif checkpoint is None:
        raise typer.BadParameter("give CHECKPOINT, --recorded FILE or --resume DIR")
    one_prompt_option(prompt, prompts)
    with reported(relief="fewer --starts, a shorter prompt or a smaller --dtype"):
        from dynloop.orbits.regime import classify as analyse
        from dynloop.views.document import map_entry
        from dynloop.views.table import render

        settings: dict[str, Any] = {
            "checkpoint": checkpoint,
            "starts": starts,
            "granularity": granularity or "layer",
            "dtype": dtype,
            "seed": seed,
            "polish": polish.value,
        }
        earlier: dict[int, Classification] = {}
        if resume is not None:
            settings, saved = saved_run(resume)
            found = [case for case, _ in saved]
            earlier = {id(case): one for case, one in saved}
        else:
            found = cases(str(checkpoint), prompt, prompts, granularity, dtype)
        folder = None if out is None else empty_folder(out)
        done: list[tuple[str, Classification]] = []

        def verdict(m: LoopMap, case: Case) -> Classification:
            options = {"loops": loops, "polish": settings["polish"], "rng": settings["seed"]}
            with bar(case.label) as progress:
                if id(case) in earlier:
                    one = analyse(m, resume=earlier[id(case)], progress=progress, **options)
                else:
                    one = analyse(m, m.start(seed, starts), progress=progress, **options)
            done.append((case.address, one))
            return one

        def table(verdicts: Classification, m: LoopMap, case: Case) -> Any:
            return render(verdicts, title=case.label, about=[map_entry(m)["description"]])

        analyse_all(
            found, verdict, table, {**settings, "loops": loops}, as_json=as_json, folder=folder,
            over_all=lambda: over_prompts(done),
        )  # fmt: skip


def over_prompts(found: list[tuple[str, Classification]]) -> dict[str, dict[str, Any]]:
    """Sum up the classifications of every checkpoint that read several prompts, by address."""
    from dynloop.orbits.prompts import summarise

    total = {}
    for address in dict.fromkeys(address for address, _ in found):
        own = [one for other, one in found if other == address]
        if len(own) > 1:
            summary = summarise(own, [None] * len(own))
            errors = dict(zip(summary.regimes, summary.standard_error.tolist(), strict=True))
            total[address] = {"summary": summary.summary(), "shares": summary.shares(), "standard_errors": errors}
    return total


def _alone(ctx: typer.Context, option: str, *heeded: str) -> None:
    """Refuse, as wrong usage, what an option that says all by itself cannot heed."""
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if name not in (option, *heeded) and source is not None and source.name == "COMMANDLINE":
            what = "CHECKPOINT" if name == "checkpoint" else f"--{name}"
            kind = "FILE is all there is to classify" if option == "recorded" else "DIR says what is classified"
            raise typer.BadParameter(f"--{option} {kind}; leave {what} away")
