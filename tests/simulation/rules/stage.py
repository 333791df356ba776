"""A small world in which a script plays: real brokers, a simulated store and network, and whoever
asks them, one request at a time.

Where a storm of disturbances hits something now and then, a script says: this write, now. What it
catches on its way to the store stands still until the script decides what becomes of it, and what
its writer hears. All else goes on as in any simulated world, under the same laws.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

from tests.simulation.rules.sharer import Sharer

from osqueue.client.brokers import Brokers
from osqueue.client.client import OsqueueClient
from osqueue.client.following import Following
from osqueue.client.runtime import Place, Runtime
from osqueue.config import STATE_KEY, BrokerSettings, ClientSettings
from osqueue.engine.requests import BEFORE
from osqueue.errors import OsqueueError, StoreUnknownError
from osqueue.storage.protocol import Stored, Version
from osqueue.testing.simulation import BrokenLawError
from osqueue.testing.simulation.checks import Checks
from osqueue.testing.simulation.hosts.broker import SimulatedBroker
from osqueue.testing.simulation.laws.deeds import Deed
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.served import WatchedStore
from osqueue.testing.simulation.machine.bucket import (
    BUCKET,
    OLDER,
    PATIENCE_S,
    PERSON,
    SimulatedStore,
    Written,
)
from osqueue.testing.simulation.machine.exchange import SimulatedTransport
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.wire.operations import Operation

__all__ = ["Caught", "Script", "Stage"]

SEED = 1
"""Scripts decide what matters; chance has only the order of steps and latencies left."""

LOOK_S = 0.02
"""How often what is waited for is looked at."""


class Caught:
    """A write on its way to the store, which stands still there."""

    def __init__(self, stage: Stage, by: str, key: str, data: bytes, at: Version | None) -> None:
        self._stage = stage
        self._by = by
        self.key = key
        self.data = data
        self.if_version = at
        self.answered: asyncio.Future[Version] = stage.loop.create_future()

    def apply(self) -> Version:
        """Let it take effect, as far as the store's compare-and-swap lets it."""
        return self._stage.bucket.write(self.key, self.data, self.if_version, self._by)

    def answer(self, told: Version | OsqueueError) -> None:
        """Let its writer hear that, whatever became of it."""
        if isinstance(told, OsqueueError):
            self.answered.set_exception(told)
        else:
            self.answered.set_result(told)

    def go(self) -> None:
        """Let it go its way after all."""
        try:
            self.answer(self.apply())
        except OsqueueError as error:
            self.answer(error)

    def fail(self) -> None:
        """Let its writer hear what tells nothing."""
        self.answer(StoreUnknownError("HTTP 500"))


class _Trap:
    def __init__(self, stage: Stage, by: str, fits: Callable[[str, bytes], bool]) -> None:
        self.by = by
        self.fits = fits
        self.caught: asyncio.Future[Caught] = stage.loop.create_future()


class _StagedStore(SimulatedStore):
    """The way of one process to the store, on which its writes can be caught."""

    def __init__(self, stage: Stage, process: SimulatedProcess) -> None:
        super().__init__(stage.store, process)
        self._stage = stage
        self._by = process.name

    async def create(self, key: str, data: bytes) -> Version:
        caught = self._stage.catches(self._by, key, data, None)
        return await (super().create(key, data) if caught is None else _answer(caught))

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        caught = self._stage.catches(self._by, key, data, if_version)
        if caught is None:
            return await super().put(key, data, if_version=if_version)
        return await _answer(caught)


async def _answer(caught: Caught) -> Version:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await caught.answered
    except TimeoutError as error:
        raise StoreUnknownError(f"no answer within {PATIENCE_S} s") from error


