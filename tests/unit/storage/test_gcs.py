from __future__ import annotations

from osqueue.storage import GCSBackend, MemoryBackend, S3Backend
from osqueue.storage.protocol import HasClock, Spaced


async def test_store_then_it_asks_for_a_second_between_two_writes_of_an_object() -> None:
    store = GCSBackend("bucket", endpoint="http://127.0.0.1:1")
    assert isinstance(store, Spaced)
    assert store.least_write_spacing_ms == 1_000
    await store.close()


async def test_other_stores_then_they_ask_for_none() -> None:
    store = S3Backend("bucket", endpoint="http://127.0.0.1:1")
    assert not isinstance(store, Spaced)
    assert isinstance(store, HasClock)
    assert not isinstance(MemoryBackend(), Spaced | HasClock)
    await store.close()
