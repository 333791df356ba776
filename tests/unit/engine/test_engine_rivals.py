"""Two brokers and one store: whoever lost its place learns it, and tells its callers the truth."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from osqueue.engine.election import ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.errors import BrokerLeadershipError, CommitUnknownError
from osqueue.model.ops import GetStats
from osqueue.model.outcomes import Counts, Submitted
from osqueue.model.snapshot import read_origin
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Stored, Version
from osqueue.testing import Fault, ScriptedStore, Step
from osqueue.wire.messages import BrokerStatus

from ...traces.objects import edited, job_ids
from .conftest import KEY, Brokers, soon, submit

T = TypeVar("T")


async def rival(brokers: Brokers, memory: MemoryBackend) -> Engine:
    return await brokers.start(memory, address="rival:1", probe=ProbeAnswer.REFUSED)


async def standing_by(engine: Engine) -> BrokerStatus:
    """How it is doing, once it stands by."""
    async with asyncio.timeout(10):
        while engine.status().role != "standby" or engine.status().leader is None:  # noqa: ASYNC110
            await asyncio.sleep(0)  # nobody is told when a broker stands by
    return engine.status()


async def stored(memory: MemoryBackend) -> bytes:
    found = await memory.get(KEY)
    assert found is not None
    return found.data


async def test_rival_when_it_takes_over_then_the_first_steps_down_at_its_next_write(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    first = await brokers.start(memory, probe=ProbeAnswer.LEADER)
    await soon(first.ask(submit("a")))
    second = await rival(brokers, memory)
    with pytest.raises(BrokerLeadershipError) as raised:
        await soon(first.ask(submit("b")))
    assert (raised.value.leader, raised.value.applied) == ("rival:1", "no")
    status = await standing_by(first)
    assert (status.ready, status.leader, first.end) == (False, "rival:1", None)
    with pytest.raises(BrokerLeadershipError, match="rival:1 leads"):
        await soon(first.ask(submit("b")))
    await soon(second.ask(submit("c")))
    assert job_ids(await stored(memory)) == ["a", "c"]


async def test_rival_when_it_takes_over_then_a_consistent_read_of_the_first_is_refused(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    first = await brokers.start(memory)
    await rival(brokers, memory)
    with pytest.raises(BrokerLeadershipError):
        await soon(first.ask(GetStats(), consistent=True))


async def test_rival_when_a_write_had_landed_unheard_then_its_caller_is_told_it_is_done(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    first = await brokers.start(store, probe=ProbeAnswer.LEADER)
    store.then(Step("put", Fault.LOST_REPLY), Step("put", hold="request"))
    asked = asyncio.create_task(first.ask(submit("a")))
    await soon(store.held())
    await rival(brokers, memory)
    store.release()
    assert (await soon(asked)).outcome == Submitted(1)
    assert job_ids(await stored(memory)) == ["a"]
    await standing_by(first)


async def test_rival_when_a_write_was_on_its_way_then_it_is_told_not_applied_and_is_not(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    first = await brokers.start(store)
    store.then(Step("put", Fault.LATE_WRITE), Step("put", hold="request"))
    asked = asyncio.create_task(first.ask(submit("a")))
    await soon(store.held())
    second = await rival(brokers, memory)
    store.release()
    with pytest.raises(BrokerLeadershipError):
        await soon(asked)
    assert await store.land() == 0, "the late write finds another version"
    await soon(second.ask(submit("b")))
    assert job_ids(await stored(memory)) == ["b"]


async def test_rival_when_it_remembers_nothing_of_us_then_the_fate_is_unknown(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    first = await brokers.start(store)
    store.then(Step("put", hold="request"))
    asked = asyncio.create_task(first.ask(submit("a")))
    await soon(store.held())
    found = await memory.get(KEY)
    assert found is not None
    foreign = edited(found.data, epoch=5, commit="5-1-x", lineage={}, broker="x:1")
    await memory.put(KEY, foreign, if_version=found.version)
    store.release()
    with pytest.raises(CommitUnknownError):
        await soon(asked)
    assert await stored(memory) == foreign


# Racing to start


async def test_race_when_the_other_is_faster_and_answers_then_it_stands_by(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory, [Step("create", hold="request")])
    slow = brokers.make(store, address="slow:1", probe=ProbeAnswer.LEADER)
    starting = asyncio.create_task(slow.start())
    await soon(store.held())
    fast = await brokers.start(memory, address="fast:1")
    store.release()
    await soon(starting)
    assert (slow.status().role, slow.status().leader) == ("standby", "fast:1")
    await soon(fast.ask(submit("a")))


async def test_race_when_the_other_is_faster_and_then_dies_then_it_takes_over(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory, [Step("create", hold="request")])
    slow = brokers.make(store, address="slow:1", probe=ProbeAnswer.REFUSED)
    starting = asyncio.create_task(slow.start())
    await soon(store.held())
    fast = await brokers.start(memory, address="fast:1")
    await soon(fast.ask(submit("a")))
    store.release()
    await soon(starting)
    assert not slow.ended.is_set()
    assert slow.end is None
    held = await soon(slow.ask(GetStats(), consistent=True))
    assert isinstance(held.outcome, Counts)
    assert held.outcome.unclaimed == 1
    with pytest.raises(BrokerLeadershipError):
        await soon(fast.ask(submit("b")))


class Dawdling(MemoryBackend):
    """A store whose calls take a different number of the loop's turns each time."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await self._dawdle()
        found = await super().get(key, unless=unless)
        await self._dawdle()
        return found

    async def head(self, key: str) -> Version:
        await self._dawdle()
        return await super().head(key)

    async def create(self, key: str, data: bytes) -> Version:
        await self._dawdle()
        return await super().create(key, data)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        await self._dawdle()
        return await super().put(key, data, if_version=if_version)

    async def _dawdle(self) -> None:
        self.seed = (self.seed * 1_103_515_245 + 12_345) % 2**31
        for _ in range(self.seed >> 28):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("released", [False, True])
async def test_race_when_two_start_together_then_exactly_one_leads(
    brokers: Brokers, seed: int, released: bool
) -> None:
    store = Dawdling(seed)
    if released:
        before = await brokers.start(store, address="before:1")
        await soon(before.ask(submit("a")))
        await soon(before.stop())
    engines = [brokers.make(store, address=f"{name}:1", probe=ProbeAnswer.LEADER) for name in "ab"]
    await soon(asyncio.gather(*[engine.start() for engine in engines]))
    assert sorted(engine.status().role for engine in engines) == ["leader", "standby"]
    (leader,) = [engine for engine in engines if engine.status().role == "leader"]
    await soon(leader.ask(submit("b")))
    assert read_origin(await stored(store)).broker_id == leader.broker_id
    assert job_ids(await stored(store)) == (["a", "b"] if released else ["b"])
