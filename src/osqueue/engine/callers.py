"""Those who wait for an answer: how they are told, how they go away, and how claims are repeated.

Laws: a claim whose caller has gone gives back what it was granted, unless another request of the
same claim is under way, or has brought it to a caller who was there. Networks deliver late and in
any order: what comes last may be what was sent first, by a connection that was given up long ago.
Of the requests of one claim, only the last waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from osqueue.engine.requests import Held
from osqueue.errors import OsqueueError, for_one
from osqueue.model.ops import Claim
from osqueue.model.outcomes import Claimed

__all__ = ["Caller", "CallerGoneError", "Claims", "Desk", "Follow", "answer_of", "new_ticket"]

Follow: TypeAlias = Callable[[Held], Coroutine[Any, Any, None]]
"""What is done with a claim's grants, once they are durable, before the claim is answered."""


class CallerGoneError(Exception):
    """Whoever asked is not there any more: there is nobody to answer."""


class Caller:
    """Somebody who waits for an answer, and may go away meanwhile."""

    __slots__ = ("gone", "room", "ticket")

    def __init__(self, room: Callable[[], asyncio.Future[None] | None] | None = None) -> None:
        self.gone = False
        self.ticket: asyncio.Future[None] | None = None
        self.room = room
        """What the caller waits for before it can take an answer; a future of its own each time."""

    def leave(self) -> None:
        """The caller has gone away."""
        self.gone = True
        if self.ticket is not None:
            self.ticket.cancel()


class Desk(Protocol):
    """Where requests are handed in."""

    def arrive(self, held: Held) -> None:
        """Hand in a request. Raises when nobody takes it."""
        ...

    def withdraw(self, held: Held) -> None:
        """The caller of a request has gone away."""
        ...

    def wait_over(self, held: Held) -> None:
        """A claim has waited as long as it asked for."""
        ...


class _Family:
    """The requests of one claim, from the first until none is under way."""

    def __init__(self) -> None:
        self.under_way: list[Held] = []
        self.seeds: set[str] = set()
        """Of the leases that may have been granted to one of them."""
        self.delivered = False
        """Whether one was answered to a caller who was there."""

    def join(self, held: Held, op: Claim) -> None:
        self.under_way.append(held)
        self.seeds.add(op.lease_seed)

    def gives_back(self) -> frozenset[str]:
        """What is released when the caller of one of them goes away."""
        if self.delivered or len(self.under_way) > 1:
            return frozenset()
        return frozenset(self.seeds)


class Claims:
    """The claims under way at one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._families: dict[str, _Family] = {}

    def __len__(self) -> int:
        """How many that can be repeated are under way."""
        return len(self._families)

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None
    ) -> Held:
        """Hand in a claim and wait for its answer; see `Engine.claim`."""
        caller.ticket = ticket = new_ticket()
        held = Held(op=op, waits=wait_ms > 0, ticket=ticket)
        family = self._join(op, held)
        timer = None
        try:
            self._desk.arrive(held)
            if wait_ms > 0 and not held.answered:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(wait_ms / 1_000, self._desk.wait_over, held)
            await answer_of(held)
            if follow is not None and _names_objects(held):
                await self._follow(held, caller, follow)
            if caller.room is not None and _has_grants(held):
                await _room(caller, caller.room)
            _expect_there(caller)
        except (asyncio.CancelledError, CallerGoneError):
            held.gives_back = None if family is None else family.gives_back()
            self._desk.withdraw(held)
            if caller.gone:
                raise CallerGoneError from None
            raise
        else:
            if family is not None:
                family.delivered = True
            return held
        finally:
            self._leave(op.claim_id, held)
            if timer is not None:
                timer.cancel()

    async def _follow(self, held: Held, caller: Caller, follow: Follow) -> None:
        caller.ticket = following = asyncio.ensure_future(follow(held))
        try:
            await following
        except OsqueueError as error:
            error.applied = "unknown"  # the same claim will get the same jobs
            if isinstance(held.op, Claim) and held.op.claim_id is None:
                self._desk.withdraw(held)
                error.applied = "no"
            raise

    def _join(self, op: Claim, held: Held) -> _Family | None:
        if op.claim_id is None:
            return None
        family = self._families.setdefault(op.claim_id, _Family())
        if family.under_way:
            self._desk.wait_over(family.under_way[-1])
        family.join(held, op)
        return family

    def _leave(self, claim_id: str | None, held: Held) -> None:
        if claim_id is None:
            return
        family = self._families[claim_id]
        family.under_way.remove(held)
        if not family.under_way:
            del self._families[claim_id]


def new_ticket() -> asyncio.Future[None]:
    """What a caller waits on."""
    return asyncio.get_running_loop().create_future()


async def answer_of(held: Held) -> Held:
    """The request, once it is answered. Raises what it was refused with."""
    assert isinstance(held.ticket, asyncio.Future), "somebody waits for it"
    await held.ticket
    if held.error is not None:
        raise for_one(held.error)
    return held


def _names_objects(held: Held) -> bool:
    """Whether a claim got jobs whose payloads are objects: most do not, and cost nothing more."""
    outcome = held.outcome
    return isinstance(outcome, Claimed) and any(grant.large for grant in outcome.grants)


def _has_grants(held: Held) -> bool:
    return isinstance(held.outcome, Claimed) and bool(held.outcome.grants)


async def _room(caller: Caller, room: Callable[[], asyncio.Future[None] | None]) -> None:
    """Wait until the caller can take its answer: one that goes away before has not got it."""
    while not caller.gone and (waiting := room()) is not None:
        caller.ticket = waiting
        await waiting


def _expect_there(caller: Caller) -> None:
    """It may have left after the answer, before hearing it."""
    if caller.gone:
        raise CallerGoneError
