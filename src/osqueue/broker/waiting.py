"""Claims that wait for a job: pure, in the order of their arrival, found by type in O(1)."""

from __future__ import annotations

from osqueue.engine.requests import Held
from osqueue.model.index import ReadyIndex
from osqueue.model.ops import Claim

__all__ = ["WaitingClaims"]

_ANY = None


class WaitingClaims:
    """A line of claims per type, and one of claims of any type.

    A claim of several types stands in several lines under the same ticket.
    """

    def __init__(self) -> None:
        self._lines: dict[str | None, dict[int, Held]] = {}
        self._tickets: dict[Held, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, held: Held) -> None:
        """Let a claim wait, behind those already waiting."""
        self._tickets[held] = ticket = self._next
        self._next += 1
        for type_ in _types(held):
            self._lines.setdefault(type_, {})[ticket] = held

    def remove(self, held: Held) -> bool:
        """Whether it was waiting; it does not any more."""
        ticket = self._tickets.pop(held, None)
        if ticket is None:
            return False
        for type_ in _types(held):
            line = self._lines[type_]
            del line[ticket]
            if not line:
                del self._lines[type_]
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
        return waiting

    def _first(self, type_: str) -> tuple[int, Held] | None:
        lines = [line for key in (type_, _ANY) if (line := self._lines.get(key))]
        heads = [next(iter(line.items())) for line in lines]
        return min(heads, key=lambda head: head[0]) if heads else None


def _types(held: Held) -> tuple[str | None, ...]:
    assert isinstance(held.op, Claim), "only claims wait"
    return (_ANY,) if held.op.types is None else tuple(dict.fromkeys(held.op.types))
