"""Running all the jobs of a queue, until none is left that can run.

A real `osqueue.Worker` runs them, in the loop of the test. It is told of each commit of the broker,
looks what is left, and never polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job, JobInfo
from osqueue.errors import Discard, Retry
from osqueue.jobs import Jobs, Registry
from osqueue.worker.handlers import AnyHandler
from osqueue.worker.worker import Worker

__all__ = ["RUNNING", "JobRun", "Runnable", "Surroundings", "run_until_empty"]

Runnable: TypeAlias = Jobs | Registry | Mapping[str, AnyHandler]

RUNS_MAX: Final = 10_000
"""Handlers that one call runs: jobs that submit their like never leave a queue empty."""

NAMED_MAX: Final = 5
"""Job types that a failure names."""

RUNNING: Final[ContextVar[object]] = ContextVar("osqueue_testing_running", default=None)
"""What a handler runs in, if a test runs it: then a submit has not to run it again."""


class JobRun(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that a test has run."""

    job_id: str
    type: str
    payload: Any
    attempt: int
    error: BaseException | None = None
    """What its handler raised; ``None`` of one that completed."""


class Surroundings(Protocol):
    """What a broker of a test gives to who empties its queue."""

    @property
    def client(self) -> OsqueueClient: ...

    def told_of_commits(self, tell: Callable[[], None]) -> AbstractContextManager[None]:
        """Inside, ``tell`` is called after each commit, in any thread."""
        ...

    def travel_to(self, wall_ms: int) -> None:
        """Let time pass until then."""
        ...

    def wall_ms(self) -> int:
        """The time there."""
        ...


async def run_until_empty(
    broker: Surroundings,
    handlers: Runnable,
    *,
    delayed: bool = False,
    fail_fast: bool = True,
    concurrency: int = 1,
) -> list[JobRun]:
    """See `osqueue.testing.MemoryBroker.run_until_empty`."""
    emptying = _Emptying(
        broker, handlers, delayed=delayed, fail_fast=fail_fast, concurrency=concurrency
    )
    return await emptying.run()


class _Left(msgspec.Struct, frozen=True, kw_only=True):
    """What there is still to do."""

    busy: bool = False
    """Something runs, or is about to."""
    unhandled: list[JobInfo] = []
    """What is due, and has no handler."""
    next_at: int | None = None
    """When the first of the delayed jobs will be due."""
    paused: bool = False
    """Something is due, and nothing is handed out."""


class _Emptying:
    def __init__(
        self,
        broker: Surroundings,
        handlers: Runnable,
        *,
        delayed: bool,
        fail_fast: bool,
        concurrency: int,
    ) -> None:
        self._broker = broker
        self._client = broker.client
        of = Jobs(handlers) if isinstance(handlers, Registry) else handlers
        self._types = {*(of.handlers() if isinstance(of, Jobs) else of)}
        self._delayed = delayed
        self._fail_fast = fail_fast
        self._runs: list[JobRun] = []
        self._failure: BaseException | None = None
        self._changed = asyncio.Event()
        self._worker = Worker(
            self._client,
            of,
            concurrency,
            on_job_completed=self._completed,
            on_job_failed=self._failed,
        )

    async def run(self) -> list[JobRun]:
        here = asyncio.get_running_loop()
        token = RUNNING.set(self._broker)

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: it is over
                here.call_soon_threadsafe(self._changed.set)

        try:
            with self._broker.told_of_commits(tell):
                await self._work()
        finally:
            RUNNING.reset(token)
        if self._failure is not None:
            raise self._failure
        return self._runs

    async def _work(self) -> None:
        """After a failure nothing else is let finish: that may take long."""
        await self._worker.start()
        try:
            await self._until_empty()
        except BaseException:
            await self._worker.stop_at_once()
            raise
        await (self._worker.stop() if self._failure is None else self._worker.stop_at_once())

    async def _until_empty(self) -> None:
        while self._failure is None:
            self._changed.clear()
            left = await self._look()
            if self._changed.is_set():
                continue  # it was looked at while it changed
            if left.unhandled:
                raise AssertionError(self._told_of(left.unhandled))
            if left.paused:
                raise AssertionError("jobs are due, and the queue is paused: resume it first")
            if not left.busy and not self._brought_on(left):
                return
            await self._changed.wait()
            if len(self._runs) > RUNS_MAX:
                raise AssertionError(f"{RUNS_MAX:,} jobs have run, and still there are more")

    async def _look(self) -> _Left:
        stats = await self._client.get_stats()
        if stats.in_progress or not stats.unclaimed:
            return _Left(busy=stats.in_progress > 0)
        found = [job async for job in self._client.iter_jobs(status="unclaimed")]
        waiting = [job for job in found if not job.waits_for]
        now_ms = self._broker.wall_ms()
        due = [job for job in waiting if job.run_at is None or job.run_at <= now_ms]
        if any(job.type in self._types for job in due):
            return _Left(paused=True) if stats.paused else _Left(busy=True)
        times = [job.run_at for job in waiting if job.run_at and job.type in self._types]
        return _Left(unhandled=due, next_at=min(times, default=None))

    def _brought_on(self, left: _Left) -> bool:
        """Whether time was let pass, until a delayed job is due."""
        if not self._delayed or left.next_at is None:
            return False
        self._broker.travel_to(left.next_at)
        return True

    def _told_of(self, unhandled: list[JobInfo]) -> str:
        types = sorted({repr(job.type) for job in unhandled})[:NAMED_MAX]
        return (
            f"{len(unhandled)} jobs are left that nobody handles here: {', '.join(types)}; there "
            f"are handlers for {', '.join(sorted(map(repr, self._types)))}"
        )

    def _completed(self, job: Job) -> None:
        self._note(job, None)

    def _failed(self, job: Job, error: BaseException) -> None:
        self._note(job, error)
        if self._fail_fast and not isinstance(error, Retry | Discard):
            self._failure = self._failure or error

    def _note(self, job: Job, error: BaseException | None) -> None:
        run = JobRun(
            job_id=job.job_id,
            type=job.type,
            payload=job.payload,
            attempt=job.attempt,
            error=error,
        )
        self._runs.append(run)
        self._changed.set()
