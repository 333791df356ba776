"""A broker of the simulated world: the real one but for its ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from osqueue.broker.probe import judge
from osqueue.client.health import HEALTH
from osqueue.client.transports.protocol import Answer
from osqueue.config import BrokerSettings
from osqueue.core import QueueCore
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.leadership import Probe
from osqueue.engine.observer import Observers
from osqueue.engine.requests import End
from osqueue.errors import EngineStateError, OsqueueError, TransportConnectionError
from osqueue.testing.simulation.machine.exchange import (
    Connection,
    Exchange,
    Serving,
    travelled,
)
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.machine.streaming import Pipe
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.wire.operations import GET_STATUS, StatusQuery

__all__ = ["SimulatedBroker", "adopting", "probing"]

_PORT: Final = 8080

CLOSE_S: Final = 1.0
"""How long a broker that has stopped goes on to send what its callers are told."""

CLOSE_LOOKS: Final = 100

_ANSWER_S: Final = 3_600.0
"""No broker gives up a request by itself: its caller does."""


class SimulatedBroker:
    """A broker's process, and what listens at its address."""

    def __init__(self, world: Surroundings, name: str, settings: BrokerSettings) -> None:
        self._world = world
        self._settings = settings
        self.address = f"{name}:{_PORT}"
        self.process = SimulatedProcess(world.loop, world.dice.fork(name), name, self._main)
        self.connections: list[Connection] = []
        self.pipes: list[Pipe] = []
        self.core: QueueCore | None = None
        self.adopts = False
        self.gone: Callable[[], None] | None = None
        """Is told when it has ended by itself."""
        world.servers[self.address] = self

    @property
    def halted(self) -> bool:
        """Whether it will never lead again in this life."""
        return self.core is not None and self.core.engine.status().role == "halted"

    def broken(self) -> None:
        """Its process has died, and its machine resets the connections."""
        for each in list(self.connections):
            each.broken()
        self.connections.clear()
        for pipe in list(self.pipes):
            pipe.broken()

    def silent(self) -> None:
        """Its machine has died, and says nothing."""
        self.connections.clear()
        for pipe in list(self.pipes):
            pipe.silent()

    async def stop(self) -> None:
        """Drain, give leadership back, and end. To be called in its process."""
        if self.core is not None:
            await self.core.stop()
        await self._answer_all()
        self._over("it was stopped")

    def serve(self, exchange: Exchange, reply: Callable[[Answer | OsqueueError], None]) -> Serving:
        """Answer a request, as a step of this process."""
        arrival = self._world.callers.arrived(self.process.life, exchange)
        work = self._answer(exchange, arrival.answering(reply), arrival.over)
        arrival.worked_on_by(self._world.loop.create_task(work))
        return arrival

    async def _answer(
        self,
        exchange: Exchange,
        reply: Callable[[Answer | OsqueueError], None],
        over: Callable[[], None],
    ) -> None:
        operation = exchange.operation
        try:
            if operation.name == HEALTH.name:
                reply(Answer(Raw(b'{"status":"ok"}')))
                return
            if self.core is None:
                raise EngineStateError("the broker is starting")
            answer = await self.core.transport().call(
                operation, exchange.request, job_id=exchange.job_id, timeout_s=_ANSWER_S
            )
        except OsqueueError as error:
            reply(travelled(operation, error))
        else:
            reply(answer)
        finally:
            over()

    async def _answer_all(self) -> None:
        """What `osqueue.server` does as well: the last answers are sent before the end."""
        callers, life = self._world.callers, self.process.life
        for _ in range(CLOSE_LOOKS):
            if callers.at(life):
                await asyncio.sleep(CLOSE_S / CLOSE_LOOKS)
        callers.expect_gone(
            life,
            inline_max=self._settings.limits.payload_inline_max,
            deliveries=0 if self.core is None else self.core.service.deliveries,
        )

    def push(self, exchange: Exchange, pipe: Pipe) -> Serving:
        """Begin to push, as a step of this process."""
        return self._world.loop.create_task(self._push(exchange, pipe))

    async def _push(self, exchange: Exchange, pipe: Pipe) -> None:
        operation, request = exchange.operation, exchange.request
        assert request is not None, "streams are asked for by a message"
        try:
            if self.core is None:
                raise EngineStateError("the broker is starting")
            way = self.core.transport()
            async with aclosing(way.stream(operation, request, timeout_s=_ANSWER_S)) as pushed:
                async for message in pushed:
                    await pipe.put(message)
        except OsqueueError as error:
            pipe.end(travelled(operation, error))
        else:
            pipe.end(None)

    async def _main(self, process: SimulatedProcess) -> None:
        core = self.core = QueueCore(
            self._world.store_of(process),
            address=self.address,
            settings=adopting(self._settings) if self.adopts else self._settings,
            clock=process.clock,
            entropy=process.entropy,
            probe=probing(self._world, process),
            observers=Observers(()),
            on_leading=self._led,
            ticks=process.clock.ticks_us,
        )
        try:
            await core.start()
            await core.engine.ended.wait()
        except OsqueueError as error:
            self._over(f"it ended: {error.message}")
            return
        end: End | None = core.engine.end
        await self._answer_all()
        self._over(f"it ended: {'' if end is None else end.message}")

    def _led(self) -> None:
        assert self.core is not None
        self.adopts = False
        self._world.leader = self.process.name
        self._world.happened["leadership taken"] += 1
        self._world.trace.note(self.process.name, "leads, epoch %s", self.core.engine.epoch)

    def _over(self, why: str) -> None:
        """As a process that has returned from its main function."""
        self._world.trace.note(self.process.name, "%s", why)
        self.core = None
        self.process.kill()
        self.broken()
        if self.gone is not None:
            self.gone()


def adopting(settings: BrokerSettings) -> BrokerSettings:
    """The same, of one that goes on from what an older implementation has overwritten."""
    return replace(settings, leadership=replace(settings.leadership, adopt=True))


def probing(world: Surroundings, process: SimulatedProcess) -> Probe:
    """What `osqueue.broker.probe` asks over HTTP, asked by a process of the world."""

    async def probe(ask: Ask) -> ProbeAnswer:
        query = StatusQuery(standby=ask.broker_id, address=ask.address, wait_ms=ask.wait_ms)
        if not ask.broker_id:
            query = StatusQuery()
        way = world.way(f"http://{ask.origin.broker}", process)
        try:
            answer = await way.call(GET_STATUS, query, timeout_s=ask.most_ms / 1_000)
        except TransportConnectionError as error:
            return ProbeAnswer.REFUSED if error.applied == "no" else ProbeAnswer.SILENT
        except OsqueueError:
            return ProbeAnswer.SILENT
        return judge(answer.value, ask)

    return probe
