"""The worker: claims jobs, runs their handlers, keeps their leases, reports what became of them.

Delivery is at least once: a job whose lease ran out may run elsewhere as well, and its report is
then refused, logged and dropped.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Self, TypedDict, Unpack

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.config import WorkerSettings
from osqueue.errors import ConfigError, EngineStateError
from osqueue.worker.context import Changes, WorkerContext
from osqueue.worker.execution import Callbacks
from osqueue.worker.handlers import inspect_handlers
from osqueue.worker.leases import LeaseBook
from osqueue.worker.running import RunningWorker

__all__ = ["Worker", "WorkerOptions"]


class WorkerOptions(TypedDict, total=False):
    """What a worker may be told beside its handlers.

    - ``worker_id``: by default unique per start. One of your own must not be used by two workers
      at once; the broker is then not asked to release what this worker doesn't know of.
    - ``settings``: how it paces itself.
    - ``on_claimed(job)``, ``on_completed(job)``, ``on_failed(job, error)``: plain or async
      functions, called before the handler, and after the broker took the report. What they raise
      is logged.
    """

    worker_id: str | None
    settings: WorkerSettings
    on_claimed: Callable[[Job], Any] | None
    on_completed: Callable[[Job], Any] | None
    on_failed: Callable[[Job, BaseException], Any] | None


class Worker:
    """Runs up to ``concurrency`` jobs at a time, of the types that ``handlers`` names.

    A handler takes the payload, or the payload and the `Job`; async functions run on the loop,
    plain ones in threads. Returning completes the job, raising fails the attempt. When the lease
    is lost or the worker stops, an async handler is cancelled; one in a thread can only look at
    ``job.cancelled``, and a process does not exit before its threads have ended.

        worker = Worker(client, handlers={"email:send": send}, concurrency=10)
        await worker.run()
    """

    def __init__(
        self,
        client: OsqueueClient,
        handlers: Mapping[str, Callable[..., Any]],
        concurrency: int = 1,
        **options: Unpack[WorkerOptions],
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, not {concurrency}")
        settings = options.get("settings") or WorkerSettings()
        settings.validate()
        own_id = options.get("worker_id")
        self._handlers = inspect_handlers(handlers)
        self._concurrency = concurrency
        self._names_all = own_id is None
        self._callbacks = Callbacks(
            claimed=options.get("on_claimed"),
            completed=options.get("on_completed"),
            failed=options.get("on_failed"),
        )
        self._context = WorkerContext(
            client=_without_retries(client),
            worker_id=own_id or _fresh_worker_id(client),
            settings=settings,
            book=LeaseBook(concurrency, finishing_max=settings.finishing_max),
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

    async def start(self) -> None:
        """Begin to claim, in the background. A second start does nothing.

        Raises `EngineStateError` once the worker was stopped: it does not start again.
        """
        if self._stopping is not None or self._stopped.is_set():
            raise EngineStateError(f"worker {self.worker_id} was stopped; make a new one")
        if self._parts is None:
            self._parts = RunningWorker(
                self._context,
                self._handlers,
                callbacks=self._callbacks,
                threads=self._concurrency,
                names_all=self._names_all,
            )

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

    async def run(self) -> None:
        """Work until stopped; when cancelled, stop first. Returns at once if it was stopped."""
        if self._stopping is None and not self._stopped.is_set():
            await self.start()
        try:
            await self._stopped.wait()
        finally:
            await self.stop()

    async def _shut_down(self) -> None:
        assert self._parts is not None
        try:
            await self._parts.shut_down()
        finally:
            self._stopped.set()


def _without_retries(client: OsqueueClient) -> OsqueueClient:
    return client.with_settings(msgspec.structs.replace(client.settings, retry_for_ms=0))


def _fresh_worker_id(client: OsqueueClient) -> str:
    token = client.runtime.entropy.token()
    return f"{socket.gethostname()[:100]}-{os.getpid()}-{token}"
