"""`dynloop ablate`: which random blocks settle, by norm, injection, depth and gain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dynloop.cli.results import JsonOption, writable_record
from dynloop.cli.terminal import bar, reported
from dynloop.errors import InvalidArgumentError

__all__ = ["ablate"]


def ablate(
    norm: Annotated[str, typer.Option(help="Places of the norm, with commas: pre, post, huginn, ouro, none.")] = "pre",
    injection: Annotated[str, typer.Option(help="How the prompt enters: none, add, concat.")] = "none,add,concat",
    layers: Annotated[str, typer.Option(help="Numbers of layers.")] = "4",
    gain: Annotated[str, typer.Option(help="Gains of the residual branches.")] = "1.0",
    seeds: Annotated[int, typer.Option(min=1, help="How many blocks of every kind.", metavar="N")] = 5,
    loops: Annotated[int, typer.Option(min=8, help="Budget of loops of each.")] = 512,
    width: Annotated[int, typer.Option(min=1, help="Width of the state.")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Attention heads.")] = 4,
    tokens: Annotated[int, typer.Option(min=1, help="Length of the prompt.")] = 12,
    as_json: JsonOption = False,
    out: Annotated[Path | None, typer.Option(help="Save the record in this file.", metavar="FILE.npz")] = None,
) -> None:
    """Classify looped transformers with random weights in every combination of norm, injection, depth and gain."""
    with reported(relief="smaller blocks"):
        from dynloop.inference.ablation import ablate as run
        from dynloop.views.document import dumps

        factors: dict[str, Any] = {
            "norm": norm.split(","),
            "injection": injection.split(","),
            "layers": _numbers("--layers", layers, int),
            "gain": _numbers("--gain", gain, float),
        }
        target = None if out is None else writable_record(out)
        with bar("ablate", "runs") as progress:
            found = run(
                **factors, seeds=seeds, loops=loops, width=width, heads=heads, tokens=tokens, progress=progress
            )  # fmt: skip
        if target is not None:
            found.save(target)
        print(dumps(found.to_dict()) if as_json else found.table())


def _numbers(option: str, text: str, kind: type) -> list[Any]:
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError:
        raise InvalidArgumentError(
            f"{option} must be numbers with commas between; got {text!r}. Write {option} 1,2"
        ) from None
