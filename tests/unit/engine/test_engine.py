"""Starting and stopping: what an engine finds in its store, and what it leaves there."""

from __future__ import annotations

import asyncio
import json

import pytest

from osqueue.config import LeadershipSettings
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.requests import EndReason
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    CorruptStateError,
    EngineStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.model.ops import GetState, GetStats
from osqueue.model.outcomes import Counts, Submitted
from osqueue.model.snapshot import read_origin
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Stored
from osqueue.testing import Fault, ScriptedStore, Step

from ...traces.objects import edited, job_ids, older
from .conftest import KEY, Brokers, soon, submit

QUICK = LeadershipSettings(heartbeat_interval_ms=10, heartbeat_timeout_ms=50)
OLDER = b'{"broker":null,"brokerHeartbeat":5,"jobs":[],"completedTotal":2,"theirs":[1]}'


async def stored(store: MemoryBackend) -> bytes:
    found = await store.get(KEY)
    assert found is not None
    return found.data


async def holding(data: bytes) -> MemoryBackend:
    store = MemoryBackend()
    await store.create(KEY, data)
    return store


def led_by(broker: str, **fields: object) -> bytes:
    header = {"format": 1, "epoch": 7, "commit": "7-1-x", "broker": broker, "brokerId": "x"}
    return json.dumps({**header, "heartbeatEvery": 10, "jobs": [], **fields}).encode()


# Starting


async def test_start_when_nothing_is_stored_then_it_creates_the_object_and_leads(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store)
    origin = read_origin(await stored(store))
    assert (origin.broker, origin.broker_id) == ("me:1", engine.broker_id)
    status = engine.status()
    assert (status.ready, status.role, status.epoch) == (True, "leader", origin.epoch)
    assert (status.commits, status.leader, status.reason) == (1, "me:1", None)
    assert status.state_bytes == len(await stored(store))
    assert engine.durable == await stored(store)
    assert engine.end is None


async def test_start_when_a_queue_was_released_then_it_goes_on_with_the_next_epoch(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    first = await brokers.start(store)
    await soon(first.ask(submit("a")))
    await soon(first.stop())
    before = read_origin(await stored(store))
    await brokers.start(store)
    after = read_origin(await stored(store))
    assert before.broker is None
    assert before.epoch is not None
    assert after.epoch == before.epoch + 1
    assert after.lineage == {str(before.epoch): before.commit}
    assert job_ids(await stored(store)) == ["a"]


async def test_start_when_the_address_is_its_own_then_it_takes_at_once(brokers: Brokers) -> None:
    store = await holding(led_by("me:1"))
    await brokers.start(store)
    assert read_origin(await stored(store)).epoch == 8


async def test_start_when_an_older_implementation_wrote_then_nothing_of_it_is_lost(
    brokers: Brokers,
) -> None:
    store = await holding(OLDER)
    await brokers.start(store)
    whole = json.loads(await stored(store))
    assert (whole["completedTotal"], whole["theirs"]) == (2, [1])
    assert whole["epoch"] > 1_700_000_000


async def test_start_when_a_silent_leader_stands_still_then_it_takes_in_the_end(
    brokers: Brokers,
) -> None:
    store = await holding(led_by("them:1"))
    engine = await brokers.start(store, leadership=QUICK)
    assert engine.status().role == "standby"
    async with asyncio.timeout(10):
        while engine.status().role != "leader":  # noqa: ASYNC110 - a leader tells nobody
            await asyncio.sleep(0.001)
    assert read_origin(await stored(store)).broker == "me:1"


async def test_start_when_the_leader_answers_then_it_stands_by(brokers: Brokers) -> None:
    store = await holding(led_by("them:1"))
    engine = brokers.make(store, probe=ProbeAnswer.LEADER)
    await soon(engine.start())
    assert await stored(store) == led_by("them:1")
    status = engine.status()
    assert (status.ready, status.role, status.leader) == (False, "standby", "them:1")
    with pytest.raises(BrokerLeadershipError) as raised:
        await soon(engine.ask(GetStats()))
    assert (raised.value.leader, raised.value.applied) == ("them:1", "no")


@pytest.mark.parametrize("damage", [b"", b"{", led_by("them:1", format=2), led_by("x", jobs=[1])])
async def test_start_when_the_object_cannot_be_read_then_it_is_left_untouched(
    brokers: Brokers, damage: bytes
) -> None:
    store = await holding(damage)
    before = await store.get(KEY)
    with pytest.raises(CorruptStateError, match=KEY):
        await brokers.start(store, probe=ProbeAnswer.REFUSED)
    assert await store.get(KEY) == before


async def test_start_when_only_an_archive_is_there_then_nothing_is_created(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    await store.create("archive/2026-01-01T00/x", b"")
    with pytest.raises(CorruptStateError, match="archive/2026"):
        await brokers.start(store)
    assert [key async for key in store.list()] == ["archive/2026-01-01T00/x"]


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.UNAVAILABLE])
async def test_start_when_the_store_cannot_be_written_then_it_says_so(
    brokers: Brokers, fault: Fault
) -> None:
    store = ScriptedStore(MemoryBackend(), [Step("create", fault)])
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        await brokers.start(store)
    assert [key async for key in store.list()] == []


