"""What every answer has in common: headers, paths, methods, connections."""

from __future__ import annotations

import json

import pytest
from tests.integration.conftest import Shared
from tests.integration.rest import Wire, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json; charset=utf-8"

EVERYWHERE = [
    ("GET", "/healthz", None, 200),
    ("GET", "/v1/stats", None, 200),
    ("GET", "/v1/jobs", None, 200),
    ("GET", "/state", None, 200),
    ("POST", "/v1/jobs/claim", b'{"workerId":"w"}', 200),
    ("POST", "/v1/jobs", b"{", 400),
    ("GET", "/v1/jobs/nobody", None, 404),
    ("GET", "/nope", None, 404),
    ("PUT", "/v1/jobs", None, 405),
    ("POST", "/v1/jobs/nobody/complete", b'{"workerId":"w"}', 404),
    ("OPTIONS", "/v1/jobs", None, 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), EVERYWHERE)
async def test_headers_whatever_the_answer_then_vary_and_expose_are_there(
    shared: Shared, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = await shared.rest.send(method, path, body)
    assert answer.status == status
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["access-control-expose-headers"] == "Connect-Protocol-Version"


@pytest.mark.parametrize(("method", "path", "body", "status"), EVERYWHERE[:-1])
async def test_json_whatever_the_answer_then_type_and_length_are_exact(
    shared: Shared, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = await shared.rest.send(method, path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == JSON
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "content-encoding" not in answer.headers
    compact = json.dumps(answer.json, separators=(",", ":"), ensure_ascii=False)
    assert answer.body.decode() == compact


async def test_answer_when_compression_is_offered_then_it_is_plain(shared: Shared) -> None:
    offers = {"accept-encoding": "gzip, br"}
    answer = await shared.rest.send("GET", "/openapi.json", headers=offers)
    assert "content-encoding" not in answer.headers
    assert answer.json["openapi"] == "3.1.0"


async def test_no_content_when_read_raw_then_there_is_neither_type_nor_length_nor_body(
    shared: Shared,
) -> None:
    job_id = await shared.rest.submit(type="raw")
    await shared.rest.claim(types=["raw"])
    wire = await Wire.open(shared.broker)
    await wire.send(request(f"/v1/jobs/{job_id}/heartbeat", b'{"workerId":"w"}'))
    beat = await wire.answer()
    await wire.send(request(f"/v1/jobs/{job_id}/complete", b'{"workerId":"w"}'))
    complete = await wire.answer()
    wire.drop()
    for answer in (beat, complete):
        assert answer.status == 204
        assert answer.body == b""
        assert not {"content-type", "content-length", "transfer-encoding"} & set(answer.headers)


async def test_connection_when_kept_alive_then_it_serves_on_and_says_for_how_long(
    shared: Shared,
) -> None:
    wire = await Wire.open(shared.broker)
    for _ in range(3):
        await wire.send(request("/healthz", method="GET"))
        answer = await wire.answer()
        assert answer.headers["keep-alive"] == "timeout=72"
        assert answer.headers.get("connection", "keep-alive") == "keep-alive"
    wire.drop()


async def test_connection_when_asked_to_close_then_it_is_closed_behind_the_answer(
    shared: Shared,
) -> None:
    wire = await Wire.open(shared.broker)
    await wire.send(request("/healthz", b"", "connection: close", method="GET"))
    answer = await wire.answer()
    assert answer.headers["connection"] == "close"
    assert await wire.ended() == b""
    wire.drop()


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/state", "/v1/stats", "/v1/jobs", "/v1/throttle-stats"]
)
async def test_head_when_asked_of_a_get_route_then_it_answers_headers_alone(
    shared: Shared, path: str
) -> None:
    wire = await Wire.open(shared.broker)
    await wire.send(request(path, method="HEAD"))
    answer = await wire.answer(body=False)
    await wire.send(request("/healthz", method="GET"))
    following = await wire.answer()
    wire.drop()
    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    assert int(answer.headers["content-length"]) > 0
    assert following.body == b'{"status":"ok"}'


@pytest.mark.parametrize(
    "path",
    ["/healthz/", "/v1/stats/", "/v1/jobs/", "/state/", "//healthz", "/V1/jobs", "/v1/jobs/x/"],
)
async def test_path_when_it_differs_by_a_slash_or_case_then_it_is_unknown(
    shared: Shared, path: str
) -> None:
    answer = await shared.rest.get(path)
    assert answer.status == 404
    assert answer.json["statusCode"] == 404


@pytest.mark.parametrize("query", ["?", "?x=1", "?limit", "?a=1&a=2", "?%ff", "?consistent=true"])
@pytest.mark.parametrize("path", ["/v1/stats", "/healthz", "/state"])
async def test_query_when_nothing_is_asked_by_it_then_it_is_ignored(
    shared: Shared, path: str, query: str
) -> None:
    assert (await shared.rest.get(path + query)).status == 200


async def test_query_when_sent_with_a_post_then_it_is_ignored(shared: Shared) -> None:
    answer = await shared.rest.post("/v1/jobs?debug=1", {"type": "query", "jobId": "by-query"})
    assert answer.body == b'{"jobId":"by-query"}'
    await shared.rest.delete("/v1/jobs/by-query?force")
    assert (await shared.rest.job("by-query"))["status"] == "cancelled"


async def test_job_id_when_percent_encoded_then_it_is_decoded(shared: Shared) -> None:
    await shared.rest.submit(jobId="a.b~c", type="escaped")
    answer = await shared.rest.get("/v1/jobs/%61%2Eb%7ec")
    assert answer.json["id"] == "a.b~c"
    assert (await shared.rest.send("DELETE", "/v1/jobs/a%2Eb~%63", headers={})).status == 204


@pytest.mark.parametrize("escaped", ["%2F", "%00", "%FF", "%20", "%C3%BC", "%0D%0Ax:%20y"])
async def test_job_id_when_it_decodes_to_what_no_id_is_then_404(
    shared: Shared, escaped: str
) -> None:
    answer = await shared.rest.get(f"/v1/jobs/{escaped}")
    assert answer.status == 404
    assert answer.tag in {"JobNotFoundError", "BrokerProtocolError"}


async def test_job_id_when_longer_than_any_id_then_404_without_repeating_it_all(
    shared: Shared,
) -> None:
    answer = await shared.rest.post(f"/v1/jobs/{'x' * 5000}/complete", {"workerId": "w"})
    assert answer.status == 404
    assert answer.tag == "JobNotFoundError"
    assert len(answer.body) < 400
