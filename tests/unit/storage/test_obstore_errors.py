"""Every row of the table, by the real library against a server that answers just that."""

from __future__ import annotations

import socket
from collections.abc import Callable

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
from osqueue.storage import AzureBackend, S3Backend, Store, Version
from osqueue.storage.obstore_errors import _ANSWERS, verdict_on

from .answering_server import Answer, answering

ROWS: list[tuple[int, str, type[OsqueueError], str]] = [
    (301, "", StoreDeniedError, "another region"),
    (302, "", StoreUnavailableError, "correct the endpoint"),
    (307, "", StoreUnavailableError, "try again later"),
    (400, "", StoreDeniedError, "refused the request"),
    (400, "AuthorizationHeaderMalformed", StoreDeniedError, "another region"),
    (400, "ExpiredToken", StoreDeniedError, "check the keys"),
    (400, "IncompleteBody", StoreUnavailableError, "did not arrive whole"),
    (400, "InvalidToken", StoreDeniedError, "check the keys"),
    (400, "RequestTimeout", StoreUnknownError, "did not answer in time"),
    (400, "TokenRefreshRequired", StoreDeniedError, "check the keys"),
    (401, "", StoreDeniedError, "check the keys"),
    (403, "", StoreDeniedError, "allow these credentials to get, put, delete and list"),
    (403, "AuthenticationFailed", StoreDeniedError, "check the keys"),
    (403, "AuthorizationFailure", StoreDeniedError, "network rules"),
    (403, "ExpiredToken", StoreDeniedError, "check the keys"),
    (403, "InvalidAccessKeyId", StoreDeniedError, "check the keys"),
    (403, "RequestTimeTooSkewed", StoreDeniedError, "clock"),
    (403, "SignatureDoesNotMatch", StoreDeniedError, "check the keys"),
    (404, "", StoreUnavailableError, "no such bucket"),  # the listing that asks gets it as well
    (404, "NoSuchKey", StoreNotFoundError, "no such object"),
    (404, "BlobNotFound", StoreNotFoundError, "no such object"),
    (404, "ContainerNotFound", StoreUnavailableError, "no such bucket or container"),
    (404, "NoSuchBucket", StoreUnavailableError, "no such bucket or container"),
    (408, "", StoreUnknownError, "did not answer in time"),
    (409, "", StoreUnknownError, "other writes were under way"),
    (409, "ConditionalRequestConflict", StoreUnknownError, "other writes were under way"),
    (409, "BlobAlreadyExists", CASConflictError, "another version"),
    (409, "BlobImmutableDueToPolicy", StoreDeniedError, "policy"),
    (409, "ContainerBeingDeleted", StoreUnavailableError, "try again later"),
    (409, "ContainerDisabled", StoreUnavailableError, "try again later"),
    (412, "", CASConflictError, "another version"),
    (412, "PreconditionFailed", CASConflictError, "another version"),
    (412, "LeaseIdMissing", StoreDeniedError, "lease"),
    (413, "", StoreDeniedError, "size"),
    (418, "", StoreDeniedError, "refused the request"),
    (429, "", StoreBusyError, "slow down"),
    (500, "InternalError", StoreUnknownError, "the store failed"),
    (501, "", StoreDeniedError, "lacks conditional writes"),
    (502, "", StoreUnknownError, "the store failed"),
    (503, "", StoreUnknownError, "the store failed"),
    (503, "ServerBusy", StoreBusyError, "slow down"),
    (503, "SlowDown", StoreBusyError, "slow down"),
]


IMDS = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s -"


def s3(url: str) -> Store:
    return S3Backend(
        "jobs", endpoint=url, access_key_id="id", secret_access_key="hunter2", timeout_s=0.5
    )


def azure(url: str) -> Store:
    return AzureBackend("jobs", account="a", account_key="aHVudGVyMg==", endpoint=url, timeout_s=5)


