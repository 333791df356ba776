"""Dead letters by what they failed of: those whose errors differ only in numbers stand together.

Laws: they are read and sorted a few at a time, with others in between; as long as they are the
same, that is done once, for all who ask.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import UNSET

from osqueue.broker.engines import QueueEngine
from osqueue.broker.reply import Reply
from osqueue.config import (
    DEAD_GROUP_IDS_MAX,
    DEAD_GROUP_TYPES_MAX,
    DEAD_GROUPS_KEPT_MAX,
    DEAD_GROUPS_MAX,
    DEAD_MESSAGE_CHARS_MAX,
    FIND_SCANS_MAX,
)
from osqueue.engine.requests import Held
from osqueue.model.ops import ListDead
from osqueue.model.outcomes import BadCursor, DeadLetter, DeadLetters
from osqueue.wire.messages import DeadGroup
from osqueue.wire.messages import DeadGroups as Answer

__all__ = ["DeadGroups", "Grouping", "pattern_of"]

LETTERS_MAX: Final = 10_000
"""Dead letters of one read: they are handed over as they are, which takes about 5 ms."""

LETTERS_AT_ONCE: Final = 250
"""Sorted before others have their turn: about 2 ms."""

CUT_CHARS: Final = 4 * DEAD_MESSAGE_CHARS_MAX
"""What is looked at of a message: it becomes shorter."""

_VARIABLE: Final = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\b0x[0-9a-f]+\b"
    r"|\b(?=[a-f]*[0-9])[0-9a-f]{6,}\b"
    r"|\d+",
    re.IGNORECASE,
)
"""UUIDs, hexadecimal numbers with and without a sign that they are, and decimal ones."""


class _Failure(msgspec.Struct):
    type: str = ""
    message: str = ""
    at: int | None = None


_failure_decoder = msgspec.json.Decoder(_Failure)


def pattern_of(message: str) -> str:
    """A message without what differs from one job to the next."""
    return _VARIABLE.sub("#", message[:CUT_CHARS])[:DEAD_MESSAGE_CHARS_MAX]


class _Group:
    __slots__ = ("count", "ids", "newest", "oldest", "types")

    def __init__(self, at: int) -> None:
        self.count = 0
        self.ids: list[str] = []
        self.types: Counter[str] = Counter()
        self.oldest = self.newest = at

    def add(self, letter: DeadLetter, at: int) -> None:
        self.count += 1
        self.types[letter.type] += 1
        self.oldest, self.newest = min(self.oldest, at), max(self.newest, at)
        if len(self.ids) < DEAD_GROUP_IDS_MAX:
            self.ids.append(letter.id)

    def told(self, error_type: str, pattern: str) -> DeadGroup:
        return DeadGroup(
            key=blake2b(f"{error_type}\n{pattern}".encode(), digest_size=8).hexdigest(),
            error_type=error_type,
            message=pattern,
            count=self.count,
            types=dict(self.types.most_common(DEAD_GROUP_TYPES_MAX)),
            oldest=self.oldest,
            newest=self.newest,
            job_ids=self.ids,
        )


class Grouping:
    """Sorts dead letters. Kinds beyond a bound are only counted."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}
        self._total = 0

    def add(self, letter: DeadLetter) -> None:
        """Put one to its like."""
        self._total += 1
        failure = _failure_of(letter)
        at = letter.created_at if failure.at is None else failure.at
        kind = failure.type, pattern_of(failure.message)
        group = self._groups.get(kind)
        if group is None:
            if len(self._groups) == DEAD_GROUPS_KEPT_MAX:
                return
            group = self._groups[kind] = _Group(at)
        group.add(letter, at)

    def answer(self) -> Answer:
        """The groups, the largest first; of those of one size, the one that grew last."""
        ordered = sorted(
            self._groups.items(), key=lambda each: (each[1].count, each[1].newest), reverse=True
        )
        return Answer(
            groups=[group.told(*kind) for kind, group in ordered[:DEAD_GROUPS_MAX]],
            total=self._total,
        )


class DeadGroups:
    """The groups of one queue, kept as long as the dead letters are the same."""

    def __init__(self, engine: QueueEngine) -> None:
        self._engine = engine
        self._mark: str | None = None
        self._answer = Answer(groups=[], total=0)
        self._busy = asyncio.Lock()

    async def get(self, *, consistent: bool = False) -> Reply[Answer]:
        """As they are now; who asks meanwhile waits for the same."""
        async with self._busy:
            ask = ListDead(LETTERS_MAX, unless=self._mark)
            held = await self._engine.ask(ask, consistent=consistent)
            letters = held.outcome
            assert isinstance(letters, DeadLetters), "without a cursor it cannot be refused"
            if letters.mark != self._mark:
                self._answer = await self._sorted(held)
                self._mark = letters.mark
            return Reply(self._answer, held.position)

    async def _sorted(self, held: Held) -> Answer:
        """What was read, and the rest. What changes meanwhile has another mark."""
        grouping = Grouping()
        for _ in range(FIND_SCANS_MAX):
            letters = held.outcome
            if isinstance(letters, BadCursor):  # the state was read anew in between
                grouping, cursor = Grouping(), None
            else:
                assert isinstance(letters, DeadLetters), "there is nothing else to refuse"
                await _add_all(grouping, letters.letters)
                cursor = letters.next_cursor
                if cursor is None:
                    break
            await asyncio.sleep(0)  # an answer may come at once
            held = await self._engine.ask(ListDead(LETTERS_MAX, cursor))
        return grouping.answer()


async def _add_all(grouping: Grouping, letters: tuple[DeadLetter, ...]) -> None:
    for number, letter in enumerate(letters, 1):
        grouping.add(letter)
        if number % LETTERS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _failure_of(letter: DeadLetter) -> _Failure:
    if letter.error is UNSET:
        return _Failure()
    try:
        return _failure_decoder.decode(letter.error)
    except (msgspec.DecodeError, UnicodeDecodeError):  # of another implementation
        return _Failure("Unknown", bytes(letter.error).decode(errors="replace"))
