"""A queue without a broker: this process writes the state object itself, beside others like it.

For small loads: scripts, cron jobs, lambdas, a few workers. Every change is a compare-and-swap by
whoever makes it; a process that loses the race does its part again on top of what the other wrote.
It never runs beside a broker: where one leads, its address is raised.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from osqueue.broker.fitting import fitted, in_one_line, throttled
from osqueue.broker.probe import probe_leader
from osqueue.broker.service import QueueService
from osqueue.broker.waiting import WaitingClaims
from osqueue.client.client import OsqueueClient
from osqueue.clock import Clock, Entropy, SystemClock, SystemEntropy
from osqueue.config import SHARED_DEDUPE_MAX, STATE_KEY, BrokerSettings, ClientSettings
from osqueue.engine.archive import Archive
from osqueue.engine.archiver import Archiver
from osqueue.engine.leadership import Probe
from osqueue.engine.requests import End
from osqueue.engine.sharing import SharedEngine
from osqueue.errors import OsqueueError, StoreNotFoundError
from osqueue.inprocess import InProcessTransport
from osqueue.storage.probe import probe_store
from osqueue.storage.protocol import Store
from osqueue.storage.urls import open_store

__all__ = ["BrokerlessQueue", "Part", "joined", "open_brokerless"]

logger = logging.getLogger("osqueue.broker")


class BrokerlessQueue:
    """A queue that this process has joined. ``client`` talks to it like to a broker's."""

    def __init__(self, client: OsqueueClient, engine: SharedEngine) -> None:
        self.client = client
        self._engine = engine

    @property
    def end(self) -> End | None:
        """Why this process has to do with the queue no more; ``None`` while it has."""
        return self._engine.end

    async def wait_ended(self) -> End:
        """Wait until it is over: a broker leads the queue, or its object is past our handling."""
        return await self._engine.wait_ended()


@asynccontextmanager
async def open_brokerless(
    storage: str | Store,
    *,
    settings: BrokerSettings | None = None,
    client_settings: ClientSettings | None = None,
    probe: bool | None = None,
    create: bool = True,
) -> AsyncIterator[BrokerlessQueue]:
    """Join the queue in ``storage``, a URL or a `Store`, which is not closed then.

    ::

        async with open_brokerless("s3://my-bucket/emails") as queue:
            await queue.client.submit_job("email:send", {"to": "ada@example.org"})

    ``probe``: whether the store is tried first (`osqueue.storage.probe`, some ten requests). By
    default only when the queue is not there yet: whoever began it has tried the store, and a lambda
    should not pay for it each time. Without ``create``, such a queue is a `StoreNotFoundError`.

    Where a broker is named but gone, this waits as long as a standby would. Raises
    `BrokerLeadershipError` naming the broker that leads, `CorruptStateError`,
    `UnsupportedStoreError`, `ConfigError` and the store's errors. At the end what is pending is
    committed, and what has waited long for the archive is put there.
    """
    given = settings or BrokerSettings()
    given.validate()
    async with AsyncExitStack() as stack:
        store = storage
        if isinstance(store, str):
            store = open_store(store)
            stack.push_async_callback(store.close)
        part = joined(
            store,
            settings=given,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            leader_probe=probe_leader,
            probe=probe,
            create=create,
        )
        engine, transport = await stack.enter_async_context(part)
        client = OsqueueClient(transport=transport, settings=client_settings)
        yield BrokerlessQueue(await stack.enter_async_context(client), engine)


class Part(NamedTuple):
    """One process's part in a queue that nobody leads."""

    engine: SharedEngine
    transport: InProcessTransport
    """The way to its service, for clients in this loop."""