def refusal(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
    return Answer(
        status, ("Location: http://127.0.0.1:1/",) if status in {302, 307} else (), body.encode()
    )


async def raised_by_put(store: Store) -> OsqueueError:
    try:
        with pytest.raises(OsqueueError) as caught:
            await store.put("queue.json", b"{}", if_version=Version('"1"'))
    finally:
        await store.close()
    return caught.value


def test_rows_then_they_cover_the_table() -> None:
    assert set(_ANSWERS) <= {(status, code) for status, code, _, _ in ROWS}


@pytest.mark.parametrize("make_store", [s3, azure])
@pytest.mark.parametrize(("status", "code", "error", "advice"), ROWS)
async def test_put_when_refused_so_then_one_error_that_says_what_to_do(
    status: int, code: str, error: type[OsqueueError], advice: str, make_store: type[Store]
) -> None:
    with answering(refusal(status, code)) as server:
        raised = await raised_by_put(make_store(server.url))  # type: ignore[call-arg]
    assert type(raised) is error
    assert advice in raised.message
    assert "cannot put 'queue.json' in " in raised.message
    assert "//jobs?" in raised.message
    assert ("may or may not have been applied" in raised.message) is (error is StoreUnknownError)
    assert "hunter2" not in raised.message
    assert raised.__cause__ is not None


@pytest.mark.parametrize("status", [408, 409, 412, 500, 503])
async def test_get_when_refused_in_a_way_that_leaves_a_write_open_then_unavailable(
    status: int,
) -> None:
    with answering(refusal(status, "")) as server:
        store = s3(server.url)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.get("queue.json")
        await store.close()
    assert "applied" not in caught.value.message


async def test_put_when_the_store_names_the_region_then_so_does_the_message() -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    with answering(Answer(400, (), body)) as server:
        raised = await raised_by_put(s3(server.url))
    assert "set region=eu-west-1" in raised.message


@pytest.mark.parametrize("make_store", [s3, azure])
async def test_put_when_nothing_listens_then_unavailable(make_store: type[Store]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    raised = await raised_by_put(make_store(url))  # type: ignore[call-arg]
    assert type(raised) is StoreUnavailableError
    assert "nothing listens" in raised.message


async def test_put_when_the_host_is_unknown_then_unavailable() -> None:
    raised = await raised_by_put(s3("http://no-such-host.invalid"))
    assert type(raised) is StoreUnavailableError
    assert "host name is not known" in raised.message


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_put_when_the_connection_breaks_then_unknown(then: str) -> None:
    with answering(Answer(then=then)) as server:  # type: ignore[arg-type]
        raised = await raised_by_put(s3(server.url))
    assert type(raised) is StoreUnknownError
    assert "the connection broke" in raised.message
    assert len(server.requests) == 1


async def test_put_when_nothing_is_answered_then_unknown_by_its_own_time_out() -> None:
    with answering(Answer(then="hang")) as server:
        raised = await raised_by_put(s3(server.url))
    assert type(raised) is StoreUnknownError
    assert "did not answer in time" in raised.message


async def test_put_when_the_server_speaks_no_tls_then_unavailable_and_says_so() -> None:
    with answering(Answer()) as server:
        raised = await raised_by_put(s3(server.url.replace("http", "https")))
    assert type(raised) is StoreUnavailableError
    assert "begins with http://" in raised.message


async def test_put_when_the_answer_lacks_an_etag_then_unknown() -> None:
    with answering(Answer(200)) as server:
        raised = await raised_by_put(s3(server.url))
    assert type(raised) is StoreUnknownError


async def test_get_when_a_404_says_not_of_what_and_the_bucket_is_there_then_not_found() -> None:
    listing = b"<ListBucketResult><Name>jobs</Name><IsTruncated>false</IsTruncated>"
    found = Answer(200, (), listing + b"<KeyCount>0</KeyCount></ListBucketResult>")
    with answering(Answer(404), found) as server:
        store = s3(server.url)
        with pytest.raises(StoreNotFoundError):
            await store.get("queue.json")
        await store.close()


async def test_get_when_a_404_says_not_of_what_and_nobody_may_look_then_denied() -> None:
    with answering(Answer(404), Answer(403)) as server:
        store = s3(server.url)
        with pytest.raises(StoreDeniedError):
            await store.get("queue.json")
        await store.close()


@pytest.mark.parametrize("make_store", [s3, azure])
async def test_head_when_a_404_says_not_of_what_then_it_is_asked_whether_the_bucket_is_there(
    make_store: Callable[[str], Store],
) -> None:
    with answering(Answer(404), Answer(403)) as server:
        store = make_store(server.url)
        with pytest.raises(StoreDeniedError, match=r"cannot look at .* in (s3|az)://jobs"):
            await store.head("queue.json")
        await store.close()
    assert [request.split(" ")[0] for request in server.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [408, 409, 412, 503])
async def test_head_when_refused_in_a_way_that_leaves_a_write_open_then_unavailable(
    status: int,
) -> None:
    with answering(Answer(status)) as server:
        store = s3(server.url)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.head("queue.json")
        await store.close()
    assert "applied" not in caught.value.message


async def test_head_when_the_answer_lacks_an_etag_then_unavailable() -> None:
    head = Answer(200, ("Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT",))
    with answering(head) as server:
        store = s3(server.url)
        with pytest.raises(StoreUnavailableError, match="without an ETag"):
            await store.head("queue.json")
        await store.close()


@pytest.mark.parametrize(
    ("text", "error", "advice"),
    [
        (f"{IMDS} Server returned non-2xx status code: 403", StoreDeniedError, "no credentials"),
        (f"{IMDS} HTTP error: kind: Timeout", StoreUnavailableError, "no credentials"),
        ("Error performing token request: Server returned non-2xx status code: 503",
         StoreUnavailableError, "no credentials"),
        ("for path External AWS credential provider: RuntimeError", StoreDeniedError, "no cred"),
        ("HTTP error: kind: Connect, source: InvalidCertificate(UnknownIssuer)",
         StoreUnavailableError, "not trusted"),
        ("HTTP error: kind: Connect, source: NetworkUnreachable",
         StoreUnavailableError, "cannot be reached"),
        ("Received redirect without LOCATION", StoreDeniedError, "another region"),
        ("something of a later version", StoreUnknownError, "made no sense"),
    ],
)  # fmt: skip
def test_verdict_when_no_answer_of_the_store_is_in_the_text_then_by_its_words(
    text: str, error: type[OsqueueError], advice: str
) -> None:
    verdict = verdict_on(RuntimeError(text))
    assert verdict.error is error
    assert advice in verdict.advice


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("FileNotFoundError", StoreNotFoundError),
        ("PermissionDeniedError", StoreDeniedError),
        ("PreconditionError", CASConflictError),
        ("UnauthenticatedError", StoreDeniedError),
        ("ValueError", StoreDeniedError),
        ("AlreadyExistsError", StoreUnknownError),
    ],
)
def test_verdict_when_the_text_says_nothing_then_by_the_class(
    name: str, error: type[OsqueueError]
) -> None:
    assert verdict_on(type(name, (Exception,), {})("nothing")).error is error
