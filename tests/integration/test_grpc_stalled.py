"""Callers of gRPC who take in nothing, or never finish what they say, frame by frame."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from tests.integration.rest import eventually
from tests.integration.test_rpc_fuzz import PREFACE, frame, literal

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.methods import SERVICE

DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
END_HEADERS, END = 4, 1
NO_WINDOW = struct.pack(">HI", 4, 0)
LISTENING = 2
"""Tasks that gRPC keeps of a call: for its end, and for the next call."""

EMPTY = bytes(5)
"""A message without fields, in gRPC's envelope."""


@pytest.fixture
async def broker() -> AsyncIterator[BrokerServer]:
    """A broker without patience."""
    settings = BrokerSettings(server=ServerSettings(send_s_max=1))
    async with BrokerServer(
        "memory://", host="127.0.0.1", port=0, grpc_port=None, settings=settings
    ) as broker:
        yield broker


class Caller:
    """A connection on which, by its ``window``, nothing may be sent back but headers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(
        cls, broker: BrokerServer, *, window: bytes = NO_WINDOW
    ) -> AsyncIterator[Caller]:
        caller = cls(*await asyncio.open_connection("127.0.0.1", broker.grpc_port))
        caller._writer.write(PREFACE + frame(SETTINGS, 0, 0, window))
        try:
            yield caller
        finally:
            caller._writer.transport.abort()

    def call(self, method: str, message: bytes | None = EMPTY) -> None:
        """``message``: ``None`` for a caller who never sends it."""
        path = f"/{SERVICE}/{method}".encode()
        pairs = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path)]
        pairs += [
            (b":authority", b"b"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]
        self._writer.write(
            frame(HEADERS, END_HEADERS, 1, b"".join(literal(*each) for each in pairs))
        )
        if message is not None:
            self._writer.write(frame(DATA, END, 1, message))

    def take_in(self) -> None:
        """Let the answer to the call come after all."""
        self._writer.write(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1_000_000)))

    async def receives(self, kind: int) -> None:
        """Wait for a frame."""
        async with asyncio.timeout(20):
            while True:
                head = await self._reader.readexactly(9)
                await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == kind:
                    return


async def submit(broker: BrokerServer, size: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}") as channel:
        ask = channel.unary_unary(f"/{SERVICE}/SubmitJob")
        job = pb.SubmitJobRequest(payload=b'"%b"' % (b"x" * size))
        await ask(job.to_binary())


async def test_claim_when_its_answer_is_not_taken_in_then_its_room_is_given_back(
    broker: BrokerServer,
) -> None:
    await submit(broker, 100_000)
    room = broker._engine.payloads.outgoing  # type: ignore[union-attr]
    free = room.free
    async with Caller.open(broker) as caller:
        message = pb.ClaimJobRequest(worker_id="w").to_binary()
        caller.call("ClaimJob", bytes([0]) + len(message).to_bytes(4, "big") + message)
        await eventually(lambda: room.free < free)
        await eventually(lambda: room.free == free)


async def test_stream_when_it_is_not_taken_in_then_ended_without_ado(
    broker: BrokerServer, caplog: pytest.LogCaptureFixture
) -> None:
    streams = broker._service.streams  # type: ignore[union-attr]
    async with Caller.open(broker) as caller:
        caller.call("Subscribe")
        await eventually(lambda: len(streams.subscriptions) == 1)
        await eventually(lambda: len(streams.subscriptions) == 0)
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


async def test_stream_when_taken_in_again_after_it_was_dropped_then_the_end_is_told(
    broker: BrokerServer,
) -> None:
    streams = broker._service.streams  # type: ignore[union-attr]
    async with Caller.open(broker) as caller:
        caller.call("Subscribe")
        await caller.receives(HEADERS)
        await eventually(lambda: len(streams.subscriptions) == 1)
        await eventually(lambda: len(streams.subscriptions) == 0)
        caller.take_in()
        await caller.receives(DATA)
        await caller.receives(HEADERS)


async def test_stream_when_its_end_is_not_taken_in_either_then_nobody_waits_for_that(
    broker: BrokerServer,
) -> None:
    streams = broker._service.streams  # type: ignore[union-attr]
    async with Caller.open(broker) as caller:
        before = asyncio.all_tasks()
        caller.call("Subscribe")
        await eventually(lambda: len(streams.subscriptions) == 1)
        serving = asyncio.all_tasks() - before
        await eventually(lambda: len(streams.subscriptions) == 0)
        await eventually(lambda: sum(not task.done() for task in serving) == LISTENING)


async def test_open_method_when_its_message_never_comes_then_answered_all_the_same(
    broker: BrokerServer,
) -> None:
    async with Caller.open(broker, window=b"") as caller:
        caller.call("GetStatus", None)
        await caller.receives(DATA)
