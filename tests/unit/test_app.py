"""The composition: settings, addresses, what is closed, and what is told of the end."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from osqueue.app import BrokerServer
from osqueue.clock import SystemClock
from osqueue.config import BrokerSettings, LeadershipSettings, ServerSettings
from osqueue.engine.requests import EndReason
from osqueue.errors import ConfigError, UnsupportedStoreError
from osqueue.storage import MemoryBackend


class CountingStore(MemoryBackend):
    """Counts how often it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


def local(store: MemoryBackend | str, settings: BrokerSettings | None = None) -> BrokerServer:
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


async def test_address_when_it_listens_everywhere_then_it_is_a_name_that_others_can_dial() -> None:
    async with BrokerServer("memory://", host="0.0.0.0", port=0) as broker:
        assert broker.address.startswith(f"{socket.gethostname()}:")


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


async def test_end_when_another_broker_takes_over_then_its_address() -> None:
    store = MemoryBackend()
    often = LeadershipSettings(heartbeat_interval_ms=20, heartbeat_timeout_ms=2_000)
    async with local(store, BrokerSettings(leadership=often)) as broker:
        stored = await store.get("queue.json")
        assert stored is not None
        theirs = {**json.loads(stored.data), "epoch": 4_000_000_000, "commit": "x", "broker": "o:1"}
        await store.put("queue.json", json.dumps(theirs).encode(), if_version=stored.version)
        async with asyncio.timeout(10):
            end = await broker.wait_ended()
        assert (end.reason, end.leader) == (EndReason.FENCED, "o:1")
        assert broker.end == end


async def test_clock_when_handed_in_then_jobs_carry_its_time() -> None:
    class Future(SystemClock):
        def wall_ms(self) -> int:
            return 4_000_000_000_000

    store = MemoryBackend()
    async with BrokerServer(store, host="127.0.0.1", port=0, clock=Future()):
        stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data)["brokerHeartbeat"] == 4_000_000_000_000
