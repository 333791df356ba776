"""A process of the simulated world that writes the queue itself, without a broker."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from osqueue.broker.service import QueueService
from osqueue.broker.waiting import WaitingClaims
from osqueue.config import STATE_KEY, BrokerSettings
from osqueue.engine.sharing import SharedEngine
from osqueue.errors import OsqueueError
from osqueue.inprocess import InProcessTransport
from osqueue.testing.simulation.hosts.broker import SimulatedBroker, probing
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings

__all__ = ["Sharer"]


class _Joined(msgspec.Struct):
    """What a broker's core is to a broker."""

    engine: SharedEngine
    service: QueueService
    settings: BrokerSettings

    def transport(self) -> InProcessTransport:
        return InProcessTransport(self.service, self.settings.server)

    async def stop(self) -> None:
        await self.engine.stop()


class Sharer(SimulatedBroker):
    """It is asked as a broker is, though nobody but itself would ask it."""

    def __init__(self, world: Surroundings, name: str, settings: BrokerSettings) -> None:
        super().__init__(world, name, settings)
        third = settings.limits.lease_timeout_ms // 3
        limits = replace(settings.limits, renewal_written_ms=third)
        self._settings = replace(settings, limits=limits)

    async def _main(self, process: SimulatedProcess) -> None:
        engine = SharedEngine(
            self._world.store_of(process),
            STATE_KEY,
            settings=self._settings,
            clock=process.clock,
            entropy=process.entropy,
            waiting=WaitingClaims,
            probe=probing(self._world, process),
        )
        try:
            await engine.start(await engine.find())
        except OsqueueError as error:
            self._over(f"it ended: {error.message}")
            return
        service = QueueService(
            engine, None, address="", entropy=process.entropy, clock=process.clock
        )
        self.core = cast("Any", _Joined(engine, service, self._settings))
