"""What goes to many at once is encoded once: they are handed the same object, one after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["EncodeOnce"]

KEPT: Final = 64
"""Objects whose bytes are remembered: the last updates, for a few kinds of observers."""

ObjectT = TypeVar("ObjectT")


class EncodeOnce(Generic[ObjectT]):
    """Encodes objects that do not change any more, the same one only once."""

    __slots__ = ("_encode", "_known")

    def __init__(self, encode: Callable[[ObjectT], bytes]) -> None:
        self._encode = encode
        self._known: OrderedDict[int, tuple[ObjectT, bytes]] = OrderedDict()
        """By identity, which holds while the object is kept here."""

    def __call__(self, value: ObjectT) -> bytes:
        """The bytes of an object."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = (value, self._encode(value))
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found[1]
