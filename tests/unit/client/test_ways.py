"""How a client may be told where its brokers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import ScriptedTransport

from osqueue.client import OsqueueClient
from osqueue.client.following import Following
from osqueue.errors import ConfigError, TransportConfigError, UnsupportedStoreError
from osqueue.storage import LocalBackend, MemoryBackend


@pytest.mark.parametrize(
    ("broker_url", "options"),
    [
        ("http://a:1", {}),
        (["http://a:1"], {}),
        (("http://a:1", "https://b", "http://a:1/"), {}),
        (None, {"storage": MemoryBackend()}),
        ("http://a:1", {"storage": MemoryBackend()}),
    ],
)
async def test_client_by_brokers_or_a_storage_or_both_is_made(
    broker_url: Any, options: dict[str, Any]
) -> None:
    async with OsqueueClient(broker_url, **options) as client:
        assert isinstance(client._caller.transport, Following)


async def test_client_by_the_same_broker_twice_knows_one() -> None:
    async with OsqueueClient(["http://a:1", "http://a:1/"]) as client:
        assert client._caller.transport._brokers.known == ("http://a:1",)  # type: ignore[attr-defined]


async def test_client_by_the_url_of_a_directory_opens_and_closes_a_store(tmp_path: Path) -> None:
    async with OsqueueClient(storage=f"file://{tmp_path}") as client:
        transport = client._caller.transport
        assert isinstance(transport, Following)
        assert transport._discovery is not None
        store = transport._discovery._store
    assert isinstance(store, LocalBackend)
    with pytest.raises(Exception, match="closed"):
        await store.get("queue.json")


@pytest.mark.parametrize(
    ("broker_url", "options", "error", "reason"),
    [
        (None, {}, TransportConfigError, "needs to know its brokers"),
        ([], {}, TransportConfigError, "list of broker URLs is empty"),
        ((), {"storage": MemoryBackend()}, TransportConfigError, "list of broker URLs is empty"),
        (["http://a:1", "b:1"], {}, TransportConfigError, "did you mean 'http://b:1'"),
        (None, {"storage": "memory://"}, TransportConfigError, "store of its own in each process"),
        (None, {"storage": "ftp://x"}, UnsupportedStoreError, "ftp://"),
        (None, {"storage": "/var/lib/q"}, ConfigError, "file:///var/lib/q"),
        ("http://a:1", {"transport": True}, TransportConfigError, "whole way"),
        (None, {"storage": MemoryBackend(), "transport": True}, TransportConfigError, "whole way"),
    ],
)
def test_client_by_anything_else_is_refused_with_the_reason(
    transport: ScriptedTransport,
    broker_url: Any,
    options: dict[str, Any],
    error: type[Exception],
    reason: str,
) -> None:
    given = {**options, "transport": transport} if "transport" in options else options
    with pytest.raises(error, match=reason):
        OsqueueClient(broker_url, **given)
