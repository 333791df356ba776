from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import Any

import pytest

from osqueue.config import ServerSettings
from osqueue.errors import ConfigError
from osqueue.server import http_server
from osqueue.server.http_server import HttpServer, bind


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An application that nobody calls."""


def test_bind_when_any_port_will_do_then_it_listens_on_one() -> None:
    with bind(ServerSettings(host="127.0.0.1", port=0)) as sock:
        socket.create_connection(sock.getsockname(), timeout=5).close()


def test_bind_when_the_port_is_taken_then_it_says_so() -> None:
    with bind(ServerSettings(host="127.0.0.1", port=0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: .*--port"):
            bind(ServerSettings(host="127.0.0.1", port=port))


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1"])
def test_bind_when_the_host_is_not_ours_then_the_port_is_not_blamed(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}") as caught:
        bind(ServerSettings(host=host, port=0))
    assert "--port" not in caught.value.message


async def test_server_when_stopped_then_the_port_is_free_and_a_second_stop_does_nothing() -> None:
    settings = ServerSettings(host="127.0.0.1", port=0)
    sock = bind(settings)
    port = sock.getsockname()[1]
    server = HttpServer(nothing, settings, sock)
    await server.start()
    await server.stop()
    await server.stop()
    bind(ServerSettings(host="127.0.0.1", port=port)).close()


async def test_server_when_it_cannot_listen_then_the_start_says_so() -> None:
    settings = ServerSettings(host="127.0.0.1", port=0)
    sock = bind(settings)
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await HttpServer(nothing, settings, sock).start()


async def test_server_when_never_started_then_its_stop_frees_the_port() -> None:
    settings = ServerSettings(host="127.0.0.1", port=0)
    sock = bind(settings)
    port = sock.getsockname()[1]
    await HttpServer(nothing, settings, sock).stop()
    bind(ServerSettings(host="127.0.0.1", port=port)).close()


async def test_server_when_it_serves_then_signals_are_left_to_the_program() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    settings = ServerSettings(host="127.0.0.1", port=0)
    server = HttpServer(nothing, settings, bind(settings))
    await server.start()
    during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    await server.stop()
    assert during == before


class Slow:
    """An application that answers when it is allowed to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.allowed = asyncio.Event()
        self.cancelled = False

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.asked.set()
        try:
            await self.allowed.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


async def asked(slow: Slow) -> tuple[HttpServer, asyncio.StreamReader, asyncio.StreamWriter]:
    """A server that is working on a request."""
    settings = ServerSettings(host="127.0.0.1", port=0)
    sock = bind(settings)
    server = HttpServer(slow, settings, sock)
    await server.start()
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await slow.asked.wait()
    return server, reader, writer


async def test_stop_when_an_answer_is_under_way_then_it_is_given_first() -> None:
    slow = Slow()
    server, reader, writer = await asked(slow)
    stop = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    slow.allowed.set()
    async with asyncio.timeout(5):
        assert (await reader.read()).endswith(b"\r\n\r\ndone")
        await stop
    writer.close()


async def test_stop_when_an_answer_takes_too_long_then_it_is_broken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "GRACE_S", 0.02)
    slow = Slow()
    server, reader, writer = await asked(slow)
    async with asyncio.timeout(5):
        await server.stop()
        with contextlib.suppress(ConnectionError):
            assert b"done" not in await reader.read()
    assert slow.cancelled
    writer.close()
