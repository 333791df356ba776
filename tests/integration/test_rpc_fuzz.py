"""What is neither Connect nor gRPC, on both ports: the broker stays up, and others are served."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - drawn from a fixed seed
import struct
from collections.abc import AsyncIterator
from typing import NamedTuple

import grpc
import pytest
from tests.conformance.stubs import messages
from tests.integration.rest import Rest
from tests.integration.rpc import SERVICE, post

from osqueue.app import BrokerServer
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.methods import METHODS

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def frame(kind: int, flags: int, stream: int, body: bytes, *, length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return struct.pack(">I", said)[1:] + struct.pack(">BBI", kind, flags, stream) + body


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


HEADERS = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", f"{SERVICE}SubmitJob".encode()),
        (b":authority", b"b"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
)
OPEN = PREFACE + SETTINGS + frame(1, 4, 1, HEADERS)
"""A call of SubmitJob that has said nothing yet."""

GARBAGE = {
    "nothing": b"",
    "zeros": bytes(10_000),
    "half a preface": PREFACE[:10],
    "http/1": b"POST /osqueue.v1.QueueService/GetStats HTTP/1.1\r\nhost: b\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "preface alone": PREFACE,
    "a frame cut off": PREFACE + SETTINGS[:5],
    "a frame too large": PREFACE + SETTINGS + frame(0, 0, 1, b"", length=2**24 - 1),
    "unknown frames": PREFACE + SETTINGS + frame(99, 255, 7, b"x" * 100) * 100,
    "headers that are none": PREFACE + SETTINGS + frame(1, 5, 1, b"\xff" * 50),
    "headers without end": PREFACE + SETTINGS + frame(1, 0, 1, HEADERS) + frame(9, 0, 1, b"\0" * 9),
    "a stream of the other side": PREFACE + SETTINGS + frame(1, 5, 2, HEADERS),
    "a message cut off": OPEN + frame(0, 1, 1, b"\0\0\0\0\x63ab"),
    "a message too large": OPEN + frame(0, 0, 1, b"\0\xff\xff\xff\xff" + bytes(1_000)),
    "a compressed message": OPEN + frame(0, 1, 1, b"\1\0\0\0\x02ab"),
    "a call reset": OPEN + frame(3, 0, 1, b"\0\0\0\x08"),
    "calls reset by the hundred": PREFACE
    + SETTINGS
    + b"".join(frame(1, 4, n, HEADERS) + frame(3, 0, n, b"\0\0\0\x08") for n in range(1, 801, 2)),
    "pings by the thousand": PREFACE + SETTINGS + frame(6, 0, 0, bytes(8)) * 1_000,
    "a window of nothing": OPEN + frame(8, 0, 0, bytes(4)),
    "goaway": OPEN + frame(7, 0, 0, bytes(8)),
}


class Ports(NamedTuple):
    """A broker's ports, and a good client of each."""

    broker: BrokerServer
    rest: Rest
    channel: grpc.aio.Channel

    def number(self, name: str) -> int:
        port = self.broker.grpc_port
        assert port is not None
        return port if name == "grpc" else int(self.broker.address.rpartition(":")[2])

    async def expect_well(self) -> None:
        """Both clients are served as if nothing were."""
        asks, answers = messages("SubmitJob")
        submit = self.channel.unary_unary(
            f"/{SERVICE.strip('/')}/SubmitJob",
            request_serializer=asks.SerializeToString,
            response_deserializer=answers.FromString,
        )
        job_id = (await submit(asks(payload=b"1"), timeout=20)).job_id
        claimed = await post(self.rest, "ClaimJob", {"workerId": "w"})
        assert claimed.json["jobId"] == job_id
        done = await post(self.rest, "CompleteJob", {"jobId": job_id, "workerId": "w"})
        assert done.status == 200
        assert (await self.rest.state())["jobs"] == []


@pytest.fixture
async def ports(session: object) -> AsyncIterator[Ports]:
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}")
        yield Ports(broker, Rest(session, broker.url), channel)  # type: ignore[arg-type]
        await channel.close()


async def throw(port: int, data: bytes, *, how: str) -> None:
    """Send it, and leave: at once, after closing one half, or when the broker does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        await writer.drain()
        if how == "half" and not writer.is_closing():
            writer.write_eof()
        if how != "abort":
            async with asyncio.timeout(0.3):
                while await reader.read(65_536):
                    pass
    except (TimeoutError, OSError):
        pass
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("port", ["grpc", "http"])
@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_when_thrown_at_a_port_then_others_are_served(
    ports: Ports, what: str, port: str
) -> None:
    number = ports.number(port)
    thrown = [throw(number, GARBAGE[what], how=how) for how in ("abort", "half", "wait")]
    await asyncio.gather(*thrown)
    await ports.expect_well()


@pytest.mark.parametrize("port", ["grpc", "http"])
async def test_bytes_when_drawn_at_random_then_others_are_served(ports: Ports, port: str) -> None:
    dice = random.Random(5)
    number = ports.number(port)
    for _ in range(20):
        data = OPEN + dice.randbytes(dice.randrange(3_000))
        cut = data[: dice.randrange(len(data))]
        await asyncio.gather(*[throw(number, each, how="abort") for each in (data, cut)])
    await ports.expect_well()


async def test_connections_when_opened_by_the_hundred_then_others_are_served(ports: Ports) -> None:
    held = [
        await asyncio.open_connection("127.0.0.1", ports.number(name))
        for name in ("grpc", "http")
        for _ in range(300)
    ]
    await ports.expect_well()
    for _, writer in held:
        writer.transport.abort()
    await ports.expect_well()


async def test_messages_when_mutated_then_answered_and_the_queue_stays_readable(
    ports: Ports,
) -> None:
    dice = random.Random(7)
    seed = pb.SubmitJobRequest(payload=b'{"a":1}', type="t", job_id="x", priority=3).to_binary()
    kind = {"content-type": "application/proto"}
    for _ in range(150):
        method = dice.choice(METHODS)
        if method.name == "FailOver":
            continue
        data = bytearray(seed)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        answer = await post(ports.rest, method.name, bytes(data), kind)
        assert answer.status in {200, 400, 404, 409, 429}, (method.name, bytes(data), answer)
    state = await ports.rest.state()
    for job in state["jobs"]:
        await ports.rest.delete(f"/v1/jobs/{job['id']}")
    await ports.expect_well()
