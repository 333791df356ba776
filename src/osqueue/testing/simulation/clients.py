"""Those who use the queue of a simulated world: producers, workers, operators, readers.

Each is a process with a real client, or a real worker, and does what it does for ever, with all its
retries. What they were told is written down by the witness of their requests; here they only
go on whatever comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.config import ClientSettings
from osqueue.errors import Discard, OsqueueError, Retry
from osqueue.testing.simulation.dice import Dice
from osqueue.testing.simulation.onlookers import Onlookers
from osqueue.testing.simulation.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.worker.job_context import JobContext
from osqueue.worker.worker import Worker

__all__ = ["Closer", "Load", "Operator", "Producer", "Reader", "SimulatedWorker", "User"]

TYPES: Final = ("mail", "report", "thumb")


BATCHES: Final = 0.3
"""How many submits are of several jobs."""

LONG: Final = 0.1
"""How many jobs take long: as long as leases last, so that some run while their lease is lost."""

LONG_S: Final = 20.0

LONGEST_S: Final = 25.0
"""So that all attempts of a job are over when the world has been well for a while."""

LASTING: Final = 0.05
"""How many jobs of those who share a queue last longer than a lease, if they do not fail: only of
these others have to see the heartbeats."""

LASTING_S: Final = 40.0

LARGE: Final = 0.2
"""How many jobs have a payload that is an object of its own."""

CLOSE_EVERY_S: Final = 5.0
"""How often, about, a queue that is to come to rest is looked after."""


class Load(msgspec.Struct, frozen=True):
    """How much is asked for. Times are means, in seconds."""

    submit_every_s: float = 2.0
    batch_max: int = 6
    takes_s: float = 1.0
    concurrency: int = 4
    prefetch: int = 0
    operate_every_s: float = 6.0
    read_every_s: float = 2.0
    timeout_ms: int = ClientSettings().timeout_ms
    """How long one request waits for its answer: who waits long hears what a broker says that has
    lost its place meanwhile."""

    @property
    def patience(self) -> ClientSettings:
        """How clients wait."""
        return ClientSettings(timeout_ms=self.timeout_ms)

    @property
    def demand(self) -> float:
        """How many jobs one producer keeps running, on average."""
        jobs = 1 + BATCHES * (self.batch_max - 1) / 2
        return jobs / self.submit_every_s * (self.takes_s + LONG * LONG_S)


class Ledger(Protocol):
    """What the users of a world share: the jobs that they know of."""

    known: list[str]
    onlookers: Onlookers

    def submitting(self, job: NewJob) -> None: ...

    def submitting_unknown(self, job: NewJob) -> None:
        """The same, of one that others shall not get to know of."""
        ...

    def submitted(self, job_ids: list[str]) -> None: ...

    def ran(self, job_id: str, attempt: int) -> None: ...

    def left(self, worker_id: str, since_us: int) -> None:
        """A worker has been stopped, which began at a time."""
        ...

    def shown(self, reader: object, completed: int) -> None: ...


class User:
    """A process that does one thing after another, while `working`."""

    at_once = 1
    """How many things it does at a time, at most."""
    never_rests = False
    """Whether it goes on when there is nothing left to do."""

    def __init__(self, world: Surroundings, name: str, ledger: Ledger, load: Load) -> None:
        self.world = world
        self.ledger = ledger
        self.load = load
        self.dice: Dice = world.dice.fork(name)
        self.working = True
        self.in_company = False
        """Whether others live in its process, too, and use its client."""
        self.finds_leader = self.dice.chance(0.3)
        self.process = SimulatedProcess(
            world.loop, world.dice.fork(f"{name} life"), name, self._main
        )

    async def _main(self, process: SimulatedProcess) -> None:
        await self.live(self._client(process))

    async def live(self, client: OsqueueClient) -> None:
        """Act through a client in `process`, which may be one that others live in as well."""
        while self.working:
            try:
                await self._act(client)
            except OsqueueError as error:
                self._note(error)
            await asyncio.sleep(self.dice.about(self._every_s()))

    def _client(self, process: SimulatedProcess) -> OsqueueClient:
        return self.world.client(process, self.load.patience, finds_leader=self.finds_leader)

    def _note(self, error: OsqueueError) -> None:
        name = self.process.name
        self.world.trace.note(name, "told %s: %s", type(error).__name__, str(error))

    def _every_s(self) -> float:
        raise NotImplementedError

    async def _act(self, client: OsqueueClient) -> None:
        raise NotImplementedError


class Producer(User):
    """Submits jobs, one or some at a time; sometimes the same ones twice."""

    def __init__(self, world: Surroundings, name: str, ledger: Ledger, load: Load) -> None:
        super().__init__(world, name, ledger, load)
        self._lasting = world.dice.fork(f"{name} lasting")

    def _every_s(self) -> float:
        return self.load.submit_every_s

    async def _act(self, client: OsqueueClient) -> None:
        number = self.dice.whole(1, self.load.batch_max) if self.dice.chance(BATCHES) else 1
        jobs = [self._job() for _ in range(number)]
        for job in jobs:
            self.ledger.submitting(job)
        await self._submit(client, jobs)
        if self.dice.chance(0.1):
            await self._submit(client, jobs)

    async def _submit(self, client: OsqueueClient, jobs: list[NewJob]) -> None:
        if len(jobs) > 1:
            job_ids = await client.submit_jobs(jobs)
        else:
            job_ids = [(await client.submit(jobs[0])).job_id]
        self.ledger.submitted(job_ids)

    def _job(self) -> NewJob:
        dice = self.dice
        fails = dice.whole(1, 4) if dice.chance(0.15) else 0
        takes_s = dice.about(LONG_S if dice.chance(LONG) else self.load.takes_s)
        takes_s = min(takes_s, LONGEST_S)
        if self.in_company and not fails and self._lasting.chance(LASTING):
            takes_s = LASTING_S
        payload: dict[str, Any] = {"takes": round(takes_s, 3), "fails": fails}
        if fails and dice.chance(0.2):
            payload["gives_up"] = True
        if dice.chance(LARGE):
            payload["text"] = self.process.entropy.token() * 100
        return NewJob(
            dice.pick(TYPES),
            payload,
            job_id=self.process.entropy.job_id(),
            priority=dice.whole(-2, 2) if dice.chance(0.2) else 0,
            delay_ms=dice.whole(1, 20_000) if dice.chance(0.1) else None,
            max_attempts=dice.whole(1, 4) if dice.chance(0.5) else None,
            timeout_ms=dice.whole(200, 3_000) if dice.chance(0.1) else None,
            keep_result=dice.chance(0.2),
        )


class SimulatedWorker(User):
    """A process that runs a real worker."""

    gone: Callable[[], None] | None = None
    """Is told when it has been stopped."""
    worker: Worker | None = None
    """The one of its present life."""

    async def stop(self) -> None:
        """Let jobs finish, or not, give back the others, and end. To be called in its process."""
        worker, since_us = self.worker, self.world.loop.now_us
        if worker is not None and self.dice.chance(0.5):
            await worker.stop()
        elif worker is not None:
            await worker.stop_at_once()
        if worker is not None:
            self.ledger.left(worker.worker_id, since_us)
        self.world.trace.note(self.process.name, "was stopped")
        self.process.kill()
        if self.gone is not None:
            self.gone()

    async def live(self, client: OsqueueClient) -> None:
        self.worker = None
        self.worker = worker = Worker(
            client,
            dict.fromkeys(TYPES, self._run),
            concurrency=self.load.concurrency,
            prefetch=self.load.prefetch,
        )
        await worker.run()

    async def _run(self, payload: dict[str, Any], ctx: JobContext) -> object:
        self.ledger.ran(ctx.job_id, ctx.attempt)
        steps = self.dice.whole(1, 4)
        for step in range(steps):
            await asyncio.sleep(payload["takes"] / steps)
            ctx.progress(step + 1, steps)
        if ctx.attempt <= payload["fails"]:
            self._fail(payload)
        return {"by": self.process.name, "attempt": ctx.attempt}

    def _fail(self, payload: dict[str, Any]) -> None:
        if payload.get("gives_up"):
            raise Discard("it cannot be done")
        if self.dice.chance(0.3):
            raise Retry(self.dice.between(0, 5), "not now")
        raise RuntimeError("it did not work")


class Operator(User):
    """Cancels, retries, pauses, resumes, and sets priorities."""

    def _every_s(self) -> float:
        return self.load.operate_every_s

    async def _act(self, client: OsqueueClient) -> None:
        known = self.ledger.known
        job_id = self.dice.pick(known[-60:]) if known else "nobody"
        match self.dice.whole(1, 8):
            case 1 | 2:
                await client.cancel_job(job_id)
            case 3:
                await client.set_priority(job_id, self.dice.whole(-2, 2))
            case 4:
                await self._pause(client)
            case _:
                await self._retry_some(client)

    async def _pause(self, client: OsqueueClient) -> None:
        await client.pause_queue()
        await asyncio.sleep(self.dice.about(3.0))
        await client.resume_queue()

    async def _retry_some(self, client: OsqueueClient) -> None:
        page = await client.list_jobs(status="dead", limit=20)
        if page.jobs:
            await client.retry_job(self.dice.pick(page.jobs).job_id)


class Reader(User):
    """Looks at jobs and at the queue, sometimes insisting on the newest. Beside that he gives
    commands: each has a client that knows nothing yet, and none waits for another.
    """

    def __init__(self, world: Surroundings, name: str, ledger: Ledger, load: Load) -> None:
        super().__init__(world, name, ledger, load)
        self._commands: set[asyncio.Task[None]] = set()

    def _every_s(self) -> float:
        return self.load.read_every_s

    async def _act(self, client: OsqueueClient) -> None:
        if self.in_company or self.dice.chance(0.5):
            await self._look(client)
        else:
            command = asyncio.get_running_loop().create_task(self._command())
            self._commands.add(command)
            command.add_done_callback(self._commands.discard)

    async def _command(self) -> None:
        patience = self.load.patience
        client = self.world.client(self.process, patience, finds_leader=False, stays=False)
        with suppress(OsqueueError):
            await self._look(client)

    async def _look(self, client: OsqueueClient) -> None:
        consistent = self.dice.chance(0.5)
        known = self.ledger.known
        if known and self.dice.chance(0.7):
            await client.get_job(self.dice.pick(known[-80:]), consistent=consistent)
        else:
            stats = await client.get_stats(consistent=consistent)
            self.ledger.shown(client, stats.completed_total)


class Closer(User):
    """Sees to it that the queue is not left paused, and comes to rest: again and again, as what
    others had asked for may still come to pass.
    """

    drops_schedules = True

    def _every_s(self) -> float:
        return CLOSE_EVERY_S

    async def _act(self, client: OsqueueClient) -> None:
        await client.resume_queue()
        if self.drops_schedules:
            for schedule in await client.list_schedules():
                await client.drop_schedule(schedule.name)
