"""Claims that wait for a job: pure, in the order of their arrival, found by type in O(1)."""

from __future__ import annotations

from typing import TypeAlias

from osqueue.engine.requests import Held
from osqueue.model.caps import left_out
from osqueue.model.index import ReadyIndex
from osqueue.model.ops import Claim

__all__ = ["WaitingClaims"]

_Line: TypeAlias = str | frozenset[str] | None
"""A type; any but these types; any."""

_ANY = None


class WaitingClaims:
    """A line of claims per type, one of claims of any type, and one for any but some types.

    A claim of several types stands in several lines under the same ticket; of a type that it has
    capped at none, in no line.
    """

    def __init__(self) -> None:
        self._lines: dict[_Line, dict[int, Held]] = {}
        self._others: dict[frozenset[str], None] = {}
        """The lines of claims of any type but these."""
        self._tickets: dict[Held, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, held: Held) -> None:
        """Let a claim wait, behind those already waiting."""
        self._tickets[held] = ticket = self._next
        self._next += 1
        for name in _lines(held):
            self._lines.setdefault(name, {})[ticket] = held
            if isinstance(name, frozenset):
                self._others[name] = None

    def remove(self, held: Held) -> bool:
        """Whether it was waiting; it does not any more."""
        ticket = self._tickets.pop(held, None)
        if ticket is None:
            return False
        for name in _lines(held):
            line = self._lines[name]
            del line[ticket]
            if not line:
                del self._lines[name]
                if isinstance(name, frozenset):
                    del self._others[name]
        return True

    def next(self, ready: ReadyIndex) -> Held | None:
        """Take the claim that waits longest among those that would get one of ``woken``."""
        longest: tuple[int, Held] | None = None
        for type_ in tuple(ready.woken):
            head = self._first(type_) if ready.count(type_) > 0 else None
            if head is None:
                ready.woken.discard(type_)
            elif longest is None or head[0] < longest[0]:
                longest = head
        if longest is None:
            return None
        self.remove(longest[1])
        return longest[1]

    def drain(self) -> list[Held]:
        """Take all."""
        waiting = list(self._tickets)
        self._tickets.clear()
        self._lines.clear()
        self._others.clear()
        return waiting

    def _first(self, type_: str) -> tuple[int, Held] | None:
        others = [name for name in self._others if type_ not in name] if self._others else ()
        lines = [line for name in (type_, _ANY, *others) if (line := self._lines.get(name))]
        heads = [next(iter(line.items())) for line in lines]
        return min(heads, key=lambda head: head[0]) if heads else None


def _lines(held: Held) -> tuple[_Line, ...]:
    """The lines that a claim stands in."""
    assert isinstance(held.op, Claim), "only claims wait"
    types, without = held.op.types, left_out(held.op.caps)
    if types is None:
        return (without or _ANY,)
    return tuple([type_ for type_ in dict.fromkeys(types) if type_ not in without])
