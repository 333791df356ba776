"""One request of Connect or gRPC-Web, and what `connectrpc` asks while it is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from osqueue.engine.callers import CallerGoneError
from osqueue.engine.room import Share
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.server.connection import Connection
from osqueue.server.door.auth import Principal
from osqueue.server.http import commit_header
from osqueue.server.rpc.answerer import Served
from osqueue.server.rpc.bodies import ENVELOPE_BYTES
from osqueue.server.telemetry.observing import SeenRequest
from osqueue.wire.errors import error_info, rpc_code

__all__ = ["Context", "Reception", "Visit", "VisitCodec", "connect_error", "name_commit"]

Context: TypeAlias = RequestContext[Any, Any]

_OWN_WORDS: Final = MappingProxyType(
    {
        Code.INVALID_ARGUMENT: 400,
        Code.UNIMPLEMENTED: 501,
        Code.RESOURCE_EXHAUSTED: 413,
        Code.INTERNAL: 400,
    }
)
"""What `connectrpc` itself finds wrong with a request, and the status that REST would give it."""


class Visit:
    """One request: what is known of it beside its message."""

    __slots__ = (
        "begin",
        "connection",
        "encoded",
        "message",
        "method",
        "principal",
        "refusal",
        "seen",
        "sent",
        "share",
        "size",
        "text",
        "undo",
        "unread",
    )

    def __init__(self, method: Served, connection: Connection, seen: SeenRequest) -> None:
        self.method = method
        self.connection = connection
        self.seen = seen
        self.refusal: ConnectError | None = None
        self.size = 0
        self.share: Share | None = None
        self.principal: Principal | None = None
        self.begin: Callable[[], Awaitable[None]] = _nothing
        """Sends the head of a stream's answer."""
        self.sent: Callable[[], None] | None = None
        self.undo: Callable[[], None] = _nothing_to_undo
        """For an answer of which nothing was sent."""
        self.text = False
        """Whether messages are JSON."""
        self.unread = True
        self.message: bytes | None = None
        """The request without its envelope, until it is decoded."""
        self.encoded: bytes | None = None
        """A large answer, written already."""

    def take_message(self, body: bytes, *, enveloped: bool) -> bytes:
        """What stands for a body whose message `connectrpc` need not see: it hands it on as it is.

        An envelope that is not as it should be is left to be judged.
        """
        if not enveloped:
            self.message = body
            return b""
        length = len(body) - ENVELOPE_BYTES
        if length >= 0 and body.startswith(b"\0" + length.to_bytes(4, "big")):
            self.message = body[ENVELOPE_BYTES:]
            return bytes(ENVELOPE_BYTES)
        return body

    def close(self, *, delivered: bool) -> None:
        """The answer has been sent, or could not be."""
        if not delivered:
            self.undo()
        if self.sent is not None:
            self.sent()
        if self.share is not None:
            self.share.give_back()


class VisitCodec:
    """Hands on requests unread, for whoever serves them; writes answers, but for those that were
    written off the loop.
    """

    def __init__(self, plain: Codec[Any, Any], visit: ContextVar[Visit]) -> None:
        self._plain = plain
        self._visit = visit

    def name(self) -> str:
        return self._plain.name()

    def encode(self, message: Any) -> bytes:
        ready = self._visit.get().encoded
        return self._plain.encode(message) if ready is None else ready

    def decode(self, data: bytes | bytearray, _kind: type[Any]) -> Any:
        """The visit, which has the message: whoever else held it would hold it to the end."""
        visit = self._visit.get()
        if visit.message is None:
            visit.message = bytes(data)
        return visit


class Reception:
    """Refuses before a body is read, and says errors in the words of the protocol."""

    def __init__(self, visit: ContextVar[Visit]) -> None:
        self._visit = visit

    async def on_start(self, _context: Context) -> None:
        refusal = self._visit.get().refusal
        if refusal is not None:
            raise refusal

    async def on_end(self, _token: None, context: Context, error: Exception | None) -> None:
        visit = self._visit.get()
        match error:
            case OsqueueError():
                visit.seen.failed(error)
                name_commit(context, error.position)
                raise connect_error(error) from error
            case ConnectError(code=code) if not error.details and code in _OWN_WORDS:
                ours = BrokerProtocolError(_said(error, visit), status=_OWN_WORDS[code])
                visit.seen.failed(ours)
                code = Code.INVALID_ARGUMENT if code is Code.INTERNAL else code
                raise ConnectError(code, ours.message, [error_info(ours)]) from error
            case ConnectError():  # the deadline has passed, or the caller has gone
                visit.seen.failed(CallerGoneError())


async def _nothing() -> None:
    """An answer that is no stream has no head of its own."""


def _nothing_to_undo() -> None:
    """There is no answer yet."""


def _said(error: ConnectError, visit: Visit) -> str:
    """What `connectrpc` says, with the name of the message that it could not read."""
    kind = visit.method.request.desc().type_name
    return error.message.replace("unmarshal message:", f"cannot decode message {kind}:")


def connect_error(error: OsqueueError) -> ConnectError:
    """An error as the protocol says it."""
    return ConnectError(Code(rpc_code(error)), error.message, [error_info(error)])


def name_commit(context: Context, position: tuple[int, int] | None) -> None:
    """Say in a header what an answer rests on."""
    for name, value in commit_header(position):
        context.response_headers[name.decode()] = value.decode()
