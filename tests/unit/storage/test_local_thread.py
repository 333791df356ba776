"""The store's threads: the loop never waits for a disk, and no call is carried out by halves."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Protocol

import pytest

from osqueue.errors import StoreUnavailableError
from osqueue.storage import LocalBackend
from osqueue.storage.threads import TRANSFER_THREADS

KEY = "queue.json"


class Brake(Protocol):
    reached: threading.Event
    let_go: threading.Event


async def keys_of(store: LocalBackend) -> list[str]:
    return [key async for key in store.list()]


async def test_put_while_the_disk_syncs_then_the_loop_runs_on(
    store: LocalBackend, brake: Brake
) -> None:
    create = asyncio.create_task(store.create(KEY, b"one"))
    await asyncio.to_thread(brake.reached.wait, 10)
    assert not create.done()
    brake.let_go.set()
    await create


async def test_cancelled_call_when_already_begun_then_carried_out_whole(
    store: LocalBackend, root: Path, brake: Brake
) -> None:
    create = asyncio.create_task(store.create(KEY, b"one"))
    await asyncio.to_thread(brake.reached.wait, 10)
    create.cancel()
    await asyncio.gather(create, return_exceptions=True)
    brake.let_go.set()
    await store.close()
    assert (root / KEY).read_bytes() == b"one"
    assert [path.name for path in root.iterdir()] == [KEY]


async def test_put_while_a_transfer_is_slow_then_it_does_not_wait(
    store: LocalBackend, brake: Brake
) -> None:
    brake.reached.set()
    version = await store.create(KEY, b"one")
    brake.reached.clear()
    slow = asyncio.create_task(store.create("payload", b"x"))
    await asyncio.to_thread(brake.reached.wait, 10)
    assert await store.put(KEY, b"two", if_version=version) != version
    assert not slow.done()
    brake.let_go.set()
    await slow


async def test_close_while_a_call_runs_then_the_call_is_finished_first(
    store: LocalBackend, root: Path, brake: Brake
) -> None:
    create = asyncio.create_task(store.create(KEY, b"one"))
    await asyncio.to_thread(brake.reached.wait, 10)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    assert not closing.done()
    brake.let_go.set()
    await closing
    await create
    assert (root / KEY).read_bytes() == b"one"


async def test_call_after_close_then_unavailable(store: LocalBackend) -> None:
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.get(KEY)
    with pytest.raises(StoreUnavailableError, match="closed"):
        await keys_of(store)


async def test_threads_of_a_store_then_few_and_gone_after_close(root: Path) -> None:
    store = LocalBackend(root)
    before = set(threading.enumerate())
    await asyncio.gather(*(store.create(f"{n}", b"x") for n in range(20)))
    mine = [each for each in threading.enumerate() if each not in before]
    assert 1 <= len(mine) <= TRANSFER_THREADS
    await store.close()
    assert not any(each.is_alive() for each in mine if each.name.startswith("osqueue-store"))
