"""The worker: claims jobs, runs their handlers, keeps their leases, reports what became of them.

Delivery is at least once: a job whose lease ran out may run elsewhere as well, and its report is
then refused, logged and dropped.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypedDict, Unpack

import msgspec

import osqueue
from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.config import NAME_CHARS_MAX, WORKER_TYPES_MAX, ProcessSettings, WorkerSettings
from osqueue.errors import ConfigError, EngineStateError
from osqueue.jobs import JobCallbacks, Jobs
from osqueue.jobs.lending import LENT
from osqueue.wire.messages import WorkerInfo
from osqueue.worker.calls import Around
from osqueue.worker.context import Changes, WorkerContext
from osqueue.worker.handlers import AnyHandler, Handlers
from osqueue.worker.introduction import Introduction
from osqueue.worker.leases import LeaseBook, Limits
from osqueue.worker.middleware import Middleware
from osqueue.worker.running import Footprint, RunningWorker

__all__ = ["Worker", "WorkerOptions"]


class WorkerOptions(TypedDict, total=False):
    """What a worker may be told beside its handlers.

    - ``prefetch``: jobs that are claimed beyond those that run, so that none waits for the broker;
      none by default. They are kept by heartbeats, and given back when the worker stops.
    - ``type_concurrency``: of these types at most so many at a time.
    - ``middlewares``: what runs around every handler, the outermost first; see `Middleware`.
    - ``on_job_claimed(job)``, ``on_job_completed(job)``, ``on_job_failed(job, error)``: plain or
      async functions, called before the handler, and after the broker took the report. What they
      raise is logged.
    - ``worker_id``: by default unique per start. One of your own must not be used by two workers
      at once; the broker is then not asked to release what this worker doesn't know of.
    - ``settings``: how it paces itself; ``process_settings``: how it keeps the processes of
      handlers that run in some.
    """

    prefetch: int
    type_concurrency: Mapping[str, int]
    middlewares: Sequence[Middleware]
    on_job_claimed: Callable[[Job], Any] | None
    on_job_completed: Callable[[Job], Any] | None
    on_job_failed: Callable[[Job, BaseException], Any] | None
    worker_id: str | None
    settings: WorkerSettings
    process_settings: ProcessSettings


class Worker:
    """Runs up to ``concurrency`` jobs at a time, of the types that ``handlers`` names: `Jobs`, or a
    mapping of job types to functions (or to their names, ``package.module:name``), whose payloads
    are any JSON.

    A handler takes the payload, or the payload and the `JobContext`; async functions run on the
    loop, plain ones in threads. Returning completes the job, raising fails the attempt; `Retry` and
    `Discard` say more. When its time is up, its lease is lost or the worker stops, an async handler
    is cancelled; one in a thread can only look at ``ctx.cancelled``, and a process does not exit
    before its threads have ended.

        worker = Worker(client, handlers={"email:send": send}, concurrency=10)
        await worker.run()
    """

    def __init__(
        self,
        client: OsqueueClient,
        handlers: Jobs | Mapping[str, AnyHandler],
        concurrency: int = 1,
        **options: Unpack[WorkerOptions],
    ) -> None:
        settings = options.get("settings") or WorkerSettings()
        settings.validate()
        own_id = options.get("worker_id")
        self._client = client
        self._handlers = Handlers(handlers.handlers() if isinstance(handlers, Jobs) else handlers)
        self._concurrency = concurrency
        self._processes = options.get("process_settings") or ProcessSettings()
        self._processes.validate()
        self._names_all = own_id is None
        self._around = _around(handlers, options)
        once = _without_retries(client)
        self._context = WorkerContext(
            client=once,
            worker_id=own_id or _fresh_worker_id(client),
            introduction=Introduction(once, _about(client, self._handlers, concurrency)),
            settings=settings,
            book=LeaseBook(_limits(self._handlers, concurrency, options, settings)),
            changes=Changes(),
        )
        self._parts: RunningWorker | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def worker_id(self) -> str:
        return self._context.worker_id

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return self._context.book.running

    @property
    def footprint(self) -> Footprint | None:
        """What is kept in memory, once it works."""
        return None if self._parts is None else self._parts.footprint

    async def start(self) -> None:
        """Begin to claim, in the background. A second start does nothing.

        Raises `EngineStateError` once the worker was stopped: it does not start again.
        """
        if self._stopping is not None or self._stopped.is_set():
            raise EngineStateError(f"worker {self.worker_id} was stopped; make a new one")
        if self._parts is None:
            context = contextvars.copy_context()  # in which all that runs here is begun
            context.run(LENT.set, self._client)
            self._parts = context.run(self._begun)

    async def stop(self) -> None:
        """Claim nothing more, let running jobs finish for ``settings.grace_ms``, release the rest.

        Returns when it is done, also for a second caller, and goes on when its caller is cancelled.
        """
        if self._parts is None:
            self._stopped.set()
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._shut_down(), name="osqueue-worker-stop")
        await asyncio.shield(self._stopping)

    async def stop_at_once(self) -> None:
        """The same, but let nothing finish: cancel handlers, and release their jobs, as far as the
        broker takes that within ``settings.hurry_ms``. Cuts a stop short that is under way.
        """
        if self._parts is not None:
            self._parts.hurry()
        await self.stop()

    async def run(self) -> None:
        """Work until stopped; when cancelled, stop first. Returns at once if it was stopped."""
        if self._stopping is None and not self._stopped.is_set():
            await self.start()
        try:
            await self._stopped.wait()
        finally:
            await self.stop()

    def _begun(self) -> RunningWorker:
        return RunningWorker(
            self._context,
            self._handlers,
            around=self._around,
            concurrency=self._concurrency,
            processes=self._processes,
            names_all=self._names_all,
        )

    async def _shut_down(self) -> None:
        assert self._parts is not None
        try:
            await self._parts.shut_down()
        finally:
            self._stopped.set()


def _limits(
    handlers: Handlers, concurrency: int, options: WorkerOptions, settings: WorkerSettings
) -> Limits:
    prefetch = options.get("prefetch", 0)
    by_type = {**handlers.concurrency, **options.get("type_concurrency", {})}
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
    if prefetch < 0:
        raise ConfigError(f"prefetch must not be negative, not {prefetch}")
    for job_type, limit in by_type.items():
        if job_type not in handlers.types:
            raise ConfigError(f"type_concurrency: there is no handler for {job_type!r}")
        if limit < 1:
            raise ConfigError(f"the concurrency of {job_type!r} must be at least 1, not {limit}")
    return Limits(
        concurrency=concurrency,
        ahead=prefetch,
        by_type=by_type,
        only_limited=set(by_type) == set(handlers.types),
        reporting_max=settings.finishing_max,
    )


def _around(handlers: object, options: WorkerOptions) -> Around:
    """What the worker's options say comes outside of what its jobs say."""
    middlewares = tuple(options.get("middlewares", ()))
    said = JobCallbacks(
        claimed=_one(options.get("on_job_claimed")),
        completed=_one(options.get("on_job_completed")),
        failed=_one(options.get("on_job_failed")),
    )
    if not isinstance(handlers, Jobs):
        return Around(middlewares, said)
    own = handlers.callbacks
    callbacks = JobCallbacks(
        claimed=(*said.claimed, *own.claimed),
        completed=(*said.completed, *own.completed),
        failed=(*said.failed, *own.failed),
    )
    return Around((*middlewares, *handlers.middlewares), callbacks)


def _one(callback: Callable[..., Any] | None) -> tuple[Callable[..., Any], ...]:
    return () if callback is None else (callback,)


def _without_retries(client: OsqueueClient) -> OsqueueClient:
    return client.with_settings(msgspec.structs.replace(client.settings, retry_for_ms=0))


def _about(client: OsqueueClient, handlers: Handlers, concurrency: int) -> WorkerInfo:
    """What the worker tells of itself."""
    host, pid = client.runtime.place()
    return WorkerInfo(
        concurrency=concurrency,
        host=host[:NAME_CHARS_MAX],
        pid=pid,
        version=osqueue.__version__,
        types=handlers.types[:WORKER_TYPES_MAX],
    )


def _fresh_worker_id(client: OsqueueClient) -> str:
    host, pid = client.runtime.place()
    return f"{host[:100]}-{pid}-{client.runtime.entropy.token()}"
