"""Schedules of real brokers: over a takeover, in an embedded queue, by clients of both kinds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from osqueue import BrokerServer, Jobs, OsqueueClient, Queue, SyncOsqueueClient
from osqueue.config import (
    ArchiveSettings,
    BrokerSettings,
    LeadershipSettings,
    ServerSettings,
)
from osqueue.errors import (
    BrokerProtocolError,
    PayloadValidationError,
    ScheduleNotFoundError,
    TransportConfigError,
)
from osqueue.model.schedules import fired_job_id
from osqueue.storage.memory import MemoryBackend
from osqueue.testing import MemoryBroker
from osqueue.testing.travelling_clock import TravellingClock

QUICK = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=50, heartbeat_timeout_ms=200)
)
DAY_MS = 86_400_000


class Report(msgspec.Struct):
    of: str


jobs = Jobs()


@jobs.job("report:send", Report, max_attempts=5, keep_result=True)
async def send_report(report: Report) -> str:
    return report.of


async def test_schedule_when_its_leader_is_replaced_then_each_time_brings_one_job() -> None:
    store, clock = MemoryBackend(), TravellingClock()

    def broker() -> BrokerServer:
        return BrokerServer(
            store, host="127.0.0.1", port=0, grpc_port=None, settings=QUICK, clock=clock
        )

    async with broker() as first, broker() as second, OsqueueClient(first.url) as client:
        kept = await client.put_schedule("s", "t", every_ms=1_000)
        assert kept.next_at is not None
        fired: list[str] = []
        for _ in range(2):
            job = await client.claim_job("w", wait_ms=10_000)
            assert job is not None
            await client.complete_job(job)
            fired.append(job.job_id)
        await client.fail_over()
        async with OsqueueClient(second.url) as other:
            while len(fired) < 5:
                job = await other.claim_job("w", wait_ms=10_000)
                assert job is not None
                await other.complete_job(job)
                fired.append(job.job_id)
            assert len(set(fired)) == len(fired)
            (now,) = await other.list_schedules(consistent=True)
        assert now.last_at is not None
        times = range(kept.next_at, now.last_at + 1, 1_000)
        assert set(fired) <= {fired_job_id("s", at) for at in times}


async def test_schedule_when_nobody_led_for_days_then_one_job_for_all(tmp_path: Path) -> None:
    place, clock = f"file://{tmp_path}", TravellingClock()

    def broker() -> BrokerServer:
        return BrokerServer(place, host="127.0.0.1", port=0, grpc_port=None, clock=clock)

    async with broker() as first, OsqueueClient(first.url) as client:
        await client.put_schedule("once", "t", cron="0 3 * * *", timezone="Europe/Rome")
        await client.put_schedule("skip", "u", cron="0 3 * * *", missed="skip")
    clock.travel(5 * DAY_MS)
    async with broker() as second, OsqueueClient(second.url) as client:
        job = await client.claim_job("w", wait_ms=10_000)
        assert job is not None
        assert job.type == "t"
        assert (await client.get_stats(consistent=True)).total == 1
        skip = (await client.list_schedules())[1]
        assert skip.last_job_id is None
        assert skip.next_at is not None
        assert 0 < skip.next_at - clock.wall_ms() <= DAY_MS


async def test_job_of_a_schedule_when_it_has_left_for_the_archive_then_found_by_its_id() -> None:
    archiving = BrokerSettings(archive=ArchiveSettings(linger_ms=0, look_ms=1))
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None, settings=archiving)
    async with broker, OsqueueClient(broker.url) as client:
        await client.put_schedule("s", "t", every_ms=1_000)
        job = await client.claim_job("w", wait_ms=10_000)
        assert job is not None
        await client.complete_job(job, {"n": 1})
        info = await client.wait(job.job_id, timeout=10)
        assert (info.status, info.result) == ("completed", {"n": 1})


async def test_embedded_queue_when_it_leads_then_it_submits_the_jobs_of_schedules() -> None:
    async with Queue(Report, job_type="report:send", storage="memory://") as q:
        await q.client.put_schedule("s", "report:send", {"of": "today"}, every_ms=1_000)
        async with asyncio.timeout(10):
            async for job in q.consume():
                assert job.payload == Report("today")
                break


async def test_embedded_queue_when_it_shares_then_schedules_are_refused(tmp_path: Path) -> None:
    async with Queue(Report, storage=f"file://{tmp_path}", brokerless=True) as q:
        with pytest.raises(TransportConfigError, match="there is no broker to do this"):
            await q.client.put_schedule("s", "t", every_ms=1_000)


async def test_put_when_the_job_is_typed_then_checked_before_anything_leaves() -> None:
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
    async with broker, OsqueueClient(broker.url, registry=jobs) as client:
        with pytest.raises(PayloadValidationError):
            await client.put_schedule("s", "report:send", {"of": 5}, every_ms=DAY_MS)
        assert await client.list_schedules() == []
        of_type = await client.put_schedule("s", "report:send", {"of": "x"}, every_ms=DAY_MS)
        assert (of_type.max_attempts, of_type.keep_result) == (5, True)
        by_class = await client.put_schedule("s", Report("x"), every_ms=DAY_MS)
        made = await client.put_schedule("s", send_report.new(of="x"), every_ms=DAY_MS)
        assert by_class == made == of_type


@pytest.mark.parametrize(
    "options", [{"job_id": "a"}, {"run_at": 5}, {"delay_ms": 5}, {"traceparent": "00-1"}]
)
async def test_put_when_it_says_what_the_schedule_gives_then_refused(
    options: dict[str, Any],
) -> None:
    async with OsqueueClient("http://127.0.0.1:1") as client:
        with pytest.raises(BrokerProtocolError, match=next(iter(options))):
            await client.put_schedule("s", "t", every_ms=DAY_MS, **options)


async def test_list_when_there_are_many_then_all_pages() -> None:
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
    async with broker, OsqueueClient(broker.url) as client:
        await asyncio.gather(
            *(client.put_schedule(f"s{n:03}", "t", every_ms=DAY_MS) for n in range(205))
        )
        names = [schedule.name for schedule in await client.list_schedules()]
        assert names == [f"s{n:03}" for n in range(205)]


async def test_list_when_payloads_are_hidden_then_they_are_left_out() -> None:
    settings = BrokerSettings(server=ServerSettings(hide_payloads=True))
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings)
    async with broker:
        for kind in ("rest", "connect", "ws"):
            async with OsqueueClient(broker.url, transport=kind) as client:
                await client.put_schedule("s", "t", {"secret": 1}, every_ms=DAY_MS)
                (schedule,) = await client.list_schedules()
                assert (schedule.payload, schedule.payload_hidden) == (None, True)


def test_sync_client_when_it_uses_schedules_then_as_the_other() -> None:
    with MemoryBroker() as broker:
        client = broker.sync_client
        kept = client.put_schedule("s", send_report.new(of="x"), cron="0 3 * * *")
        assert (kept.when, kept.payload) == ("At 03:00 every day, UTC", {"of": "x"})
        client.pause_schedule("s")
        assert client.list_schedules()[0].paused
        client.resume_schedule("s")
        job_id = client.run_schedule("s")
        assert client.get_job(job_id).type == "report:send"
        client.drop_schedule("s")
        assert client.list_schedules() == []
        with pytest.raises(ScheduleNotFoundError):
            client.run_schedule("s")
        assert isinstance(client, SyncOsqueueClient)


def test_schedule_when_a_test_travels_then_its_job_is_there() -> None:
    with MemoryBroker() as broker:
        client = broker.sync_client
        client.put_schedule("nightly", "t", cron="0 3 * * *")
        assert client.claim_job("w") is None
        broker.travel(hours=24)
        job = client.claim_job("w", wait_ms=10_000)
        assert job is not None
        assert job.type == "t"
