"""The archive's promise: each ended job stands in it exactly once, whoever dies when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from osqueue.clock import SystemClock, SystemEntropy
from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits
from osqueue.engine.archive import Archive
from osqueue.engine.archiver import Archiver
from osqueue.engine.election import ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.errors import OsqueueError, OverloadedError, StoreDeniedError, StoreUnavailableError
from osqueue.model.batches import ARCHIVE_PREFIX, BatchName, batch_key
from osqueue.model.ops import Cancel
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.testing import Fault, ScriptedStore, Step

from .conftest import KEY, Brokers, soon, submit

JOBS = ("a", "b", "c", "d", "e")
SMALL = ArchiveSettings(batch_jobs_max=2, backoff_max_ms=1)
QUICK = replace(SMALL, look_ms=1, linger_ms=0, sweep_ms=1)
ARCHIVING = QueueLimits(archived=True)
WRITES = 20
"""More writes than the whole story takes: creating, submitting, ending, three batches."""


class MortalStore:
    """Serves a process that dies at its n-th write, which was applied or was not."""

    def __init__(self, inner: Store, dies_at: int, *, applied: bool) -> None:
        self._inner = inner
        self._left = dies_at
        self._applied = applied
        self.dead = asyncio.Event()

    @property
    def url(self) -> str:
        return self._inner.url

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await self._live()
        return await self._inner.get(key, unless=unless)

    async def head(self, key: str) -> Version:
        await self._live()
        return await self._inner.head(key)

    async def create(self, key: str, data: bytes) -> Version:
        last = await self._write()
        if last and not self._applied:
            await self._never()
        version = await self._inner.create(key, data)
        if last:
            await self._never()
        return version

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        last = await self._write()
        if last and not self._applied:
            await self._never()
        version = await self._inner.put(key, data, if_version=if_version)
        if last:
            await self._never()
        return version

    async def delete(self, key: str) -> None:
        await self._live()
        await self._inner.delete(key)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        await self._live()
        async for key in self._inner.list(prefix):
            yield key

    async def close(self) -> None:
        pass

    async def _live(self) -> None:
        if self.dead.is_set():
            await self._never()

    async def _write(self) -> bool:
        await self._live()
        self._left -= 1
        return self._left == 0

    async def _never(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()


def archiver(
    engine: Engine, store: Store, settings: ArchiveSettings = SMALL
) -> tuple[Archiver, Archive]:
    archive = Archive(store)
    made = Archiver(
        engine, archive, store, settings=settings, clock=SystemClock(), entropy=SystemEntropy()
    )
    return made, archive


async def archived(store: Store) -> list[str]:
    """The ids in the archive."""
    ids = []
    async for key in store.list(ARCHIVE_PREFIX):
        found = await store.get(key)
        assert found is not None
        ids += [json.loads(line)["id"] for line in found.data.splitlines()]
    return ids


async def state(store: Store) -> Any:
    found = await store.get(KEY)
    assert found is not None
    return json.loads(found.data)


async def live(engine: Engine, store: Store) -> None:
    """The whole story: jobs come, end, and are archived."""
    await engine.start()
    await engine.ask(submit(*JOBS))
    for job_id in JOBS:
        await engine.ask(Cancel(job_id))
    at_work, _ = archiver(engine, store)
    while await at_work.archive_one():
        pass


async def emptied(engine: Engine) -> None:
    while engine.backlog.jobs or engine.backlog.sealed:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("dies_at", range(1, WRITES))
async def test_archive_when_the_broker_dies_at_any_write_then_each_job_is_in_it_once(
    dies_at: int, applied: bool, brokers: Brokers
) -> None:
    inner = MemoryBackend()
    mortal = MortalStore(inner, dies_at, applied=applied)
    first = brokers.make(mortal, drain_ms=0, limits=ARCHIVING)
    life = asyncio.create_task(live(first, mortal))
    dying = asyncio.create_task(mortal.dead.wait())
    await asyncio.wait({life, dying}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    for task in (life, dying):
        task.cancel()
    await asyncio.wait({life, dying})
    second = await brokers.start(
        inner, address="other:1", probe=ProbeAnswer.REFUSED, limits=ARCHIVING
    )
    await soon(second.ask(submit(*JOBS)))
    for job_id in JOBS:
        await second.ask(Cancel(job_id))
    at_work, _ = archiver(second, inner)
    while await soon(at_work.archive_one()):
        pass
    assert sorted(await archived(inner)) == list(JOBS)
    left = await state(inner)
    assert (left["jobs"], left["finished"], left.get("outbox")) == ([], [], None)


async def test_story_when_nobody_dies_then_it_takes_fewer_writes_than_are_tried(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    await soon(live(brokers.make(store, limits=ARCHIVING), store))
    assert 12 <= sum(each.call in {"create", "put"} for each in store.log) < WRITES


async def leading(brokers: Brokers, store: Store, **settings: Any) -> Engine:
    """A leader with jobs that have ended."""
    engine = await brokers.start(store, limits=ARCHIVING, **settings)
    await engine.ask(submit(*JOBS))
    for job_id in JOBS:
        await engine.ask(Cancel(job_id))
    return engine


@pytest.mark.parametrize(
    "fault", [Fault.LOST_REPLY, Fault.LOST_REQUEST, Fault.BUSY, Fault.FALSE_CONFLICT]
)
async def test_archive_when_its_object_meets_a_fault_then_each_job_is_in_it_once(
    fault: Fault, brokers: Brokers
) -> None:
    store = ScriptedStore(MemoryBackend())
    at_work, _ = archiver(await leading(brokers, store), store)
    store.then(Step("create", fault), Step("create", fault) if fault is Fault.BUSY else _pass())
    while await soon(at_work.archive_one()):
        pass
    assert sorted(await archived(store.inner)) == list(JOBS)


def _pass() -> Step:
    return Step("create")


async def test_archive_when_an_old_leader_wakes_up_late_then_nothing_is_in_it_twice(
    brokers: Brokers,
) -> None:
    inner = MemoryBackend()
    slow = ScriptedStore(inner, [Step("create"), Step("create", hold="request")])
    old, _ = archiver(await leading(brokers, slow), slow)
    sleeping = asyncio.create_task(old.archive_one())
    await soon(slow.held())
    rival = await brokers.start(
        inner, address="rival:1", probe=ProbeAnswer.REFUSED, limits=ARCHIVING
    )
    new, _ = archiver(rival, inner)
    while await soon(new.archive_one()):
        pass
    slow.release()
    with pytest.raises(OsqueueError):
        await soon(sleeping)
    assert sorted(await archived(inner)) == list(JOBS)


async def test_run_when_jobs_have_ended_then_they_are_archived_and_found(brokers: Brokers) -> None:
    store = MemoryBackend()
    engine = await leading(brokers, store)
    at_work, archive = archiver(engine, store, QUICK)
    running = asyncio.create_task(at_work.run())
    await soon(emptied(engine))
    for job_id in JOBS:
        line = await soon(archive.find(job_id))
        assert line is not None
        assert json.loads(line)["status"] == "cancelled"
    assert await soon(archive.find("unknown")) is None
    running.cancel()
    await asyncio.wait({running})


async def test_run_when_the_store_fails_for_a_while_then_it_goes_on_after(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await leading(brokers, store)
    store.then(*[Step("create", Fault.UNAVAILABLE)] * 3)
    at_work, _ = archiver(engine, store, QUICK)
    with caplog.at_level("INFO", "osqueue.engine"):
        running = asyncio.create_task(at_work.run())
        await soon(emptied(engine))
    running.cancel()
    await asyncio.wait({running})
    said = [record.message for record in caplog.records]
    assert sum("ended jobs wait for the archive" in line for line in said) == 1
    assert "the archive can be written again" in said


class BrokenListing(MemoryBackend):
    """A store whose first listing fails in a way that no store should."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 1

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        if prefix == ARCHIVE_PREFIX and self.failures > 0:
            self.failures -= 1
            raise RuntimeError("it fell over")
        async for key in super().list(prefix):
            yield key


