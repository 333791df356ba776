"""What is made of whatever answers at a leader's address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from osqueue.app import BrokerServer
from osqueue.broker import probe
from osqueue.broker.probe import probe_leader
from osqueue.engine.election import ProbeAnswer
from osqueue.model.snapshot import Origin, read_origin
from osqueue.storage import MemoryBackend

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def origin(address: str, broker_id: str | None = "leader-1") -> Origin:
    return Origin(broker=address, broker_id=broker_id)


def http(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*head, b"", body])


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The address of a server that does this with every connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.close()


async def answered(data: bytes, broker_id: str | None = "leader-1") -> ProbeAnswer:
    """What a probe makes of an answer of these bytes."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    async with serving(serve) as address:
        return await probe_leader(origin(address, broker_id))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_probe_when_the_leader_answers_then_leader() -> None:
    body = b'{"status":"ready","brokerId":"leader-1","more":[1]}'
    assert await answered(http(body)) is ProbeAnswer.LEADER


async def test_probe_when_it_is_not_ready_then_silent() -> None:
    body = b'{"status":"not ready","brokerId":"leader-1"}'
    assert await answered(http(body, b"503 Service Unavailable")) is ProbeAnswer.SILENT


@pytest.mark.parametrize("status", ["ready", "not ready"])
async def test_probe_when_another_instance_answers_then_other(status: str) -> None:
    body = b'{"status":"%b","brokerId":"somebody"}' % status.encode()
    assert await answered(http(body)) is ProbeAnswer.OTHER


async def test_probe_when_the_object_names_no_instance_then_silent() -> None:
    body = b'{"status":"ready","brokerId":"somebody"}'
    assert await answered(http(body), broker_id=None) is ProbeAnswer.SILENT


@pytest.mark.parametrize(
    "data",
    [
        http(b'{"status":"ok"}'),
        http(b"<html>hello</html>"),
        http(b"[]"),
        http(b"null"),
        http(b'"leader-1"'),
        http(b""),
        http(b'{"brokerId":null}'),
        http(b"[" * 50_000),
        http(b'{"brokerId":"leader-1","status":"ready","x":"' + b"x" * 100_000 + b'"}'),
        http(b"", b"302 Found", b"location: http://127.0.0.1:1/"),
        b"220 smtp.example ESMTP\r\n",
        b"\x00\x01\x02\x03",
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    ],
)
async def test_probe_when_what_answers_is_no_broker_then_silent(data: bytes) -> None:
    assert await answered(data) is ProbeAnswer.SILENT


async def test_probe_when_the_answer_never_ends_then_silent_and_not_read_on() -> None:
    sent = 0

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 100_000)
            sent += 100_000
            await writer.drain()

    async with serving(serve) as address:
        assert await probe_leader(origin(address)) is ProbeAnswer.SILENT
    assert sent < 100_000_000


async def test_probe_when_nothing_listens_then_refused() -> None:
    assert await probe_leader(origin(f"127.0.0.1:{free_port()}")) is ProbeAnswer.REFUSED


async def test_probe_when_it_accepts_and_says_nothing_then_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "PROBE_S_MAX", 0.05)
    done = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with serving(serve) as address:
        assert await probe_leader(origin(address)) is ProbeAnswer.SILENT
        done.set()


@pytest.mark.parametrize("address", ["", "a b:1", "h:99999", "http://x", "[::1", "\x00"])
async def test_probe_when_the_address_is_none_then_silent(address: str) -> None:
    assert await probe_leader(origin(address)) is ProbeAnswer.SILENT


async def test_probe_when_it_is_a_real_broker_then_leader_until_it_stops() -> None:
    store = MemoryBackend()
    async with BrokerServer(store, host="127.0.0.1", port=0):
        stored = await store.get("queue.json")
        assert stored is not None
        there = read_origin(stored.data)
        assert await probe_leader(there) is ProbeAnswer.LEADER
    assert await probe_leader(there) is ProbeAnswer.REFUSED
