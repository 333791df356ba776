"""What runs through the queue: 8 producers, 8 workers, 4 readers, about 100 jobs a second.

Every random choice comes from the seed. The clients go by all transports that cross a network, by
turns. Over each, half of them know only where the queue is stored, half a list of brokers; half
outwait a stopped broker's answer, half give up on it. Beside these each broker has clients that are
loyal to it alone, follow nobody and try nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from random import Random  # noqa: TID251 - seeded
from typing import Any, Self

import msgspec
from tests.e2e.chaos.clients import RecordingClient
from tests.e2e.chaos.history import Execution, History, now
from tests.e2e.chaos.timing import Timing

from osqueue import Worker
from osqueue.client.credentials import Credentials
from osqueue.client.models import NewJob
from osqueue.client.transports.kinds import dialler_of
from osqueue.clock import SystemEntropy
from osqueue.errors import OsqueueError
from osqueue.worker import JobContext

__all__ = ["PRODUCER", "WAYS", "Knows", "Load"]

WAYS = ("connect", "rest", "ws", "grpc")
"""The transports that cross a network, by turns."""

PRODUCER = "producer-"
PRODUCERS = 8
WORKERS = 8
READERS = 4
CONCURRENCY = 12
BATCH = 5
PAUSE_S = 0.12
"""Between two submits of one producer, on average."""

READ_PAUSE_S = 0.15
PAGE = 100
LARGE_CHARS = 70_000
"""More than a state holds of one payload: such a one is an object of its own."""

REMEMBERED = 2_000
"""Acknowledged jobs that readers ask for, the newest."""


class Knows(msgspec.Struct, frozen=True):
    """What clients can be told."""

    broker_urls: Sequence[str]
    storage: str


class Load:
    """Everything that uses the queue. Enter it to begin; `drain` waits for the work to be done."""

    def __init__(self, knows: Knows, history: History, *, timing: Timing, seed: int) -> None:
        self._knows = knows
        self._history = history
        self._timing = timing
        self._random = Random(seed)
        self._entropy = SystemEntropy()
        self._acknowledged: list[str] = []
        self._clients = 0
        self._stack = AsyncExitStack()
        self._producing: list[asyncio.Task[None]] = []
        self._reading: list[asyncio.Task[None]] = []
        self._readers: list[RecordingClient] = []
        self._workers: list[Worker] = []

    async def __aenter__(self) -> Self:
        for number in range(WORKERS):
            client = await self._client(f"worker-{number}")
            worker = Worker(client, self._handlers(), CONCURRENCY, settings=self._timing.worker())
            self._workers.append(worker)
            await worker.start()
        for number in range(PRODUCERS):
            client = await self._client(f"{PRODUCER}{number}")
            self._producing.append(asyncio.create_task(self._produce(client), name=client.name))
        for number in range(READERS):
            client = await self._client(f"reader-{number}")
            self._readers.append(client)
            self._reading.append(asyncio.create_task(self._read(client), name=client.name))
        for number, url in enumerate(self._knows.broker_urls):
            await self._be_loyal(number, url)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = [*self._producing, *self._reading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._stack.aclose()

    async def end_submits(self) -> None:
        """Let every producer hear the answer to its last submit. Raises what one died of.

        All is well again by now: a reader of each transport then reads everything once more, so
        that chance does not decide what was ever asked over it. Raises `TimeoutError`.
        """
        self._ending = True
        await asyncio.gather(*self._producing)
        try:
            async with asyncio.timeout(self._timing.back_s_max):
                await asyncio.gather(*(self._read_all(client) for client in self._readers))
        except TimeoutError:
            raise TimeoutError("some reads were not answered after the last fault") from None

    _ending = False

    async def _client(self, name: str) -> RecordingClient:
        """Of four in a row each goes another way, and of 16 no two are alike."""
        turn, at = divmod(self._clients, len(WAYS))
        self._clients += 1
        knows: dict[str, Any] = {"broker_url": self._knows.broker_urls}
        if (turn + at) % 2:
            knows = {"storage": self._knows.storage}
        client = RecordingClient(
            name,
            self._history,
            way=WAYS[at],
            transport=WAYS[at],
            settings=self._timing.client(patient=(turn // 2 + turn + at // 2) % 2 == 0),
            **knows,
        )
        return await self._stack.enter_async_context(client)

    async def _be_loyal(self, broker: int, url: str) -> None:
        """Use one broker and no other, and outwait its silence: to hear what a zombie says.

        One client of each transport; one of them submits, at each broker another one.
        """
        patient = self._timing.client(patient=True)
        settings = msgspec.structs.replace(patient, retry_for_ms=0)
        for number, way in enumerate(WAYS):
            client = RecordingClient(
                f"loyal-{broker}-{number}",
                self._history,
                way=way,
                settings=settings,
                transport=dialler_of(way, settings, Credentials()).dial(url),
            )
            await self._stack.enter_async_context(client)
            if number == broker % len(WAYS):
                does, tasks = self._produce, self._producing
            else:
                does, tasks = self._read, self._reading
            tasks.append(asyncio.create_task(does(client), name=client.name))

    async def _produce(self, client: RecordingClient) -> None:
        random = Random(self._random.random())
        while not self._ending:
            jobs = list(self._jobs(random))
            ids = [job.job_id for job in jobs if job.job_id]
            try:
                if len(jobs) > 1:
                    await client.submit_jobs(jobs)
                else:
                    await client.submit_job(jobs[0].type, jobs[0].payload, job_id=ids[0])
            except OsqueueError:  # it is in the history
                await asyncio.sleep(PAUSE_S)
                continue
            self._acknowledged = (self._acknowledged + ids)[-REMEMBERED:]
            if random.random() < 0.05:
                await _tried(client.get_job(ids[0]))
            await asyncio.sleep(2 * PAUSE_S * random.random())

    def _jobs(self, random: Random) -> Iterator[NewJob]:
        """Mostly one small job."""
        for _ in range(BATCH if random.random() < 0.1 else 1):
            kind, ms, chars = self._draw(random)
            payload = {"ms": ms, "size": chars, "text": "x" * chars}
            yield NewJob(kind, payload, job_id=self._entropy.job_id())

    def _draw(self, random: Random) -> tuple[str, int, int]:
        drawn = random.random()
        if drawn < 0.005:  # longer than a failover takes
            return "long", self._timing.timeout_ms * 3 // 2, 10
        if drawn < 0.03:
            return "large", random.randrange(50), LARGE_CHARS
        if drawn < 0.15:
            return "steady", random.randrange(200, 3_000), 100
        return "quick", random.randrange(2, 50), 100

    def _handlers(self) -> dict[str, Any]:
        return dict.fromkeys(("quick", "steady", "large", "long"), self._work)

    async def _work(self, payload: dict[str, Any], ctx: JobContext) -> None:
        execution = Execution(
            job_id=ctx.job_id,
            lease=ctx.job.lease,
            worker=ctx.job.worker_id,
            attempt=ctx.attempt,
            start=now(),
            sound=len(payload["text"]) == payload["size"],
        )
        self._history.executions.append(execution)
        try:
            await asyncio.sleep(payload["ms"] / 1_000)
        except asyncio.CancelledError:
            execution.cancelled = True
            raise
        finally:
            execution.end = now()

    async def _read(self, client: RecordingClient) -> None:
        random = Random(self._random.random())
        while True:
            consistent = random.random() < 0.5
            drawn = random.random()
            if drawn < 0.4:
                await _tried(client.get_stats(consistent=consistent))
            elif drawn < 0.9 and self._acknowledged:
                asked = random.choice(self._acknowledged)
                await _tried(client.get_job(asked, consistent=consistent))
            else:
                await _tried(client.list_jobs(limit=PAGE, consistent=consistent))
            await asyncio.sleep(2 * READ_PAUSE_S * random.random())

    async def _read_all(self, client: RecordingClient) -> None:
        """Everything that readers ask for, until each of it has been answered."""
        for consistent in (False, True):
            await _until_answered(partial(client.get_stats, consistent=consistent))
            await _until_answered(partial(client.list_jobs, limit=PAGE, consistent=consistent))
            if self._acknowledged:
                asked = self._acknowledged[-1]
                await _until_answered(partial(client.get_job, asked, consistent=consistent))


async def _until_answered(read: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is answered with success. Every refusal is in the history."""
    while True:
        try:
            await read()
        except OsqueueError:
            await asyncio.sleep(READ_PAUSE_S)
        else:
            return


async def _tried(reading: Any) -> None:
    """A refusal is in the history; what else goes wrong ends the reader."""
    try:
        await reading
    except OsqueueError:
        return
