"""What one WebSocket is to be sent: encoded only when the client takes it in.

Laws: what is encoded and not sent never exceeds what the transport buffers, and one answer or piece
of a large one; the answers of one iteration of the loop go out in one write; between the pieces of
a large answer others have their turn, and the connection's control frames go through.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from osqueue.server.websocket.frames import CONT, TEXT, frame

__all__ = ["Due", "Outbox", "fragments"]

WRITE_BYTES: Final = 256 * 1024
"""About the most that is joined into one write."""


class Due(Protocol):
    """Something to be sent."""

    def text(self) -> bytes | Iterator[bytes]:
        """The message, whole or in chunks. Called once."""
        ...

    def sent(self) -> None:
        """It has been handed to the transport, or never will be. Called once."""
        ...


class Outbox:
    """``on_sent`` is called when things due have been sent."""

    __slots__ = (
        "_closed",
        "_due",
        "_frames",
        "_large",
        "_loop",
        "_on_sent",
        "_paused_at",
        "_scheduled",
        "_transport",
        "_waiting",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_sent: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._on_sent = on_sent
        self._due: deque[Due] = deque()
        self._frames: Iterator[bytes] | None = None
        """Of a large message on its way."""
        self._large: Due | None = None
        """That message."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_at: float | None = None
        self._scheduled = False
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether nothing is due."""
        return not self._due and self._frames is None

    @property
    def full(self) -> bool:
        """Whether the client has to take in more before anything else is sent."""
        return self._paused_at is not None

    def stalled_s(self) -> float:
        """For how long the client has not taken in what the transport holds for it."""
        return 0.0 if self._paused_at is None else self._loop.time() - self._paused_at

    def put(self, due: Due) -> None:
        """Send it with whatever else this iteration of the loop brings."""
        if self._closed:
            due.sent()
            return
        self._due.append(due)
        self._schedule()

    def put_now(self, due: Due) -> None:
        """Hand it to the transport before this returns, if `room` said that there is some."""
        if self._closed or self._frames is not None:
            self.put(due)
            return
        text = due.text()
        if isinstance(text, bytes):
            self._transport.write(frame(TEXT, text))
            due.sent()
            self._on_sent()
        else:
            self._begin(due, text)
            self._flush()

    def room(self) -> asyncio.Future[None] | None:
        """What to wait for before something is put `put_now`; ``None``: nothing."""
        if self._closed or (self._paused_at is None and self._frames is None):
            return None
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiting)
        return waiting

    def control(self, data: bytes) -> None:
        """Send a control frame: it may stand between any others."""
        self._transport.write(data)

    def pause(self) -> None:
        """The transport holds enough."""
        self._paused_at = self._loop.time()

    def resume(self) -> None:
        """The client has taken it in."""
        self._paused_at = None
        self._schedule()
        self._wake()

    def close(self) -> None:
        """Nothing is sent any more; what is due never will be."""
        self._closed = True
        due, self._due = self._due, deque()
        if self._large is not None:
            due.append(self._large)
        self._frames = self._large = None
        for each in due:
            each.sent()
        self._wake()

    def _schedule(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._frames is not None:
            self._send_piece()
        elif self._due and not self._closed:
            self._send_due()
        if not self.empty and self._paused_at is None:
            self._schedule()
        self._on_sent()

    def _send_due(self) -> None:
        """What can go out in one write; the rest has its turn in the next iteration."""
        joined: list[bytes] = []
        sent: list[Due] = []
        size = 0
        while self._due and self._paused_at is None and size < WRITE_BYTES:
            due = self._due.popleft()
            text = due.text()
            if not isinstance(text, bytes):
                self._begin(due, text)
                break
            joined.append(frame(TEXT, text))
            sent.append(due)
            size += len(text)
        if joined:
            self._transport.write(b"".join(joined))
        for due in sent:
            due.sent()

    def _begin(self, due: Due, chunks: Iterable[bytes]) -> None:
        self._frames, self._large = fragments(chunks), due

    def _send_piece(self) -> None:
        """The next piece of a large message."""
        if self._paused_at is not None or self._closed or self._frames is None:
            return
        piece = next(self._frames, None)
        if piece is not None:
            self._transport.write(piece)
            return
        large, self._frames, self._large = self._large, None, None
        assert large is not None, "what is sent in pieces is known"
        large.sent()
        self._wake()

    def _wake(self) -> None:
        if self._closed or (self._paused_at is None and self._frames is None):
            waiting, self._waiting = self._waiting, deque()
            for each in waiting:
                if not each.done():
                    each.set_result(None)


def fragments(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of one message that comes in chunks."""
    opcode, held = TEXT, b""
    for chunk in chunks:
        if held:
            yield frame(opcode, held, fin=False)
            opcode = CONT
        held = chunk
    yield frame(opcode, held)
