"""An embedded queue for plain code: the same, without ``await``.

The queue lives in an event loop in a thread of its own, so leases are kept and leadership is held
while plain code is at work. Any number of threads may share it. In the child of a fork it is opened
anew by the first call: brokerless, that is one process more; otherwise its parent leads, and it is
told so. What it was handed before the fork stays its parent's.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, Unpack, cast, overload

import msgspec
from msgspec import UNSET

from osqueue.client.client import OsqueueClient
from osqueue.client.loop_thread import LoopThread
from osqueue.client.models import Job, JobError, JobOptions
from osqueue.embedded.consumer import Consumer
from osqueue.embedded.handout import Holder
from osqueue.embedded.job import QueueJob
from osqueue.embedded.queue import Queue, QueueOptions
from osqueue.errors import TransportConfigError

__all__ = ["SyncConsumer", "SyncQueue", "SyncQueueJob"]

T = TypeVar("T")
R = TypeVar("R")

_END: Final = object()


class _Here(msgspec.Struct, frozen=True):
    """The thread of a queue, for what belongs to one process."""

    thread: LoopThread
    pid: int

    def run(self, make: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if self.pid != os.getpid():
            raise TransportConfigError(
                "this was handed out before a fork, and is the parent's: ask the queue for another"
            )
        return self.thread.run(make)


class SyncQueueJob(Generic[T]):
    """A job that this process holds; ``with job:`` ends it by how the body ends.

    A body that runs in plain code cannot be cancelled: when the lease is lost or the job's
    ``timeout_ms`` is over, ``job.cancelled`` is set, and ``with`` raises what has happened.
    """

    def __init__(self, job: QueueJob[T], here: _Here) -> None:
        self.payload = job.payload
        self.inner = job
        self._here = here

    def __repr__(self) -> str:
        return repr(self.inner)

    @property
    def raw(self) -> Job:
        """The job as clients have it."""
        return self.inner.raw

    @property
    def job_id(self) -> str:
        return self.inner.job_id

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return self.inner.attempt

    @property
    def max_attempts(self) -> int:
        return self.inner.max_attempts

    @property
    def created_at(self) -> int:
        """Milliseconds since the epoch."""
        return self.inner.created_at

    @property
    def priority(self) -> int:
        return self.inner.priority

    @property
    def cancelled(self) -> threading.Event:
        """Set when work on it is to end: the lease is lost, or the queue is being closed."""
        return self.inner.cancelled

    def __enter__(self) -> Self:
        self._here.run(partial(_enter, self.inner))
        return self

    def __exit__(
        self, exc_type: object, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._here.run(lambda: self.inner.end(exc))


class SyncConsumer(Iterator[SyncQueueJob[T]], Generic[T]):
    """The jobs of a queue, for one ``for``; see `SyncQueue.consume`."""

    def __init__(self, inner: Consumer[T], here: _Here) -> None:
        self._inner = inner
        self._here = here

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SyncQueueJob[T]:
        job = self._here.run(partial(_next, self._inner))
        if job is _END:
            raise StopIteration
        return SyncQueueJob(cast("QueueJob[T]", job), self._here)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: object, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._here.run(lambda: self._inner.end(exc))

    def close(self) -> None:
        """End the loop: what it holds is given back."""
        self._here.run(self._inner.aclose)


class SyncQueue(Generic[T]):
    """`Queue` for plain code; each method is that of the same name there.

    ::

        with SyncQueue(SendEmail, storage="file:///var/lib/app/queue") as q:
            q.push(SendEmail(to="ada@example.org"))
            for job in q.consume():
                send(job.payload)

    At the end of the program it is closed by itself.
    """

    @overload
    def __init__(self, payload: type[T], **options: Unpack[QueueOptions]) -> None: ...
    @overload
    def __init__(
        self: SyncQueue[Any], payload: object, **options: Unpack[QueueOptions]
    ) -> None: ...
    def __init__(self, payload: Any, **options: Unpack[QueueOptions]) -> None:
        self._shared: _Shared[T] = _Shared(lambda: Queue(payload, **options))
        self._closing = weakref.finalize(self, self._shared.close)

    @property
    def job_type(self) -> str:
        """What its jobs are called."""
        return self._shared.queue.job_type

    def open(self) -> None:
        """Take the queue; the first call of any other method does it, too."""
        self._shared.opened()

    def close(self) -> None:
        """Give back what is held, commit what is pending, let others lead. Harmless at any time."""
        self._closing()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, exc_type: object, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closing.detach() is not None:
            self._shared.close(exc, holder=threading.get_ident())

    def ask(self, operation: Callable[[OsqueueClient], Coroutine[Any, Any, R]]) -> R:
        """Any operation of the client: ``q.ask(lambda client: client.get_stats())``."""
        return self._run(lambda queue: operation(queue.client))

    def push(self, payload: T, **options: Unpack[JobOptions]) -> str:
        """Submit a job and return its id; it is durable then. ``options``: see `JobOptions`."""
        return self._run(lambda queue: queue.push(payload, **options))

    def push_many(self, payloads: Iterable[T], **options: Unpack[JobOptions]) -> list[str]:
        """Submit many jobs, with the same options, and return their ids, in order."""
        here = list(payloads)  # what makes them belongs to this thread
        return self._run(lambda queue: queue.push_many(here, **options))

    def claim(self, *, wait_ms: int = 0) -> SyncQueueJob[T] | None:
        """Claim the next job, waiting up to ``wait_ms`` (at most a minute) for one."""
        job = self._run(lambda queue: queue.claim(wait_ms=wait_ms))
        return None if job is None else SyncQueueJob(job, self._shared.here)

    def heartbeat(self, job: SyncQueueJob[T]) -> None:
        """Keep a job's lease. Raises `LeaseLostError` or `JobNotFoundError` when it is lost."""
        self._run(lambda queue: queue.heartbeat(job.inner))

    def complete(self, job: SyncQueueJob[T], result: object = UNSET) -> None:
        """The job is done. ``result`` is kept with it, if given."""
        self._run(lambda queue: queue.complete(job.inner, result))

    def fail(
        self,
        job: SyncQueueJob[T],
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        """The attempt has failed. While attempts are left, the job runs again."""
        self._run(lambda queue: queue.fail(job.inner, error, retry=retry, delay_ms=delay_ms))

    def release(self, job: SyncQueueJob[T]) -> None:
        """Give a job back unfinished; the attempt does not count."""
        self._run(lambda queue: queue.release(job.inner))

    def consume(self, concurrency: int = 1) -> SyncConsumer[T]:
        """Jobs as they come, for ``for``, for ever; their leases are kept meanwhile.

        Asking for the next job completes the one before. An exception that leaves ``with
        q.consume() as jobs`` or ``with SyncQueue(...)`` fails it; a loop that is left in another
        way gives it back. ``with job`` inside of the loop is the exact form, and the only one with
        a ``concurrency`` above 1.
        """
        holder = threading.get_ident()
        inner = self._run(lambda queue: _consume(queue, concurrency, holder))
        return SyncConsumer(inner, self._shared.here)

    def _run(self, ask: Callable[[Queue[T]], Coroutine[Any, Any, R]]) -> R:
        queue = self._shared.opened()
        return self._shared.thread.run(lambda: ask(queue))


class _Shared(Generic[T]):
    """The queue and its thread; made anew in the child of a fork."""

    def __init__(self, make: Callable[[], Queue[T]]) -> None:
        self.thread = LoopThread()
        self.queue = make()
        self._make = make
        self._lock = threading.Lock()
        self._open = False

    @property
    def here(self) -> _Here:
        """For what is handed out now."""
        return _Here(self.thread, os.getpid())

    def opened(self) -> Queue[T]:
        """The queue of this process, open."""
        with self._lock:
            if self.thread.forked:
                self._abandon()
            if not self._open:
                self.thread.run(self.queue.open)
                self._open = True
                _before_the_threads_end(self)
            return self.queue

    def close(self, error: BaseException | None = None, *, holder: Holder = 0) -> None:
        """End both. In the child of a fork, what is the parent's goes on."""
        with self._lock:
            if self.thread.forked:
                self._abandon()
        self.thread.stop(partial(self.queue.close, error, holder=holder))

    def _abandon(self) -> None:
        self.thread.abandon(self.queue)
        self.queue, self._open = self._make(), False


def _before_the_threads_end(shared: _Shared[Any]) -> None:
    """Close it when the program ends: what `atexit` calls comes after the threads of executors have
    been ended, the store's among them, and could write nothing.
    """
    this = weakref.ref(shared)

    def close() -> None:
        still = this()
        if still is not None:
            still.close()

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(close)


async def _enter(job: QueueJob[Any]) -> None:
    job.enter(None)


async def _next(jobs: Consumer[T]) -> QueueJob[T] | object:
    return await anext(jobs, _END)


async def _consume(queue: Queue[T], concurrency: int, holder: Holder) -> Consumer[T]:
    return queue.consume(concurrency, holder=holder)
