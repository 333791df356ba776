"""How many jobs of which types a claim may still take."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Caps", "left_out"]


class Caps:
    """``types`` are those asked for (``None``: any), ``spent`` those that it has had enough of."""

    __slots__ = ("_left", "spent", "types")

    def __init__(self, types: Sequence[str] | None, left: dict[str, int]) -> None:
        self._left = left
        self.spent = frozenset([type_ for type_, number in left.items() if number <= 0])
        self.types = types
        self._narrow()

    @staticmethod
    def of(types: Sequence[str] | None, caps: Sequence[tuple[str, int]]) -> Caps:
        """The caps of a claim; nearly always there are none."""
        return Caps(types, dict(caps)) if caps else _Uncapped(types)

    def take(self, type_: str) -> None:
        """One of this type was handed out."""
        if type_ in self._left:
            self._left[type_] -= 1
            if self._left[type_] == 0:
                self.spent |= {type_}
                self._narrow()

    def _narrow(self) -> None:
        if self.types is not None and self.spent:
            self.types = [type_ for type_ in self.types if type_ not in self.spent]


class _Uncapped(Caps):
    """Nothing is counted."""

    __slots__ = ()

    def __init__(self, types: Sequence[str] | None) -> None:
        self.types = types
        self.spent = frozenset()

    def take(self, type_: str) -> None:
        pass


def left_out(caps: Sequence[tuple[str, int]]) -> frozenset[str]:
    """The types of which a claim takes none."""
    return frozenset([type_ for type_, number in caps if number == 0])
