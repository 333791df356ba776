"""What every process of a simulated world finds around it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from osqueue.client.brokers import Brokers
from osqueue.client.client import OsqueueClient
from osqueue.client.discovery import Discovery
from osqueue.client.following import Following
from osqueue.client.runtime import Place, Runtime
from osqueue.config import ClientSettings
from osqueue.testing.simulation.laws.callers import Callers
from osqueue.testing.simulation.laws.deeds import Deeds
from osqueue.testing.simulation.laws.served import Served, WatchedStore
from osqueue.testing.simulation.machine.bucket import Bucket, SimulatedStore, StoreServer
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.exchange import (
    Exchange,
    Server,
    SimulatedTransport,
    Witness,
)
from osqueue.testing.simulation.machine.loop import SimulatedLoop
from osqueue.testing.simulation.machine.network import Network
from osqueue.testing.simulation.machine.process import EPOCH_MS, SimulatedProcess
from osqueue.testing.simulation.machine.trace import Trace

__all__ = ["Surroundings"]


class Unwatched:
    """Nobody looks on."""

    def sent(self, exchange: Exchange) -> None: ...

    def answered(self, exchange: Exchange) -> None: ...

    def given_up(self, exchange: Exchange) -> None: ...

    def pushed(self, exchange: Exchange, message: Any) -> None: ...


class Surroundings:
    """Time, chance, the network, the store, and who listens where."""

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.loop = SimulatedLoop(self.dice.fork("turns"))  # type: ignore[abstract]
        self.trace = Trace(self.loop)
        self.network = Network(self.loop, self.dice.fork("network"))
        self.bucket = Bucket(self.loop)
        self.store = StoreServer(self.loop, self.dice.fork("store"), self.network, self.bucket)
        self.servers: dict[str, Server] = {}
        self.happened: Counter[str] = Counter()
        """What befell processes, by kind."""
        self.leader: str | None = None
        """The process that was the last to take the lead."""
        self.deeds = Deeds()
        """What people have done in the object itself."""
        self.adopted = False
        """Whether brokers were told to go on from what others have left."""
        self.overwritten = False
        """Whether somebody has had the object who names no broker that is there, or none at all."""
        self.witness: Witness = Unwatched()
        self.callers = Callers()
        """Who waits at brokers."""
        self.ways: dict[str, Following] = {}
        """The way of each client that stays to its brokers, by its process, as it last was."""
        self.served = Served()
        """When brokers could not serve."""

    @property
    def wall_ms(self) -> int:
        """What a clock shows that is right."""
        return EPOCH_MS + self.loop.now_us // 1_000

    def store_of(self, process: SimulatedProcess) -> WatchedStore:
        """The store, as a process sees it."""
        return WatchedStore(SimulatedStore(self.store, process), process, self.served)

    def way(self, url: str, process: SimulatedProcess) -> SimulatedTransport:
        """A process's way to what listens at ``url``."""
        return SimulatedTransport(url, process, self.network, self.servers, self.witness)

    def runtime_of(self, process: SimulatedProcess) -> Runtime:
        """What a client in a process takes from the world."""
        return Runtime(
            clock=process.clock, entropy=process.entropy, place=lambda: Place(process.name, 1)
        )

    def client(
        self,
        process: SimulatedProcess,
        settings: ClientSettings,
        *,
        finds_leader: bool,
        stays: bool = True,
    ) -> OsqueueClient:
        """A client of all brokers, or, if it ``finds_leader``, of the store that names theirs.

        ``stays``: for the process's whole life.
        """
        runtime = self.runtime_of(process)
        store = self.store_of(process)
        urls = [] if finds_leader else [f"http://{address}" for address in self.servers]

        def dial(url: str) -> SimulatedTransport:
            return self.way(url, process)

        way = Following(
            Brokers(urls),
            dial,
            runtime,
            probe=dial,
            discovery=Discovery(store, settings, runtime, owned=False) if finds_leader else None,
        )
        if stays:
            self.ways[process.name] = way
        return OsqueueClient(transport=way, settings=settings, runtime=runtime)
