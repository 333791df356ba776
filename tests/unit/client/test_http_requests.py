"""The HTTP requests of operations, as REST has them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from osqueue.client.transports.http_requests import HttpRequest, write_request
from osqueue.errors import BrokerProtocolError
from osqueue.wire.messages import AnnounceRequest, JobTypeInfo, SubmitRequest
from osqueue.wire.operations import (
    ANNOUNCE_TYPES,
    CANCEL,
    GET_JOB,
    GET_STATUS,
    LIST_JOBS,
    SUBMIT,
    SUBMIT_LARGE,
    ListQuery,
    ReadQuery,
    StatusQuery,
)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ReadQuery(), ""),
        (ListQuery(status=None), ""),
        (ReadQuery(consistent=True), "?consistent=true"),
        (ListQuery(consistent=True, limit=1), "?consistent=true&limit=1"),
        (ListQuery(type="True", cursor="a b&c/\u00fc"), "?cursor=a%20b%26c%2F%C3%BC&type=True"),
        (StatusQuery(standby="b", wait_ms=1), "?standby=b&waitMs=1"),
    ],
)
def test_query_when_written_then_what_is_not_at_its_default(
    query: msgspec.Struct, said: str
) -> None:
    operation = GET_STATUS if isinstance(query, StatusQuery) else LIST_JOBS
    assert write_request(operation, query, None) == HttpRequest("GET", operation.path + said)


def test_body_when_there_is_one_then_its_headers_say_what_it_is() -> None:
    request = SubmitRequest(payload=Raw(b"[1]"), type="t")
    posted = write_request(SUBMIT, request, None)
    assert posted == HttpRequest("POST", "/v1/jobs", b'{"payload":[1],"type":"t"}')
    put = write_request(SUBMIT_LARGE, request, "a/b")
    assert put == HttpRequest("PUT", "/v1/jobs/a%2Fb?type=t", b"[1]")
    types = AnnounceRequest({"t": JobTypeInfo(schema=Raw(b"{}"))})
    announced = write_request(ANNOUNCE_TYPES, types, None)
    assert announced == HttpRequest("PUT", "/v1/types", b'{"types":{"t":{"schema":{}}}}')
    assert (
        posted.headers == put.headers == announced.headers == {"content-type": "application/json"}
    )
    assert write_request(CANCEL, None, "a").headers == {}


@pytest.mark.parametrize("job_id", ["", None, "\ud800"])
def test_job_id_when_it_cannot_be_said_then_refused(job_id: str | None) -> None:
    with pytest.raises(BrokerProtocolError, match="getJob"):
        write_request(GET_JOB, None, job_id)
