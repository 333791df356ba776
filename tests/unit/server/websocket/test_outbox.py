"""What is due to a client: sent as it takes it in, and never built before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from osqueue.server.websocket.frames import CONT, PING, TEXT, frame
from osqueue.server.websocket.outbox import Outbox, fragments


class Transport(asyncio.Transport):
    """Keeps each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))


class Due:
    """Something to be sent: a text, or chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.built = self.over = 0

    def text(self) -> bytes | Iterator[bytes]:
        self.built += 1
        return self._chunks[0] if len(self._chunks) == 1 else iter(self._chunks)

    def sent(self) -> None:
        self.over += 1


class Case:
    """An outbox, and what is around it."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.told = 0
        self.outbox = Outbox(self.transport, asyncio.get_running_loop(), self._tell)

    def _tell(self) -> None:
        self.told += 1


async def turns(number: int = 1) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_answers_when_due_in_one_turn_then_one_write() -> None:
    case = Case()
    due = [Due(b"a"), Due(b"b"), Due(b"c")]
    for each in due:
        case.outbox.put(each)
    assert case.transport.writes == []
    await turns()
    assert case.transport.writes == [b"".join(frame(TEXT, text) for text in (b"a", b"b", b"c"))]
    assert [each.over for each in due] == [1, 1, 1]
    assert case.told == 1
    assert case.outbox.empty


async def test_answer_when_put_now_then_written_before_it_returns() -> None:
    case = Case()
    due = Due(b"now")
    assert case.outbox.room() is None
    case.outbox.put_now(due)
    assert case.transport.writes == [frame(TEXT, b"now")]
    assert (due.over, case.told) == (1, 1)


async def test_answers_when_the_client_takes_nothing_in_then_not_even_built() -> None:
    case = Case()
    case.outbox.pause()
    due = Due(b"x")
    case.outbox.put(due)
    await turns(3)
    assert (due.built, case.transport.writes, case.outbox.full) == (0, [], True)
    assert case.outbox.stalled_s() > 0
    case.outbox.resume()
    await turns()
    assert (due.over, case.outbox.stalled_s()) == (1, 0.0)


async def test_answers_when_many_bytes_then_not_all_in_one_write() -> None:
    case = Case()
    due = [Due(b"x" * 100_000) for _ in range(8)]
    for each in due:
        case.outbox.put(each)
    await turns()
    assert len(case.transport.writes) == 1
    assert sum(each.over for each in due) == 3
    await turns(3)
    assert [each.over for each in due] == [1] * 8


async def test_room_when_there_is_none_then_each_waits_until_there_is() -> None:
    case = Case()
    case.outbox.pause()
    first, second = case.outbox.room(), case.outbox.room()
    assert first is not None
    assert second is not None
    first.cancel()
    await turns()
    assert not second.done()
    case.outbox.resume()
    assert second.done()
    assert case.outbox.room() is None


async def test_large_answer_when_sent_then_in_pieces_with_control_frames_between() -> None:
    case = Case()
    large, small = Due(b"one", b"two", b"three"), Due(b"small")
    case.outbox.put(large)
    case.outbox.put(small)
    await turns()
    waiting = case.outbox.room()
    assert waiting is not None
    await turns()
    case.outbox.control(frame(PING, b""))
    await turns(6)
    assert case.transport.writes == [
        frame(TEXT, b"one", fin=False),
        frame(PING, b""),
        frame(CONT, b"two", fin=False),
        frame(CONT, b"three"),
        frame(TEXT, b"small"),
    ]
    assert waiting.done()
    assert (large.over, small.over) == (1, 1)


async def test_large_answer_when_put_now_then_its_first_piece_is_written_at_once() -> None:
    case = Case()
    case.outbox.put_now(Due(b"one", b"two"))
    assert case.transport.writes == [frame(TEXT, b"one", fin=False)]
    behind = Due(b"behind")
    case.outbox.put_now(behind)
    await turns(4)
    assert case.transport.writes[1:] == [frame(CONT, b"two"), frame(TEXT, b"behind")]


async def test_close_when_things_are_due_then_each_is_over_once_and_nothing_is_sent() -> None:
    case = Case()
    case.outbox.put_now(Due(b"begun", b"never"))
    case.outbox.pause()
    waiting = case.outbox.room()
    due = Due(b"x")
    case.outbox.put(due)
    case.outbox.close()
    late = Due(b"late")
    case.outbox.put(late)
    now = Due(b"now")
    case.outbox.put_now(now)
    await turns(3)
    assert len(case.transport.writes) == 1
    assert [due.over, late.over, now.over] == [1, 1, 1]
    assert [due.built, late.built, now.built] == [0, 0, 0]
    assert waiting is not None
    assert waiting.done()
    assert case.outbox.room() is None


def test_fragments_when_there_is_one_chunk_then_a_whole_message() -> None:
    assert list(fragments([b"all"])) == [frame(TEXT, b"all")]
