"""One WebSocket: uvicorn's protocol class for it, so that a message costs no ASGI call.

What needs no I/O is elsewhere: `frames`, `handshake`, `envelope`, `methods`; what is asked is in
`session`, what is sent in `outbox`.

Laws: what one connection makes the broker keep is bounded on every side (`WebSocketSettings`), and
what is beyond stays unread; a client that takes nothing in, sends half a message, or is gone, is
dropped, and told why where it can be; while it is idle it costs a look a second, and no task.
Payloads are never logged.
"""

from __future__ import annotations

import asyncio
import logging

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.config import MIB, ROOMY_BYTES, ServerSettings
from osqueue.engine.room import Share
from osqueue.errors import BrokerProtocolError, EngineStateError, OsqueueError
from osqueue.server.door.auth import Doorkeeper
from osqueue.server.door.sessions import Way
from osqueue.server.telemetry.observing import Observed
from osqueue.server.websocket.envelope import NO_ID, first_id
from osqueue.server.websocket.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    SKIPPED,
    FrameError,
    FrameReader,
    close_frame,
    frame,
    is_utf8,
    read_close,
)
from osqueue.server.websocket.handshake import Around, Upgrade, accepting
from osqueue.server.websocket.outbox import Outbox
from osqueue.server.websocket.session import Serving, Session, Visitor
from osqueue.server.websocket.vigil import Finding, Vigil

__all__ = ["WebSocket", "WebSocketEndpoint"]

logger = logging.getLogger("osqueue.server")


class WebSocketEndpoint:
    """Opens WebSockets on connections that ask for it."""

    def __init__(
        self,
        service: QueueService,
        settings: ServerSettings,
        door: Doorkeeper,
        *,
        observed: Observed | None = None,
    ) -> None:
        self._serving = Serving(service, settings, observed or Observed("ws"))
        self._door = door

    def open(self, upgrade: Upgrade, transport: asyncio.Transport, around: Around) -> WebSocket:
        """Answer the request, and take the connection over. Raises what it is refused with."""
        principal = self._door.admit(upgrade.credentials, upgrade.peer, Way.UPGRADE)
        head = accepting(upgrade)
        visitor = Visitor(principal, upgrade.peer.host or "")
        websocket = WebSocket(self._serving, visitor, transport=transport, around=around)
        transport.write(head)
        transport.set_protocol(websocket)
        return websocket