@asynccontextmanager
async def joined(
    store: Store,
    *,
    settings: BrokerSettings,
    clock: Clock,
    entropy: Entropy,
    leader_probe: Probe,
    probe: bool | None = None,
    create: bool = True,
) -> AsyncIterator[Part]:
    """Take part in the queue in ``store``, which is not closed here; see `open_brokerless`.

    ``leader_probe`` asks the address of a leader who is there.
    """
    settings = _shared(fitted(settings, store))
    paced = throttled(store, settings, clock=clock)
    engine = SharedEngine(
        paced, STATE_KEY,
        settings=settings, clock=clock, entropy=entropy, waiting=WaitingClaims, probe=leader_probe,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        place = await engine.find()
        if place.base is None and not create:
            raise StoreNotFoundError(f"{place.where}: there is no queue yet")
        if probe or (probe is None and place.base is None):
            report = await probe_store(store, clock=clock, entropy=entropy)
            logger.info("%s", in_one_line(report))
        stack.push_async_callback(engine.stop)  # also of one that is still taking the place
        await engine.start(place)
        lookup = await stack.enter_async_context(
            _archiving(engine, paced, settings, clock, entropy)
        )
        await stack.enter_async_context(_sweeping(engine))
        service = QueueService(
            engine,
            lookup if settings.limits.archived else None,
            address="",
            entropy=entropy,
            clock=clock,
            streams=settings.streams,
        )
        yield Part(engine, InProcessTransport(service, settings.server))


class _FreshArchive(msgspec.Struct, frozen=True):
    """The archive, listed for each lookup: others put batches there as well."""

    archive: Archive

    async def find(self, job_id: str) -> bytes | None:
        await self.archive.load()
        return await self.archive.find(job_id)

    async def listed(self) -> Archive:
        await self.archive.load()
        return self.archive


@asynccontextmanager
async def _archiving(
    engine: SharedEngine, store: Store, settings: BrokerSettings, clock: Clock, entropy: Entropy
) -> AsyncIterator[_FreshArchive]:
    """Archive what ends, as a broker does: several at once do each step once.

    A process that is gone before an ended job has waited long does nothing for it, and lists
    nothing. What has waited long is archived at the end, so that short scripts leave no heap.
    """
    archive = Archive(store)
    archiver = Archiver(
        engine, archive, store, settings=settings.archive, clock=clock, entropy=entropy
    )
    archive_ms = settings.archive.linger_ms
    running = asyncio.ensure_future(_run_later(archiver, archive_ms, until=engine.wait_ended))
    try:
        yield _FreshArchive(archive)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if engine.end is None:
            await _archive_rest(archiver, settings.drain_ms)


@asynccontextmanager
async def _sweeping(engine: SharedEngine) -> AsyncIterator[None]:
    """Sweep payload objects for as long as this lasts. Who is soon gone never begins to."""
    running = asyncio.ensure_future(engine.sweep())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run_later(
    archiver: Archiver, wait_ms: int, *, until: Callable[[], Coroutine[Any, Any, End]]
) -> None:
    """Run the archiver after a while, until the queue is no longer ours."""
    ended = asyncio.ensure_future(until())
    running = asyncio.ensure_future(_run_after(archiver, wait_ms))
    try:
        await asyncio.wait({ended, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        running.cancel()
        await asyncio.gather(ended, running, return_exceptions=True)


async def _run_after(archiver: Archiver, wait_ms: int) -> None:
    await asyncio.sleep(wait_ms / 1_000)
    await archiver.run()


async def _archive_rest(archiver: Archiver, most_ms: int) -> None:
    try:
        async with asyncio.timeout(most_ms / 1_000):
            if archiver.due():
                await archiver.archive_one()
    except (OsqueueError, TimeoutError) as error:
        logger.info("ended jobs are left for others to archive: %s", error)


def _shared(settings: BrokerSettings) -> BrokerSettings:
    """The settings of one of several writers."""
    limits = settings.limits
    limits = replace(
        limits,
        renewal_written_ms=limits.lease_timeout_ms // 3,
        dedupe_max=min(limits.dedupe_max, SHARED_DEDUPE_MAX),
    )
    return replace(settings, limits=limits)
