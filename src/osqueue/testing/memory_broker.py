"""A broker for tests: the real one, in memory, with a clock that travels.

Nothing of it is a mock: jobs are checked, committed, claimed, leased and retried by the code that
runs in production.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Self

from osqueue.client.client import OsqueueClient
from osqueue.client.runtime import Runtime
from osqueue.client.sync import SyncOsqueueClient
from osqueue.config import BrokerSettings
from osqueue.errors import ConfigError, EngineStateError
from osqueue.jobs import RegistryLike, TypedJob
from osqueue.testing.eager import ThenTransport
from osqueue.testing.emptying import RUNNING, JobRun, Runnable, run_until_empty
from osqueue.testing.queue_thread import QueueThread
from osqueue.testing.submitted import SubmittedJob, unlike
from osqueue.testing.travelling_clock import ProducerClock

__all__ = ["MemoryBroker"]


class MemoryBroker:
    """A broker in this process, empty at its start, for one test.

    ::

        with MemoryBroker() as broker, jobs.using(broker.client):
            await sign_up("ada@example.org")
            broker.assert_submitted("email:send", to="ada@example.org")
            await broker.run_until_empty(jobs)

    It runs in a thread of its own: its clients may be used in plain tests and in any event loop.
    ``settings`` are as of a broker; nothing listens on a port.
    """

    def __init__(self, settings: BrokerSettings | None = None) -> None:
        self._settings = settings or BrokerSettings()
        self._thread: QueueThread | None = None
        self._sync_clients: list[SyncOsqueueClient] = []
        self._eager: Runnable | None = None

    def start(self) -> None:
        """A second start does nothing."""
        if self._thread is None:
            self._thread = QueueThread(self._settings)

    def stop(self) -> None:
        """End it, and its clients. Harmless at any time; it does not start again."""
        for client in self._sync_clients:
            client.close()
        if self._thread is not None:
            self._thread.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # Clients

    @cached_property
    def client(self) -> OsqueueClient:
        """A client of it, for any event loop. It needs no closing."""
        return self.new_client()

    @cached_property
    def sync_client(self) -> SyncOsqueueClient:
        """The same for plain code."""
        return self.new_sync_client()

    def new_client(self, registry: RegistryLike | None = None) -> OsqueueClient:
        """Another client, that checks payloads by this registry."""
        return OsqueueClient(
            transport=self._transport(), registry=registry, runtime=self._runtime()
        )

    def new_sync_client(self, registry: RegistryLike | None = None) -> SyncOsqueueClient:
        """The same for plain code. It is closed with the broker."""
        client = SyncOsqueueClient(
            transport=self._transport(), registry=registry, runtime=self._runtime()
        )
        self._sync_clients.append(client)
        return client

    # What was submitted

    def submitted(
        self, job: str | TypedJob[Any, Any, ..., Any] | None = None, /, **fields: Any
    ) -> list[SubmittedJob]:
        """What was submitted, in order: of a job type, or of any, with these fields."""
        return self._started().submissions.matching(_type_of(job), fields)

    def assert_submitted(
        self, job: str | TypedJob[Any, Any, ..., Any], /, **fields: Any
    ) -> SubmittedJob:
        """The first that was submitted of a type, with these fields. Raises `AssertionError`,
        which shows what was submitted instead.

        Its other fields may be anything. A field is compared with what you give, and with what JSON
        makes of that; ``unittest.mock.ANY`` is equal to all.
        """
        __tracebackhide__ = True
        found = self.submitted(job, **fields)
        if not found:
            raise AssertionError(unlike(str(_type_of(job)), fields, self.submitted()))
        return found[0]

    def assert_not_submitted(
        self, job: str | TypedJob[Any, Any, ..., Any], /, **fields: Any
    ) -> None:
        """Raises `AssertionError`, which shows what was submitted, if such a job was."""
        __tracebackhide__ = True
        found = self.submitted(job, **fields)
        if found:
            shown = "\n".join(f"  {each}" for each in found)
            raise AssertionError(f"{len(found)} such jobs were submitted:\n{shown}")

    def forget_submitted(self) -> None:
        """From now on, look only at what is submitted from now on."""
        self._started().submissions.clear()

    # Running it

    async def run_until_empty(
        self,
        jobs: Runnable,
        *,
        delayed: bool = False,
        fail_fast: bool = True,
        concurrency: int = 1,
    ) -> list[JobRun]:
        """Run what can run now, and what that submits, by a worker in this loop; answers what ran.

        With ``delayed`` time is let pass as well, until what is delayed is due: retries, too.
        The first failure of a handler is raised as it is, unless it is `Retry` or `Discard`; with
        ``fail_fast=False`` none is. One job after another, unless ``concurrency`` says otherwise.
        Raises `AssertionError` for a job that nobody handles. What somebody else holds is waited
        for.
        """
        return await run_until_empty(
            self, jobs, delayed=delayed, fail_fast=fail_fast, concurrency=concurrency
        )

    def run_until_empty_sync(
        self,
        jobs: Runnable,
        *,
        delayed: bool = False,
        fail_fast: bool = True,
        concurrency: int = 1,
    ) -> list[JobRun]:
        """The same in a plain test. Raises `ConfigError` where a loop runs: await the other."""
        with suppress(RuntimeError):  # there is none
            asyncio.get_running_loop()
            raise ConfigError("an event loop runs here: await broker.run_until_empty(…)")
        return asyncio.run(
            self.run_until_empty(
                jobs, delayed=delayed, fail_fast=fail_fast, concurrency=concurrency
            )
        )

    @contextmanager
    def eager(self, jobs: Runnable) -> Iterator[None]:
        """Inside, a submit returns when its job has run, with all that it submits itself.

        What the handler raises comes out of the submit. Delayed jobs stay delayed.
        """
        if self._eager is not None:
            raise ConfigError("this broker is eager already")
        self._eager = jobs
        try:
            yield
        finally:
            self._eager = None

    async def _run_eagerly(self) -> None:
        if self._eager is not None and RUNNING.get() is not self:
            await self.run_until_empty(self._eager)

    # Time

    @property
    def now(self) -> datetime:
        """The broker's time, UTC."""
        return datetime.fromtimestamp(self.wall_ms() / 1_000, UTC)

    def wall_ms(self) -> int:
        """The same in ms since the epoch."""
        return self._started().clock.wall_ms()

    def travel(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass at once, for the broker and its clients. Then delayed jobs are due, pauses
        before retries are over, and leases that were not kept have run out. Nothing sleeps.

        Python's own clock goes on as ever.
        """
        by = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._travel(by // timedelta(milliseconds=1))

    def travel_to(self, moment: datetime | int) -> None:
        """The same until a moment, a `datetime` with a time zone or ms since the epoch. A moment
        that has been is no journey.
        """
        at = moment if isinstance(moment, int) else round(moment.timestamp() * 1_000)
        self._travel(max(0, at - self.wall_ms()))

    def _travel(self, ms: int) -> None:
        if ms < 0:
            raise ConfigError("time does not go back")
        self._started().travel(ms)

    # For who empties it

    def told_of_commits(self, tell: Callable[[], None]) -> AbstractContextManager[None]:
        """Inside, ``tell`` is called after each commit, in any thread."""
        return self._started().told_of_commits(tell)

    def _transport(self) -> ThenTransport:
        return ThenTransport(self._started().transport(), self._run_eagerly)

    def _runtime(self) -> Runtime:
        return Runtime(clock=ProducerClock(self._started().clock))

    def _started(self) -> QueueThread:
        if self._thread is None:
            raise EngineStateError("the broker of this test does not run: use it inside of `with`")
        return self._thread


def _type_of(job: str | TypedJob[Any, Any, ..., Any] | None) -> str | None:
    return job.name if isinstance(job, TypedJob) else job
