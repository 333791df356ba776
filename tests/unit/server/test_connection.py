"""The protocol without a network: what it lets in, and when it hangs up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from osqueue.config import MIB, ServerSettings
from osqueue.errors import EngineStateError
from osqueue.server.connection import (
    Connection,
    HttpProtocol,
    connection_of,
)
from osqueue.server.door.hosts import HostConnections

GET = b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Application:
    """Reads a request, and answers it when it may."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        self.bodies.append(body)
        await self.may_answer.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class Peer:
    """A protocol, and what is around it."""

    def __init__(self, **settings: int) -> None:
        self.application = Application()
        self.state = ServerState()
        self.state.default_headers = [(b"vary", b"Origin")]
        config = uvicorn.Config(self.application, log_config=None, ws="none", lifespan="off")
        self.protocol = HttpProtocol(
            ServerSettings(**settings),  # type: ignore[arg-type]
            HostConnections(0),
            config=config,
            server_state=self.state,
            app_state={},
        )
        self.transport = Transport()
        self.protocol.connection_made(self.transport)

    async def sends(self, data: bytes) -> bytes:
        """What is written by the time that all has run that can."""
        self.transport.written = b""
        self.protocol.data_received(data)
        for _ in range(10):
            await asyncio.sleep(0)
        return self.transport.written


@pytest.fixture
async def peer() -> Peer:
    peer = Peer(request_s_max=60)
    peer.application.may_answer.set()
    return peer


async def test_request_when_complete_then_it_is_answered(peer: Peer) -> None:
    answer = await peer.sends(POST + b"body")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"vary: Origin\r\n" in answer
    assert peer.application.bodies == [b"body"]


async def test_look_when_a_request_stays_unfinished_then_408_after_the_time(peer: Peer) -> None:
    await peer.sends(POST + b"bo")
    peer.protocol.look_after(1_000)
    peer.protocol.look_after(1_059)
    assert not peer.transport.is_closing()
    peer.protocol.look_after(1_060)
    assert peer.transport.is_closing()
    assert peer.transport.written.startswith(b"HTTP/1.1 408 ")


async def test_look_when_the_request_goes_on_but_never_ends_then_408_all_the_same(
    peer: Peer,
) -> None:
    await peer.sends(POST)
    for second in range(0, 60, 20):
        await peer.sends(b"b")
        peer.protocol.look_after(second)
    peer.protocol.look_after(61)
    assert peer.transport.is_closing()


