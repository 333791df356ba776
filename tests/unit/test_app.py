"""The composition: settings, addresses, what is closed, and what is told of the end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from osqueue.advertise import route_source
from osqueue.app import BrokerServer
from osqueue.broker.fitting import fitted
from osqueue.clock import SystemClock
from osqueue.config import (
    MEMORY_RETENTION_MS,
    ArchiveSettings,
    BrokerSettings,
    CommitSettings,
    LeadershipSettings,
    ServerSettings,
    ThrottleSettings,
)
from osqueue.engine.requests import EndReason
from osqueue.errors import ConfigError, StoreDeniedError, UnsupportedStoreError
from osqueue.storage import LocalBackend, MemoryBackend, Store, ThrottledStorageBackend, Version
from osqueue.testing import Fault, ScriptedStore, Step


class CountingStore(MemoryBackend):
    """Counts how often it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


def local(store: Store | str, settings: BrokerSettings | None = None) -> BrokerServer:
    return BrokerServer(store, host="127.0.0.1", port=0, settings=settings)


def test_settings_when_they_make_no_sense_then_the_constructor_says_so() -> None:
    hasty = LeadershipSettings(heartbeat_interval_ms=5_000, heartbeat_timeout_ms=10_000)
    with pytest.raises(ConfigError, match="heartbeat"):
        BrokerServer("memory://", settings=BrokerSettings(leadership=hasty))
    with pytest.raises(ConfigError, match="port"):
        BrokerServer("memory://", port=70_000)


@pytest.mark.parametrize("storage", ["", "nowhere://x", "/var/lib/queue", "file://other-host/x"])
async def test_storage_when_it_is_no_store_then_the_start_says_so_and_frees_the_port(
    storage: str,
) -> None:
    broker = BrokerServer(storage, host="127.0.0.1", port=0)
    with pytest.raises((ConfigError, UnsupportedStoreError), match=r"storage|file://|store"):
        await broker.start()
    port = int(broker.address.rpartition(":")[2])
    async with BrokerServer("memory://", host="127.0.0.1", port=port):
        pass


async def test_address_when_the_port_is_any_then_it_is_the_one_that_was_found() -> None:
    async with local("memory://") as broker:
        host, _, port = broker.address.rpartition(":")
        assert (host, broker.url) == ("127.0.0.1", f"http://{broker.address}")
        socket.create_connection((host, int(port)), timeout=5).close()


async def test_address_when_one_is_advertised_then_the_object_names_that() -> None:
    store = MemoryBackend()
    broker = BrokerServer(store, host="127.0.0.1", port=0, advertise="queue.example:80")
    async with broker:
        assert broker.address == "queue.example:80"
        stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data)["broker"] == "queue.example:80"


@pytest.mark.parametrize("host", ["0.0.0.0", "0", ""])
async def test_address_when_it_listens_everywhere_then_never_the_wildcard(host: str) -> None:
    store = MemoryBackend()
    async with BrokerServer(store, host=host, port=0) as broker:
        advertised, _, port = broker.address.rpartition(":")
        assert advertised in {socket.gethostname(), route_source(4)}
        socket.create_connection((advertised, int(port)), timeout=5).close()
        stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data)["broker"] == f"{advertised}:{port}"


async def test_address_when_the_host_is_ipv6_then_it_stands_in_brackets() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with BrokerServer("memory://", host="::1", port=0) as broker:
        assert broker.address.startswith("[::1]:")


async def test_host_when_given_then_it_stands_for_that_of_the_settings() -> None:
    settings = BrokerSettings(server=ServerSettings(host="203.0.113.1", port=1))
    async with local("memory://", settings) as broker:
        assert broker.address.startswith("127.0.0.1:")


async def test_store_when_handed_in_then_it_is_left_open() -> None:
    store = CountingStore()
    async with local(store):
        pass
    assert store.closed == 0


async def test_store_when_opened_here_then_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = CountingStore()
    monkeypatch.setattr("osqueue.app.open_store", lambda _url: store)
    async with local("memory://"):
        assert store.closed == 0
    assert store.closed == 1


async def test_status_when_it_runs_then_the_leaders() -> None:
    async with local("memory://") as broker:
        status = broker.status()
        assert (status.ready, status.role, status.leader) == (True, "leader", broker.address)
        assert broker.end is None


async def test_status_when_not_started_then_it_says_so() -> None:
    broker = local("memory://")
    assert broker.end is None
    with pytest.raises(ConfigError, match="not been started"):
        broker.status()
    with pytest.raises(ConfigError, match="not been started"):
        await broker.wait_ended()


async def test_end_when_stopped_then_those_who_wait_are_told_why() -> None:
    broker = local("memory://")
    await broker.start()
    waiting = asyncio.create_task(broker.wait_ended())
    await asyncio.sleep(0)
    await broker.stop()
    assert (await waiting).reason is EndReason.RELEASED


async def test_status_when_another_broker_takes_over_then_it_stands_by_for_that_one() -> None:
    store = MemoryBackend()
    often = LeadershipSettings(heartbeat_interval_ms=20, heartbeat_timeout_ms=2_000)
    async with local(store, BrokerSettings(leadership=often)) as broker:
        stored = await store.get("queue.json")
        assert stored is not None
        theirs = {**json.loads(stored.data), "epoch": 4_000_000_000, "commit": "x", "broker": "o:1"}
        await store.put("queue.json", json.dumps(theirs).encode(), if_version=stored.version)
        async with asyncio.timeout(10):
            while broker.status().role != "standby":  # noqa: ASYNC110 - a role tells nobody
                await asyncio.sleep(0.001)
        assert broker.end is None


