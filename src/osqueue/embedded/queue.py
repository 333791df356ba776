"""A queue in one process, without a server: push, claim, consume."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Generic, Required, Self, TypedDict, TypeVar, Unpack, overload

from msgspec import UNSET

from osqueue.brokerless import BrokerlessQueue, open_brokerless
from osqueue.client.client import OsqueueClient
from osqueue.client.models import JobError, JobOptions, NewJob
from osqueue.config import BrokerSettings, ClientSettings, WorkerSettings
from osqueue.embedded.consumer import Consumer
from osqueue.embedded.handout import Holder, holder_now
from osqueue.embedded.job import QueueJob
from osqueue.embedded.leading import LedQueue, open_leading
from osqueue.embedded.source import Source
from osqueue.errors import ConfigError, EngineStateError
from osqueue.jobs.schema import Schema
from osqueue.storage.protocol import Store

__all__ = ["Queue", "QueueOptions"]

T = TypeVar("T")

BEATS_PER_LEASE = 6
"""Heartbeats in the time of a lease: several may fail before it runs out."""


class QueueOptions(TypedDict, total=False):
    """What an embedded queue may be told beside the type of its payloads.

    - ``storage``: a URL, or a store, which is not closed then.
    - ``job_type``: what its jobs are called; by default as the type is.
    - ``brokerless``: write the queue beside other processes that do the same, and lead nothing.
    - ``wait``: stand by for as long as a broker or another process leads, rather than raise.
    - ``settings``: as of a broker; ``client_settings``: as of a client, such as how long a call is
      tried again while the store does not answer, or another leads.
    """

    storage: Required[str | Store]
    job_type: str
    brokerless: bool
    wait: bool
    settings: BrokerSettings | None
    client_settings: ClientSettings | None


class Queue(Generic[T]):
    """The jobs of one type in a storage, of which this process is the broker.

    ::

        async with Queue(SendEmail, storage="file:///var/lib/app/queue") as q:
            await q.push(SendEmail(to="ada@example.org"))
            async for job in q.consume():
                await send(job.payload)

    It leads the queue, so there is one such process at a time, and no broker beside it; or with
    ``brokerless`` any number of them. The jobs are what they are to a broker that is started later.
    ``client`` has all other operations, for all types, and is what a `Worker` takes.
    """

    @overload
    def __init__(self, payload: type[T], **options: Unpack[QueueOptions]) -> None: ...
    @overload
    def __init__(self: Queue[Any], payload: object, **options: Unpack[QueueOptions]) -> None: ...
    def __init__(self, payload: Any, **options: Unpack[QueueOptions]) -> None:
        self.job_type = options.get("job_type") or _name_of(payload)
        self._schema = Schema.of(payload, job_type=self.job_type)
        self._schema.prepare()
        self._options = options
        self._settings = options.get("settings") or BrokerSettings()
        self._settings.validate()
        _refuse_waiting(options)
        self._turning = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._source: Source[T] | None = None

    @property
    def client(self) -> OsqueueClient:
        """The client of this process's own queue. Raises `EngineStateError` when it is not open."""
        return self._opened().client

    async def open(self) -> None:
        """Take the queue. A second call does nothing.

        Raises `BrokerLeadershipError` naming who leads, unless told to wait; `CorruptStateError`,
        `UnsupportedStoreError` and the store's errors; `EngineStateError` once it was closed.
        """
        async with self._turning:
            if self._source is not None:
                self._opened()
                return
            async with AsyncExitStack() as stack:
                joined = await stack.enter_async_context(self._opening())
                self._source = self._new_source(joined.client)
                stack.push_async_callback(self._source.keeper.close)
                self._stack = stack.pop_all()

    async def close(
        self, error: BaseException | None = None, *, holder: Holder | None = None
    ) -> None:
        """Give back what is held, commit what is pending, let others lead. Harmless at any time.

        The job that a loop of the caller holds has failed, if ``error`` is an exception. Whoever is
        inside of ``async with job`` is cancelled, and leaves by a `LeaseLostError`.
        """
        holder = holder or holder_now()
        async with self._turning:
            stack, self._stack = self._stack, None
            if stack is not None and self._source is not None:
                async with stack:
                    await self._source.close(holder, error)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: object,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(exc)

    async def push(self, payload: T, **options: Unpack[JobOptions]) -> str:
        """Submit a job and return its id; it is durable then. ``options``: see `JobOptions`.

        Raises `PayloadValidationError` naming the field, before anything is written.
        """
        return await self.client.submit_job(self.job_type, self._schema.encode(payload), **options)

    async def push_many(self, payloads: Iterable[T], **options: Unpack[JobOptions]) -> list[str]:
        """Submit many jobs, with the same options, and return their ids, in order.

        Few large requests; each is all or none.
        """
        encode = self._schema.encode
        jobs = [NewJob(self.job_type, encode(each), **options) for each in payloads]
        return await self.client.submit_jobs(jobs)

    async def claim(self, *, wait_ms: int = 0) -> QueueJob[T] | None:
        """Claim the next job, waiting up to ``wait_ms`` (at most a minute) for one.

        Its lease is yours to keep, by `heartbeat` or by ``async with job``. A job whose payload is
        not of the type has failed for good, and counts as none.
        """
        jobs = await self._opened().claim(1, wait_ms=wait_ms)
        return jobs[0] if jobs else None

    async def heartbeat(self, job: QueueJob[T]) -> None:
        """Keep a job's lease. Raises `LeaseLostError` or `JobNotFoundError` when it is lost."""
        await self.client.heartbeat(job.raw)

    async def complete(self, job: QueueJob[T], result: object = UNSET) -> None:
        """The job is done. ``result`` is kept with it, if given.

        Raises `LeaseLostError` when it is held no more.
        """
        await self._opened().reports.complete(job.hold, result)

    async def fail(
        self,
        job: QueueJob[T],
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        """The attempt has failed. While attempts are left, the job runs again after ``delay_ms``;
        by default as its own retry policy says. Without ``retry``, it becomes a dead letter.
        """
        reports = self._opened().reports
        await reports.fail(job.hold, error, retry=retry, delay_ms=delay_ms)

    async def release(self, job: QueueJob[T]) -> None:
        """Give a job back unfinished; the attempt does not count."""
        await self._opened().reports.release(job.hold)

    def consume(self, concurrency: int = 1, *, holder: Holder | None = None) -> Consumer[T]:
        """Jobs as they come, for ``async for``, for ever; their leases are kept meanwhile.

        Asking for the next job completes the one before. An exception that leaves ``async with
        q.consume() as jobs``, ``async with Queue(...)`` or the whole task fails it; a loop that is
        left in another way gives it back. ``async with job`` inside of the loop is the exact form,
        and the only one with a ``concurrency`` above 1: up to so many jobs are handed out at a
        time, and each is over when its own ``async with`` is.
        """
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        return Consumer(self._opened(), concurrency, holder)

    def _opened(self) -> Source[T]:
        if self._source is None:
            raise EngineStateError("the queue is not open: use it inside of async with Queue(...)")
        if self._source.closed:
            raise EngineStateError("the queue was closed: make a new one, async with Queue(...)")
        return self._source

    def _opening(self) -> AbstractAsyncContextManager[LedQueue | BrokerlessQueue]:
        options, settings = self._options, self._settings
        storage, calls = options["storage"], options.get("client_settings")
        if options.get("brokerless", False):
            return open_brokerless(storage, settings=settings, client_settings=calls)
        wait = options.get("wait", False)
        return open_leading(storage, settings=settings, client_settings=calls, wait=wait)

    def _new_source(self, client: OsqueueClient) -> Source[T]:
        token = client.runtime.entropy.token()
        lease_ms = self._settings.limits.lease_timeout_ms
        usual_ms = WorkerSettings().heartbeat_interval_ms
        return Source(
            client,
            self._schema,
            job_type=self.job_type,
            worker_id=f"{socket.gethostname()[:100]}-{os.getpid()}-{token}",
            interval_ms=min(usual_ms, lease_ms // BEATS_PER_LEASE),
        )


def _name_of(payload: Any) -> str:
    name = payload if isinstance(payload, str) else getattr(payload, "__name__", None)
    if not isinstance(name, str):
        raise ConfigError(f"{payload!r} has no name to call its jobs by: give job_type")
    return name


def _refuse_waiting(options: QueueOptions) -> None:
    if options.get("brokerless", False) and options.get("wait", False):
        raise ConfigError("a brokerless queue stands by for nobody: give brokerless or wait")
