"""The application without a network: routes, and what becomes of failures."""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple, cast

import pytest

from osqueue.broker.service import QueueService, Reply
from osqueue.config import ServerSettings
from osqueue.engine.callers import CallerGoneError
from osqueue.server.asgi import make_app
from osqueue.server.door.auth import Doorkeeper
from osqueue.wire.messages import BrokerStatus, CompleteRequest, Stats

WORKER = b'{"workerId":"w"}'
STATUS = BrokerStatus(
    ready=False,
    role="standby",
    address="me:1",
    broker_id="b-1",
    leader="h:1",
    epoch=1,
    commits=2,
    state_bytes=3,
    reason="lost",
)


class Service:
    """Says what it was asked, and fails when told to."""

    address = "me:1"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None

    def status(self) -> BrokerStatus:
        return STATUS

    async def complete(
        self, queue: str, job_id: str, request: CompleteRequest, *, size: int
    ) -> Reply[None]:
        assert size > 0
        self.asked.append((queue, job_id, request.worker_id))
        return Reply(None, (3, 4))

    async def cancel(self, queue: str, job_id: str) -> Reply[None]:
        self.asked.append((queue, job_id))
        return Reply(None, None)

    async def stats(self, _queue: str, *, consistent: bool) -> Reply[Stats]:
        self.asked.append((consistent,))
        if self.failure is not None:
            raise self.failure
        stats = Stats(total=0, unclaimed=0, in_progress=0, completed_total=0, broker_address="a")
        return Reply(stats, (1, 1))


class Sent(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class App:
    def __init__(self) -> None:
        self.service = Service()
        service = cast("QueueService", self.service)
        door = Doorkeeper(ServerSettings(), frozenset({"own:1"}))
        self.app = make_app(service, ServerSettings(), door)

    async def messages(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(),
                 "headers": pairs, "client": None, "server": None}  # fmt: skip
        await self.app(scope, receive, send)
        return sent

    async def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> Sent:
        start, end = await self.messages(method, path, body, **headers)
        return Sent(start["status"], dict(start["headers"]), end["body"])


@pytest.fixture
def app() -> App:
    return App()


async def test_failure_when_unforeseen_then_500_without_its_text_and_a_log_with_it(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.service.failure = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR, "osqueue.server"):
        answer = await app("GET", "/v1/stats")
    assert answer.status == 500
    assert json.loads(answer.body) == {
        "_tag": "OsqueueError",
        "message": "the broker failed on this request",
    }
    assert "GET /v1/stats" in caplog.text
    assert "ZeroDivisionError: secret" in caplog.text


async def test_caller_when_gone_then_nothing_is_sent(app: App) -> None:
    app.service.failure = CallerGoneError()
    assert await app.messages("GET", "/v1/stats") == []


async def test_scope_when_it_is_no_http_then_nothing_is_sent(app: App) -> None:
    async def never(*_: object) -> Any:
        raise AssertionError("not to be called")

    await app.app({"type": "websocket"}, never, never)


@pytest.mark.parametrize("job_id", ["a", "01a2-b", "complete", "claim", "a b", "ü"])
async def test_job_route_when_called_then_the_id_is_the_one_of_the_path(
    app: App, job_id: str
) -> None:
    answer = await app("POST", f"/v1/jobs/{job_id}/complete", WORKER)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers == {b"osqueue-commit": b"3-4"}
    assert app.service.asked == [("default", job_id, "w")]


async def test_job_route_when_it_has_no_action_then_it_is_found_as_well(app: App) -> None:
    answer = await app("DELETE", "/v1/jobs/a")
    assert (answer.status, answer.headers) == (204, {})
    assert app.service.asked == [("default", "a")]


@pytest.mark.parametrize(
    "path", ["/v1/jobs/a/b/complete", "/v1/jobs//complete", "/x/v1/jobs/a/complete", "/v1/jobs/a/"]
)
async def test_job_route_when_the_path_only_looks_like_it_then_404(app: App, path: str) -> None:
    assert (await app("POST", path, WORKER)).status == 404
    assert app.service.asked == []


async def test_ready_when_not_leading_then_503_and_why(app: App) -> None:
    answer = await app("GET", "/readyz")
    assert answer.status == 503
    assert json.loads(answer.body) == {
        "status": "not ready", "ready": False, "role": "standby", "epoch": 1, "commits": 2,
        "stateBytes": 3, "leader": "h:1", "reason": "lost", "brokerId": "b-1", "address": "me:1",
        "writable": False, "commitsPerS": 0.0, "heartbeatAgeMs": None, "heartbeatEveryMs": None,
        "standbys": [], "grpcPort": None, "paused": False,
    }  # fmt: skip


@pytest.mark.parametrize(("query", "consistent"), [("", False), ("?consistent=true", True)])
async def test_read_when_it_must_be_fresh_then_the_service_is_told(
    app: App, query: str, *, consistent: bool
) -> None:
    assert (await app("GET", f"/v1/stats{query}")).status == 200
    assert app.service.asked == [(consistent,)]


async def test_answer_when_the_origin_is_own_then_it_is_reflected_once(app: App) -> None:
    start, _ = await app.messages("GET", "/v1/stats", origin="http://own:1")
    names = [name for name, _ in start["headers"]]
    assert names.count(b"access-control-allow-origin") == 1
