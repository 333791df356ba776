"""Every row of the table, by the real library against a server that answers just that."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import pytest

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage import GCSBackend, Stored, Version
from osqueue.storage.gcs_errors import _ANSWERS, _BY_CLASS, verdict_on

from .answering_server import Answer, answering

ROWS: list[tuple[int, type[OsqueueError], str]] = [
    (400, StoreDeniedError, "refused the request"),
    (401, StoreDeniedError, "credentials"),
    (403, StoreDeniedError, "allow this account to create, get, delete and list"),
    (404, StoreUnavailableError, "no such bucket"),  # the listing that asks gets it as well
    (408, StoreUnknownError, "did not answer in time"),
    (409, StoreUnknownError, "other writes were under way"),
    (412, CASConflictError, "another version"),
    (413, StoreDeniedError, "size"),
    (418, StoreDeniedError, "refused the request"),
    (429, StoreBusyError, "one write a second"),
    (500, StoreUnknownError, "the store failed"),
    (503, StoreUnknownError, "the store failed"),
]
CLASSES: dict[str, type[OsqueueError]] = {
    "ConnectTimeout": StoreUnavailableError,
    "ConnectTimeoutError": StoreUnavailableError,
    "DefaultCredentialsError": StoreDeniedError,
    "InvalidOperation": StoreDeniedError,
    "NameResolutionError": StoreUnavailableError,
    "NewConnectionError": StoreUnavailableError,
    "ProxyError": StoreUnavailableError,
    "ReadTimeout": StoreUnknownError,
    "ReadTimeoutError": StoreUnknownError,
    "RefreshError": StoreDeniedError,
    "SSLCertVerificationError": StoreUnavailableError,
    "SSLError": StoreUnavailableError,
    "Timeout": StoreUnknownError,
}
DESCRIBED = Answer(200, ("Content-Type: application/json",), b'{"generation":"8"}')
NOTHING_LISTED = Answer(200, ("Content-Type: application/json",), b'{"kind":"storage#objects"}')

Call = Callable[[str], Awaitable[object]]


def gcs(url: str) -> GCSBackend:
    return GCSBackend("jobs", endpoint=url, anonymous=True, timeout_s=0.5)


async def gcs_get(url: str) -> object:
    store = gcs(url)
    try:
        return await store.get("queue.json")
    finally:
        await store.close()


async def gcs_head(url: str) -> object:
    store = gcs(url)
    try:
        return await store.head("queue.json")
    finally:
        await store.close()


async def raised_by_put(url: str) -> OsqueueError:
    store = gcs(url)
    try:
        with pytest.raises(OsqueueError) as caught:
            await store.put("queue.json", b"{}", if_version=Version("7"))
    finally:
        await store.close()
    return caught.value


def test_rows_then_they_cover_the_tables() -> None:
    assert set(_ANSWERS) <= {status for status, _, _ in ROWS}
    assert set(_BY_CLASS) == set(CLASSES)


@pytest.mark.parametrize(("status", "error", "advice"), ROWS)
async def test_put_when_refused_so_then_one_error_that_says_what_to_do(
    status: int, error: type[OsqueueError], advice: str
) -> None:
    with answering(Answer(status)) as server:
        raised = await raised_by_put(server.url)
    assert type(raised) is error
    assert advice in raised.message
    assert "cannot put 'queue.json' in gs://jobs?" in raised.message
    assert ("may or may not have been applied" in raised.message) is (error is StoreUnknownError)
    assert raised.__cause__ is not None
    assert sum(request.startswith("POST") for request in server.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 412, 503])
async def test_get_when_refused_in_a_way_that_leaves_a_write_open_then_unavailable(
    status: int,
) -> None:
    with answering(Answer(status)) as server:
        store = gcs(server.url)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.get("queue.json")
        await store.close()
    assert "applied" not in caught.value.message


async def test_get_when_the_store_fails_once_then_sent_again() -> None:
    found = Answer(200, ("X-Goog-Generation: 8",), b"{}")
    with answering(Answer(503), found) as server:
        store = GCSBackend("jobs", endpoint=server.url, timeout_s=5)
        assert await store.get("queue.json") == Stored(b"{}", Version("8"))
        await store.close()


@pytest.mark.parametrize("call", [gcs_get, gcs_head])
async def test_read_when_the_object_is_missing_and_its_bucket_is_there_then_not_found(
    call: Call,
) -> None:
    with answering(Answer(404), NOTHING_LISTED) as server, pytest.raises(StoreNotFoundError):
        await call(server.url)


@pytest.mark.parametrize("call", [gcs_get, gcs_head])
async def test_read_when_the_object_is_missing_and_nobody_may_look_then_denied(
    call: Call,
) -> None:
    with answering(Answer(404), Answer(403)) as server, pytest.raises(StoreDeniedError):
        await call(server.url)


async def test_head_then_the_generation_by_one_small_request() -> None:
    with answering(DESCRIBED) as server:
        assert await gcs_head(server.url) == "8"
    (request,) = server.requests
    assert request.startswith("GET /storage/v1/b/jobs/o/queue.json?")
    assert "alt=media" not in request


async def test_head_when_the_store_fails_then_unavailable_and_not_sent_again() -> None:
    fails = pytest.raises(StoreUnavailableError, match=r"cannot look at .* in gs://")
    with answering(Answer(503)) as server, fails:
        await gcs_head(server.url)
    assert len(server.requests) == 1


async def test_head_when_the_answer_lacks_a_generation_then_unavailable() -> None:
    without = pytest.raises(StoreUnavailableError, match="without a generation")
    with answering(NOTHING_LISTED) as server, without:
        await gcs_head(server.url)


async def test_put_when_nothing_listens_then_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    raised = await raised_by_put(url)
    assert type(raised) is StoreUnavailableError
    assert "nothing listens" in raised.message


async def test_put_when_the_host_is_unknown_then_unavailable() -> None:
    raised = await raised_by_put("http://no-such-host.invalid")
    assert type(raised) is StoreUnavailableError
    assert "host name is not known" in raised.message


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_put_when_the_connection_breaks_then_unknown(then: str) -> None:
    with answering(Answer(then=then)) as server:  # type: ignore[arg-type]
        raised = await raised_by_put(server.url)
    assert type(raised) is StoreUnknownError
    assert len(server.requests) == 1


async def test_put_when_nothing_is_answered_then_unknown_by_its_own_time_out() -> None:
    with answering(Answer(then="hang")) as server:
        raised = await raised_by_put(server.url)
    assert type(raised) is StoreUnknownError
    assert "did not answer in time" in raised.message


async def test_put_when_the_server_speaks_no_tls_then_unavailable_and_says_so() -> None:
    with answering(Answer()) as server:
        raised = await raised_by_put(server.url.replace("http", "https"))
    assert type(raised) is StoreUnavailableError
    assert "TLS" in raised.message


async def test_put_when_the_answer_is_no_json_then_unknown() -> None:
    with answering(Answer(200, (), b"<html>")) as server:
        raised = await raised_by_put(server.url)
    assert type(raised) is StoreUnknownError


async def test_put_when_the_answer_lacks_a_generation_then_unknown() -> None:
    with answering(Answer(200, (), b"{}")) as server:
        raised = await raised_by_put(server.url)
    assert type(raised) is StoreUnknownError


@pytest.mark.parametrize(("name", "error"), CLASSES.items())
def test_verdict_when_no_answer_came_then_by_the_innermost_known_class(
    name: str, error: type[OsqueueError]
) -> None:
    inner = type(name, (Exception,), {})("m")
    assert verdict_on(RuntimeError(RuntimeError(inner))).error is error


def test_verdict_when_nothing_is_known_then_unknown() -> None:
    error = RuntimeError("m")
    error.__cause__ = error
    assert verdict_on(error).error is StoreUnknownError
