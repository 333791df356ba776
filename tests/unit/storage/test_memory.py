from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

import pytest

from osqueue.errors import StoreNotFoundError
from osqueue.storage import MemoryBackend

T = TypeVar("T")


def run_without_a_loop(call: Coroutine[object, object, T]) -> T:
    with pytest.raises(StopIteration) as stopped:
        call.send(None)
    value: T = stopped.value.value
    return value


def test_every_operation_when_awaited_then_never_suspends() -> None:
    store = MemoryBackend()
    version = run_without_a_loop(store.create("a", b"one"))
    version = run_without_a_loop(store.put("a", b"two", if_version=version))
    assert run_without_a_loop(store.get("a", unless=version)) is None
    run_without_a_loop(store.delete("a"))
    run_without_a_loop(store.close())


async def test_get_after_put_then_the_very_object_that_was_given() -> None:
    store = MemoryBackend()
    data = bytes(1_000)
    await store.create("a", data)
    stored = await store.get("a")
    assert stored is not None
    assert stored.data is data


async def test_version_after_delete_and_create_of_the_same_bytes_then_fresh() -> None:
    store = MemoryBackend()
    first = await store.create("a", b"one")
    await store.delete("a")
    assert await store.create("a", b"one") != first


async def test_two_instances_then_nothing_shared() -> None:
    await MemoryBackend().create("a", b"one")
    with pytest.raises(StoreNotFoundError):
        await MemoryBackend().get("a")


async def test_close_then_the_objects_stay_for_the_next_user() -> None:
    store = MemoryBackend()
    await store.create("a", b"one")
    await store.close()
    assert await store.get("a") is not None
