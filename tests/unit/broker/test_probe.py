"""What is made of whatever answers at a leader's address."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from osqueue.app import BrokerServer
from osqueue.broker.probe import probe_leader
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.model.snapshot import Origin, read_origin
from osqueue.storage import MemoryBackend

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(address: str, broker_id: str | None = "leader-1", *, most_ms: int = 5_000) -> Ask:
    there = Origin(broker=address, broker_id=broker_id, epoch=5)
    return Ask(there, "me:1", "me", 0, most_ms)


def says(
    broker_id: str = "leader-1", *, role: str = "leader", epoch: int = 5, **fields: bool
) -> bytes:
    """How a broker says that it is doing."""
    status = {"ready": True, "role": role, "address": "a", "brokerId": broker_id, "leader": None}
    return http(json.dumps({**status, "epoch": epoch, "writable": True, **fields}).encode())


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
        return await probe_leader(ask(address, broker_id))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("epoch", [5, 6])
async def test_probe_when_the_leader_answers_then_leader(epoch: int) -> None:
    assert await answered(says(epoch=epoch)) is ProbeAnswer.LEADER


async def test_probe_when_its_store_takes_no_writes_then_silent() -> None:
    assert await answered(says(writable=False)) is ProbeAnswer.SILENT


async def test_probe_when_the_leader_steps_down_then_leader_until_it_lets_go() -> None:
    assert await answered(says(role="stepping down")) is ProbeAnswer.LEADER


@pytest.mark.parametrize("role", ["standby", "candidate", "halted"])
async def test_probe_when_that_instance_does_not_lead_then_resigned(role: str) -> None:
    assert await answered(says(role=role)) is ProbeAnswer.RESIGNED


async def test_probe_when_it_leads_under_an_older_epoch_then_resigned() -> None:
    assert await answered(says(epoch=4)) is ProbeAnswer.RESIGNED


@pytest.mark.parametrize("role", ["leader", "standby"])
async def test_probe_when_another_instance_answers_then_other(role: str) -> None:
    assert await answered(says("somebody", role=role)) is ProbeAnswer.OTHER


async def test_probe_when_the_address_leads_to_the_asker_then_ourselves() -> None:
    assert await answered(says("me", role="standby")) is ProbeAnswer.OURSELVES


async def test_probe_when_the_object_names_no_instance_then_silent() -> None:
    assert await answered(says(), broker_id=None) is ProbeAnswer.SILENT


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
        assert await probe_leader(ask(address)) is ProbeAnswer.SILENT
    assert sent < 100_000_000


async def test_probe_when_nothing_listens_then_refused() -> None:
    assert await probe_leader(ask(f"127.0.0.1:{free_port()}")) is ProbeAnswer.REFUSED


async def test_probe_when_it_accepts_and_says_nothing_then_silent() -> None:
    done = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with serving(serve) as address:
        assert await probe_leader(ask(address, most_ms=50)) is ProbeAnswer.SILENT
        done.set()


@pytest.mark.parametrize("address", ["", "a b:1", "h:99999", "http://x", "[::1", "\x00"])
async def test_probe_when_the_address_is_none_then_silent(address: str) -> None:
    assert await probe_leader(ask(address)) is ProbeAnswer.SILENT


async def test_probe_when_it_is_a_real_broker_then_leader_until_it_stops() -> None:
    store = MemoryBackend()
    async with BrokerServer(store, host="127.0.0.1", port=0):
        stored = await store.get("queue.json")
        assert stored is not None
        there = Ask(read_origin(stored.data), "me:1", "me", 0, 5_000)
        assert await probe_leader(there) is ProbeAnswer.LEADER
    assert await probe_leader(there) is ProbeAnswer.REFUSED


async def test_probe_when_the_leader_stops_meanwhile_then_it_answers_at_once() -> None:
    store = MemoryBackend()
    broker = BrokerServer(store, host="127.0.0.1", port=0)
    await broker.start()
    stored = await store.get("queue.json")
    assert stored is not None
    patient = Ask(read_origin(stored.data), "me:1", "me", 5_000, 60_000)
    asking = asyncio.ensure_future(probe_leader(patient))
    while not broker.status().standbys:  # noqa: ASYNC110 - nothing tells when it was asked
        await asyncio.sleep(0.01)
    await broker.stop()
    assert await asyncio.wait_for(asking, 10) in {ProbeAnswer.RESIGNED, ProbeAnswer.SILENT}
