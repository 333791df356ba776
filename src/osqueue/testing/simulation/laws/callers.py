"""The law of callers: each request that a broker has taken in is answered once, and in time.

A request that comes twice, because the network has doubled it, is two. It needs no answer when the
broker's process has died, and none when its caller has hung up; but then it has to leave its place
soon. Time counts in which the broker's process ran: one that is paused owes nothing meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from osqueue.client.retries import wait_ms
from osqueue.client.transports.protocol import Answer
from osqueue.errors import OsqueueError
from osqueue.testing.simulation.laws.law import BrokenLawError, expect
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.testing.simulation.machine.loop import Life
from osqueue.wire.operations import CLAIM, GET_JOB, GET_PAYLOAD, LIST_ENDED, StatusQuery

__all__ = ["Arrival", "Callers"]

ANSWER_S: Final = 75.0
"""The longest that a request takes beyond what it asked to wait, whatever is the matter: half a
minute for a commit that is not confirmed, and before or after that the store, which is asked for
payload objects up to four times, 5 s each, and the line for them."""

CALM_S: Final = 4.0
"""The same in a world that is well: somebody leads, and the store takes milliseconds."""

LEAVE_S: Final = 2.0
"""How soon the place of a caller is free who has hung up."""

Reply: TypeAlias = Callable[[Answer | OsqueueError], None]

_LOOKUPS: Final = frozenset({each.name for each in (GET_JOB, GET_PAYLOAD, LIST_ENDED)})
"""What may be looked for in the archive, or in a payload object."""


class Arrival:
    """A request at a broker, from the moment in which it came until nothing is left of it."""

    def __init__(self, callers: Callers, life: Life, exchange: Exchange) -> None:
        self._callers = callers
        self._task: asyncio.Task[None] | None = None
        self.life = life
        self.exchange = exchange
        self.replies = 0
        self.waited_s = 0.0
        """How long it has been there, by the looks at it."""
        self.left_s: float | None = None
        """The same when its caller hung up, if he has."""

    def __str__(self) -> str:
        return f"{self.exchange.operation.name} of {self.exchange.who} at {self.life.name}"

    @property
    def asked_s(self) -> float:
        """How long its caller asked the broker to wait."""
        request = self.exchange.request
        if isinstance(request, StatusQuery):
            return request.wait_ms / 1_000
        return wait_ms(request) / 1_000

    @property
    def is_over(self) -> bool:
        """Whether nothing works on it any more: its process has died, or it was cancelled before
        anything began to.
        """
        return not self.life.alive or (self._task is not None and self._task.done())

    def worked_on_by(self, task: asyncio.Task[None]) -> None:
        """What answers it."""
        self._task = task

    def answering(self, reply: Reply) -> Reply:
        """``reply``, as it is to be called: once."""

        def answer(said: Answer | OsqueueError) -> None:
            self.replies += 1
            if self.replies > 1:
                self._callers.find("%s was answered %s times", self, self.replies)
            reply(said)

        return answer

    def cancel(self) -> None:
        """Its caller has hung up."""
        self.left_s = self.waited_s
        if self._task is not None:
            self._task.cancel()

    def over(self) -> None:
        """Nothing works on it any more."""
        self._callers.over(self)


class Callers:
    """All requests that wait at brokers."""

    def __init__(self) -> None:
        self._there: dict[Arrival, None] = {}
        self._found: BrokenLawError | None = None
        self.answered = 0
        """Requests that were."""

    def arrived(self, life: Life, exchange: Exchange) -> Arrival:
        """A request has come to a broker."""
        arrival = Arrival(self, life, exchange)
        self._there[arrival] = None
        return arrival

    def over(self, arrival: Arrival) -> None:
        """A request has left its place."""
        if self._there.pop(arrival, self) is self or not arrival.life.alive:
            return
        self.answered += arrival.replies
        if arrival.replies == 0 and arrival.left_s is None:
            self.find("%s was given up, and its caller is there", arrival)

    def at(self, life: Life) -> list[Arrival]:
        """The requests that a broker works on."""
        return [each for each in self._there if each.life is life]

    def claims_at(self, life: Life) -> int:
        """How many of them are claims."""
        return sum(each.exchange.operation.name == CLAIM.name for each in self.at(life))

    def find(self, law: str, *said: object) -> None:
        """A law does not hold: to be raised by the next look."""
        self._found = self._found or BrokenLawError(law, *said)

    def look(self, every_s: float) -> None:
        """So much time has passed since the last look. Raises `BrokenLawError`."""
        if self._found is not None:
            raise self._found
        for arrival in [each for each in self._there if each.is_over]:
            self.over(arrival)
        for arrival in self._there:
            if not arrival.life.held:
                arrival.waited_s += every_s
                self._expect_in_time(arrival, ANSWER_S)

    def expect_calm(self) -> None:
        """The world has been well for a while. Raises `BrokenLawError`."""
        for arrival in self._there:
            self._expect_in_time(arrival, CALM_S)

    def expect_gone(self, life: Life, *, inline_max: int, deliveries: int) -> None:
        """A broker has stopped as it should: nobody waits there any more, but for the store's own
        answer: to keep payloads longer than ``inline_max``, to get those of so many claims, or to
        look in the archive.
        """
        left = [each for each in self.at(life) if not _asks_store(each.exchange, inline_max)]
        claims = [each for each in left if each.exchange.operation.name == CLAIM.name]
        left = left if len(claims) > deliveries else [each for each in left if each not in claims]
        if left:
            self.find("the broker has stopped, and %s was not answered", left[0])

    def _expect_in_time(self, arrival: Arrival, within_s: float) -> None:
        waited_s, left_s = arrival.waited_s, arrival.left_s
        most_s = arrival.asked_s + within_s
        expect(waited_s <= most_s, "%s is not answered after %.0f s", arrival, waited_s)
        gone_s = 0.0 if left_s is None else waited_s - left_s
        expect(gone_s <= LEAVE_S, "%s keeps its place, and its caller has gone", arrival)


def _asks_store(exchange: Exchange, inline_max: int) -> bool:
    """Whether a request may wait for the store itself, and not for a commit."""
    if exchange.operation.name in _LOOKUPS:
        return True
    return len(msgspec.json.encode(exchange.request)) > inline_max
