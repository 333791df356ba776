"""A process that shares the queue of a simulated world with others of its kind, without a broker.

It is the real one (`osqueue.brokerless`) on clocks, chance and a store of its own, and its users
act through a client in the same process. When it meets a broker, it ends; started again, it is a
client of that one, as whoever runs it would have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from osqueue.brokerless import joined
from osqueue.client.client import OsqueueClient
from osqueue.client.transports.protocol import Answer
from osqueue.config import BrokerSettings
from osqueue.engine.requests import EndReason
from osqueue.errors import BrokerLeadershipError, OsqueueError
from osqueue.inprocess import InProcessTransport
from osqueue.testing.simulation.hosts.broker import adopting, probing
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.user import User
from osqueue.testing.simulation.users.worker import SimulatedWorker
from osqueue.wire.operations import Operation

__all__ = ["SimulatedSharer"]

AGAIN: Final = 0.5
"""How often one that has met a broker tries all the same to share the queue when started again."""


class SimulatedSharer:
    """The process, and those who live in it."""

    def __init__(
        self, world: Surroundings, name: str, settings: BrokerSettings, users: Sequence[User]
    ) -> None:
        self._world = world
        self._settings = settings
        self._users = users
        self._dice = world.dice.fork(f"{name} again")
        self._finds_leader = users[0].finds_leader
        self.process = SimulatedProcess(world.loop, world.dice.fork(name), name, self._main)
        self.adopts = False
        self.gone: Callable[[], None] | None = None
        """Is told when it has ended by itself."""
        self.met: str | None = None
        """The broker that it was told of."""
        self._stopping = asyncio.Event()
        for user in users:
            user.process, user.in_company = self.process, True

    @property
    def works(self) -> bool:
        """Whether a worker lives in it."""
        return any(isinstance(user, SimulatedWorker) for user in self._users)

    @property
    def halted(self) -> bool:
        """It ends instead."""
        return False

    def broken(self) -> None:
        """Nobody is connected to it."""

    def silent(self) -> None:
        """The same."""

    async def stop(self) -> None:
        """Have it end as it should."""
        self._stopping.set()

    async def _main(self, process: SimulatedProcess) -> None:
        self._stopping = asyncio.Event()
        if self.met is not None and not self._dice.chance(AGAIN):
            client = self._world.client(
                process, self._users[0].load.patience, finds_leader=self._finds_leader
            )
            await self._live(client)
            self._over("it was stopped")
            return
        try:
            why = await self._share(process)
        except OsqueueError as error:
            why = error.message
            if isinstance(error, BrokerLeadershipError) and error.leader is not None:
                self._meet(error.leader)
        self._over(f"it ended: {why}")

    async def _share(self, process: SimulatedProcess) -> str:
        """Live in the queue for as long as it is everybody's; answers why not any more."""
        world = self._world
        part = joined(
            world.store_of(process),
            settings=adopting(self._settings) if self.adopts else self._settings,
            clock=process.clock,
            entropy=process.entropy,
            leader_probe=probing(world, process),
        )
        async with part as (engine, transport):
            self.adopts = False
            world.happened["queue joined"] += 1
            way = _Witnessed(transport, process, world)
            client = OsqueueClient(transport=way, runtime=world.runtime_of(process))
            await self._live(client, engine.wait_ended)
        end = engine.end
        if end is not None and end.reason is EndReason.FENCED:
            self._meet(end.leader)
        return "it was stopped" if end is None else end.message

    async def _live(
        self,
        client: OsqueueClient,
        until: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> None:
        """Have the users act until that, or a stop, or one of them gives up."""
        acts = [user.live(client) for user in self._users]
        ends = [self._stopping.wait(), *([] if until is None else [until()])]
        acting = [asyncio.ensure_future(act) for act in acts]
        ending = [asyncio.ensure_future(end) for end in ends]
        try:
            await _first(ending, acting)
        finally:
            for each in (*acting, *ending):
                each.cancel()
            await asyncio.gather(*acting, *ending, return_exceptions=True)

    def _meet(self, leader: str | None) -> None:
        """A broker leads: whoever asks has to be told where it is."""
        _expect_address(self._world, leader)
        if leader in self._world.servers:
            self.met = leader
            self._world.happened["broker met"] += 1

    def _over(self, why: str) -> None:
        """As a process that has returned from its main function."""
        self._world.trace.note(self.process.name, "%s", why)
        self.process.kill()
        if self.gone is not None:
            self.gone()


def _expect_address(world: Surroundings, leader: str | None) -> None:
    """Whoever has to do with a broker from now on is told where it is."""
    there = leader in world.servers or world.overwritten
    expect(there, "a broker leads, at %s, and none is there", leader)


async def _first(
    ending: Sequence[asyncio.Future[Any]], acting: Sequence[asyncio.Future[Any]]
) -> None:
    """Wait for one of the ends, or for whoever acts no more; raises what he has raised."""
    left = [*ending, *acting]
    while not any(end.done() for end in ending):
        await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for each in [each for each in left if each.done()]:
            each.result()
            left.remove(each)


class _Witnessed:
    """A way within the process, on which the world looks as on every other."""

    def __init__(
        self, way: InProcessTransport, process: SimulatedProcess, world: Surroundings
    ) -> None:
        self._way = way
        self._process = process
        self._world = world

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        loop, witness = self._process.loop, self._world.witness
        asked = Exchange(self._process.name, operation, request, job_id, loop.now_us, copies=1)
        witness.sent(asked)
        try:
            answer = await self._way.call(operation, request, job_id=job_id, timeout_s=timeout_s)
        except OsqueueError as error:
            asked.ended_us, asked.error = loop.now_us, error
            witness.answered(asked)
            if isinstance(error, BrokerLeadershipError):
                _expect_address(self._world, error.leader)
            raise
        except asyncio.CancelledError:
            witness.given_up(asked)
            raise
        asked.ended_us, asked.answer = loop.now_us, answer
        witness.answered(asked)
        return answer

    async def reconnect(self) -> None:
        """There is no connection that could be dropped."""

    async def close(self) -> None:
        await self._way.close()
