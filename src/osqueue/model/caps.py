"""How many jobs of which types a claim may still take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["Caps", "left_out"]


class Caps:
    """``types`` are those asked for (``None``: any), ``spent`` those that it has had enough of."""

    __slots__ = ("_left", "spent", "types")

    def __init__(self, types: Sequence[str] | None, caps: Iterable[tuple[str, int]]) -> None:
        self._left = dict(caps)
        self.spent = left_out(self._left.items())
        self.types = types
        self._narrow()

    def take(self, type_: str) -> None:
        """One of this type is handed out."""
        if type_ in self._left:
            self._left[type_] -= 1
            if self._left[type_] == 0:
                self.spent |= {type_}
                self._narrow()

    def _narrow(self) -> None:
        if self.types is not None:
            self.types = [type_ for type_ in self.types if type_ not in self.spent]


def left_out(caps: Iterable[tuple[str, int]]) -> frozenset[str]:
    """The types of which a claim takes none."""
    return frozenset([type_ for type_, number in caps if number == 0])
