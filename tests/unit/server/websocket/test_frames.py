"""Frames in pieces and beyond their limits; the property test has the rest."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from osqueue.server.websocket.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    SKIPPED,
    TEXT,
    FrameError,
    FrameReader,
    close_frame,
    is_utf8,
    read_close,
)


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


@pytest.fixture
def reader() -> FrameReader:
    return FrameReader(message_max=10_000, roomy=1_000)


def test_frame_when_it_comes_byte_by_byte_then_read_once_it_is_all_there(
    reader: FrameReader,
) -> None:
    whole = masked(TEXT, b"x" * 300)
    for byte in whole[:-1]:
        reader.feed(bytes((byte,)))
        assert reader.read() is None
        assert reader.midway
    reader.feed(whole[-1:])
    assert reader.read() == (TEXT, b"x" * 300)
    assert reader.read() is None
    assert not reader.midway


def test_frames_when_several_come_at_once_then_what_is_not_asked_for_stays(
    reader: FrameReader,
) -> None:
    reader.feed(masked(TEXT, b"a") + masked(BINARY, b"b"))
    assert reader.read() == (TEXT, b"a")
    assert reader.midway
    assert reader.read() == (BINARY, b"b")


def test_large_frame_when_announced_then_nothing_is_taken_before_there_is_room(
    reader: FrameReader,
) -> None:
    whole = masked(TEXT, b"y" * 5_000)
    reader.feed(whole[:100])
    assert reader.read() is None
    assert reader.room_wanted == 5_000
    assert reader.received < 200
    reader.admit()
    assert reader.read() is None
    assert reader.room_wanted == 0
    reader.feed(whole[100:])
    assert reader.read() == (TEXT, b"y" * 5_000)


def test_large_message_when_in_fragments_then_room_for_any_that_is_allowed(
    reader: FrameReader,
) -> None:
    reader.feed(masked(TEXT, b"z" * 900, fin=False) + masked(CONT, b"z" * 900))
    assert reader.read() is None
    assert reader.room_wanted == 10_000
    reader.admit()
    assert reader.read() == (TEXT, b"z" * 1_800)
    reader.feed(masked(BINARY, b"z" * 2_000))
    assert reader.read() is None
    assert reader.room_wanted == 2_000, "the room was for one message"


def test_large_message_when_there_is_no_room_then_only_its_beginning_is_kept(
    reader: FrameReader,
) -> None:
    whole = masked(TEXT, b"head" + b"y" * 9_000) + masked(PING, b"p")
    reader.feed(whole[:50])
    assert reader.read() is None
    reader.skip()
    for at in range(50, len(whole), 500):
        assert reader.read() is None
        reader.feed(whole[at : at + 500])
    found = reader.read()
    assert found is not None
    assert (found[0], found[1][:4], len(found[1])) == (SKIPPED, b"head", 1_024)
    assert reader.read() == (PING, b"p")


def test_message_when_dropped_midway_then_what_was_kept_is_given_up(reader: FrameReader) -> None:
    reader.feed(masked(TEXT, b"z" * 3_000, fin=False))
    reader.read()
    reader.admit()
    reader.read()
    reader.skip()
    reader.feed(masked(CONT, b"end"))
    found = reader.read()
    assert found is not None
    assert (found[0], len(found[1])) == (SKIPPED, 1_024)


def test_ping_when_between_fragments_then_it_comes_first(reader: FrameReader) -> None:
    reader.feed(masked(TEXT, b"a", fin=False) + masked(PING, b"p") + masked(CONT, b"b"))
    assert reader.read() == (PING, b"p")
    assert reader.read() == (TEXT, b"ab")


@pytest.mark.parametrize("pieces", [[9_999, 2], [5_000, 5_001]])
def test_message_when_larger_than_allowed_then_refused_by_its_header(
    reader: FrameReader, pieces: list[int]
) -> None:
    first, second = pieces
    reader.feed(masked(TEXT, b"x" * first, fin=False))
    reader.read()
    reader.admit()
    assert reader.read() is None
    reader.feed(masked(CONT, b"x" * second)[:8])
    with pytest.raises(FrameError) as raised:
        reader.read()
    assert raised.value.code == 1009


def test_letter_when_cut_between_fragments_then_it_is_whole_again(reader: FrameReader) -> None:
    text = "é".encode()
    reader.feed(masked(TEXT, text[:1], fin=False) + masked(CONT, text[1:]))
    assert reader.read() == (TEXT, text)


@pytest.mark.parametrize(("data", "code"), [(b"", None), (b"\x03\xe8", 1000), (b"\x0f\xa1x", 4001)])
def test_close_frame_when_read_then_its_code(data: bytes, code: int | None) -> None:
    assert read_close(data) == code


def test_close_frame_when_its_reason_is_long_then_cut_between_letters() -> None:
    whole = close_frame(1008, "é" * 100)
    assert whole[:2] == bytes((0x80 | CLOSE, 124))
    assert whole[4:].decode() == "é" * 61


@pytest.mark.parametrize("size", [10, 256 * 1024, 256 * 1024 + 1, 700_001])
def test_utf8_when_a_letter_stands_at_the_edge_of_a_piece_then_judged_alike(size: int) -> None:
    text = "é".encode() * (size // 2 + 1)
    assert is_utf8(b"x" + text)
    assert is_utf8(text)
    assert not is_utf8(text[:-1])
    assert not is_utf8(text + b"\xff" + text)
