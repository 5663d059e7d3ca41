"""What is to be analysed: a checkpoint by its address, with each of its prompts, all seen to open beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop.errors import PromptError

if TYPE_CHECKING:
    from dynloop.maps.base import LoopMap

__all__ = [
    "Case",
    "CheckpointArgument",
    "CheckpointOrRecordArgument",
    "Dtype",
    "DtypeOption",
    "Granularity",
    "GranularityOption",
    "PromptOption",
    "PromptsOption",
    "cases",
    "one_prompt_option",
]


class Granularity(StrEnum):
    """Values of ``--granularity``."""

    LAYER = "layer"
    SUBLAYER = "sublayer"


class Dtype(StrEnum):
    """Values of ``--dtype``."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


CheckpointArgument = Annotated[
    str,
    typer.Argument(
        help="A folder, a weights file, demo, demo:NAME, zoo:NAME?a=1.2&b=0.3, or "
        "synthetic:NORM+INJECTION?gain=3.5&layers=6. `dynloop ls` lists the names.",
        metavar="CHECKPOINT",
        show_default=False,
    ),
]
CheckpointOrRecordArgument = Annotated[str | None, *CheckpointArgument.__metadata__]
PromptOption = Annotated[str | None, typer.Option(help="Text that the checkpoint reads.", show_default=False)]
PromptsOption = Annotated[
    Path | None,
    typer.Option(help="A file of prompts, one JSON value a line.", metavar="FILE.jsonl", show_default=False),
]
GranularityOption = Annotated[
    Granularity | None,
    typer.Option(help="One factor a layer, or attention and MLP apart.", show_default="layer"),
]
DtypeOption = Annotated[
    Dtype | None, typer.Option(help="Working dtype.", show_default="a checkpoint's own, else float64")
]


@dataclass(frozen=True)
class Case:
    """One thing to analyse: an address with one prompt, and how its map is made (again, if need be)."""

    address: str
    prompt: Any
    line: str
    make: Callable[[], LoopMap]

    @property
    def label(self) -> str:
        """What titles and bars call it."""
        return f"{self.address} · {self.line}" if self.line else self.address

    def open(self) -> LoopMap:
        """Make the map; what is wrong with a prompt is said with the line it stands on."""
        try:
            return self.make()
        except PromptError as error:
            raise (PromptError(f"{self.line}: {error}") if self.line else error) from None


def cases(
    checkpoint: str,
    prompt: str | None,
    prompts: Path | None,
    granularity: str | None,
    dtype: str | None,
    *,
    check: Callable[[LoopMap, Case], None] | None = None,
) -> list[Case]:
    """List what is to be analysed, each seen to open before the first is iterated, so that nothing is half done.

    `check`, called with every map and its case, may raise for one that the command cannot take.
    """
    from dynloop.adapters.address import expand, open_address, with_prompt
    from dynloop.adapters.jsonl import read_prompts

    read: list[tuple[str, Any]] = [("", prompt)]
    if prompts is not None:
        read = [(f"{prompts}, line {number}", value) for number, value in read_prompts(prompts)]
    found = []
    for address in expand(checkpoint):
        line, value = read[0]
        options = {"prompt": value, "granularity": granularity, "dtype": dtype}
        first = Case(address, value, line, partial(open_address, address, **options)).open()
        found.append(Case(address, value, line, partial(_itself, first)))
        if check is not None:
            check(first, found[-1])
        for line, value in read[1:]:
            found.append(Case(address, value, line, partial(with_prompt, first, value)))
            m = found[-1].open()
            if check is not None:
                check(m, found[-1])
    return found


def one_prompt_option(prompt: str | None, prompts: Path | None) -> None:
    """Refuse, as wrong usage, a prompt and a file of prompts at once."""
    if prompt is not None and prompts is not None:
        raise typer.BadParameter("give --prompt or --prompts, not both")


def _itself(m: LoopMap) -> LoopMap:
    return m
