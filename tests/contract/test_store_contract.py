"""The contract suite finds the faults that real stores have: each broken store fails its check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from osqueue.errors import CASConflictError, StoreNotFoundError
from osqueue.storage import MemoryBackend, Store, Stored, Version
from osqueue.testing import StoreContract


class OverwritingCreate(MemoryBackend):
    async def create(self, key: str, data: bytes) -> Version:
        await self.delete(key)
        return await super().create(key, data)


class PutWithoutPrecondition(MemoryBackend):
    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        assert if_version
        self._existing(key)
        return self._write(key, data)


class CreatingPut(MemoryBackend):
    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if key in self._objects:
            return await super().put(key, data, if_version=if_version)
        self._write(key, data)
        raise CASConflictError("too late")


class PutThatComparesTooEarly(MemoryBackend):
    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if self._existing(key).version != if_version:
            raise CASConflictError("another version")
        await asyncio.sleep(0)
        return self._write(key, data)


class CreateThatLooksTooEarly(MemoryBackend):
    async def create(self, key: str, data: bytes) -> Version:
        if key in self._objects:
            raise CASConflictError("it exists")
        await asyncio.sleep(0)
        return self._write(key, data)


class VersionsOfLength(MemoryBackend):
    def _write(self, key: str, data: bytes) -> Version:
        version = Version(str(len(data)))
        self._objects[key] = Stored(data, version)
        return version


class GetWithoutUnless(MemoryBackend):
    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        assert unless is None or unless
        return self._existing(key)


class GetOfNothing(MemoryBackend):
    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return await super().get(key, unless=unless) if key in self._objects else None


class HeadOfLength(MemoryBackend):
    async def head(self, key: str) -> Version:
        return Version(str(len(self._existing(key).data)))


class HeadOfTheFirst(MemoryBackend):
    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, Version] = {}

    async def head(self, key: str) -> Version:
        return self._seen.setdefault(key, await super().head(key))


class HeadOfNothing(MemoryBackend):
    async def head(self, key: str) -> Version:
        return await super().head(key) if key in self._objects else Version("")


class HeadOfTheDeleted(MemoryBackend):
    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, Version] = {}

    async def head(self, key: str) -> Version:
        return self._seen[key] if key in self._seen else self._existing(key).version

    def _write(self, key: str, data: bytes) -> Version:
        self._seen[key] = super()._write(key, data)
        return self._seen[key]


class HeadOfAFamily(MemoryBackend):
    async def head(self, key: str) -> Version:
        return await super().head(min((k for k in self._objects if k.startswith(key)), default=key))


class DeleteThatMinds(MemoryBackend):
    async def delete(self, key: str) -> None:
        if self._objects.pop(key, None) is None:
            raise StoreNotFoundError("nothing there")


class ListInOrderOfWriting(MemoryBackend):
    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in self._objects:
            if key.startswith(prefix):
                yield key


class ListWithoutPrefix(MemoryBackend):
    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        assert prefix is not None
        for key in sorted(self._objects):
            yield key


class TextStore(MemoryBackend):
    def _write(self, key: str, data: bytes) -> Version:
        return super()._write(key, data.decode("utf-8", "replace").encode())


class SmallStore(MemoryBackend):
    def _write(self, key: str, data: bytes) -> Version:
        return super()._write(key, data[: 4 << 20])


class AnyKey(MemoryBackend):
    async def create(self, key: str, data: bytes) -> Version:
        if key in self._objects:
            raise CASConflictError("it exists")
        return self._write(key, data)


class CloseOnce(MemoryBackend):
    async def close(self) -> None:
        del self._objects


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (OverwritingCreate, "test_create_of_a_taken_key_then_conflict_and_the_first_stays"),
        (OverwritingCreate, "test_create_with_the_same_bytes_twice_then_still_a_conflict"),
        (PutWithoutPrecondition, "test_put_with_a_stale_version_then_conflict_and_nothing_changes"),
        (PutWithoutPrecondition, "test_put_with_a_version_of_a_former_life_then_conflict"),
        (CreatingPut, "test_put_of_a_missing_key_then_refused_and_nothing_is_created"),
        (PutThatComparesTooEarly, "test_puts_that_race_then_none_acknowledged_is_lost"),
        (CreateThatLooksTooEarly, "test_creates_that_race_then_exactly_one_wins"),
        (VersionsOfLength, "test_put_with_the_right_version_then_replaced"),
        (VersionsOfLength, "test_versions_of_different_bytes_then_never_repeat"),
        (GetWithoutUnless, "test_get_unless_its_version_then_none_until_it_changes"),
        (GetOfNothing, "test_get_of_a_missing_key_then_not_found"),
        (HeadOfLength, "test_head_then_the_version_that_get_answers_at_every_step"),
        (HeadOfTheFirst, "test_head_then_the_version_that_get_answers_at_every_step"),
        (HeadOfTheFirst, "test_two_handles_then_each_sees_what_the_other_wrote"),
        (HeadOfNothing, "test_head_of_a_missing_or_deleted_key_then_not_found"),
        (HeadOfTheDeleted, "test_head_of_a_missing_or_deleted_key_then_not_found"),
        (HeadOfAFamily, "test_head_of_a_missing_or_deleted_key_then_not_found"),
        (HeadOfNothing, "test_strings_that_are_no_keys_then_denied_and_nothing_is_created"),
        (DeleteThatMinds, "test_delete_then_gone_and_again_is_no_error"),
        (ListInOrderOfWriting, "test_list_then_ascending_across_segments"),
        (ListWithoutPrefix, "test_list_with_a_prefix_then_only_keys_that_begin_so"),
        (TextStore, "test_bytes_of_any_value_then_kept_exactly"),
        (SmallStore, "test_an_object_of_five_megabytes_then_kept_exactly"),
        (AnyKey, "test_strings_that_are_no_keys_then_denied_and_nothing_is_created"),
        (CloseOnce, "test_close_twice_then_harmless"),
    ],
)
async def test_check_of_a_broken_store_then_fails(broken: type[MemoryBackend], check: str) -> None:
    class Contract(StoreContract):
        store = broken()

        async def make_store(self) -> Store:
            return self.store

    with pytest.raises((AssertionError, AttributeError, StoreNotFoundError)):
        await getattr(Contract(), check)()
