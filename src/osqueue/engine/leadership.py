"""Waiting for the place of the leader: performs what the election asks for, and decides nothing.

The takeover itself is the committer's first commit, on top of what was seen here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, assert_never

import msgspec

from osqueue.clock import Clock
from osqueue.config import STORE_ANSWER_S_MAX, QueueLimits
from osqueue.engine.election import Ask, Election, Halt, Load, Look, ProbeAnswer, Rest, Take
from osqueue.engine.fate import Base
from osqueue.engine.requests import BEFORE, End, EndReason
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    StorageBackendError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.model.job import PAYLOADS, Moment
from osqueue.model.lineage import is_number
from osqueue.model.snapshot import Origin, decode_state, read_origin
from osqueue.model.state import QueueState
from osqueue.storage.protocol import Store, Stored
from osqueue.wire.leaders import called

__all__ = ["MOVING_TIMEOUTS", "Leadership", "Place", "Probe"]

logger = logging.getLogger("osqueue.engine")

Probe: TypeAlias = Callable[[Ask], Awaitable[ProbeAnswer]]
"""Asks the address of an object's leader who is there."""

GLANCE_MS = 50
"""How often it is looked whether the standing by has shown a live leader; it asks nobody."""

MOVING_TIMEOUTS = 2
"""An object that has not stood still for as many time-outs belongs to a leader that lives."""

