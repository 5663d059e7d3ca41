"""The list that `dynloop ls` prints: every name that a command takes, and how a checkpoint is recognised."""

from __future__ import annotations

import inspect

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from dynloop.adapters.address import zoo_names
from dynloop.adapters.registry import demos, families
from dynloop.maps import synthetic, zoo

__all__ = ["render"]


def render() -> RenderableType:
    """Draw the families of checkpoints, the demos, the zoo and the synthetic blocks."""
    parts: list[RenderableType] = [_heading("Checkpoints: a folder or a weights file of one of these families")]
    for family in families():
        parts.append(_line(f"{family.name}: {family.description}"))
        parts.append(_line(f"known by {family.identifies}", 4))
    parts.append(_heading("Demos that ship with dynloop"))
    parts += [_line(f"demo:{name}") for name in demos()]
    parts.append(_heading("Zoo"))
    for name in zoo_names():
        parameters = inspect.signature(getattr(zoo, name)).parameters.values()
        query = "&".join(f"{p.name}={_short(p.default)}" for p in parameters)
        parts.append(_line(f"zoo:{name}" + (f"?{query}" if query else "")))
    parts.append(_heading("Looped transformers with random weights: synthetic:NORM+INJECTION"))
    parts.append(_line(f"NORM: {', '.join(synthetic.NORMS)}"))
    parts.append(_line(f"INJECTION: {', '.join(synthetic.INJECTIONS)}"))
    parts.append(_line("for example synthetic:pre+concat?gain=3.5&layers=6&width=32&heads=2&tokens=8&seed=2"))
    return Group(*parts)


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _line(text: str, indent: int = 2) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, indent))


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_short(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