async def test_start_when_the_store_cannot_be_read_then_its_error_comes_through(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend(), [Step("get", Fault.DENIED)])
    with pytest.raises(OsqueueError, match="denied"):
        await brokers.start(store)


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST, Fault.FALSE_CONFLICT])
async def test_start_when_the_first_write_is_of_unknown_fate_then_it_leads_in_the_end(
    brokers: Brokers, fault: Fault
) -> None:
    store = ScriptedStore(MemoryBackend(), [Step("create", fault)] * 2)
    engine = await brokers.start(store)
    assert engine.status().role == "leader"
    assert engine.status().commits == 1


async def test_start_when_the_object_is_damaged_meanwhile_then_it_is_left_so(
    brokers: Brokers,
) -> None:
    memory = await holding(led_by("me:1"))
    store = ScriptedStore(memory, [Step("put", hold="request")])
    starting = asyncio.create_task(brokers.make(store).start())
    await soon(store.held())
    found = await memory.get(KEY)
    assert found is not None
    await memory.put(KEY, b"", if_version=found.version)
    store.release()
    with pytest.raises(CorruptStateError, match=KEY):
        await soon(starting)
    assert await stored(memory) == b""


async def test_start_when_cancelled_while_it_watches_then_it_can_be_stopped(
    brokers: Brokers,
) -> None:
    store = await holding(led_by("them:1"))
    asked = asyncio.Event()

    async def probe(_ask: Ask) -> ProbeAnswer:
        asked.set()
        await asyncio.Event().wait()
        return ProbeAnswer.SILENT

    engine = brokers.make(store, probe=probe)
    starting = asyncio.create_task(engine.start())
    await soon(asked.wait())
    with pytest.raises(BrokerLeadershipError):
        await engine.ask(GetStats())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(starting)
    await soon(engine.stop())
    assert await stored(store) == led_by("them:1")


# Leading


async def test_leader_when_idle_then_it_writes_heartbeats(brokers: Brokers) -> None:
    store = ScriptedStore(MemoryBackend())
    await brokers.start(store, leadership=QUICK)
    for _ in range(3):
        store.then(Step("put", hold="request"))
        await soon(store.held())
        store.release()


