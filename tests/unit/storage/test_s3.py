"""What goes over the wire: the real library against a server that keeps the requests."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from osqueue.errors import StoreUnavailableError
from osqueue.storage import Dialects, MemoryBackend, S3Backend, Stored, Version

from .answering_server import Answer, AnsweringServer, answering

FOUND = Answer(200, ('ETag: "e1"',), b"{}")
DESCRIBED = Answer(200, ('ETag: "e1"', "Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT"))


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering(FOUND) as server:
        yield server


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


def s3(server: AnsweringServer, **options: str) -> S3Backend:
    keys = {"access_key_id": "given", "secret_access_key": "s"}
    return S3Backend("jobs", endpoint=server.url, **keys, **options)  # type: ignore[arg-type]


async def test_put_then_one_request_with_the_version_in_quotes(server: AnsweringServer) -> None:
    store = s3(server)
    assert await store.put("queue.json", b"{}", if_version=Version('"e0"')) == '"e1"'
    await store.close()
    (request,) = server.requests
    assert request.startswith("PUT /jobs/queue.json HTTP/1.1")
    assert 'if-match: "e0"\r\n' in request
    assert "content-type: application/json\r\n" in request


@pytest.mark.parametrize("way", ["option", "attribute"])
async def test_put_in_the_other_dialect_then_no_quotes(server: AnsweringServer, way: str) -> None:
    store = s3(server, etag="unquoted") if way == "option" else s3(server)
    store.dialect = "unquoted"
    await store.put("queue.json", b"{}", if_version=Version('"e0"'))
    await store.close()
    assert "if-match: e0\r\n" in server.requests[0]


async def test_create_then_only_where_nothing_is(server: AnsweringServer) -> None:
    store = s3(server)
    await store.create("queue.json", b"{}")
    await store.close()
    assert "if-none-match: *\r\n" in server.requests[0]


@pytest.mark.parametrize("etag", ["quoted", "unquoted"])
async def test_head_then_the_version_with_its_quotes_in_every_dialect(etag: str) -> None:
    with answering(DESCRIBED, FOUND) as server:
        store = s3(server, etag=etag)
        assert await store.head("queue.json") == Version('"e1"')
        assert await store.get("queue.json") == Stored(b"{}", Version('"e1"'))
        await store.close()
    assert server.requests[0].startswith("HEAD /jobs/queue.json HTTP/1.1")


async def test_get_unless_then_asked_of_the_server(server: AnsweringServer) -> None:
    store = s3(server)
    assert await store.get("queue.json", unless=Version('"e0"')) == Stored(b"{}", Version('"e1"'))
    assert await store.get("queue.json", unless=Version('"e1"')) is None
    await store.close()
    assert 'if-none-match: "e0"\r\n' in server.requests[0]


async def test_get_when_not_modified_then_none() -> None:
    with answering(Answer(304)) as server:
        store = s3(server)
        assert await store.get("queue.json", unless=Version('"e1"')) is None
        await store.close()


async def test_get_when_the_store_fails_once_then_sent_again() -> None:
    with answering(Answer(500), FOUND) as server:
        store = s3(server)
        assert await store.get("queue.json") == Stored(b"{}", Version('"e1"'))
        await store.close()
    assert len(server.requests) == 2


@pytest.mark.parametrize("call", ["create", "put", "delete"])
async def test_write_when_the_store_fails_then_never_sent_again(call: str) -> None:
    with answering(Answer(500)) as server:
        store = s3(server)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: store.create("k", b""),
            "put": lambda: store.put("k", b"", if_version=Version("v")),
            "delete": lambda: store.delete("k"),
        }
        with pytest.raises(Exception, match="the store failed"):
            await calls[call]()
        await store.close()
    assert len(server.requests) == 1


async def test_keys_when_given_then_not_mixed_with_the_environment(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "other")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    store = s3(server)
    await store.create("k", b"")
    await store.close()
    assert "Credential=given/" in server.requests[0]
    assert "x-amz-security-token" not in server.requests[0]


async def test_endpoint_and_keys_of_the_environment_then_used(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    store = S3Backend("jobs")
    await store.create("k", b"")
    await store.close()
    assert server.requests[0].startswith("PUT /jobs/k ")
    assert "Credential=environment/" in server.requests[0]
    assert "/eu-west-1/s3/" in server.requests[0]


async def test_profile_then_its_keys_are_read(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[mine]\naws_access_key_id = profiled\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    store = S3Backend("jobs", endpoint=server.url)
    await store.create("k", b"")
    await store.close()
    assert "Credential=profiled/" in server.requests[0]


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({}, "https://jobs.s3.eu-west-1.amazonaws.com/k"),
        ({"path_style": True}, "https://s3.eu-west-1.amazonaws.com/jobs/k"),
        ({"bucket": "a.b"}, "https://s3.eu-west-1.amazonaws.com/a.b/k"),
        ({"endpoint": "http://h.invalid:1"}, "http://h.invalid:1/jobs/k"),
        ({"endpoint": "http://h.invalid:1", "path_style": False}, "http://jobs.h.invalid:1/k"),
    ],
)
async def test_address_of_a_bucket_then_by_style_and_endpoint(
    options: dict[str, object], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nothing leaves this machine
    arguments = {"bucket": "jobs", "region": "eu-west-1", "access_key_id": "a", **options}
    store = S3Backend(**arguments, secret_access_key="s", timeout_s=5)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailableError) as caught:
        await store.create("k", b"")
    await store.close()
    assert f"PUT {host} " in str(caught.value.__cause__)


def test_dialects_then_a_store_that_has_them_is_known_by_it() -> None:
    store = S3Backend("jobs", endpoint="http://127.0.0.1:1")
    assert isinstance(store, Dialects)
    assert not isinstance(MemoryBackend(), Dialects)
    assert (store.dialects, store.dialect) == (("quoted", "unquoted"), "quoted")
    with pytest.raises(ValueError, match="quoted or unquoted, not 'bare'"):
        store.dialect = "bare"


def test_dialect_when_fixed_then_the_only_one() -> None:
    store = S3Backend("jobs", endpoint="http://127.0.0.1:1", etag="unquoted")
    assert (store.dialects, store.dialect) == (("unquoted",), "unquoted")
    with pytest.raises(ValueError, match="it can be unquoted"):
        store.dialect = "quoted"
