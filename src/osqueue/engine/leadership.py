"""Taking a queue: look at its object until the election's rules allow a takeover.

The takeover itself is the committer's first commit, on top of what was seen here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import msgspec

from osqueue.clock import Clock
from osqueue.config import STORE_ANSWER_S_MAX, BrokerSettings, QueueLimits
from osqueue.engine.election import Candidate, Decision, ProbeAnswer
from osqueue.engine.fate import Base
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.model.job import Moment
from osqueue.model.snapshot import Origin, decode_state, read_origin
from osqueue.model.state import QueueState
from osqueue.storage.protocol import Store, Stored

__all__ = ["Leadership", "Place", "Probe"]

logger = logging.getLogger("osqueue.engine")

Probe: TypeAlias = Callable[[Origin], Awaitable[ProbeAnswer]]
"""Asks the address of an object's leader who is there."""

LOOKS_PER_TIMEOUT = 10
"""How often the object is looked at while a silent leader's time-out runs."""

OTHER_KEYS = ("archive/", "payloads/")
"""What only a queue leaves behind: where these are, its state object must be, too."""


class Place(msgspec.Struct, frozen=True):
    """Where a new leader begins: the version it builds on, and its epoch."""

    base: Base | None
    epoch: int
    where: str

    def open(self, limits: QueueLimits, moment: Moment) -> QueueState:
        """The state to go on with. Raises `CorruptStateError` naming the object."""
        if self.base is None:
            return QueueState(limits, generation=f"{self.epoch}-0")
        try:
            return decode_state(
                self.base.data, limits=limits, now=moment, generation=f"{self.epoch}-0"
            )
        except CorruptStateError as error:
            raise _corrupt(self.where, error) from error


class Leadership:
    """Watches one queue's object for a chance to lead it."""

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        address: str,
        settings: BrokerSettings,
        clock: Clock,
        probe: Probe,
    ) -> None:
        self._store = store
        self._key = key
        self._address = address
        self._timeout_ms = settings.leadership.heartbeat_timeout_ms
        self._clock = clock
        self._probe = probe
        self._where = f"{store.url} {key}"

    async def acquire(self) -> Place:
        """Wait until the queue may be taken.

        Raises `BrokerLeadershipError` when another broker is at work on it, `CorruptStateError`
        when the object is damaged, and the store's errors.
        """
        candidate = Candidate(self._address, timeout_ms=self._timeout_ms)
        watched: str | None = None
        while True:
            stored = await self._read()
            if stored is None:
                return await self._new_place()
            origin, read_at = self._origin(stored), self._clock.mono_ms()
            probe = await self._ask(origin)  # its time does not count: nothing was read then
            decision = candidate.see(stored.version, origin, probe=probe, mono_ms=read_at)
            if decision is Decision.TAKE:
                return self._next_place(stored, origin)
            if decision is Decision.YIELD:
                message = f"another broker is active: {origin.broker}; stop it first"
                raise BrokerLeadershipError(message, leader=origin.broker)
            if watched != origin.broker:
                watched = origin.broker
                logger.info("waiting for silent broker %s to time out", watched)
            await asyncio.sleep(self._timeout_ms / LOOKS_PER_TIMEOUT / 1_000)

    async def _read(self) -> Stored | None:
        try:
            async with _in_time(self._where):
                return await self._store.get(self._key)
        except StoreNotFoundError:
            return None

    def _origin(self, stored: Stored) -> Origin:
        try:
            return read_origin(stored.data)
        except CorruptStateError as error:
            raise _corrupt(self._where, error) from error

    async def _ask(self, origin: Origin) -> ProbeAnswer:
        if origin.broker is None or origin.broker == self._address:
            return ProbeAnswer.REFUSED
        return await self._probe(origin)

    async def _new_place(self) -> Place:
        async with _in_time(self._where):
            for prefix in OTHER_KEYS:
                async for key in self._store.list(prefix):
                    message = (
                        f"{self._where} is missing, but {key} is there, so a queue has lived "
                        "here: put its state object back before a broker starts on it"
                    )
                    raise CorruptStateError(message)
        return Place(None, self._clock.wall_ms() // 1_000, self._where)

    def _next_place(self, stored: Stored, origin: Origin) -> Place:
        base = Base(stored.version, stored.data, origin.commit)
        fresh = self._clock.wall_ms() // 1_000
        epoch = fresh if origin.epoch is None else origin.epoch + 1
        return Place(base, epoch, self._where)


@asynccontextmanager
async def _in_time(where: str) -> AsyncIterator[None]:
    """A store that hangs counts as one that is not reached."""
    try:
        async with asyncio.timeout(STORE_ANSWER_S_MAX):
            yield
    except TimeoutError as error:
        message = f"{where}: the store did not answer within {STORE_ANSWER_S_MAX} s"
        raise StoreUnavailableError(message) from error


def _corrupt(where: str, error: CorruptStateError) -> CorruptStateError:
    return CorruptStateError(
        f"{where} is damaged and was left untouched: {error.message}; put a sound copy back"
    )