async def test_look_when_a_large_body_is_on_its_way_then_it_gets_the_time_that_it_needs(
    peer: Peer,
) -> None:
    await peer.sends(b"PUT /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
    for _ in range(2):
        await peer.sends(b"b" * MIB)
    peer.protocol.look_after(0)
    peer.protocol.look_after(179)
    assert not peer.transport.is_closing()
    peer.protocol.look_after(180)
    assert peer.transport.written.startswith(b"HTTP/1.1 408 ")


async def test_look_when_each_request_is_in_time_then_nothing_happens(peer: Peer) -> None:
    for second in range(0, 600, 50):
        await peer.sends(POST + b"bo")
        peer.protocol.look_after(second)
        assert b"200" in await peer.sends(b"dy")
    assert not peer.transport.is_closing()


async def test_look_when_the_connection_is_idle_then_nothing_happens(peer: Peer) -> None:
    await peer.sends(GET)
    for second in range(0, 600, 50):
        peer.protocol.look_after(second)
    assert not peer.transport.is_closing()


async def test_look_when_the_answer_takes_long_then_nothing_happens() -> None:
    peer = Peer(request_s_max=60)
    await peer.sends(POST + b"body")
    for second in range(0, 600, 50):
        peer.protocol.look_after(second)
    assert not peer.transport.is_closing()
    peer.application.may_answer.set()
    assert b"200" in await peer.sends(b"")


async def test_look_when_nothing_has_been_sent_at_all_then_408_after_the_time(peer: Peer) -> None:
    peer.protocol.look_after(0)
    peer.protocol.look_after(60)
    assert peer.transport.is_closing()


async def test_look_when_we_ourselves_do_not_read_then_the_client_is_not_blamed() -> None:
    peer = Peer(request_s_max=60)
    await peer.sends(GET + GET)
    await peer.sends(POST)
    assert peer.protocol.flow.read_paused
    for second in range(0, 600, 50):
        peer.protocol.look_after(second)
    assert not peer.transport.is_closing()
    peer.application.may_answer.set()
    await peer.sends(b"")


async def test_head_when_too_large_then_431(peer: Peer) -> None:
    answer = await peer.sends(b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert peer.transport.is_closing()


async def test_head_when_many_bodies_have_passed_then_they_do_not_count(peer: Peer) -> None:
    for _ in range(4):
        assert b"200" in await peer.sends(POST + b"body")
        large = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
        assert b"200" in await peer.sends(large + b"x" * 100_000)
    assert not peer.transport.is_closing()


async def test_refusal_when_another_request_is_being_answered_then_only_the_end() -> None:
    peer = Peer()
    await peer.sends(GET)
    assert await peer.sends(b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000) == b""
    assert peer.transport.is_closing()
    peer.application.may_answer.set()
    await asyncio.sleep(0)


async def test_refusal_when_the_connection_is_closing_then_nothing_is_written(peer: Peer) -> None:
    peer.transport.close()
    peer.protocol.refuse(EngineStateError("late"))
    assert peer.transport.written == b""


async def test_shutdown_when_half_a_request_has_come_then_it_is_not_waited_for(peer: Peer) -> None:
    await peer.sends(POST)
    peer.protocol.shutdown()
    assert peer.transport.is_closing()


async def test_shutdown_when_an_answer_is_due_then_it_is_given_first() -> None:
    peer = Peer()
    await peer.sends(GET)
    peer.protocol.shutdown()
    assert not peer.transport.is_closing()
    peer.application.may_answer.set()
    assert b"connection: close" in await peer.sends(b"")
    assert peer.transport.is_closing()


async def test_connection_when_lost_then_its_request_hears_of_it_at_once() -> None:
    peer = Peer()
    await peer.sends(GET)
    connection = connection_of(peer.application.scopes[0])
    heard: list[bool] = []
    connection.on_lost = lambda: heard.append(connection.lost)
    peer.protocol.connection_lost(None)
    assert heard == [True]
    peer.application.may_answer.set()
    await asyncio.sleep(0)


def test_connection_when_the_server_is_another_then_it_is_never_lost() -> None:
    assert not connection_of({"type": "http"}).lost
    assert not connection_of({"type": "http", "state": {}}).lost


def test_connection_when_nobody_listens_then_it_is_lost_all_the_same() -> None:
    connection = Connection()
    connection.lose()
    assert connection.lost


OFFERS = [b"Upgrade: h2c", b"UPGRADE:h2c", b"Upgrade: TLS/1.2", b"upgrade: websocket, h2c"]


@pytest.mark.parametrize("name", OFFERS)
async def test_upgrade_when_another_protocol_is_offered_then_the_body_is_still_read(
    peer: Peer, name: bytes
) -> None:
    offer = b"POST / HTTP/1.1\r\nconnection: Upgrade\r\n" + name + b"\r\ncontent-length: 5\r\n\r\n"
    assert b"200" in await peer.sends(offer + b"h2c!!")
    assert peer.application.bodies == [b"h2c!!"]


async def test_body_when_it_looks_like_an_offer_then_it_is_left_alone(peer: Peer) -> None:
    peer.application.may_answer.set()
    offer = b"\r\nupgrade: h2c\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nconnection: Upgrade\r\ncontent-length: %d\r\n\r\n" % len(offer)
    await peer.sends(head + offer)
    await peer.sends(head)
    await peer.sends(offer)
    assert peer.application.bodies == [offer, offer]


async def test_upgrade_when_the_parser_has_seen_the_offer_then_refused_and_nothing_more_is_read(
    peer: Peer,
) -> None:
    peer.application.may_answer.set()
    await peer.sends(b"POST / HTTP/1.1\r\nconnection: Upgrade\r\nUpgr")
    answer = await peer.sends(b"ade: h2c\r\ncontent-length: 27\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"leave out `upgrade`" in answer
    assert peer.transport.closed
    assert peer.application.scopes == []


async def test_connection_when_there_are_too_many_then_the_last_is_refused() -> None:
    peer = Peer(connections_max=0)
    answer = await peer.sends(GET)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b'"_tag":"OverloadedError"' in answer
    assert peer.application.scopes == []