class SlowClock:
    """A clock that runs at half the speed of the event loop's: every timer fires early."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + self.mono_ms()

    def mono_ms(self) -> int:
        return int(self.loop.time() * 500)

    def cpu_us(self) -> int:
        return 0


async def test_leader_when_timers_fire_early_then_it_is_still_woken(brokers: Brokers) -> None:
    store = ScriptedStore(MemoryBackend())
    await brokers.start(store, leadership=QUICK, clock=SlowClock())
    for _ in range(3):
        store.then(Step("put", hold="request"))
        await soon(store.held())
        store.release()


async def test_leader_when_asked_then_answers_carry_epoch_and_commit(brokers: Brokers) -> None:
    engine = await brokers.start(MemoryBackend())
    first = await soon(engine.ask(submit("a")))
    second = await soon(engine.ask(GetStats(), consistent=True))
    assert first.outcome == Submitted(1)
    assert first.position is not None
    assert second.position is not None
    assert first.position <= second.position
    assert isinstance(second.outcome, Counts)
    assert second.outcome.unclaimed == 1


async def test_leader_when_the_object_was_edited_then_a_consistent_read_sees_it(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store)
    found = await store.get(KEY)
    assert found is not None
    await store.put(KEY, edited(found.data, completedTotal=9), if_version=found.version)
    held = await soon(engine.ask(GetStats(), consistent=True))
    assert isinstance(held.outcome, Counts)
    assert held.outcome.completed_total == 9


async def test_leader_when_the_object_is_gone_then_it_creates_it_again(brokers: Brokers) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    epoch = engine.status().epoch
    await store.delete(KEY)
    await soon(engine.ask(submit("b")))
    assert job_ids(await stored(store)) == ["a", "b"]
    assert engine.status().epoch > epoch


async def test_leader_when_an_older_implementation_overwrites_it_then_its_state_is_kept(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store)
    await soon(engine.ask(submit("a")))
    found = await store.get(KEY)
    assert found is not None
    await store.put(KEY, older(found.data), if_version=found.version)
    with pytest.raises(CommitUnknownError):
        await soon(engine.ask(submit("b")))
    async with asyncio.timeout(10):
        while engine.status().role != "halted":  # noqa: ASYNC110 - a role tells nobody
            await asyncio.sleep(0)
    assert engine.end is None, "it goes on saying why it does nothing"
    commit = read_origin(found.data).commit
    kept = await store.get(f"{KEY}.before-{commit}")
    assert kept is not None
    assert kept.data == found.data
    status = engine.status()
    assert not status.ready
    assert "older implementation" in str(status.reason)
    with pytest.raises(BrokerLeadershipError, match="older implementation"):
        await soon(engine.ask(GetStats()))


async def test_leader_when_the_store_does_not_confirm_it_then_it_is_not_ready(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store, leadership=QUICK, drain_ms=1)
    store.then(Step("put", hold="request"))
    await soon(store.held())
    await asyncio.sleep(0.08)
    status = engine.status()
    assert (status.ready, status.role) == (False, "leader")
    assert "does not confirm" in str(status.reason)


# Stopping


async def test_stop_when_work_is_in_flight_then_it_drains_and_releases(brokers: Brokers) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    engine = await brokers.start(store)
    store.then(Step("put", hold="request"))
    asked = [asyncio.create_task(engine.ask(submit("a")))]
    await soon(store.held())
    asked.append(asyncio.create_task(engine.ask(submit("b"))))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(engine.stop())
    await asyncio.sleep(0)
    with pytest.raises(EngineStateError) as raised:
        await engine.ask(submit("c"))
    assert raised.value.applied == "no"
    store.release()
    await soon(stopping)
    assert [(await task).outcome for task in asked] == [Submitted(1), Submitted(1)]
    assert job_ids(await stored(memory)) == ["a", "b"]
    assert read_origin(await stored(memory)).broker is None
    assert engine.end is not None
    assert engine.end.reason is EndReason.RELEASED


async def test_stop_when_a_commit_stays_unresolved_then_it_leaves_without_a_release(
    brokers: Brokers,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    engine = await brokers.start(store, drain_ms=50)
    store.then(*[Step("put", Fault.LOST_REQUEST)] * 1_000)
    asked = asyncio.create_task(engine.ask(submit("a")))
    await asyncio.sleep(0)
    await soon(engine.stop())
    with pytest.raises(CommitUnknownError):
        await asked
    assert engine.end is not None
    assert engine.end.reason is EndReason.STOPPED
    assert read_origin(await stored(memory)).broker == "me:1"


async def test_stop_when_the_store_hangs_then_it_leaves_in_time(brokers: Brokers) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store, drain_ms=20)
    store.then(Step("put", hold="request"))
    asked = asyncio.create_task(engine.ask(submit("a")))
    await soon(store.held())
    await soon(engine.stop())
    with pytest.raises(CommitUnknownError):
        await asked


async def test_stop_when_never_started_or_stopped_already_then_it_is_harmless(
    brokers: Brokers,
) -> None:
    store = MemoryBackend()
    await soon(brokers.make(store).stop())
    engine = await brokers.start(store)
    await soon(engine.stop())
    before = await store.get(KEY)
    await soon(engine.stop())
    assert await store.get(KEY) == before
    with pytest.raises(EngineStateError):
        await engine.ask(GetState())


async def test_stop_when_it_has_stopped_then_nothing_of_it_runs_on(brokers: Brokers) -> None:
    store = MemoryBackend()
    engine = await brokers.start(store, leadership=QUICK)
    await soon(engine.stop())
    before = await store.get(KEY)
    await asyncio.sleep(0.05)
    assert isinstance(before, Stored)
    assert await store.get(KEY) == before
