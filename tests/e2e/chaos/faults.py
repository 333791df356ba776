"""The faults: each hurts the running cluster at a random moment, and heals it.

Each is a function of the `Scene`; it returns when what it broke has been mended. The variant that
it drew stands in its `Round`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random  # noqa: TID251 - seeded
from types import MappingProxyType

import msgspec
from tests.e2e.chaos.brokers import Broker
from tests.e2e.chaos.history import Death, History, Round, now
from tests.e2e.chaos.places import Place
from tests.e2e.chaos.timing import Timing
from tests.e2e.chaos.waiting import until

__all__ = ["FAULTS", "FROM_OUTSIDE", "INSIDE", "Fault", "Scene"]

HOUR_MS = 3_600_000

LOCKED_S = 0.2
"""A lock that is taken for longer is not held by one that runs."""

INSIDE = frozenset({"clock"})
"""Faults that only a process of ours can have, whatever the store."""

FROM_OUTSIDE = frozenset({"kill", "client-cut", "rolling"})
"""Faults that the plain command can have, whatever the store."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault finds."""

    brokers: Sequence[Broker]
    place: Place
    history: History
    timing: Timing
    random: Random

    @property
    def epoch(self) -> int:
        samples = self.history.samples
        return samples[-1].epoch if samples else 0

    async def leader(self) -> Broker:
        """The broker that the newest version of the state names."""
        by_address: dict[str | None, Broker] = {each.proxy.address: each for each in self.brokers}
        samples = self.history.samples
        await until(lambda: samples and samples[-1].broker in by_address)
        return by_address[samples[-1].broker]

    async def another_leads(self, epoch: int, timeout_s: float) -> None:
        """Return when the epoch is a later one, or the time is up."""
        await until(lambda: self.epoch > epoch, timeout_s=timeout_s)

    async def a_while(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.random.random())


Fault = Callable[[Scene, Round], Awaitable[None]]


async def kill(scene: Scene, this: Round) -> None:
    """SIGKILL of the leader; half the time its machine is gone, too, until another one leads."""
    leader, epoch = await scene.leader(), scene.epoch
    this.kills = 1
    if scene.random.random() < 0.5:
        before = len(scene.history.deaths)
        leader.kill()
        await until(lambda: len(scene.history.deaths) > before)
        return
    this.variant = "with its machine"
    await leader.proxy.cut(silent=True)
    leader.lose_machine()
    await scene.another_leads(epoch, scene.timing.takeover_s)
    leader.give_machine()
    await leader.proxy.heal()


async def stop(scene: Scene, this: Round) -> None:
    """SIGSTOP of the leader; half the time with a write that arrives late."""
    leader = await scene.leader()
    if scene.random.random() < 0.5 and await scene.place.hold_write(leader):
        this.variant = "late write"
    pid = leader.pid
    leader.send(signal.SIGSTOP)
    await asyncio.wait_for(leader.stopped(), 5)
    this.kills = 1
    this.locked = _still_locked(scene.place)
    lands_s = scene.timing.stop_s * scene.random.random()
    await asyncio.sleep(lands_s)
    await scene.place.land(leader)
    await asyncio.sleep(scene.timing.stop_s - lands_s)
    assert leader.pid == pid, "a stopped process does not end"
    leader.send(signal.SIGCONT)


async def store_cut(scene: Scene, this: Round) -> None:
    """The leader cut from the store, but not from clients."""
    leader, epoch = await scene.leader(), scene.epoch
    hang = scene.random.random() < 0.5
    this.variant = "hangs" if hang else "refuses"
    await scene.place.cut(leader, hang=hang)
    await scene.another_leads(epoch, scene.timing.takeover_s)
    await scene.a_while(scene.timing.heartbeat_ms / 1_000)
    await scene.place.heal(leader)


async def client_cut(scene: Scene, this: Round) -> None:
    """The leader cut from clients and peers, but not from the store."""
    leader, epoch = await scene.leader(), scene.epoch
    silent = scene.random.random() < 0.5
    this.variant = "silent" if silent else "refuses"
    await leader.proxy.cut(silent=silent)
    await scene.another_leads(epoch, scene.timing.stop_s)
    await scene.a_while(scene.timing.heartbeat_ms / 1_000)
    await leader.proxy.heal()
    # Workers are heard before the next cut: two in a row would outlast a lease, and rightly end it.
    await asyncio.sleep(2 * scene.timing.worker_beat_ms / 1_000)


async def clock(scene: Scene, this: Round) -> None:
    """The leader's wall clock an hour off, the others' an hour the other way; then it hands over.

    Half the time it goes back before that, which is a step as well.
    """
    leader = await scene.leader()
    sign = scene.random.choice((1, -1))
    this.variant = f"{sign:+d} h"
    for broker in scene.brokers:
        _step(broker, sign * HOUR_MS if broker is leader else -sign * HOUR_MS)
    await asyncio.sleep(scene.timing.timeout_ms / 1_000)
    if scene.random.random() < 0.5:
        for broker in scene.brokers:
            _step(broker, 0)
    epoch = scene.epoch
    leader.terminate()
    await scene.another_leads(epoch, scene.timing.takeover_s)


async def rolling(scene: Scene, this: Round) -> None:
    """A clean restart of each broker in turn."""
    for broker in scene.random.sample(scene.brokers, len(scene.brokers)):
        before, pid = len(scene.history.deaths), broker.pid
        broker.terminate()
        this.kills += 1
        await until(partial(_replaced, broker, pid, deaths=scene.history.deaths, before=before))
        await broker.answers()
        await scene.leader()


async def outage(scene: Scene, this: Round) -> None:
    """No broker reaches the store."""
    hang = scene.random.random() < 0.5
    this.variant = "hangs" if hang else "refuses"
    for broker in scene.brokers:
        await scene.place.cut(broker, hang=hang)
    await asyncio.sleep(scene.timing.outage_s)
    for broker in scene.brokers:
        await scene.place.heal(broker)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "kill": kill,
        "stop": stop,
        "store-cut": store_cut,
        "client-cut": client_cut,
        "clock": clock,
        "rolling": rolling,
        "outage": outage,
    }
)


def _replaced(broker: Broker, pid: int, *, deaths: Sequence[Death], before: int) -> bool:
    """Whether its process has ended and another one stands in its place."""
    return len(deaths) > before and broker.pid != pid


def _still_locked(place: Place) -> bool:
    """Whether the lock stays taken: others hold it for a moment only."""
    until_at = now() + LOCKED_S
    while place.locked():
        if now() > until_at:
            return True
    return False


def _step(broker: Broker, off_ms: int) -> None:
    broker.wall_off_ms = off_ms
    broker.tell(f"clock {off_ms}")
