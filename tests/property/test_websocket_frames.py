"""Frames are read as another implementation reads them, in whatever pieces they arrive."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from osqueue.server.websocket import frames
from osqueue.server.websocket.frames import FrameError, FrameReader

MESSAGE_MAX = 300
ROOMY = 100


class Sent(NamedTuple):
    """A frame as some client sends it."""

    first: int
    data: bytes
    mask: bytes | None
    """``None``: it is not masked."""
    long_length: bool
    """Whether the length is written in more bytes than it takes."""

    def encode(self) -> bytes:
        size, masked = len(self.data), 0 if self.mask is None else 0x80
        if self.long_length and self.first & 0x0F < frames.CLOSE:  # theirs allows it for all
            head = bytes((self.first, masked | 127)) + size.to_bytes(8, "big")
        elif size < 126:
            head = bytes((self.first, masked | size))
        else:
            head = bytes((self.first, masked | 126)) + size.to_bytes(2, "big")
        if self.mask is None:
            return head + self.data
        return head + self.mask + apply_mask(self.data, self.mask)


class Read(NamedTuple):
    """What came of it."""

    events: list[tuple[int, bytes]]
    broken: bool


valid_firsts = st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A])
any_firsts = st.one_of(valid_firsts, valid_firsts, st.integers(0, 255))
closes = st.builds(lambda code: code.to_bytes(2, "big") + b"why", st.integers(990, 5010))
data = st.one_of(
    st.binary(max_size=20),
    st.binary(min_size=90, max_size=310),
    st.text(max_size=40).map(str.encode),
)
masks = st.one_of(st.binary(min_size=4, max_size=4), st.just(b"\0\0\0\0"))
good = st.builds(Sent, valid_firsts, data, masks, st.booleans())
odd = st.builds(Sent, any_firsts, data, st.one_of(masks, st.none()), st.booleans())
closing = st.builds(
    Sent, st.just(0x88), closes | st.binary(max_size=3), masks, st.just(value=False)
)
streams = st.lists(st.one_of(good, good, good, odd, closing), max_size=8)


def read_ours(pieces: list[bytes]) -> Read:
    """Messages that turn out not to be text are told as they are: theirs leaves that to others."""
    reader = FrameReader(message_max=MESSAGE_MAX, roomy=ROOMY)
    events: list[tuple[int, bytes]] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (found := _next(reader)) is not None:
                events.append((found[0], bytes(found[1])))
                if found[0] == frames.CLOSE:
                    frames.read_close(found[1])
                    return Read(events, broken=False)
    except FrameError:
        return Read(events, broken=True)
    return Read(events, broken=False)


def _next(reader: FrameReader) -> frames.Frame | None:
    while True:
        found = reader.read()
        if found is not None or not reader.room_wanted:
            return found
        assert reader.room_wanted <= MESSAGE_MAX
        reader.admit()


def read_theirs(pieces: list[bytes]) -> Read:
    theirs = ServerProtocol(state=OPEN, max_size=MESSAGE_MAX)
    events: list[tuple[int, bytes]] = []
    kind, message = 0, b""
    for piece in pieces:
        theirs.receive_data(piece)
        for event in theirs.events_received():
            assert isinstance(event, TheirFrame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY):
                kind, message = int(event.opcode), b""
            if event.opcode > Opcode.BINARY:
                events.append((int(event.opcode), bytes(event.data)))
                continue
            message += bytes(event.data)
            if event.fin:
                events.append((kind, message))
    return Read(events, broken=theirs.parser_exc is not None)


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    return [piece for piece in [*pieces, whole[at:]] if piece]


@given(streams, st.lists(st.integers(1, 40), max_size=30))
def test_frames_when_read_then_as_by_another_implementation(
    sent: list[Sent], sizes: list[int]
) -> None:
    pieces = cut(b"".join(each.encode() for each in sent), sizes)
    ours, theirs = read_ours(pieces), read_theirs(pieces)
    not_text = next((at for at, event in enumerate(theirs.events) if not _is_text(event)), None)
    if not_text is not None:
        assert ours == Read(theirs.events[:not_text], broken=True)
        return
    if theirs.broken and len(ours.events) > len(theirs.events):
        # It tells of no close frame that is wrong, nor of one between the pieces of a message.
        assert ours.events[-1][0] == frames.CLOSE
        assert ours.events[:-1] == theirs.events
    else:
        assert ours == theirs


def _is_text(event: tuple[int, bytes]) -> bool:
    try:
        return event[0] != frames.TEXT or event[1].decode() is not None
    except UnicodeDecodeError:
        return False


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20))
def test_frames_when_anything_arrives_then_little_is_kept(pieces: list[bytes]) -> None:
    reader = FrameReader(message_max=MESSAGE_MAX, roomy=ROOMY)
    with suppress(FrameError):
        for piece in pieces:
            reader.feed(piece)
            while reader.read() is not None:
                pass
            if reader.room_wanted:
                reader.skip()
                continue
            assert reader.received <= MESSAGE_MAX + 14 + len(piece)


@given(good, st.integers(0, 3))
def test_server_frame_when_read_by_a_client_then_the_same(sent: Sent, opcode: int) -> None:
    opcode = opcode if opcode in (frames.TEXT, frames.BINARY) else frames.TEXT
    whole = frames.frame(opcode, sent.data)
    theirs = TheirFrame(Opcode(opcode), sent.data).serialize(mask=False)
    assert whole == theirs