class WebSocket(asyncio.Protocol):
    """Serves one connection."""

    __slots__ = (
        "_around",
        "_close_timer",
        "_closing",
        "_ended",
        "_farewell",
        "_finding",
        "_loop",
        "_no_room",
        "_observed",
        "_outbox",
        "_ping",
        "_principal",
        "_reader",
        "_reading",
        "_service",
        "_session",
        "_settings",
        "_share",
        "_vigil",
        "transport",
    )

    def __init__(
        self,
        serving: Serving,
        visitor: Visitor,
        *,
        transport: asyncio.Transport,
        around: Around,
    ) -> None:
        self._service, self._settings, self._observed = serving
        self._principal = visitor.principal
        self.transport = transport
        self._around = around
        around.connections.add(self)
        self._observed.connected()
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(
            message_max=serving.settings.payload_bytes_max + MIB, roomy=ROOMY_BYTES
        )
        self._outbox = Outbox(transport, self._loop, self._on_sent)
        self._session = Session(serving, visitor, outbox=self._outbox, on_unanswered=self._on_sent)
        self._reading = True
        """Whether the transport is to bring what arrives."""
        self._share: Share | None = None
        """Room for a large message on its way."""
        self._finding: asyncio.Task[None] | None = None
        """Waits for that room."""
        self._no_room: OsqueueError | None = None
        """Why there was none."""
        self._ping: bytes | bytearray | None = None
        """The last ping that is to be answered."""
        self._farewell: tuple[int, str] | None = None
        """How the connection ends when all that is due has been sent; nothing more is read."""
        self._closing = self._ended = False
        """Nothing is sent any more; the client has ended its side."""
        self._close_timer: asyncio.TimerHandle | None = None
        self._vigil = Vigil(serving.settings)

    # What arrives

    def data_received(self, data: bytes) -> None:
        self._vigil.heard()
        self._reader.feed(data)
        if self._closing:
            self._await_close()
        else:
            self._read_on()

    def eof_received(self) -> bool:
        """The client sends no more; it is sent what is due, if the transport can do that."""
        self._ended = True
        self._farewell = (1000, "")
        self._session.leave(None)
        if self._closing or self._is_done():
            return False
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closing = True
        self._around.connections.discard(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._finding is not None:
            self._finding.cancel()
        self._give_up_room()
        self._session.leave(None)
        self._outbox.close()
        for task in self._session.tasks:
            self._around.tasks.add(task)
            task.add_done_callback(self._around.tasks.discard)
        self._around.on_lost()
        self._observed.disconnected()

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.resume()

    # What the server wants of it

    def shutdown(self) -> None:
        """Close when the answers that are due have been sent; nothing more is read."""
        self._farewell = self._farewell or (1001, "the broker is stopping")
        self._session.leave(EngineStateError("the broker is stopping"))
        self._on_sent()

    def look_after(self, now_s: float) -> None:
        """Called every second: is there anybody, and may he go on?"""
        if self._closing:
            return
        limits = self._settings
        if not self._principal.current():
            self._close(1008, f"the token {self._principal.name} was revoked")
        elif self._outbox.stalled_s() > limits.send_s_max:
            self._close(1008, f"nothing was read of what is due for {limits.send_s_max} s")
        else:
            received = self._reader.received if self._reader.midway else 0
            self._heed(self._vigil.look(now_s, reading=self._reading, received=received))

    def _heed(self, finding: Finding) -> None:
        match finding:
            case Finding.PING:
                self._outbox.control(frame(PING, b""))
            case Finding.GONE:
                logger.info("a WebSocket of %s is gone: no pong came", self._principal.name)
                self.transport.abort()
            case Finding.OVERDUE:
                limit = self._settings.request_s_max
                self._close(1008, f"a message did not arrive in full within {limit} s")

    # Messages

    def _read_on(self) -> None:
        """Take what there is, as long as there is room for it."""
        try:
            while self._takes_more() and (found := self._reader.read()) is not None:
                self._take(*found)
        except FrameError as error:
            self._close(error.code, error.reason)
            return
        if self._ping is not None:
            self._outbox.control(frame(PONG, bytes(self._ping)))
            self._ping = None
        if self._reader.room_wanted and self._finding is None and not self._closing:
            self._finding = self._loop.create_task(self._find_room(self._reader.room_wanted))
        self._set_reading(reading=self._closing or self._takes_more())

    def _takes_more(self) -> bool:
        return (
            self._session.takes_more
            and not self._outbox.full
            and self._finding is None
            and self._farewell is None
            and not self._closing
        )

    def _set_reading(self, *, reading: bool) -> None:
        if reading and not self._reading:
            self.transport.resume_reading()
        elif self._reading and not reading:
            self.transport.pause_reading()
        self._reading = reading

    def _take(self, opcode: int, data: bytes | bytearray) -> None:
        if opcode <= BINARY:
            self._vigil.arrived()
            share, self._share = self._share, None
            if opcode == BINARY and not is_utf8(data):
                if share is not None:
                    share.give_back()
                self._session.refuse(NO_ID, BrokerProtocolError("Invalid JSON"))
                return
            self._session.take(data, share)
        elif opcode == PING:
            self._ping = data
        elif opcode == CLOSE:
            self._closed_by_client(data)
        elif opcode == SKIPPED:
            self._vigil.arrived()
            assert self._no_room is not None, "nothing else is skipped"
            self._session.refuse(first_id(data), self._no_room)

    async def _find_room(self, size: int) -> None:
        """Wait for room for a large message, of which nothing is read before."""
        try:
            self._share = await self._service.room_for(DEFAULT_QUEUE, size)
            self._reader.admit()
        except OsqueueError as error:
            self._no_room = error
            self._reader.skip()
        finally:
            self._finding = None
        if self._closing:
            self._give_up_room()
        else:
            self._read_on()

    def _give_up_room(self) -> None:
        if self._share is not None:
            self._share.give_back()
            self._share = None

    def _on_sent(self) -> None:
        """Something has been sent: there may be room for more, or nothing left to do."""
        if self._closing:
            return
        if self._farewell is not None:
            if self._is_done():
                self._close(*self._farewell)
        elif not self._reading and self._session.takes_many:
            self._read_on()

    def _is_done(self) -> bool:
        return self._session.idle and self._outbox.empty

    # The end

    def _closed_by_client(self, data: bytes | bytearray) -> None:
        """Answer its close frame, and go."""
        code = read_close(data)
        self._stop()
        self._outbox.control(frame(CLOSE, b"") if code is None else close_frame(code, ""))
        self.transport.close()
        self._abort_later()

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait a while for the client's; what it sends else is dropped."""
        if self._farewell is None:
            logger.info("a WebSocket of %s is closed: %s", self._principal.name, reason)
        self._stop()
        self._outbox.control(close_frame(code, reason))
        if self._ended:
            self.transport.close()
        self._set_reading(reading=True)
        self._abort_later()

    def _stop(self) -> None:
        self._closing = True
        self._session.leave(None)
        self._outbox.close()
        self._reader.skip()
        self._give_up_room()

    def _abort_later(self) -> None:
        close_s = self._settings.ws.close_s
        self._close_timer = self._loop.call_later(close_s, self.transport.abort)

    def _await_close(self) -> None:
        """Drop what comes, until the client's close frame."""
        try:
            while (found := self._reader.read()) is not None:
                if found[0] == CLOSE:
                    self.transport.close()
            if self._reader.room_wanted:
                self._reader.skip()
        except FrameError:
            self._reader = FrameReader(message_max=0, roomy=0)
