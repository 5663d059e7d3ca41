"""What every picture starts with: the Axes it goes on, and the refusal of a result that it does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from dynloop.arguments import checked_kind
from dynloop.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axes_for", "only"]

Found = TypeVar("Found")


def axes_for(ax: Axes | None, *, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return the Axes given, or those of a new figure of `size` inches."""
    try:
        from matplotlib import pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise MissingPackageError("plots need matplotlib: pip install 'dynloop[plot]'") from error
    if ax is not None:
        return checked_kind(ax, Axes, "ax", "Make one with matplotlib.pyplot.subplots()[1], or leave it out")
    made: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return made


def only(found: Any, kinds: type[Found] | tuple[type[Found], ...], remedy: str, argument: str = "found") -> Found:
    """Return `found` if it is of one of the kinds; else raise, naming the function that makes one."""
    return checked_kind(found, kinds, argument, f"Make one with {remedy}")