async def test_run_when_the_store_fails_in_an_unexpected_way_then_it_goes_on_after(
    brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    store = BrokenListing()
    store.failures = 0
    engine = await leading(brokers, store)
    store.failures = 1
    at_work, archive = archiver(engine, store, QUICK)
    with caplog.at_level("ERROR", "osqueue.engine"):
        running = asyncio.create_task(at_work.run())
        await soon(emptied(engine))
        assert await soon(archive.find("a")) is not None
    assert "it fell over" in caplog.text
    running.cancel()
    await asyncio.wait({running})


async def test_archive_when_a_conflict_is_reported_for_nothing_then_the_object_is_made(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    at_work, _ = archiver(await leading(brokers, store), store)
    store.then(Step("create", Fault.CONFLICT))
    while await soon(at_work.archive_one()):
        pass
    assert sorted(await archived(store.inner)) == list(JOBS)


async def test_archive_when_a_conflict_cannot_be_looked_into_then_it_is_tried_again(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    at_work, _ = archiver(await leading(brokers, store), store)
    store.then(Step("create", Fault.FALSE_CONFLICT), Step("get", Fault.UNAVAILABLE))
    while await soon(at_work.archive_one()):
        pass
    assert sorted(await archived(store.inner)) == list(JOBS)
    assert store.unused == ()


async def test_sweep_when_hours_are_old_then_they_are_deleted_and_others_stay(
    brokers: Brokers,
) -> None:
    now, store = SystemClock().wall_ms(), MemoryBackend()
    engine = await brokers.start(store)
    keys = [batch_key(["x"], now - age * 3_600_000, f"t{age}") for age in (200, 169, 167, 0)]
    for key in [*keys, "archive/readme.txt"]:
        await store.create(key, b'{"id":"x"}\n')
    at_work, archive = archiver(engine, store)
    await archive.load()
    await at_work.delete_old()
    kept = [key async for key in store.list(ARCHIVE_PREFIX)]
    assert kept == sorted([*keys[2:], "archive/readme.txt"])


@pytest.mark.parametrize(("failures", "left"), [(1, 1), (3, 5)])
async def test_sweep_when_some_cannot_be_deleted_then_the_others_are_while_the_store_works(
    failures: int, left: int, brokers: Brokers
) -> None:
    now, store = SystemClock().wall_ms(), ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    for number in range(5):
        await store.create(batch_key(["x"], now - 200 * 3_600_000, f"t{number}"), b"{}\n")
    at_work, archive = archiver(engine, store)
    await archive.load()
    store.then(*[Step("delete", Fault.DENIED)] * failures)
    with pytest.raises(StoreDeniedError):
        await at_work.delete_old()
    assert len([key async for key in store.list(ARCHIVE_PREFIX)]) == left
    await at_work.delete_old()
    assert [key async for key in store.list(ARCHIVE_PREFIX)] == []


class Settable(SystemClock):
    """A wall clock that somebody sets while a broker runs."""

    ahead_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms


async def test_sweep_when_the_clock_is_set_ahead_meanwhile_then_nothing_is_deleted(
    brokers: Brokers,
) -> None:
    clock, store = Settable(), MemoryBackend()
    engine = await brokers.start(store)
    key = batch_key(["x"], clock.wall_ms(), "t")
    await store.create(key, b'{"id":"x"}\n')
    archive = Archive(store)
    at_work = Archiver(engine, archive, store, settings=SMALL, clock=clock, entropy=SystemEntropy())
    await archive.load()
    clock.ahead_ms = 10 * 365 * 86_400_000
    await at_work.delete_old()
    assert [key async for key in store.list(ARCHIVE_PREFIX)] == [key]


async def test_find_when_a_job_is_in_several_batches_then_the_newest_counts() -> None:
    now, store = SystemClock().wall_ms(), MemoryBackend()
    for hours, status in ((5, "dead"), (1, "completed"), (3, "cancelled")):
        key = batch_key(["x"], now - hours * 3_600_000, f"t{hours}")
        await store.create(key, b'{"id":"y"}\n{"id":"x","status":"%s"}\n' % status.encode())
    archive = Archive(store)
    await archive.load()
    assert await archive.find("x") == b'{"id":"x","status":"completed"}'


async def test_find_when_the_id_carries_its_time_then_only_batches_that_may_hold_it_are_read() -> (
    None
):
    entropy, store = SystemEntropy(), ScriptedStore(MemoryBackend())
    now, wanted = SystemClock().wall_ms(), entropy.job_id()
    old = "01800000" + wanted[8:]
    for token, job_id in (("t1", old), ("t2", wanted)):
        line = b'{"id":"%s","n":1}\n' % job_id.encode()
        await store.inner.create(batch_key([job_id], now, token), line)
    archive = Archive(store)
    await archive.load()
    assert await archive.find(wanted) is not None
    assert await archive.find(entropy.job_id()) is None
    assert await archive.find("of no time") is None
    assert sum(each.call == "get" for each in store.log) <= 2


async def test_find_when_the_clock_was_set_back_before_the_sealing_then_found_all_the_same() -> (
    None
):
    wanted, store = SystemEntropy().job_id(), MemoryBackend()
    hours_before = SystemClock().wall_ms() - 5 * 3_600_000
    line = b'{"id":"%s","n":1}\n' % wanted.encode()
    await store.create(batch_key([wanted], hours_before, "t"), line)
    archive = Archive(store)
    await archive.load()
    assert await archive.find(wanted) == line[:-1]


async def test_find_when_the_id_carries_a_time_that_no_calendar_has_then_not_found() -> None:
    archive = Archive(MemoryBackend())
    await archive.load()
    assert await archive.find("ffffffff-ffff-7fff-bfff-ffffffffffff") is None


async def test_sweep_when_an_old_batch_comes_in_meanwhile_then_none_is_forgotten() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("delete", hold="request")])
    first, later = (batch_key(["x"], 1, token) for token in "ab")
    for key in (first, later):
        await store.create(key, b'{"id":"x"}\n')
    archive = Archive(store)
    archive.add(_named(first))
    sweeping = asyncio.create_task(archive.delete_before("2000-01-01T00"))
    await soon(store.held())
    archive.add(_named(later))
    store.release()
    assert await soon(sweeping) == 1
    assert await archive.delete_before("2000-01-01T00") == 1
    assert [key async for key in store.list(ARCHIVE_PREFIX)] == []


def _named(key: str) -> BatchName:
    name = BatchName.parse(key)
    assert name is not None
    return name


async def test_find_when_a_batch_has_been_deleted_meanwhile_then_the_others_are_searched() -> None:
    now, store = SystemClock().wall_ms(), MemoryBackend()
    for token, line in (("a", b'{"id":"x","n":1}\n'), ("b", b'{"id":"z","n":1}\n')):
        await store.create(batch_key(["x"], now, token), line)
    archive = Archive(store)
    await archive.load()
    await store.delete(batch_key(["x"], now, "b"))
    assert await archive.find("x") == b'{"id":"x","n":1}'


@pytest.mark.parametrize("wanted", ["a", "b", "c"])
async def test_find_when_a_batch_arrives_in_part_then_it_is_no_answer(wanted: str) -> None:
    store = ScriptedStore(MemoryBackend())
    lines = b'{"id":"a","status":"dead"}\n{"id":"b","status":"dead","n":1,"m":2}\n'
    await store.create(batch_key(["a", "b"], 1, "t"), lines)
    archive = Archive(store)
    await archive.load()
    store.then(Step("get", Fault.TRUNCATED))
    with pytest.raises(StoreUnavailableError, match="in the middle of a line"):
        await archive.find(wanted)
    assert (await archive.find(wanted) is None) is (wanted == "c")


async def test_find_when_another_id_only_looks_alike_then_it_is_not_taken_for_it() -> None:
    store = MemoryBackend()
    line = b'{"id":"ab","lastError":{"message":"{\\"id\\":\\"b\\","}}\n'
    await store.create(batch_key(["x"], 1, "t"), line)
    archive = Archive(store)
    await archive.load()
    assert await archive.find("b") is None
    assert await archive.find("a") is None
    assert await archive.find("ab") == line[:-1]


async def test_find_when_too_many_look_at_once_then_some_are_told_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.engine.archive.ARCHIVE_LOOKUPS_MAX", 1)
    archive = Archive(MemoryBackend())
    first = asyncio.create_task(archive.find("a"))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await archive.find("b")
    await archive.load()
    assert await soon(first) is None
    assert await archive.find("b") is None


async def test_find_when_the_batches_cannot_be_listed_then_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.engine.archive.STORE_ANSWER_S_MAX", 0)
    with pytest.raises(StoreUnavailableError, match="archive could not be searched"):
        await Archive(MemoryBackend()).find("a")


def test_settings_when_the_retention_is_shorter_than_an_hour_then_refused() -> None:
    with pytest.raises(OsqueueError, match="ARCHIVE_RETENTION"):
        BrokerSettings(archive=ArchiveSettings(retention_ms=60_000)).validate()
    BrokerSettings(archive=ArchiveSettings(retention_ms=0)).validate()


async def test_due_when_the_clock_was_set_back_then_nothing_waits_for_that_hour_again(
    brokers: Brokers,
) -> None:
    store, clock = MemoryBackend(), Settable()
    engine = await brokers.start(store, limits=ARCHIVING, clock=clock)
    await soon(engine.ask(submit("a")))
    await soon(engine.ask(Cancel("a")))
    patient = replace(SMALL, linger_ms=60_000)
    made = Archiver(
        engine, Archive(store), store, settings=patient, clock=clock, entropy=SystemEntropy()
    )
    assert not made.due()
    clock.ahead_ms = -3_600_000
    assert made.due()
