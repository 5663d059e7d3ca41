"""`Whole`: an integer that a step made of a state, refused where the compiled step would overflow or round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynloop.orbits.certificates.trace import RefusedError

__all__ = ["LARGEST", "Whole"]

LARGEST = 2**53  # integers up to it are doubles, and far from the end of 64 bits


class Whole(int):
    """An integer whose sums, products and powers are checked."""

    __slots__ = ()

    def __new__(cls, value: int) -> Whole:
        """Refuse an integer that is too large."""
        if abs(value) > LARGEST:
            raise RefusedError(f"the integer {value}, near which a compiled step rounds or overflows")
        return super().__new__(cls, value)


def _checked(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def operation(self: int, *others: Any) -> Any:
        found = plain(self, *others)
        return Whole(found) if isinstance(found, int) else found

    return operation


for _name in ("add", "sub", "mul", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor"):
    for _side in (f"__{_name}__", f"__r{_name}__"):
        setattr(Whole, _side, _checked(_side))
for _side in ("__neg__", "__abs__", "__pos__", "__invert__"):
    setattr(Whole, _side, _checked(_side))
