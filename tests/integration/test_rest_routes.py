"""Paths and methods that are no operation."""

from __future__ import annotations

import pytest
from tests.integration.conftest import Shared

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = [
    "/ui",
    "/ui/",
    "/nope",
    "/v1",
    "/v2/jobs",
    "/v1/jobs/x/y",
    "/v1/jobs/x/y/z",
    "/v1/jobs//complete",
    "/v1/websocket",
    "/favicon.ico",
    "/docs",
]


async def test_websocket_when_nobody_upgrades_then_404_without_a_body(shared: Shared) -> None:
    answer = await shared.rest.get("/v1/ws")
    assert (answer.status, answer.headers["content-length"], answer.body) == (404, "0", b"")
    assert not [name for name in answer.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
async def test_route_when_unknown_then_404_with_the_reference_body(
    shared: Shared, method: str, path: str
) -> None:
    answer = await shared.rest.send(method, path, headers={})
    assert answer.status == 404
    assert answer.json == {
        "_tag": "BrokerProtocolError",
        "message": f"Route {method}:{path} not found",
        "error": "Not Found",
        "statusCode": 404,
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/stats", {"GET", "HEAD"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/state", {"GET", "HEAD"}),
        ("GET", "/v1/jobs/x/complete", {"POST"}),
        ("GET", "/v1/jobs/x/fail", {"POST"}),
        ("HEAD", "/v1/jobs/x/heartbeat", {"POST"}),
        ("PATCH", "/v1/jobs/x", {"GET", "HEAD", "PUT", "DELETE"}),
        ("PUT", "/v1/jobs/x/release", {"POST"}),
        ("TRACE", "/v1/jobs/x/retry", {"POST"}),
    ],
)
async def test_method_when_the_path_takes_others_then_405_names_them(
    shared: Shared, method: str, path: str, allowed: set[str]
) -> None:
    answer = await shared.rest.send(method, path, headers={})
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_method_when_the_path_takes_others_then_the_body_is_an_error_of_ours(
    shared: Shared,
) -> None:
    answer = await shared.rest.send("PUT", "/v1/jobs", headers={})
    assert answer.tag == "BrokerProtocolError"
    assert answer.json["statusCode"] == 405
    assert answer.message == "Route PUT:/v1/jobs not found: this path takes GET, HEAD, POST"


async def test_route_when_unknown_and_sent_a_body_then_the_connection_serves_on(
    shared: Shared,
) -> None:
    answer = await shared.rest.send("POST", "/nope", b"x" * 300_000)
    assert answer.status == 404
    assert (await shared.rest.get("/healthz")).status == 200
