"""Reading the message of a request: whole, bounded and inflated."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from connectrpc.compression import Compression
from connectrpc.compression.brotli import BrotliCompression
from starlette.types import Message, Receive

from osqueue.config import MIB, ROOMY_BYTES
from osqueue.engine.callers import CallerGoneError
from osqueue.engine.room import Room
from osqueue.errors import BrokerProtocolError, OverloadedError
from osqueue.server.rpc.bodies import DRAIN_BYTES_MAX, PIECE_BYTES, Bounds, OneGzip, read_message

GZIP, BROTLI = OneGzip(), BrotliCompression()
DEFLATE: dict[str, tuple[Compression, Callable[[bytes], bytes]]] = {
    "gzip": (GZIP, gzip.compress),
    "br": (BROTLI, BROTLI.compress),
}


class Sender:
    """Sends a body in pieces, and tells how much of it was taken."""

    def __init__(self, *pieces: bytes, breaks_off: bool = False) -> None:
        self._messages: Iterator[Message] = iter(
            [
                *({"type": "http.request", "body": each, "more_body": True} for each in pieces),
                {"type": "http.disconnect"}
                if breaks_off
                else {"type": "http.request", "body": b"", "more_body": False},
            ]
        )
        self.taken = 0

    async def __call__(self) -> Message:
        message = next(self._messages)
        self.taken += len(message.get("body", b""))
        return message


def bounds(bytes_max: int, *, expected: int | None = None, room: Room | None = None) -> Bounds:
    room = room or Room(256 * MIB, wait_ms=10, what="requests")
    too_large = lambda: BrokerProtocolError("too large", status=413)  # noqa: E731 - as it is handed in
    return Bounds(bytes_max, expected, room, too_large)


async def read(receive: Receive, limits: Bounds, **more: Any) -> bytes:
    more = {"compression": None, "enveloped": False, **more}
    body, share = await read_message(receive, limits, **more)
    if share is not None:
        share.give_back()
    return body


async def test_body_when_it_comes_in_pieces_then_it_is_joined() -> None:
    pieces = [b"ab", b"c", b"", b"d" * 100_000, b"e"]
    assert await read(Sender(*pieces), bounds(MIB)) == b"".join(pieces)


async def test_body_when_its_sender_goes_away_then_nobody_is_there() -> None:
    with pytest.raises(CallerGoneError):
        await read(Sender(b"ab", breaks_off=True), bounds(MIB))


@pytest.mark.parametrize("expected", [None, 50_000_000])
async def test_body_when_too_large_then_refused_and_only_so_much_is_read(
    expected: int | None,
) -> None:
    sender = Sender(*[bytes(MIB)] * 50)
    with pytest.raises(BrokerProtocolError, match="too large"):
        await read(sender, bounds(MIB, expected=expected))
    assert sender.taken <= DRAIN_BYTES_MAX + 3 * MIB


@pytest.mark.parametrize("how", DEFLATE)
@pytest.mark.parametrize("size", [0, 10, 100_000, 3 * MIB])
async def test_body_when_compressed_then_it_is_inflated(how: str, size: int) -> None:
    compression, deflate = DEFLATE[how]
    body = b"ab" * (size // 2)
    sent = deflate(body)
    assert await read(Sender(sent), bounds(4 * MIB), compression=compression) == body


@pytest.mark.parametrize("how", DEFLATE)
@pytest.mark.parametrize("size", [3_000, 100 * MIB])
async def test_body_when_it_inflates_beyond_the_limit_then_refused(how: str, size: int) -> None:
    compression, deflate = DEFLATE[how]
    sent = deflate(bytes(size))
    with pytest.raises(BrokerProtocolError, match="too large"):
        await read(Sender(sent), bounds(2_000), compression=compression)


@pytest.mark.parametrize("how", DEFLATE)
async def test_body_when_it_is_not_what_it_says_then_refused(how: str) -> None:
    with pytest.raises(BrokerProtocolError, match=f"is not valid {how}"):
        await read(Sender(b"no such thing"), bounds(MIB), compression=DEFLATE[how][0])


async def test_body_when_of_many_members_that_hold_nothing_then_refused_at_once() -> None:
    sent = gzip.compress(b"") * 200_000  # the library takes minutes for these 4 MiB
    async with asyncio.timeout(5):
        with pytest.raises(BrokerProtocolError, match="more follows its end"):
            await read(Sender(sent), bounds(8 * MIB), compression=GZIP)


async def test_body_when_its_end_is_missing_then_refused() -> None:
    with pytest.raises(BrokerProtocolError, match="its end is missing"):
        await read(Sender(gzip.compress(b"hello")[:-1]), bounds(MIB), compression=GZIP)


@pytest.mark.parametrize("how", DEFLATE)
async def test_body_when_more_than_a_piece_then_not_inflated_on_the_loop(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compression, deflate = DEFLATE[how]
    threads: list[int] = []
    real = type(compression).decompress

    def noted(*asked: Any) -> bytes:
        threads.append(threading.get_ident())
        return real(*asked)

    monkeypatch.setattr(type(compression), "decompress", noted)
    body = b"".join(sha256(b"%d" % n).digest() for n in range(PIECE_BYTES // 16))
    assert await read(Sender(deflate(body)), bounds(MIB), compression=compression) == body
    assert threading.get_ident() not in threads


async def test_envelope_when_its_message_is_compressed_then_only_that_is_inflated() -> None:
    message = gzip.compress(b"hello")
    sent = b"\x01" + len(message).to_bytes(4, "big") + message
    opened = await read(Sender(sent), bounds(MIB), compression=GZIP, enveloped=True)
    assert opened == b"\x00\x00\x00\x00\x05hello"


@pytest.mark.parametrize(
    "sent", [b"", b"\x01", b"\x01\x00\x00\x00\x05ab", b"\x00\x00\x00\x00\x02ab", b"\x01\0\0\0\1abc"]
)
async def test_envelope_when_there_is_nothing_to_inflate_then_it_is_left_alone(
    sent: bytes,
) -> None:
    assert await read(Sender(sent), bounds(MIB), compression=GZIP, enveloped=True) == sent


async def test_large_body_when_there_is_no_room_then_refused_unread() -> None:
    room = Room(8 * MIB, wait_ms=1, what="requests")
    taken = room.take_now(8 * MIB)
    with pytest.raises(OverloadedError, match="requests"):
        await read(Sender(*[bytes(MIB)] * 4), bounds(8 * MIB, room=room))
    taken.give_back()
    assert room.free == 8 * MIB


async def test_large_body_when_read_then_it_keeps_its_room_until_it_is_given_back() -> None:
    room = Room(8 * MIB, wait_ms=1, what="requests")
    limits = bounds(8 * MIB, expected=3 * MIB, room=room)
    sender = Sender(*[bytes(MIB)] * 3)
    body, share = await read_message(sender, limits, compression=None, enveloped=False)
    assert (len(body), room.free) == (3 * MIB, 5 * MIB)
    assert share is not None
    share.give_back()
    assert room.free == 8 * MIB


async def test_large_body_when_its_sender_goes_away_then_the_room_is_free_again() -> None:
    room = Room(8 * MIB, wait_ms=1, what="requests")
    with pytest.raises(CallerGoneError):
        await read(Sender(bytes(2 * MIB), b"x", breaks_off=True), bounds(8 * MIB, room=room))
    assert room.free == 8 * MIB


async def test_small_body_when_read_then_it_takes_no_room() -> None:
    room = Room(1, wait_ms=1, what="requests")
    held = room.take_now(1)
    small = bytes(ROOMY_BYTES)
    assert await read(Sender(small), bounds(8 * MIB, room=room)) == small
    held.give_back()
