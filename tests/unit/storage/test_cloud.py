"""The shell around a library: keys below a prefix, lanes, lazy listings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

import pytest

from osqueue.errors import ConfigError, StoreDeniedError, StoreUnavailableError
from osqueue.storage import Stored, Version
from osqueue.storage.cloud import CloudStore

T = TypeVar("T")

FOUND = Stored(b"x", Version("1"))


class ListedBucket:
    """Answers what it is given, and keeps what it was asked on which thread."""

    def __init__(self, *pages: Sequence[str]) -> None:
        self._pages = pages
        self.asked: list[tuple[str, str]] = []
        self.pages_read = 0
        self.closed = 0

    def get(self, key: str, unless: Version | None) -> Stored | None:
        return self._keep(key, FOUND if unless is None else None)

    def head(self, key: str) -> Version:
        return self._keep(key, FOUND.version)

    def create(self, key: str, data: bytes) -> Version:
        return self._keep(key, Version(str(len(data))))

    def put(self, key: str, data: bytes, if_version: Version) -> Version:
        return self._keep(key, Version(f"{if_version}{len(data)}"))

    def delete(self, key: str) -> None:
        self._keep(key, None)

    def last_modified_ms(self, key: str) -> int:
        return self._keep(key, 7)

    def pages(self, prefix: str) -> Iterator[Sequence[str]]:
        for page in self._pages:
            self._keep(prefix, None)
            self.pages_read += 1
            yield page

    def close(self) -> None:
        self.closed += 1

    def _keep(self, key: str, answer: T) -> T:
        self.asked.append((key, threading.current_thread().name.rpartition("_")[0]))
        return answer


def over(bucket: ListedBucket, prefix: str = "p/") -> CloudStore:
    return CloudStore(bucket, url="test://b", prefix=prefix)


async def test_calls_then_whole_keys_and_those_with_a_version_on_the_lane_of_the_state() -> None:
    bucket = ListedBucket(["p/a"])
    store = over(bucket)
    assert await store.get("k") == FOUND
    assert await store.get("k", unless=Version("1")) is None
    assert await store.head("k") == "1"
    assert await store.create("k", b"xx") == "2"
    assert await store.put("k", b"xx", if_version=Version("1")) == "12"
    await store.delete("k")
    assert await store.last_modified_ms("k") == 7
    assert [key async for key in store.list("a")] == ["a"]
    await store.close()
    transfer, state = "osqueue-store-transfer", "osqueue-store-state"
    assert bucket.asked == [
        ("p/k", transfer), ("p/k", state), ("p/k", state), ("p/k", transfer), ("p/k", state),
        ("p/k", transfer), ("p/k", transfer), ("p/a", transfer),
    ]  # fmt: skip


async def test_list_then_a_page_is_read_when_it_is_wanted() -> None:
    bucket = ListedBucket(["p/a", "p/b"], [], ["p/c"])
    listing = over(bucket).list()
    assert [await anext(listing), await anext(listing)] == ["a", "b"]
    assert bucket.pages_read == 1
    assert [key async for key in listing] == ["c"]
    assert bucket.pages_read == 3


async def test_list_when_the_keys_are_past_the_prefix_then_the_rest_is_not_read() -> None:
    bucket = ListedBucket(["p/a", "p/bb1"], ["p/bb2", "p/c"], ["p/d"])
    assert [key async for key in over(bucket).list("bb")] == ["bb1", "bb2"]
    assert bucket.pages_read == 2


async def test_list_then_what_is_no_key_is_left_out() -> None:
    bucket = ListedBucket(["o/x", "p/", "p/.hidden", "p/a", "p/folder/", "p//b", "q"])
    assert [key async for key in over(bucket).list()] == ["a"]


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".x/"])
async def test_list_of_a_prefix_that_no_key_has_then_nobody_is_asked(prefix: str) -> None:
    bucket = ListedBucket(["p/a"])
    assert [key async for key in over(bucket).list(prefix)] == []
    assert bucket.pages_read == 0


async def test_strings_that_are_no_keys_then_nobody_is_asked() -> None:
    bucket = ListedBucket()
    store = over(bucket)
    for call in (
        store.get("../k"), store.head(""), store.create("", b""), store.delete("a//b"),
        store.put("/", b"", if_version=Version("1")),
    ):  # fmt: skip
        with pytest.raises(StoreDeniedError):
            await call
    assert bucket.asked == []


async def test_close_then_the_bucket_is_closed_and_later_calls_are_refused() -> None:
    bucket = ListedBucket(["p/a"])
    store = over(bucket)
    await store.close()
    await store.close()
    assert bucket.closed == 2
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.get("k")
    with pytest.raises(StoreUnavailableError, match="closed"):
        await anext(store.list())


def test_prefix_without_sense_then_refused() -> None:
    with pytest.raises(ConfigError):
        over(ListedBucket(), prefix="/p")
