"""Browsers: the broker's own pages and configured ones may call, others may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.conftest import Shared
from tests.integration.rest import Rest

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGURED = "https://dashboard.example"
FOREIGN = "https://evil.example"


@pytest_asyncio.fixture(loop_scope="module")
async def friendly(shared: Shared) -> AsyncIterator[Rest]:
    """A broker that lets one more origin in."""
    settings = BrokerSettings(server=ServerSettings(cors_origins=(CONFIGURED,)))
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings)
    async with broker:
        yield Rest(shared.rest.session, broker.url)


def own_origins(broker: BrokerServer) -> list[str]:
    port = broker.address.rpartition(":")[2]
    hosts = ("127.0.0.1", "localhost", "[::1]")
    return [f"{scheme}://{host}:{port}" for scheme in ("http", "https") for host in hosts]


async def test_origin_when_it_is_the_brokers_own_then_it_is_reflected(shared: Shared) -> None:
    for origin in own_origins(shared.broker):
        answer = await shared.rest.get("/v1/stats", origin=origin)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("PUT", "/v1/jobs", 405), ("GET", "/v1/jobs/none", 404)],
)
async def test_origin_when_the_answer_is_an_error_then_it_is_reflected_as_well(
    shared: Shared, method: str, path: str, status: int
) -> None:
    origin = own_origins(shared.broker)[0]
    answer = await shared.rest.send(method, path, headers={"origin": origin})
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in answer.headers


async def test_origin_when_a_body_is_refused_then_it_is_reflected_as_well(shared: Shared) -> None:
    origin = own_origins(shared.broker)[0]
    answer = await shared.rest.post("/v1/jobs/claim", {}, origin=origin)
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == origin


async def test_origin_when_configured_then_it_is_reflected(friendly: Rest) -> None:
    answer = await friendly.get("/v1/stats", origin=CONFIGURED)
    assert answer.headers["access-control-allow-origin"] == CONFIGURED


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "http://127.0.0.1", "http://127.0.0.1:1", "", "*"]
)
@pytest.mark.parametrize("path", ["/v1/stats", "/state", "/nope"])
async def test_origin_when_foreign_then_403_and_nothing_is_allowed(
    shared: Shared, origin: str, path: str
) -> None:
    answer = await shared.rest.get(path, origin=origin)
    assert answer.status == 403
    assert answer.tag == "AuthError"
    assert "access-control-allow-origin" not in answer.headers


async def test_origin_when_foreign_then_the_message_says_what_to_set(shared: Shared) -> None:
    answer = await shared.rest.get("/v1/stats", origin=FOREIGN)
    assert FOREIGN in answer.message
    assert "--cors-origin" in answer.message


async def test_origin_when_foreign_then_its_change_is_not_made(shared: Shared) -> None:
    before = await shared.rest.state()
    answer = await shared.rest.post("/v1/jobs", {"payload": 1}, origin=FOREIGN)
    assert answer.status == 403
    assert await shared.rest.state() == before


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/x/complete", "/nope", "/healthz"])
async def test_preflight_when_complete_then_204_for_any_path(shared: Shared, path: str) -> None:
    origin = own_origins(shared.broker)[0]
    asked = {"origin": origin, "access-control-request-method": "POST"}
    answer = await shared.rest.send("OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["content-length"] == "0"
    assert answer.headers["access-control-allow-origin"] == origin
    methods = set(answer.headers["access-control-allow-methods"].split(", "))
    assert methods == {"GET", "POST", "PUT", "OPTIONS", "DELETE"}
    assert (
        answer.headers["access-control-allow-headers"]
        == "Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms"
    )
    assert "access-control-max-age" not in answer.headers


@pytest.mark.parametrize(
    "asked", [{}, {"access-control-request-method": "POST"}, {"origin": "own"}]
)
async def test_preflight_when_it_lacks_a_header_then_400_as_text(
    shared: Shared, asked: dict[str, str]
) -> None:
    origin = own_origins(shared.broker)[0]
    headers = {name: origin if value == "own" else value for name, value in asked.items()}
    answer = await shared.rest.send("OPTIONS", "/v1/jobs", headers=headers)
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body == b"Invalid Preflight Request"


async def test_preflight_when_the_origin_is_foreign_then_403(shared: Shared) -> None:
    asked = {"origin": FOREIGN, "access-control-request-method": "POST"}
    answer = await shared.rest.send("OPTIONS", "/v1/jobs", headers=asked)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