class Stage(Surroundings):
    """The world, as a script sees it. The laws of any world hold in it, too."""

    def __init__(self, settings: BrokerSettings, *, brokers: int, sharers: int) -> None:
        super().__init__(SEED)
        self._traps: list[_Trap] = []
        self._refused: set[tuple[str, str]] = set()
        self.settings = settings
        self.checks = Checks(self, settings.limits)
        self._note = self.bucket.on_write
        self.bucket.on_write = self._written
        self.written: list[Written] = []
        """All that was written to the state object."""
        self.brokers: dict[str, SimulatedBroker] = {
            name: SimulatedBroker(self, name, settings)
            for name in (f"broker-{number}" for number in range(1, brokers + 1))
        }
        for name in (f"sharer-{number}" for number in range(1, sharers + 1)):
            self.brokers[name] = Sharer(self, name, settings)
        self.me: SimulatedProcess | None = None

    # What it decides

    def catch(self, by: str, *, naming: str = "", key: str = STATE_KEY) -> asyncio.Future[Caught]:
        """The next write of a process to an object whose key begins so, and that holds a word."""
        word = naming.encode()
        trap = _Trap(self, by, lambda at, data: at.startswith(key) and word in data)
        self._traps.append(trap)
        return trap.caught

    def catches(self, by: str, key: str, data: bytes, at: Version | None) -> Caught | None:
        for trap in self._traps:
            if trap.by == by and trap.fits(key, data) and not trap.caught.done():
                self._traps.remove(trap)
                caught = Caught(self, by, key, data, at)
                self.trace.note(by, "is caught writing %s", key)
                trap.caught.set_result(caught)
                return caught
        return None

    def process(self, name: str) -> SimulatedProcess:
        return self.brokers[name].process

    def kill(self, name: str) -> None:
        """Its machine resets its connections, and refuses new ones."""
        self.process(name).kill()
        self.brokers[name].broken()

    def stop(self, name: str) -> None:
        """As a supervisor asks it to."""
        broker = self.brokers[name]
        self.loop.within(broker.process.life, lambda: _begin(self, broker.stop()))

    def cut(self, one: str, other: str = BUCKET) -> None:
        self.network.cut(one, other)
        self.network.cut(other, one)

    def mend(self, one: str, other: str = BUCKET) -> None:
        self.network.mend(one, other)
        self.network.mend(other, one)

    def refuse(self, who: str, whom: str) -> None:
        """Have connections refused, as by a machine that is another one by now."""
        self._refused.add((who, f"http://{whom}:8080"))

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """A person changes the object by hand, by compare-and-swap."""
        stored = self._stored()
        state = json.loads(stored.data)
        change(state)
        for deed, job_id in _differences(json.loads(stored.data), state):
            self.deeds.note(deed, job_id, self.loop.now_us)
        data = json.dumps(state, separators=(",", ":")).encode()
        self.bucket.write(STATE_KEY, data, stored.version, PERSON)

    def overwrite(self, change: Callable[[dict[str, Any]], object]) -> None:
        """An older implementation changes the object, and drops what it does not know."""
        self.overwritten = True
        stored = self._stored()
        state = json.loads(stored.data)
        change(state)
        self.bucket.write(STATE_KEY, json.dumps(state).encode(), stored.version, OLDER)

    def keep_copy(self) -> None:
        """What stands there is kept beside the object, as if it had been overwritten."""
        key = f"{STATE_KEY}.{BEFORE}{self.state['commit']}"
        self.bucket.write(key, self._stored().data, None, "broker-1")

    # What it does

    async def lead(self, name: str = "broker-1") -> None:
        """Start a broker, and wait until it leads."""
        self.process(name).start()
        await self.until(lambda: self.leads(name), f"{name} leads")

    def client_of(self, *names: str) -> OsqueueClient:
        """A client that knows these brokers."""
        assert self.me is not None, "the script plays"
        place = Place(self.me.name, 1)
        runtime = Runtime(clock=self.me.clock, entropy=self.me.entropy, place=lambda: place)
        brokers = Brokers([f"http://{name}:8080" for name in names])
        way = Following(brokers, self._dial, runtime, probe=self._dial, discovery=None)
        return OsqueueClient(transport=way, settings=ClientSettings(), runtime=runtime)

    def _dial(self, url: str) -> SimulatedTransport:
        assert self.me is not None, "the script plays"
        return self.way(url, self.me)

    async def ask(
        self,
        operation: Operation,
        request: Any = None,
        *,
        job_id: str | None = None,
        at: str = "broker-1",
    ) -> Any:
        """One request, sent once; its answer's value."""
        way = self._dial(f"http://{at}:8080")
        return (await way.call(operation, request, job_id=job_id, timeout_s=100)).value

    def begin(self, asks: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Ask, and go on without waiting for the answer."""
        return asyncio.get_running_loop().create_task(asks)

    async def refusal(self, asks: Awaitable[Any]) -> OsqueueError:
        """What somebody is refused with."""
        try:
            answer = await asks
        except OsqueueError as error:
            return error
        raise BrokenLawError(f"it was not refused: {answer}")

    @property
    def rate(self) -> float:
        """How fast the script's clock runs."""
        assert self.me is not None, "the script plays"
        return self.me.life.rate

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, holds: Callable[[], object], what: str, *, within_s: float = 60) -> None:
        """Wait for something, which must come true in time."""
        until_us = self.loop.now_us + int(within_s * 1_000_000)
        while not holds():
            expect(self.loop.now_us < until_us, "in time %s", what)
            await asyncio.sleep(LOOK_S)

    async def told(self, asked: asyncio.Task[Any], *, within_s: float = 60) -> Any:
        """The answer of what was begun, in time. Raises what it is refused with."""
        await self.until(asked.done, "a caller is told", within_s=within_s)
        return asked.result()

    # What it sees

    def role(self, name: str) -> str:
        core = self.brokers[name].core
        return "" if core is None else core.engine.status().role

    def shares(self, name: str) -> bool:
        return self.role(name) == "sharing"

    def leads(self, name: str) -> bool:
        return self.role(name) == "leader"

    @property
    def state(self) -> dict[str, Any]:
        """What stands in the object."""
        state: dict[str, Any] = json.loads(self._stored().data)
        return state

    def job(self, job_id: str) -> dict[str, Any] | None:
        """A job as it stands there, unless it has ended."""
        return next((job for job in self.state["jobs"] if job["id"] == job_id), None)

    @property
    def epoch(self) -> int:
        epoch: int = self.state["epoch"]
        return epoch

    def versions(self, *, since: int = 0) -> list[dict[str, Any]]:
        """All versions that there were."""
        return [json.loads(written.data) for written in self.written[since:]]

    def _stored(self) -> Stored:
        stored = self.bucket.look(STATE_KEY)
        assert stored is not None, "there is a queue"
        return stored

    def store_of(self, process: SimulatedProcess) -> WatchedStore:
        return WatchedStore(_StagedStore(self, process), process, self.served)

    def way(self, url: str, process: SimulatedProcess) -> SimulatedTransport:
        if (process.name, url) in self._refused:
            return SimulatedTransport(url, process, self.network, {}, self.witness)
        return super().way(url, process)

    def _written(self, written: Written) -> None:
        if written.key == STATE_KEY:
            self.written.append(written)
        if self._note is not None:
            self._note(written)


Script: TypeAlias = Callable[[Stage], Coroutine[Any, Any, None]]


_CHANGES = {
    ("dead", "unclaimed"): Deed.REVIVED,
    ("in_progress", "unclaimed"): Deed.GIVEN_BACK,
}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[Deed, str]]:
    earlier, later = ({job["id"]: job for job in each["jobs"]} for each in (before, now))
    for job_id, job in later.items():
        if job_id not in earlier:
            yield Deed.ADDED, job_id
        elif job != earlier[job_id]:
            yield _CHANGES.get((earlier[job_id]["status"], job["status"]), Deed.EDITED), job_id
    yield from ((Deed.REMOVED, job_id) for job_id in earlier if job_id not in later)


def _begin(stage: Stage, work: Coroutine[Any, Any, None]) -> None:
    stage.loop.create_task(work)
