"""`dynloop basins`: where the starts of a grid or of a plane go."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynloop import atomic
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
from dynloop.cli.results import JsonOption, analyse_all, made_folder
from dynloop.cli.terminal import bar, reported
from dynloop.errors import InvalidArgumentError

if TYPE_CHECKING:
    from dynloop.basins.grid import Basins
    from dynloop.maps.base import LoopMap

__all__ = ["Plane", "basins"]

_N = 200
_DRAWN = 1024  # starts whose range is the region of a map of vectors


class Plane(StrEnum):
    """Values of ``--plane``."""

    STARTS = "starts"
    ORBITS = "orbits"
    EIGENVECTORS = "eigenvectors"


def basins(
    checkpoint: CheckpointArgument,
    prompt: PromptOption = None,
    prompts: PromptsOption = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--box",
            help="The region of a map of few coordinates: FROM:TO for each, such as --box=-1:1,-1:1.",
            metavar="A:B,…",
            show_default="where its starts lie",
        ),
    ] = None,
    plane: Annotated[
        Plane | None,
        typer.Option(
            help="A plane through a large state space: two starts and where the first ends; what orbits do most; or "
            "the leading eigenvectors where the first ends.",
            show_default="starts, for states of more than two coordinates",
        ),
    ] = None,
    extent: Annotated[
        float, typer.Option(help="Half the side of the plane of eigenvectors, in lengths of the state there.")
    ] = 1.0,
    n: Annotated[int, typer.Option("-n", min=2, help="Starts along each axis.", metavar="N")] = _N,
    loops: Annotated[
        int | None, typer.Option(min=8, help="Budget of loops per start.", show_default="chosen by the analysis")
    ] = None,
    granularity: GranularityOption = None,
    dtype: DtypeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts that span a plane.")] = 0,
    as_json: JsonOption = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save every record in this folder. An interrupted run goes on from there when it is given again.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find the attractors of CHECKPOINT, and to which of them the starts of a grid or a plane go."""
    one_prompt_option(prompt, prompts)
    if region is not None and plane is not None:
        raise typer.BadParameter("give --box or --plane, not both")
    if not extent > 0:
        raise typer.BadParameter(f"--extent must be positive; got {extent}")
    with reported(relief="a smaller -n, a shorter prompt or a smaller --dtype"):
        from dynloop.basins.grid import basins as label
        from dynloop.views.basins import render
        from dynloop.views.document import map_entry

        settings = {
            "checkpoint": checkpoint, "box": region, "plane": plane, "extent": extent, "n": n, "loops": loops,
            "granularity": granularity or "layer", "dtype": dtype, "seed": seed,
        }  # fmt: skip
        found = cases(checkpoint, prompt, prompts, granularity, dtype)
        folder = None if out is None else resumed_folder(out, settings, [(one.address, one.prompt) for one in found])
        order = {id(case): number for number, case in enumerate(found, 1)}

        def analyse(m: LoopMap, case: Case) -> Basins:
            keep = None if folder is None else folder / f"{order[id(case)]:04d}.pieces"
            grid = grid_for(m, region, plane, extent, n, seed)
            with bar(case.label, "starts") as progress:
                return label(m, grid, loops=loops, keep=keep, progress=progress)

        def table(one: Basins, m: LoopMap, case: Case) -> Any:
            return render(one, title=case.label, about=[map_entry(m)["description"]])

        analyse_all(found, analyse, table, settings, as_json=as_json, folder=folder)


def grid_for(m: LoopMap, region: str | None, plane: Plane | None, extent: float, n: int, seed: int) -> Any:
    """Return the grid that the options ask for."""
    import numpy as np

    vector = len(m.state_shape) == 1
    if region is not None:
        if not vector:
            raise InvalidArgumentError(
                f"--box is for states that are vectors, and {m.name} has states of shape {m.state_shape}; give --plane"
            )
        return tuple(np.linspace(low, high, n) for low, high in ranges(region, m.state_shape[0]))
    if plane is None and vector and m.dimension <= 2:
        drawn = m.numpy(m.start(seed, _DRAWN))
        low, high = drawn.min(axis=0), drawn.max(axis=0)
        return tuple(np.linspace(a, b, n) if a < b else np.array([a]) for a, b in zip(low, high, strict=True))
    return _plane(m, plane or Plane.STARTS, extent, n, seed)


def _plane(m: LoopMap, plane: Plane, extent: float, n: int, seed: int) -> Any:
    import numpy as np

    from dynloop.basins.planes import plane_along_eigenvectors, plane_along_orbits, plane_through
    from dynloop.orbits.regime import classify
    from dynloop.orbits.trajectory import trajectory

    starts = m.start(seed, 16 if plane is Plane.ORBITS else 2)
    if plane is Plane.ORBITS:
        return plane_along_orbits(m.numpy(trajectory(m, starts, 64).states), n=n)
    end = m.numpy(classify(m, starts[:1]).states)[0]
    if not np.isfinite(end).all():
        raise InvalidArgumentError("the orbit of the first start diverges, so it gives no plane; take another --seed")
    if plane is Plane.EIGENVECTORS:
        size = float(np.linalg.norm(end)) or 1.0
        return plane_along_eigenvectors(m, end, extent=extent * size, n=n)
    begun = m.numpy(starts)
    return plane_through(begun[0], begun[1], end, n=n)


def ranges(text: str, count: int) -> list[tuple[float, float]]:
    """Read ``A:B,C:D``: one range for each of `count` coordinates."""
    parts = text.split(",")
    try:
        found = [(float(low), float(high)) for low, high in (part.split(":") for part in parts)]
    except ValueError:
        found = []
    if len(found) != count or not all(low < high and abs(low) + abs(high) < float("inf") for low, high in found):
        raise InvalidArgumentError(
            f"--box must give FROM:TO for each of {count} coordinates, such as --box={','.join(['-1:1'] * count)}; "
            f"got {text}"
        )
    return found


def resumed_folder(path: Path, settings: dict[str, Any], what: list[tuple[str, Any]]) -> Path:
    """Return the folder: new, empty, or of an earlier run of the same command that was interrupted or finished."""
    import json

    document = json.loads(json.dumps({"settings": settings, "cases": what}, default=str))
    mark = path / "basins.json"
    made_folder(path)
    if not set(path.iterdir()) - set(path.glob(atomic.LEFTOVERS)):
        atomic.write(mark, (json.dumps(document) + "\n").encode())
    try:
        same = json.loads(mark.read_text(encoding="utf-8")) == document
    except (OSError, ValueError):
        same = False
    if not same:
        raise InvalidArgumentError(
            f"--out: {path} is not empty and was not begun by this very command; name a new or an empty folder"
        )
    return path