OTHER_KEYS = ("archive/", PAYLOADS)
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
    """Watches one queue's object for a chance to lead it.

    ``waiting`` is set once somebody has the place; until then, the store's errors are raised
    instead of waited out.
    """

    def __init__(
        self,
        election: Election,
        store: Store,
        key: str,
        *,
        clock: Clock,
        probe: Probe,
    ) -> None:
        self._election = election
        self._store = store
        self._key = key
        self._clock = clock
        self._probe = probe
        self._where = f"{store.url} {key}"
        self._stored: Stored | None = None
        self._told: str | None = None
        self.waiting = asyncio.Event()
        self.halted: str | None = None
        """Why nothing more will be done."""

    async def chance(self) -> Place | None:
        """Wait until the queue may be taken; ``None`` when it must not be any more (`halted`).

        Raises `CorruptStateError` when the object is damaged, `BrokerLeadershipError` when an older
        implementation has overwritten it, and at first the store's errors.
        """
        election = self._election
        while True:
            step = election.step(self._clock.mono_ms())
            match step:
                case Take():
                    place = await self._take()
                    if place is not None:
                        return place
                case Halt(why):
                    self.halted = why
                    logger.error("%s: %s", self._where, why)
                    return None
                case Rest(ms):
                    self._say_who_leads()
                    self.waiting.set()
                    await asyncio.sleep(ms / 1_000)
                case Ask():
                    await self._ask(step)
                case Load() | Look():
                    await self._see(step)
                case _:  # pragma: no cover
                    assert_never(step)

    def led(self) -> None:
        """The place was won: what stood there is past, and a second chance is worth waiting for."""
        self._stored = None
        self.waiting.set()

    async def meet(self, *, moving_ms: int) -> str:
        """Wait for another leader that lives, beside `chance`; answers its address.

        It is one that answers; or that writes although nobody can ask it; or that does not answer,
        but has not stood still for ``moving_ms``.
        """
        await self.waiting.wait()
        still_at = self._clock.mono_ms()
        while True:
            now, origin = self._clock.mono_ms(), self._election.origin
            still_at = still_at if self._election.moved else now
            if self._election.leader is not None:
                return self._election.leader
            if origin is not None and origin.broker is not None and now - still_at >= moving_ms:
                return origin.broker
            await asyncio.sleep(GLANCE_MS / 1_000)

    async def _ask(self, ask: Ask) -> None:
        began = self._clock.mono_ms()
        self._election.heard(await self._probe(ask), began)

    async def _see(self, step: Load | Look) -> None:
        try:
            async with _in_time(self._where):
                await (self._look() if isinstance(step, Look) else self._load(step))
        except StorageBackendError as error:
            self._bear(error)
            self._election.unread()

    async def _take(self) -> Place | None:
        """The place that is to be taken, unless the store does not answer."""
        try:
            async with _in_time(self._where):
                return await self._place()
        except StorageBackendError as error:
            self._bear(error)
            end = End(EndReason.UNWRITABLE, error.message)
            self._election.over(end, self._clock.mono_ms())
            return None

    def _bear(self, error: StorageBackendError) -> None:
        if not self.waiting.is_set():
            raise error
        self._say(f"the store does not answer: {error.message}")

    async def _look(self) -> None:
        began = self._clock.mono_ms()
        try:
            version = await self._store.head(self._key)
        except StoreNotFoundError:
            self._election.missing(began)
            return
        self._election.looked(version, began)
        if self._stored is not None and self._stored.version != version:
            self._stored = None  # it may be large, and is past

    async def _load(self, load: Load) -> None:
        began = self._clock.mono_ms()
        try:
            stored = await self._store.get(self._key, unless=load.unless)
        except StoreNotFoundError:
            self._election.missing(began)
            return
        if stored is None:
            self._election.unchanged(began)
            return
        origin = self._origin(stored)
        if origin.epoch is None and self._election.origin is None:
            await self._refuse_overwritten(origin)
        self._stored = stored
        self._election.loaded(stored.version, origin, began)

    async def _refuse_overwritten(self, origin: Origin) -> None:
        """An older implementation's object is gone on from, unless it has overwritten ours."""
        if self._election.adopts:
            return
        async for copy in self._store.list(f"{self._key}.{BEFORE}"):
            raise BrokerLeadershipError(
                f"{self._where} was overwritten by an older implementation ({origin.broker}); our "
                f"last state before that is kept as {copy}. Stop the older implementation, then "
                "put that copy back, or start with --adopt to go on without it"
            )

    def _origin(self, stored: Stored) -> Origin:
        try:
            return read_origin(stored.data)
        except CorruptStateError as error:
            raise _corrupt(self._where, error) from error

    async def _place(self) -> Place:
        stored, origin = self._stored, self._election.origin
        if stored is None or origin is None:
            return await self._new_place()
        base = Base(stored.version, stored.data, origin.commit)
        epoch = await self._fresh_epoch() if origin.epoch is None else origin.epoch + 1
        return Place(base, epoch, self._where)

    async def _fresh_epoch(self) -> int:
        """The Unix second; above what other keys tell was used before: clocks are put back."""
        copies = f"{self._key}.{BEFORE}"
        used = max(await self._epochs_in(copies, "-"), await self._epochs_in(PAYLOADS, "/"))
        return max(self._clock.wall_ms() // 1_000, used + 1)

    async def _epochs_in(self, prefix: str, end: str) -> int:
        """The highest of the epochs with which keys go on after ``prefix``; 0 if there is none."""
        highest = 0
        async for key in self._store.list(prefix):
            epoch, _, _ = key.removeprefix(prefix).partition(end)
            highest = max(highest, int(epoch) if is_number(epoch) else 0)
        return highest

    async def _new_place(self) -> Place:
        for prefix in OTHER_KEYS:
            async for key in self._store.list(prefix):
                message = (
                    f"{self._where} is missing, but {key} is there, so a queue has lived "
                    "here: put its state object back before a broker starts on it"
                )
                raise CorruptStateError(message)
        return Place(None, self._clock.wall_ms() // 1_000, self._where)

    def _say_who_leads(self) -> None:
        leader, origin = self._election.leader, self._election.origin
        if leader is not None:
            self._say(f"standing by: {called(leader)} leads")
        elif origin is not None and origin.broker is not None:
            who = called(origin.broker)
            self._say(f"standing by: leader {who} does not answer; waiting for its time")

    def _say(self, message: str) -> None:
        if message != self._told:
            self._told = message
            logger.info("%s: %s", self._where, message)


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
