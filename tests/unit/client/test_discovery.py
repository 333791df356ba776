"""Finding the leader in the state object, on real stores."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import ManualTime

from osqueue.client.discovery import Discovery, LeaderStore, open_leader_store
from osqueue.client.header import Leader
from osqueue.client.runtime import Runtime
from osqueue.config import ClientSettings
from osqueue.errors import (
    DiscoveryError,
    OsqueueError,
    StoreDeniedError,
    StoreUnavailableError,
    TransportConfigError,
    UnsupportedStoreError,
)
from osqueue.storage import LocalBackend, MemoryBackend, Stored, Version
from osqueue.testing import Fault, ScriptedStore, Step

PAUSE_MS = 2_000
"""The longest."""


class Looked:
    """A store that counts the looks at it, and the bytes that it gave."""

    def __init__(self, inner: MemoryBackend | LocalBackend | ScriptedStore) -> None:
        self.inner = inner
        self.looks = 0
        self.given = 0
        self.closed = 0
        self.refuses: OsqueueError | None = None
        self.gate: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return self.inner.url

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        self.looks += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses is not None:
            raise self.refuses
        stored = await self.inner.get(key, unless=unless)
        self.given += 0 if stored is None else len(stored.data)
        return stored

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Looked]:
    inner = MemoryBackend() if request.param == "memory" else LocalBackend(tmp_path / "q")
    yield Looked(inner)
    await inner.close()


@pytest.fixture
async def discovery(store: Looked, runtime: Runtime) -> AsyncIterator[Discovery]:
    found = Discovery(store, ClientSettings(), runtime, owned=False)
    yield found
    await found.close()


async def _name(store: Looked, broker: str | None, epoch: int = 7) -> None:
    """Have the object name a leader."""
    state: dict[str, Any] = {
        "format": 1,
        "epoch": epoch,
        "broker": broker,
        "brokerHeartbeat": 1,
        "jobs": [],
    }
    data = json.dumps(state, separators=(",", ":")).encode()
    try:
        stored = await store.inner.get("queue.json")
    except OsqueueError:
        await store.inner.create("queue.json", data)
        return
    assert stored is not None
    await store.inner.put("queue.json", data, if_version=stored.version)


async def _look(discovery: Discovery) -> Leader | None:
    return await discovery.look(timeout_s=5)


async def test_look_when_the_object_names_a_leader_then_that_one(
    discovery: Discovery, store: Looked
) -> None:
    await _name(store, "a:1")

    assert not discovery.looked
    assert await _look(discovery) == Leader("a:1", 7)
    assert discovery.looked


async def test_look_again_when_nothing_has_changed_then_nothing_is_downloaded(
    discovery: Discovery, store: Looked, time: ManualTime
) -> None:
    await _name(store, "a:1")
    await _look(discovery)
    given = store.given

    time.now_ms += PAUSE_MS
    assert await _look(discovery) == Leader("a:1", 7)
    assert (store.looks, store.given) == (2, given)


async def test_look_again_when_another_leads_then_that_one(
    discovery: Discovery, store: Looked, time: ManualTime
) -> None:
    await _name(store, "a:1")
    await _look(discovery)
    await _name(store, "b:1", epoch=8)

    time.now_ms += PAUSE_MS
    assert await _look(discovery) == Leader("b:1", 8)


async def test_look_too_soon_leaves_the_store_alone(
    discovery: Discovery, store: Looked, time: ManualTime
) -> None:
    await _name(store, "a:1")
    pauses = []
    for _ in range(8):
        began_ms = time.now_ms
        while await _look(discovery) is None:
            time.now_ms += 25
        pauses.append(time.now_ms - began_ms)

    assert pauses == [0, 25, 50, 100, 200, 400, 800, 1_000]
    assert store.looks == 8


async def test_look_after_the_leader_answered_begins_with_short_pauses_again(
    discovery: Discovery, store: Looked, time: ManualTime
) -> None:
    await _name(store, "a:1")
    for _ in range(8):
        time.now_ms += PAUSE_MS
        await _look(discovery)

    discovery.works()
    time.now_ms += PAUSE_MS
    await _look(discovery)
    time.now_ms += 25
    assert await _look(discovery) is not None


async def test_look_of_many_at_once_is_one_reading(discovery: Discovery, store: Looked) -> None:
    await _name(store, "a:1")
    store.looks = 0

    found = await asyncio.gather(*(_look(discovery) for _ in range(20)))

    assert found == [Leader("a:1", 7)] * 20
    assert store.looks == 1


async def test_look_when_its_caller_gives_up_goes_on_for_the_others(
    discovery: Discovery, store: Looked
) -> None:
    await _name(store, "a:1")
    store.gate = asyncio.Event()
    first, second = (asyncio.create_task(_look(discovery)) for _ in range(2))
    while not store.looks:  # noqa: ASYNC110 - counts, and tells nobody
        await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait({first})
    store.gate.set()

    assert await second == Leader("a:1", 7)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "holds no queue.json: no broker has begun there"),
        (b'{"broker":null,"epoch":1,"jobs":[]}', "names no leader"),
        (
            b'{"broker":"web-1.pid-7.embedded:0","epoch":1,"jobs":[]}',
            "is led by the embedded queue of process 7 on web-1, which takes no requests of others",
        ),
        (b"", "queue.json that is empty"),
        (b"{", "queue.json that is not a state object"),
    ],
)
async def test_look_when_there_is_no_leader_then_none_and_the_error_says_why(
    discovery: Discovery, store: Looked, content: bytes | None, found: str
) -> None:
    if content is not None:
        await store.inner.create("queue.json", content)

    assert await _look(discovery) is None
    error = discovery.error()
    assert isinstance(error, DiscoveryError)
    assert error.message.startswith(f"no leader found: {store.url} ")
    assert found in error.message
    assert (error.applied, error.retryable) == ("no", True)


async def test_look_when_the_store_is_away_then_none_and_the_cause_is_named(
    discovery: Discovery, store: Looked, time: ManualTime
) -> None:
    store.refuses = StoreUnavailableError("it rains")

    assert await _look(discovery) is None
    assert "cannot be read: it rains" in discovery.error().message

    store.refuses = None
    await _name(store, "a:1")
    time.now_ms += PAUSE_MS
    assert await _look(discovery) == Leader("a:1", 7)


async def test_look_when_the_store_does_not_permit_it_then_raised_at_once(
    discovery: Discovery, store: Looked
) -> None:
    store.refuses = StoreDeniedError("no such key")

    with pytest.raises(StoreDeniedError, match="no such key"):
        await _look(discovery)


async def test_look_when_the_store_hangs_then_the_caller_waits_no_longer_than_it_said(
    discovery: Discovery, store: Looked
) -> None:
    store.gate = asyncio.Event()

    assert await discovery.look(timeout_s=0) is None
    assert "has not answered in time" in discovery.error().message
    await discovery.close()


async def test_error_names_what_was_tried_and_what_was_named(
    discovery: Discovery, store: Looked
) -> None:
    await _name(store, "a:1")
    await _look(discovery)

    assert discovery.error("nobody answers").message == (
        f"no leader found: {store.url} names a:1 as the leader; nobody answers"
    )


@pytest.mark.parametrize("owned", [True, False])
async def test_close_closes_the_store_only_if_it_is_its_own(
    store: Looked, runtime: Runtime, *, owned: bool
) -> None:
    found = Discovery(store, ClientSettings(), runtime, owned=owned)

    await found.close()

    assert store.closed == owned


async def test_look_on_a_store_with_faults_comes_through(
    runtime: Runtime, time: ManualTime
) -> None:
    scripted = ScriptedStore(MemoryBackend(), [Step("get", Fault.LOST_REQUEST)] * 3)
    store = Looked(scripted)
    await scripted.inner.create("queue.json", b'{"broker":"a:1","epoch":1,"jobs":[]}')
    found = Discovery(store, ClientSettings(), runtime, owned=False)
    looks: list[Any] = []
    while not looks or looks[-1] is None:
        looks.append(await _look(found))
        time.now_ms += PAUSE_MS

    assert looks == [None, None, None, Leader("a:1", 1)]


def test_open_leader_store_of_memory_says_that_it_cannot_be_shared() -> None:
    with pytest.raises(TransportConfigError, match="a store of its own in each process"):
        open_leader_store("memory://")


def test_open_leader_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnsupportedStoreError, match="ftp"):
        open_leader_store("ftp://host")


async def test_open_leader_store_of_a_directory_needs_no_library(tmp_path: Path) -> None:
    code = f"""
import sys
for name in ("obstore", "google.cloud.storage", "boto3", "starlette", "uvicorn", "typer", "rich"):
    sys.modules[name] = None
from osqueue import OsqueueClient, Worker
assert "osqueue.storage" not in sys.modules
OsqueueClient("http://localhost:1")
assert "osqueue.storage" not in sys.modules
client = OsqueueClient(storage="file://{tmp_path}")
Worker(client, {{"t": print}})
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_store_of_a_directory_is_a_leader_store(tmp_path: Path) -> None:
    store: LeaderStore = LocalBackend(tmp_path)
    assert store.url == f"file://{tmp_path}"
