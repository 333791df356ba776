"""Claims that wait for a job: pure, in the order of their arrival, found by type in O(1)."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from typing import Any, TypeAlias

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
        self._due: list[tuple[int, Any]] = []
        """A heap of the lines to be looked at, by the ticket that stood first in each. Only claims
        of types stand in several lines, so of one ticket all are types, which compare.
        """
        self._next = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[Held]:
        """All of them, the one that waits longest first."""
        return iter(self._tickets)

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
        """Take the claim that waits longest among those that would get one of ``woken``.

        To be called until there is none: the lines to be looked at are kept in between.
        """
        self._look_at(ready)
        while self._due:
            ticket, name = self._due[0]
            line = self._lines.get(name)
            if not line or not _would_get(name, ready):
                heappop(self._due)
                continue
            first, held = next(iter(line.items()))
            if first == ticket:
                self.remove(held)
                return held
            heapreplace(self._due, (first, name))
        return None

    def drain(self) -> list[Held]:
        """Take all."""
        waiting = list(self._tickets)
        self._tickets.clear()
        self._lines.clear()
        self._others.clear()
        self._due.clear()
        return waiting

    def _look_at(self, ready: ReadyIndex) -> None:
        """Have the lines looked at that one of ``woken`` is for."""
        names: set[_Line] = {_ANY} if ready.woken else set()
        for type_ in ready.woken:
            names.add(type_)
            names.update([name for name in self._others if type_ not in name])
        ready.woken.clear()
        for name in names & self._lines.keys():
            heappush(self._due, (next(iter(self._lines[name])), name))


def _would_get(name: _Line, ready: ReadyIndex) -> bool:
    """Whether there is a job for a line."""
    if isinstance(name, frozenset):
        return ready.live > sum([ready.count(type_) for type_ in name])
    return ready.live > 0 if name is None else ready.count(name) > 0


def _lines(held: Held) -> tuple[_Line, ...]:
    """The lines that a claim stands in."""
    assert isinstance(held.op, Claim), "only claims wait"
    types, without = held.op.types, left_out(held.op.caps)
    if types is None:
        return (without or _ANY,)
    return tuple([type_ for type_ in dict.fromkeys(types) if type_ not in without])
