"""What every store must do: a suite of checks for any implementation of the store protocol.

Subclass `StoreContract` in a test file and say how to open a store; pytest finds the checks::

    class TestMyStore(StoreContract):
        @pytest.fixture(autouse=True)
        def place(self, tmp_path):
            self.path = tmp_path

        async def make_store(self):
            return MyStore(self.path)

The checks are coroutines: pytest-asyncio in auto mode runs them, and so does any other runner; this
file imports no test framework. Each check closes the stores that it opened.

What is *not* promised, and so not checked: that writing the bytes that an object already holds
gives another version. A store whose versions are hashes of the content answers the same one. A
queue never does that: each state carries a fresh commit id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from osqueue.errors import CASConflictError, StoreDeniedError, StoreNotFoundError
from osqueue.storage.keys import KEY_BYTES_MAX, SEGMENT_BYTES_MAX
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.testing.store_expectations import (
    append_lines,
    expect_error,
    expect_head,
    expect_stored,
    keys_of,
)  # fmt: skip

__all__ = ["ACCEPTED_KEYS", "REFUSED_KEYS", "StoreContract"]

KEY = "queue.json"

ACCEPTED_KEYS = (
    "queue.json",
    "queues/mail/queue.json",
    "queue.json.before-1795300007-1841-5f1c",
    "archive/2026-01-01T00/1795300007-12.jsonl",
    "payloads/1795300007/0f9a",
    "with space, (brackets) & 100 %.txt",
    "käse/日本語",
    "ends-with-dot.",
    "s" * SEGMENT_BYTES_MAX,
    "/".join(["deep"] * (KEY_BYTES_MAX // 5)),
)
"""Keys that every store takes."""

REFUSED_KEYS = (
    "",
    "/",
    "/absolute",
    "trailing/",
    "empty//segment",
    ".",
    "..",
    "../outside",
    "a/../../outside",
    "a/./b",
    ".hidden",
    "a/.hidden",
    "nul\0byte",
    "line\nfeed",
    "back\\slash",
    "unpaired\ud800surrogate",
    "s" * (SEGMENT_BYTES_MAX + 1),
    "s/" * (KEY_BYTES_MAX // 2) + "s",
)
"""Strings that no store takes for a key."""

WRITERS = 8
"""Tasks that race for one object; every second one has a store of its own."""


class StoreContract:
    """The checks. Subclass it, and give it `make_store`."""

    async def make_store(self) -> Store:
        """A store on a place that is empty when a check begins.

        Called again within one check it gives another handle on the same place; a store without
        handles gives itself again.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        """A store that is closed afterwards."""
        store = await self.make_store()
        try:
            yield store
        finally:
            await store.close()

    async def test_create_of_a_new_key_then_get_answers_its_bytes_and_version(self) -> None:
        async with self.opened() as store:
            version = await store.create(KEY, b"one")
            await expect_stored(store, KEY, Stored(b"one", version))

    async def test_create_of_a_taken_key_then_conflict_and_the_first_stays(self) -> None:
        async with self.opened() as store:
            version = await store.create(KEY, b"one")
            await expect_error(CASConflictError, store.create(KEY, b"two"))
            await expect_stored(store, KEY, Stored(b"one", version))

    async def test_create_with_the_same_bytes_twice_then_still_a_conflict(self) -> None:
        async with self.opened() as store:
            await store.create(KEY, b"one")
            await expect_error(CASConflictError, store.create(KEY, b"one"))

    async def test_get_of_a_missing_key_then_not_found(self) -> None:
        async with self.opened() as store:
            await expect_error(StoreNotFoundError, store.get(KEY))
            await expect_error(StoreNotFoundError, store.get("no/such/place"))
            await expect_error(StoreNotFoundError, store.get(KEY, unless=Version("any")))

    async def test_put_with_the_right_version_then_replaced(self) -> None:
        async with self.opened() as store:
            first = await store.create(KEY, b"one")
            second = await store.put(KEY, b"two", if_version=first)
            assert second != first, "other bytes must have another version"
            await expect_stored(store, KEY, Stored(b"two", second))

    async def test_put_with_a_stale_version_then_conflict_and_nothing_changes(self) -> None:
        async with self.opened() as store:
            first = await store.create(KEY, b"one")
            second = await store.put(KEY, b"two", if_version=first)
            await expect_error(CASConflictError, store.put(KEY, b"three", if_version=first))
            await expect_stored(store, KEY, Stored(b"two", second))

    async def test_put_of_the_same_bytes_with_the_right_version_then_accepted(self) -> None:
        async with self.opened() as store:
            first = await store.create(KEY, b"one")
            second = await store.put(KEY, b"one", if_version=first)
            await expect_stored(store, KEY, Stored(b"one", second))

    async def test_put_of_a_missing_key_then_refused_and_nothing_is_created(self) -> None:
        async with self.opened() as store:
            version = await store.create(KEY, b"one")
            for key in ("other.json", "no/such/place"):
                put = store.put(key, b"two", if_version=version)
                await expect_error((CASConflictError, StoreNotFoundError), put)
                await expect_error(StoreNotFoundError, store.get(key))
            assert await keys_of(store) == [KEY]

    async def test_versions_of_different_bytes_then_never_repeat(self) -> None:
        async with self.opened() as store:
            versions = [await store.create(KEY, b"0")]
            for step in range(1, 20):
                versions.append(await store.put(KEY, b"%d" % step, if_version=versions[-1]))
            await store.delete(KEY)
            versions.append(await store.create(KEY, b"again"))
            assert len(set(versions)) == len(versions), versions

    async def test_put_with_a_version_of_a_former_life_then_conflict(self) -> None:
        async with self.opened() as store:
            former = await store.create(KEY, b"one")
            await store.delete(KEY)
            version = await store.create(KEY, b"two")
            await expect_error(CASConflictError, store.put(KEY, b"three", if_version=former))
            await expect_stored(store, KEY, Stored(b"two", version))

    async def test_get_unless_its_version_then_none_until_it_changes(self) -> None:
        async with self.opened() as store:
            first = await store.create(KEY, b"one")
            assert await store.get(KEY, unless=first) is None
            second = await store.put(KEY, b"two", if_version=first)
            assert await store.get(KEY, unless=first) == Stored(b"two", second)
            assert await store.get(KEY, unless=second) is None

    async def test_head_then_the_version_that_get_answers_at_every_step(self) -> None:
        async with self.opened() as store:
            first = await store.create(KEY, b"one")
            await expect_head(store, KEY, first)
            second = await store.put(KEY, b"two", if_version=await store.head(KEY))
            await expect_stored(store, KEY, Stored(b"two", second))
            await expect_head(store, KEY, second)

    async def test_head_of_a_missing_or_deleted_key_then_not_found(self) -> None:
        async with self.opened() as store:
            await store.create(f"{KEY}.longer", b"one")
            await expect_error(StoreNotFoundError, store.head(KEY))
            await store.create(KEY, b"one")
            await store.delete(KEY)
            await expect_error(StoreNotFoundError, store.head(KEY))

    async def test_delete_then_gone_and_again_is_no_error(self) -> None:
        async with self.opened() as store:
            await store.create(KEY, b"one")
            await store.delete(KEY)
            await store.delete(KEY)
            await store.delete("no/such/place")
            await expect_error(StoreNotFoundError, store.get(KEY))
            await store.create(KEY, b"two")

    async def test_bytes_of_any_value_then_kept_exactly(self) -> None:
        async with self.opened() as store:
            for number, data in enumerate((b"", b"\0", b"\r\n", bytes(range(256)) * 3)):
                key = f"bytes/{number}"
                await expect_stored(store, key, Stored(data, await store.create(key, data)))

    async def test_an_object_of_five_megabytes_then_kept_exactly(self) -> None:
        first, second = bytes(range(250)) * 20_000, bytes(range(249, -1, -1)) * 20_001
        async with self.opened() as store:
            version = await store.create(KEY, first)
            await expect_stored(store, KEY, Stored(first, version))
            version = await store.put(KEY, second, if_version=version)
            await expect_stored(store, KEY, Stored(second, version))

    async def test_keys_of_every_accepted_form_then_kept_apart_and_listed(self) -> None:
        async with self.opened() as store:
            for key in ACCEPTED_KEYS:
                await store.create(key, key.encode())
            for key in ACCEPTED_KEYS:
                stored = await store.get(key)
                assert stored is not None
                assert stored.data == key.encode()
                await expect_head(store, key, stored.version)
            assert await keys_of(store) == sorted(ACCEPTED_KEYS)

    async def test_strings_that_are_no_keys_then_denied_and_nothing_is_created(self) -> None:
        async with self.opened() as store:
            for key in REFUSED_KEYS:
                await expect_error(StoreDeniedError, store.create(key, b"x"))
                await expect_error((StoreDeniedError, StoreNotFoundError), store.get(key))
                await expect_error((StoreDeniedError, StoreNotFoundError), store.head(key))
            assert await keys_of(store) == []

    async def test_list_then_ascending_across_segments(self) -> None:
        keys = ["a-b/1", "a.json", "a/1", "a/b/2", "a/b1", "b", "queue.json", "queues/x/queue.json"]
        async with self.opened() as store:
            assert await keys_of(store) == []
            for key in reversed(keys):
                await store.create(key, b"x")
            assert await keys_of(store) == keys

    async def test_list_with_a_prefix_then_only_keys_that_begin_so(self) -> None:
        hours = [f"archive/2026-01-01T{hour:02}/0.jsonl" for hour in (0, 1, 9, 10, 11)]
        async with self.opened() as store:
            for key in [*hours, "queue.json", "queues/x/queue.json"]:
                await store.create(key, b"x")
            assert await keys_of(store, "archive/") == hours
            assert await keys_of(store, "archive/2026-01-01T1") == hours[3:]
            assert await keys_of(store, hours[0]) == hours[:1]
            assert await keys_of(store, "queue") == ["queue.json", "queues/x/queue.json"]
            for nothing in ("archive/2027", "archive/2026-01-01T00/0.jsonl/", "/", "../", "Q"):
                assert await keys_of(store, nothing) == [], nothing

    async def test_two_handles_then_each_sees_what_the_other_wrote(self) -> None:
        async with self.opened() as one, self.opened() as other:
            first = await one.create(KEY, b"one")
            await expect_stored(other, KEY, Stored(b"one", first))
            await expect_head(other, KEY, first)
            second = await other.put(KEY, b"two", if_version=first)
            await expect_error(CASConflictError, one.put(KEY, b"three", if_version=first))
            await expect_stored(one, KEY, Stored(b"two", second))
            await expect_head(one, KEY, second)

    async def test_creates_that_race_then_exactly_one_wins(self) -> None:
        async with self.opened() as one, self.opened() as other:
            calls = [(one, other)[n % 2].create(KEY, b"%d" % n) for n in range(WRITERS)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            won = [n for n, answer in enumerate(answers) if isinstance(answer, str)]
            assert len(won) == 1, answers
            stored = await one.get(KEY)
            assert stored is not None
            assert stored.data == b"%d" % won[0]

    async def test_puts_that_race_then_none_acknowledged_is_lost(self) -> None:
        async with self.opened() as one, self.opened() as other:
            await one.create(KEY, b"")
            writers = (append_lines((one, other)[n % 2], KEY, writer=n) for n in range(WRITERS))
            written = [line for lines in await asyncio.gather(*writers) for line in lines]
            stored = await one.get(KEY)
            assert stored is not None
            assert sorted(stored.data.splitlines()) == sorted(written)

    async def test_a_cancelled_put_then_the_object_is_whole(self) -> None:
        old, new = b"old" * 100_000, b"new" * 100_000
        async with self.opened() as store:
            version = await store.create(KEY, old)
            put = asyncio.ensure_future(store.put(KEY, new, if_version=version))
            await asyncio.sleep(0)
            put.cancel()
            await asyncio.gather(put, return_exceptions=True)
            stored = await store.get(KEY)
            assert stored is not None
            assert stored.data in {old, new}

    async def test_close_twice_then_harmless(self) -> None:
        store = await self.make_store()
        await store.create(KEY, b"one")
        await store.close()
        await store.close()
