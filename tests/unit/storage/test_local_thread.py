"""The store's thread: the loop never waits for a disk, and no call is carried out by halves."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Protocol

import pytest

from osqueue.errors import StoreUnavailableError
from osqueue.storage import LocalBackend

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
    stored = await store.get(KEY)
    assert stored is not None
    assert stored.data == b"one"
    assert [path.name for path in root.iterdir()] == [KEY]


async def test_cancelled_call_when_not_yet_begun_then_never_carried_out(
    store: LocalBackend, brake: Brake
) -> None:
    first = asyncio.create_task(store.create("first", b"x"))
    await asyncio.to_thread(brake.reached.wait, 10)
    second = asyncio.create_task(store.create("second", b"x"))
    await asyncio.sleep(0)
    second.cancel()
    brake.let_go.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert await keys_of(store) == ["first"]


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


async def test_thread_of_a_store_then_one_named_and_gone_after_close(root: Path) -> None:
    store = LocalBackend(root)
    await asyncio.gather(*(store.create(f"{n}", b"x") for n in range(5)))
    mine = [t for t in threading.enumerate() if t.name.startswith("osqueue-local-store")]
    assert len(mine) == 1
    await store.close()
    await asyncio.to_thread(mine[0].join, 10)
    assert not mine[0].is_alive()
