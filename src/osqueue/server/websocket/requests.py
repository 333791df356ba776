"""The requests of one WebSocket, from the message to the answer that has been sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Raw

from osqueue.broker.dispatch import Call, Pushed
from osqueue.broker.reply import Reply
from osqueue.engine.callers import Caller
from osqueue.engine.room import Share
from osqueue.errors import OsqueueError
from osqueue.server.pieces import (
    PIECES_FROM,
    chunks,
    claim_pieces,
    is_large,
    job_pieces,
    page_texts,
)
from osqueue.server.telemetry.observing import SeenRequest
from osqueue.server.websocket.envelope import (
    EVENT,
    RESULT,
    Asking,
    error_message,
    message,
    message_pieces,
    open_message,
)
from osqueue.server.websocket.methods import Method
from osqueue.wire.messages import ClaimAnswer, ClaimedJob, PayloadAnswer
from osqueue.wire.operations import CLAIM

__all__ = ["Event", "Opening", "Request"]


class Request:
    """One request. ``over`` is called when its answer has been sent, or never will be."""

    __slots__ = (
        "asking",
        "call",
        "caller",
        "ending",
        "error",
        "method",
        "over",
        "pushed",
        "reply",
        "seen",
        "share",
        "size",
        "waits",
        "weight",
    )

    def __init__(
        self,
        asking: Asking,
        method: Method | None,
        size: int,
        *,
        seen: SeenRequest,
        over: Callable[[Request], None],
    ) -> None:
        self.asking = asking
        self.method = method
        self.size = size
        """Bytes of the message."""
        self.seen = seen
        self.over = over
        self.call = Call()
        self.weight = 1
        """As how many requests it counts."""
        self.waits = False
        """Whether it may last for long, and so is counted apart."""
        self.ending: Reply[Any] | OsqueueError | None = None
        """How it is answered when it is ended before its time."""
        self.pushed: Pushed | None = None
        """What a stream brings."""
        self.caller: Caller | None = None
        """Of a claim or a stream of jobs: who gives the jobs back when nobody is there."""
        self.share: Share | None = None
        """Room for its bytes, when they are many."""
        self.reply: Reply[Any] | None = None
        self.error: OsqueueError | None = None

    def text(self) -> bytes | Iterator[bytes]:
        """The answer, whole or in chunks."""
        if self.error is not None:
            self.seen.failed(self.error)
            return error_message(self.asking, self.error)
        assert self.reply is not None, "it has been answered"
        text = _text(self.asking, RESULT, self.reply)
        if isinstance(text, bytes):
            self.seen.sent = len(text)
        return text

    def sent(self) -> None:
        """The answer has been sent, or never will be."""
        if self.reply is not None and self.reply.sent is not None:
            self.reply.sent()
        self.seen.over()
        self.over(self)

    @property
    def brings_jobs(self) -> bool:
        """Whether its answer hands out jobs."""
        value = None if self.reply is None else self.reply.value
        return isinstance(value, ClaimedJob) or (
            isinstance(value, ClaimAnswer) and bool(value.jobs)
        )

    @property
    def nothing(self) -> Reply[Any]:
        """How it is answered when it is cancelled."""
        method = self.method
        claims = method is not None and method.operation is CLAIM and not method.one
        return Reply(ClaimAnswer([]) if claims else None, None)

    def end_early(self) -> None:
        """It was ended before its time; let that be its answer."""
        if isinstance(self.ending, OsqueueError):
            self.error = self.ending
        else:
            self.reply = self.ending


class Opening:
    """What comes first of a stream."""

    __slots__ = ("_asking",)

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def text(self) -> bytes:
        """The message."""
        return open_message(self._asking)

    def sent(self) -> None:
        """Nobody waits for that."""


class Event:
    """Something that a stream brings."""

    __slots__ = ("_asking", "_reply")

    def __init__(self, asking: Asking, reply: Reply[Any]) -> None:
        self._asking = asking
        self._reply = reply

    def text(self) -> bytes | Iterator[bytes]:
        """The message, whole or in chunks."""
        return _text(self._asking, EVENT, self._reply)

    def sent(self) -> None:
        """It has been sent, or never will be."""
        if self._reply.sent is not None:
            self._reply.sent()


def _text(asking: Asking, key: bytes, reply: Reply[Any]) -> bytes | Iterator[bytes]:
    pieces = _pieces(reply.value)
    if pieces is None:
        return message(asking, key, reply.value, reply.position)
    return chunks(message_pieces(asking, key, pieces, reply.position))


def _pieces(value: object) -> Iterable[bytes | memoryview] | None:
    """A value that is too large to be made in one go."""
    if isinstance(value, PayloadAnswer):
        payload = value.payload
        if not isinstance(payload, Raw) or len(payload) <= PIECES_FROM:
            return None
        return [b'{"payload":', memoryview(payload), b"}"]
    if not is_large(value):
        return None
    match value:
        case ClaimedJob():
            return job_pieces(value)
        case ClaimAnswer():
            return claim_pieces(value)
        case _:
            return page_texts(value)