async def test_clock_when_handed_in_then_jobs_carry_its_time() -> None:
    class Future(SystemClock):
        def wall_ms(self) -> int:
            return 4_000_000_000_000

    store = MemoryBackend()
    async with BrokerServer(store, host="127.0.0.1", port=0, clock=Future()):
        stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data)["brokerHeartbeat"] == 4_000_000_000_000


# The probe


class Careless(MemoryBackend):
    """Ignores preconditions."""

    async def create(self, key: str, data: bytes) -> Version:
        return self._write(key, data)


async def test_probe_when_the_store_ignores_preconditions_then_no_queue_is_put_there() -> None:
    store = Careless()
    with pytest.raises(UnsupportedStoreError, match="let a second create overwrite an object"):
        await local(store).start()
    assert store._objects == {}


async def test_probe_when_the_store_is_read_only_then_its_own_error() -> None:
    store = ScriptedStore(MemoryBackend(), [Step("create", Fault.DENIED)])
    with pytest.raises(StoreDeniedError, match="memory:// failed at creating an object"):
        await local(store).start()


async def test_probe_when_the_store_is_fit_then_one_line_says_so_and_nothing_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryBackend()
    with caplog.at_level(logging.INFO, "osqueue.broker"):
        async with local(store):
            assert [key async for key in store.list()] == ["queue.json"]
    (line,) = [each.getMessage() for each in caplog.records if each.name == "osqueue.broker"]
    assert line.startswith("memory:// can carry a queue; put ")


async def test_probe_when_the_store_tells_more_then_the_line_does_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Talkative(MemoryBackend):
        dialects = ("quoted", "plain")
        dialect = "plain"

        async def last_modified_ms(self, _key: str) -> int:
            return SystemClock().wall_ms() + 60_000

    with caplog.at_level(logging.INFO, "osqueue.broker"):
        async with local(Talkative()):
            pass
    assert "; spoken to as plain; its clock about 60 s ahead of ours" in caplog.text


async def test_stop_when_the_probe_still_runs_then_it_ends_and_leaves_nothing() -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory, [Step("put", hold="request")])
    broker = local(store)
    starting = asyncio.create_task(broker.start())
    await store.held()
    await broker.stop()
    with pytest.raises(Exception, match="stopped while it was starting"):
        await starting
    assert [key async for key in memory.list()] == []


# How often the store is asked


class Slow(MemoryBackend):
    least_write_spacing_ms = 400


@pytest.mark.parametrize(("interval_ms", "spacing_ms"), [(0, 400), (1, 1), (1_000, 1_000)])
async def test_spacing_when_the_store_needs_one_then_it_is_kept_unless_another_is_set(
    interval_ms: int, spacing_ms: int
) -> None:
    settings = BrokerSettings(commit=CommitSettings(interval_ms=interval_ms))
    async with local(ScriptedStore(Slow()), settings) as broker:
        engine = broker._engine
        assert engine is not None
        assert engine._settings.commit.interval_ms == spacing_ms


async def stats_of(broker: BrokerServer) -> Any:
    reader, writer = await asyncio.open_connection(*broker.address.split(":"))
    writer.write(b"GET /v1/throttle-stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_throttle_when_there_is_none_then_its_page_says_so() -> None:
    async with local("memory://") as broker:
        assert await stats_of(broker) == {"throttling": False}


async def test_throttle_when_there_are_limits_then_its_page_has_the_statistics() -> None:
    settings = BrokerSettings(throttle=ThrottleSettings(writes_per_minute=6_000))
    async with local("memory://", settings) as broker:
        stats = await stats_of(broker)
    assert stats["totalWrites"] == stats["dailyWriteCount"] == 1
    assert stats["dailyBudgetExceeded"] is False


async def test_throttle_when_the_store_has_its_own_then_its_statistics() -> None:
    store = ThrottledStorageBackend(MemoryBackend(), ThrottleSettings(writes_per_day=1))
    async with local(store) as broker:
        assert (await stats_of(broker))["dailyBudgetExceeded"] is True


@pytest.mark.parametrize(("per_day", "warned"), [(28_799, True), (28_800, False), (0, False)])
async def test_budget_when_the_heartbeats_alone_use_it_up_then_a_warning(
    per_day: int, caplog: pytest.LogCaptureFixture, *, warned: bool
) -> None:
    limits = ThrottleSettings(writes_per_day=per_day, reads_per_minute=6_000)
    async with local("memory://", BrokerSettings(throttle=limits)):
        pass
    assert ("28800 heartbeats a day" in caplog.text) is warned


@pytest.mark.parametrize(("asked_ms", "kept_ms"), [(7 * 86_400_000, MEMORY_RETENTION_MS), (0, 0)])
def test_settings_when_the_queue_is_in_memory_then_ended_jobs_are_kept_for_less(
    asked_ms: int, kept_ms: int, tmp_path: Path
) -> None:
    settings = BrokerSettings(archive=ArchiveSettings(retention_ms=asked_ms))
    found = fitted(settings, ScriptedStore(MemoryBackend()))
    assert found.archive.retention_ms == kept_ms
    assert found.limits.archived is (kept_ms > 0)
    assert fitted(settings, LocalBackend(tmp_path)).archive.retention_ms == asked_ms
