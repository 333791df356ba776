"""What one WebSocket asks of the service: requests under way, claims that wait, streams.

Laws: each request is answered once, or nobody is there; one that fails harms no other; what is
under way is counted until its answer has been sent; what may last for minutes is counted apart, and
refused rather than left unread, lest it hold up what is behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import UNSET

from osqueue.broker.dispatch import BROKER_HANDLERS, STREAM_HANDLERS, one_job
from osqueue.broker.reply import Reply
from osqueue.broker.service import QueueService
from osqueue.config import NAME_CHARS_MAX, ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.room import Share
from osqueue.errors import AuthError, BrokerProtocolError, OsqueueError, OverloadedError
from osqueue.server.door.auth import Principal
from osqueue.server.telemetry.observing import GONE, Observed
from osqueue.server.websocket.envelope import NO_ID, Asking, MessageError, read_request
from osqueue.server.websocket.frames import FrameError
from osqueue.server.websocket.methods import CANCEL, METHODS, Method, wait_ms, weight
from osqueue.server.websocket.outbox import Due, Outbox
from osqueue.server.websocket.requests import Event, Opening, Request
from osqueue.wire import operations as ops
from osqueue.wire.messages import PayloadAnswer

__all__ = ["Serving", "Session", "Visitor"]

logger = logging.getLogger("osqueue.server")

_CLAIMING: Final = (ops.CLAIM, ops.STREAM_JOBS)


class Serving(NamedTuple):
    """What all connections share."""

    service: QueueService
    settings: ServerSettings
    observed: Observed


class Visitor(NamedTuple):
    """Who has opened a connection, and from where."""

    principal: Principal
    host: str


class Session:
    """The requests of one connection.

    ``on_unanswered`` is called when one is over without an answer, as nobody is there to hear it.
    """

    __slots__ = (
        "_by_id",
        "_bytes",
        "_closing",
        "_left",
        "_load",
        "_loop",
        "_observed",
        "_on_unanswered",
        "_outbox",
        "_running",
        "_service",
        "_settings",
        "_visitor",
        "_waits",
    )

    def __init__(
        self,
        serving: Serving,
        visitor: Visitor,
        *,
        outbox: Outbox,
        on_unanswered: Callable[[], None],
    ) -> None:
        self._service, self._settings, self._observed = serving
        self._visitor = visitor
        self._outbox = outbox
        self._on_unanswered = on_unanswered
        self._loop = asyncio.get_running_loop()
        self._running: dict[Request, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._by_id: dict[bytes, Request] = {}
        """Claims and streams: what can be cancelled."""
        self._load = 0
        self._bytes = 0
        self._waits = 0
        self._left = False

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What still runs."""
        return [*self._running.values(), *self._closing]

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._load == 0 and self._waits == 0

    @property
    def takes_more(self) -> bool:
        """Whether there is room for another request."""
        limits = self._settings.ws
        return self._load < limits.requests_max and self._bytes < limits.request_bytes_max

    @property
    def takes_many(self) -> bool:
        """Whether there is room for so many that it is worth while to read on."""
        limits = self._settings.ws
        return (
            self._load <= limits.requests_max // 2 and self._bytes <= limits.request_bytes_max // 2
        )

    def take(self, text: bytes | bytearray, share: Share | None) -> None:
        """A message that is valid UTF-8. ``share``: room that has been taken for it.

        Raises `FrameError` when the connection is to be closed.
        """
        try:
            asking = read_request(text)
        except MessageError as wrong:
            if share is not None:
                share.give_back()
            self.refuse(wrong.id, wrong.error)
            return
        request = self._request(asking, METHODS.get(asking.method), len(text))
        request.share = share
        try:
            self._begin(request)
        except OsqueueError as error:
            self._refuse(request, error)
        except FrameError:
            if share is not None:
                share.give_back()
            raise

    def refuse(self, id_: bytes, error: OsqueueError) -> None:
        """Answer a message that was not read."""
        self._refuse(self._request(Asking(id_, "", b""), None, 0), error)

    def leave(self, ending: OsqueueError | None) -> None:
        """End what waits: claims give their jobs back. ``ending``: what it is answered."""
        self._left = True
        for request in list(self._running):
            self._end(request, ending)

    # One request

    def _request(self, asking: Asking, method: Method | None, size: int) -> Request:
        name = "" if method is None or method.operation is None else method.operation.name
        seen = self._observed.request(name, received=size)
        seen.principal, seen.peer = self._visitor.principal.name, self._visitor.host
        return Request(asking, method, size, seen=seen, over=self._over)

    def _begin(self, request: Request) -> None:
        method = request.method
        if method is None:
            name = request.asking.method[:NAME_CHARS_MAX]
            raise BrokerProtocolError(f"Unsupported WS method: {name}")
        self._check(method)
        if method.operation is ops.GET_PAYLOAD:
            self._visitor.principal.expect_payloads()
        request.call = method.read(request.asking, request.size, self._settings)
        request.call.has_room = request.share is not None
        request.call.hides_payloads = not self._visitor.principal.sees_payloads
        if method is CANCEL:
            self._cancel(request)
            return
        if method.operation in _CLAIMING:
            request.call.caller = request.caller = Caller(self._outbox.room)
        elif method.operation is ops.GET_JOB:
            request.call.caller = request.caller = Caller()
        request.waits = method.streams or wait_ms(request.call.message) > 0
        if request.waits:
            self._expect_wait(request, method)
        if request.asking.id != NO_ID and (request.caller is not None or method.streams):
            self._by_id.setdefault(request.asking.id, request)
        request.weight = weight(request.call.message)
        self._count(request)
        self._running[request] = self._loop.create_task(self._serve(request))

    def _check(self, method: Method) -> None:
        """Raises what the caller is refused with; one who is not known any more is hung up on."""
        try:
            self._visitor.principal.check(
                None if method.operation is None else method.operation.role
            )
        except AuthError as error:
            if error.status == 401:
                raise FrameError(1008, error.message) from error
            raise

    def _expect_wait(self, request: Request, method: Method) -> None:
        id_ = request.asking.id
        if self._waits >= self._settings.ws.waits_max:
            raise OverloadedError(
                f"{self._waits} requests and streams wait on this connection; open another one"
            )
        if id_ in self._by_id:
            raise BrokerProtocolError("`id`: is the one of a request or stream that is under way")
        if id_ == NO_ID and method.streams:
            raise BrokerProtocolError("`id`: a stream needs one, that its events come under")

    def _count(self, request: Request) -> None:
        if request.waits:
            self._waits += 1
        else:
            self._load += request.weight
            self._bytes += request.size

    def _over(self, request: Request) -> None:
        """Its answer has been sent, or never will be."""
        if self._by_id.get(request.asking.id) is request:
            del self._by_id[request.asking.id]
        if request.waits:
            self._waits -= 1
        else:
            self._load -= request.weight
            self._bytes -= request.size
        if request.share is not None:
            request.share.give_back()

    def _refuse(self, request: Request, error: OsqueueError) -> None:
        request.error, request.waits = error, False
        self._count(request)
        self._outbox.put(request)

    def _cancel(self, request: Request) -> None:
        found = self._by_id.get(bytes(request.call.message.id))
        if found is not None:
            self._end(found, found.nothing)
        request.reply = Reply({"cancelled": found is not None}, None)
        self._count(request)
        self._outbox.put(request)

    def _end(self, request: Request, ending: Reply[object] | OsqueueError | None) -> None:
        request.ending = ending
        if request.caller is not None:
            request.caller.leave()
        if request.pushed is not None:
            closing = self._loop.create_task(request.pushed.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _serve(self, request: Request) -> None:
        try:
            await self._work(request)
        except OsqueueError as error:
            request.error = error
        except CallerGoneError:
            request.end_early()
        except Exception:
            logger.exception("%s by WebSocket failed inside", request.asking.method)
            request.error = OsqueueError("the broker failed on this request")
        finally:
            del self._running[request]
            if request.share is not None:
                request.share.give_back()
            self._send(request)

    async def _work(self, request: Request) -> None:
        method = request.method
        assert method is not None, "unknown ones are refused"
        assert method.operation is not None, "`cancel` is no work"
        if method.streams:
            await self._stream(request, method.operation.name)
            return
        reply = await BROKER_HANDLERS[method.operation.name](self._service, request.call)
        if method.one:
            reply = one_job(reply)
        elif method.operation is ops.GET_PAYLOAD:
            payload = UNSET if reply.value is None else reply.value
            reply = Reply(PayloadAnswer(payload), reply.position, reply.sent)
        request.reply = reply

    async def _stream(self, request: Request, name: str) -> None:
        if self._left or request.ending is not None:  # it was ended before it began
            raise CallerGoneError
        pushed = request.pushed = STREAM_HANDLERS[name](self._service, request.call)
        try:
            await self._push(Opening(request.asking))
            async for told in pushed:
                reply = told if isinstance(told, Reply) else Reply(told, None)
                await self._push(Event(request.asking, reply))
        finally:
            await pushed.aclose()
        raise CallerGoneError  # a stream has no end but those that it is told

    async def _push(self, due: Due) -> None:
        """Send part of a stream, when the client can take it: what comes after stays unread."""
        while (room := self._outbox.room()) is not None:
            await room
        self._outbox.put_now(due)

    def _send(self, request: Request) -> None:
        if request.reply is None and request.error is None:
            request.seen.outcome = GONE
            request.sent()  # there is nobody who could be told
            self._on_unanswered()
        elif request.brings_jobs:
            self._outbox.put_now(request)  # until then its caller could have left
        else:
            self._outbox.put(request)
