"""What every picture starts with: the Axes it goes on, and the refusal of a result that it does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from dynloop.errors import InvalidArgumentError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axes_for", "only"]

Found = TypeVar("Found")


def axes_for(ax: Axes | None, *, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return the Axes given, or those of a new figure of `size` inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingPackageError("plots need matplotlib: pip install 'dynloop[plot]'") from error
    made: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return made


def only(found: Any, kinds: type[Found] | tuple[type[Found], ...], function: str, remedy: str) -> Found:
    """Return `found` if it is of one of the kinds; else raise, naming the function that makes one."""
    if isinstance(found, kinds):
        return found
    names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
    raise InvalidArgumentError(
        f"{function} draws a {' or a '.join(names)}; got a {type(found).__name__}. Make one with {remedy}"
    )
