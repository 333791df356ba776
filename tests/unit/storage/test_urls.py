from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult

import pytest

from osqueue.errors import ConfigError, UnsupportedStoreError
from osqueue.storage import OPENERS, LocalBackend, MemoryBackend, Store, open_store


def test_open_store_of_memory_then_a_new_store_each_time() -> None:
    first, second = open_store("memory://"), open_store("memory://")
    assert isinstance(first, MemoryBackend)
    assert first is not second
    assert first.url == "memory://"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("file:///var/lib/osqueue", "file:///var/lib/osqueue"),
        ("file:/var/lib/osqueue/", "file:///var/lib/osqueue"),
        ("file://localhost/var/lib/osqueue", "file:///var/lib/osqueue"),
        ("FILE:///with%20space/%C3%A9%3F", "file:///with%20space/%C3%A9%3F"),
        ("file:///not%FFtext", "file:///not%FFtext"),
    ],
)
def test_open_store_of_a_directory_then_its_url_names_it(url: str, canonical: str) -> None:
    store = open_store(url)
    assert isinstance(store, LocalBackend)
    assert store.url == canonical


@pytest.mark.parametrize("url", ["file:data", "file:./data"])
def test_open_store_of_a_relative_path_then_below_the_current_directory(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(url)
    monkeypatch.chdir("/")
    assert store.url == f"file://{tmp_path}/data"


async def test_open_store_of_a_directory_then_objects_are_files_in_it(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/made%20here")
    await store.create("queues/x/queue.json", b"{}")
    await store.close()
    assert (tmp_path / "made here/queues/x/queue.json").read_bytes() == b"{}"


def test_open_store_then_nothing_is_touched(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/later")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("/var/lib/osqueue", "write file:///var/lib/osqueue"),
        ("data", "file:///path"),
        ("", "file:///path"),
        ("memory://name", "pass the store itself"),
        ("memory:///name", "pass the store itself"),
        ("file://", "path of a directory"),
        ("file:", "path of a directory"),
        ("file://data", "three slashes"),
        ("file://./data", "three slashes"),
        ("file:///data?sync=off", "no options"),
        ("file:///data#1", "no options"),
        ("file:///a%00b", "path of a directory"),
        ("file:~/data", "whole path"),
        ("file:///~/data", "whole path"),
        ("file://[bad/data", "malformed"),
    ],
)
def test_open_store_of_a_url_without_sense_then_the_message_says_what_to_write(
    url: str, advice: str
) -> None:
    with pytest.raises(ConfigError, match=advice):
        open_store(url)


def test_open_store_of_an_unknown_kind_then_names_those_there_are() -> None:
    with pytest.raises(
        UnsupportedStoreError, match=r"redis://; there are az://, azure://, file://"
    ):
        open_store("redis://host")


@pytest.mark.parametrize("url", ["s3://key:hunter2@b", "redis://u:hunter2@h", "file://u:hunter2@/"])
def test_open_store_of_a_url_with_a_secret_then_no_message_repeats_it(url: str) -> None:
    with pytest.raises((ConfigError, UnsupportedStoreError)) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_open_store_with_an_opener_of_ones_own_then_it_is_used() -> None:
    mine = MemoryBackend()

    def opener(parts: SplitResult) -> Store:
        assert parts.netloc == "here"
        return mine

    assert open_store("mine://here", openers={**OPENERS, "mine": opener}) is mine
