"""What all have in common who use the queue of a simulated world.

Each is a process with a real client, or a real worker, and does what it does for ever, with all its
retries. What they were told is written down by the witness of their requests; here they only
go on whatever comes.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError
from osqueue.testing.simulation.laws.onlookers import Onlookers
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings

__all__ = ["BATCHES", "LONG", "LONG_S", "TWIN", "TYPES", "Ledger", "Load", "User"]

TYPES: Final = ("mail", "report", "thumb")

TWIN: Final = "twin"
"""The type of a job whose id is submitted for another one, too: nobody works on it."""

BATCHES: Final = 0.3
"""How many submits are of several jobs."""

LONG: Final = 0.1
"""How many jobs take long: as long as leases last, so that some run while their lease is lost."""

LONG_S: Final = 20.0


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

    def left(self, who: str, worker_id: str, since_us: int) -> None:
        """A worker has been stopped, which began at a time."""
        ...

    def shown(self, reader: object, completed: int) -> None: ...


class User:
    """A process that does one thing after another, while `working`."""

    at_once = 1
    """How many things it does at a time, at most."""
    rests_s_max = 30.0
    """How long it does nothing, at most: so that who has nothing left to do is seen to end."""
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
            if self.working:
                await self._rest()

    async def _rest(self) -> None:
        await asyncio.sleep(min(self.dice.about(self._every_s()), self.rests_s_max))

    def _client(self, process: SimulatedProcess) -> OsqueueClient:
        return self.world.client(process, self.load.patience, finds_leader=self.finds_leader)

    def _note(self, error: OsqueueError) -> None:
        name = self.process.name
        self.world.trace.note(name, "told %s: %s", type(error).__name__, str(error))

    def _every_s(self) -> float:
        raise NotImplementedError

    async def _act(self, client: OsqueueClient) -> None:
        raise NotImplementedError
