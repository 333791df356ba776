"""The REST transport over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from msgspec import Raw

from osqueue.client.transports import Answer, Position
from osqueue.client.transports.rest import RestTransport
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    JobNotFoundError,
    LeaseLostError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.messages import LeaseRequest, Stats, SubmitAnswer, SubmitRequest
from osqueue.wire.operations import (
    CANCEL,
    COMPLETE,
    GET_JOB,
    GET_PAYLOAD,
    GET_STATS,
    LIST_JOBS,
    RETRY,
    SUBMIT,
    SUBMIT_LARGE,
    ListQuery,
    Operation,
)

STATS = b'{"total":0,"unclaimed":0,"inProgress":0,"completedTotal":0,"brokerAddress":"b"}'
ACCEPTED = b'{"jobId":"a"}'
Say = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class LoopbackBroker:
    """Answers each request with ``answer``, and remembers it."""

    def __init__(self) -> None:
        self.answer: Say = _says(200, ACCEPTED)
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request)


def _says(status: int, body: bytes, **headers: str) -> Say:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


@pytest.fixture
async def broker() -> AsyncIterator[LoopbackBroker]:
    broker = LoopbackBroker()
    runner = web.ServerRunner(web.Server(broker.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    broker.url = f"http://{host}:{port}"
    yield broker
    await runner.cleanup()


@pytest.fixture
async def rest(broker: LoopbackBroker) -> AsyncIterator[RestTransport]:
    transport = RestTransport(broker.url)
    yield transport
    await transport.close()


async def _call(transport: RestTransport, operation: Operation = GET_STATS) -> Answer:
    return await transport.call(operation, job_id="a", timeout_s=5)


Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def raw_server() -> AsyncIterator[Callable[[Dialogue], Awaitable[RestTransport]]]:
    """Starts a server that holds a raw dialogue, and a transport to it."""
    started: list[tuple[asyncio.Server, RestTransport]] = []
    calls: list[asyncio.StreamWriter] = []

    async def start(dialogue: Dialogue) -> RestTransport:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            calls.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            await dialogue(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        started.append((server, RestTransport(f"http://127.0.0.1:{port}")))
        return started[-1][1]

    yield start
    for server, transport in started:
        await transport.close()
        server.close()
        await server.wait_closed()
    for call in calls:
        call.transport.abort()


async def test_call_sends_json_to_the_route_and_reads_the_answer(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, ACCEPTED, osqueue_commit="5-10")

    answer = await rest.call(SUBMIT, SubmitRequest(type="t", job_id="a"), timeout_s=5)

    assert answer == Answer(SubmitAnswer("a"), Position(5, 10))
    (request,) = broker.requests
    assert (request.method, request.path_qs) == ("POST", "/v1/jobs")
    assert request.content_type == "application/json"
    assert request.headers["user-agent"].startswith("osqueue-python/")
    assert broker.bodies == [b'{"type":"t","jobId":"a"}']


async def test_call_without_content_gives_none(broker: LoopbackBroker, rest: RestTransport) -> None:
    broker.answer = _says(204, b"")

    answer = await rest.call(COMPLETE, LeaseRequest(worker_id="w"), job_id="a", timeout_s=5)

    assert answer.value is None
    assert broker.requests[0].path == "/v1/jobs/a/complete"


async def test_call_without_a_request_sends_no_body(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(204, b"")

    await _call(rest, RETRY)
    await _call(rest, CANCEL)

    assert broker.bodies == [b"", b""]
    assert [request.method for request in broker.requests] == ["POST", "DELETE"]
    assert all("content-type" not in request.headers for request in broker.requests)


@pytest.mark.parametrize(
    ("job_id", "path"),
    [
        ("a/b?c#d", "/v1/jobs/a%2Fb%3Fc%23d"),
        ("ü %2F", "/v1/jobs/%C3%BC%20%252F"),
        ("A-z_0.9~", "/v1/jobs/A-z_0.9~"),
    ],
)
async def test_call_with_any_job_id_keeps_it_one_path_segment(
    broker: LoopbackBroker, rest: RestTransport, job_id: str, path: str
) -> None:
    broker.answer = _says(404, b'{"_tag":"JobNotFoundError","message":"no"}')

    with pytest.raises(Exception, match="no"):
        await rest.call(GET_JOB, job_id=job_id, timeout_s=5)

    assert broker.requests[0].raw_path == path


@pytest.mark.parametrize("job_id", ["", "\ud800", None])
async def test_call_with_a_job_id_that_cannot_travel_is_refused(
    broker: LoopbackBroker, rest: RestTransport, job_id: str | None
) -> None:
    with pytest.raises(BrokerProtocolError):
        await rest.call(GET_JOB, job_id=job_id, timeout_s=5)
    assert broker.requests == []


async def test_call_with_text_that_is_no_unicode_is_refused(rest: RestTransport) -> None:
    with pytest.raises(BrokerProtocolError, match="Unicode"):
        await rest.call(SUBMIT, SubmitRequest(type="\ud800"), timeout_s=5)


async def test_call_of_a_list_puts_its_query_into_the_url(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, STATS[:-1] + b',"jobs":[]}')

    await rest.call(LIST_JOBS, ListQuery(limit=5, type="a b&c", cursor="ü"), timeout_s=5)
    await rest.call(LIST_JOBS, ListQuery(), timeout_s=5)

    assert dict(broker.requests[0].query) == {"limit": "5", "type": "a b&c", "cursor": "ü"}
    assert broker.requests[1].path_qs == "/v1/jobs"


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (GET_JOB, "/v1/jobs/a"),
        (GET_PAYLOAD, "/v1/jobs/a/payload"),
        (GET_STATS, "/v1/stats"),
        (LIST_JOBS, "/v1/jobs"),
    ],
)
async def test_call_of_a_consistent_read_says_so_in_the_url(
    broker: LoopbackBroker, rest: RestTransport, operation: Operation, path: str
) -> None:
    broker.answer = _says(404, b'{"_tag":"JobNotFoundError","message":"no"}')

    with pytest.raises(JobNotFoundError):
        await rest.call(operation, operation.request(consistent=True), job_id="a", timeout_s=5)

    assert broker.requests[0].path_qs == f"{path}?consistent=true"


@pytest.mark.parametrize("text", [b'{"a": 1}', b'"' + b"x" * 900_000 + b'"'])
async def test_put_sends_the_payload_as_the_body_and_the_rest_in_the_url(
    broker: LoopbackBroker, rest: RestTransport, text: bytes
) -> None:
    request = SubmitRequest(
        payload=Raw(text), type="a b&c", max_attempts=0, job_id="a", priority=-1, run_at=0
    )

    answer = await rest.call(SUBMIT_LARGE, request, job_id="a", timeout_s=5)

    assert answer.value == SubmitAnswer("a")
    assert broker.bodies == [text]
    (sent,) = broker.requests
    assert (sent.method, sent.path, sent.content_type) == ("PUT", "/v1/jobs/a", "application/json")
    assert dict(sent.query) == {
        "type": "a b&c",
        "maxAttempts": "0",
        "priority": "-1",
        "runAt": "0",
    }


async def test_put_without_options_has_no_query(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    await rest.call(SUBMIT_LARGE, SubmitRequest(job_id="a"), job_id="a", timeout_s=5)
    assert broker.requests[0].path_qs == "/v1/jobs/a"
    assert broker.bodies == [b"null"]


async def test_payload_is_handed_through_as_it_came(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, b"not looked at")
    answer = await rest.call(GET_PAYLOAD, job_id="a", timeout_s=5)
    assert bytes(answer.value) == b"not looked at"
    broker.answer = _says(204, b"")
    assert (await rest.call(GET_PAYLOAD, job_id="a", timeout_s=5)).value is None


async def test_calls_one_after_another_share_a_connection(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, STATS)

    await _call(rest)
    await _call(rest)

    assert len({id(request.transport) for request in broker.requests}) == 1


async def test_reconnect_makes_a_new_connection(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, STATS)
    peers = []

    await _call(rest)
    peers.append(broker.requests[0].protocol)
    await rest.reconnect()
    await _call(rest)
    peers.append(broker.requests[1].protocol)

    assert peers[0] is not peers[1]


async def test_call_under_way_while_reconnecting_breaks_as_a_connection(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    arrived, never = asyncio.Event(), asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await never.wait()
        raise AssertionError

    broker.answer = hang
    call = asyncio.create_task(_call(rest))
    await arrived.wait()

    await rest.reconnect()

    with pytest.raises(TransportConnectionError, match="broke"):
        await call


async def test_call_with_an_error_body_raises_that_error(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(409, b'{"_tag":"LeaseLostError","message":"gone"}')

    with pytest.raises(LeaseLostError, match="gone"):
        await _call(rest, CANCEL)


async def test_call_with_a_broken_body_is_an_error_of_the_answer(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(200, b'{"total":')

    with pytest.raises(TransportRequestError, match="cannot be read"):
        await _call(rest)


async def test_call_with_a_redirect_does_not_follow_it(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    broker.answer = _says(307, b"", location="/v1/stats")

    with pytest.raises(TransportRequestError, match="307"):
        await _call(rest)
    assert len(broker.requests) == 1


@pytest.mark.parametrize(("leader", "named"), [(b',"leader":"b:1"', "b:1"), (b"", None)])
async def test_call_with_a_redirect_of_a_broker_names_the_leader_and_does_not_follow_it(
    broker: LoopbackBroker, rest: RestTransport, leader: bytes, named: str | None
) -> None:
    body = b'{"_tag":"BrokerLeadershipError","message":"no","applied":"no"' + leader + b"}"
    broker.answer = _says(307, body, location=f"{broker.url}/v1/stats")

    with pytest.raises(BrokerLeadershipError, match="no") as caught:
        await _call(rest)
    assert (caught.value.leader, caught.value.applied) == (named, "no")
    assert len(broker.requests) == 1


async def test_call_with_too_large_an_answer_is_refused(broker: LoopbackBroker) -> None:
    broker.answer = _says(200, STATS)
    transport = RestTransport(broker.url, ClientSettings(answer_bytes_max=len(STATS) - 1))

    with pytest.raises(TransportRequestError, match="answer_bytes_max"):
        await _call(transport)
    await transport.close()


async def test_call_when_nothing_listens_says_so_and_that_nothing_was_received() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        transport = RestTransport(url)

        with pytest.raises(TransportConnectionError) as caught:
            await _call(transport)

    assert caught.value.message == (
        f"no broker answers at {url}: connection refused; is it running?"
    )
    assert caught.value.applied == "no"
    await transport.close()


async def test_call_to_an_unknown_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    transport = RestTransport("http://no-such-host.invalid:8080")

    with pytest.raises(TransportConnectionError, match=r"name no-such-host\.invalid cannot be"):
        await _call(transport)
    await transport.close()


async def test_call_without_an_answer_in_time_is_a_connection_error(
    broker: LoopbackBroker, rest: RestTransport
) -> None:
    never = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    broker.answer = hang

    with pytest.raises(TransportConnectionError, match=r"no answer from .* within 0\.05 s") as got:
        await rest.call(GET_STATS, timeout_s=0.05)
    assert got.value.applied is None


@pytest.mark.parametrize(
    "half",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_call_when_the_broker_closes_midway_is_a_connection_error(
    raw_server: Callable[[Dialogue], Awaitable[RestTransport]], half: bytes
) -> None:
    async def dialogue(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(half)

    transport = await raw_server(dialogue)

    with pytest.raises(TransportConnectionError, match="broke"):
        await transport.call(SUBMIT, SubmitRequest(), timeout_s=5)


async def test_call_to_what_speaks_no_http_is_an_error_of_the_answer(
    raw_server: Callable[[Dialogue], Awaitable[RestTransport]],
) -> None:
    async def dialogue(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")

    transport = await raw_server(dialogue)

    with pytest.raises(TransportRequestError, match="does not answer in HTTP"):
        await _call(transport)


async def test_call_when_cancelled_gives_up_its_connection(
    raw_server: Callable[[Dialogue], Awaitable[RestTransport]],
) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def dialogue(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        gone.set()

    call = asyncio.create_task(_call(await raw_server(dialogue)))
    await arrived.wait()

    call.cancel()

    await asyncio.wait_for(gone.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_call_after_close_is_refused(rest: RestTransport) -> None:
    await rest.close()
    await rest.close()

    with pytest.raises(TransportConfigError, match="closed"):
        await _call(rest)


def test_call_in_a_second_loop_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        transport = RestTransport(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with asyncio.Runner() as first, asyncio.Runner() as second:
            with pytest.raises(TransportConnectionError):
                first.run(_call(transport))
            with pytest.raises(TransportConfigError, match="another event loop"):
                second.run(_call(transport))
            first.run(transport.close())


async def test_call_reads_typed_answers(broker: LoopbackBroker, rest: RestTransport) -> None:
    broker.answer = _says(200, STATS)

    assert isinstance((await _call(rest)).value, Stats)
