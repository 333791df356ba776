"""`GET /v1/events`: what a subscription is told, as Server-Sent Events.

Every update is an event whose id is the commit's and whose data is the JSON of an `Update`; at the
end stands an event ``end`` with the JSON of the error. Laws: whoever takes nothing in is dropped;
whoever has gone is noticed, at the latest by a comment that is sent while nothing happens; whoever
may not look any more is told so within seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.broker.streams import Subscription
from osqueue.config import EVENTS_LOOK_S, EVENTS_PING_S, ServerSettings
from osqueue.engine.callers import CallerGoneError
from osqueue.errors import AuthError, BrokerProtocolError, OsqueueError
from osqueue.server.connection import Connection, connection_of
from osqueue.server.door.auth import Principal
from osqueue.server.door.entrance import PRINCIPAL
from osqueue.server.encode_once import encode_once
from osqueue.server.http import describe
from osqueue.wire.errors import error_body
from osqueue.wire.messages import SubscribeRequest, Update

__all__ = ["EventsPage"]

HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
PING: Final = b": still here\n\n"

_json: Final = msgspec.json.Encoder().encode


class EventsPage:
    """An ASGI application."""

    def __init__(self, service: QueueService, settings: ServerSettings) -> None:
        self._service = service
        self._stall_s = settings.send_s_max
        """For how long an observer may take nothing in."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        subscription = self._service.subscribe(DEFAULT_QUEUE, _request(scope["query_string"]))
        connection = connection_of(scope)
        connection.on_lost = subscription.close
        try:
            if connection.lost:
                raise CallerGoneError
            connection.break_after(EVENTS_PING_S + self._stall_s)
            out = _Out(send, connection, self._stall_s)
            await out.begin()
            if scope["method"] == "HEAD":
                await out.end()
                return
            await self._push(subscription, out, scope.get(PRINCIPAL))
        finally:
            connection.on_lost = None
            subscription.close()

    async def _push(
        self, subscription: Subscription, out: _Out, principal: Principal | None
    ) -> None:
        """Tell all there is, until it ends."""
        try:
            while True:
                out.look_at(principal)
                update = await self._next(subscription, out)
                if update is not None:
                    updates = (update, *subscription.take_ready())
                    await out.send(b"".join([encode_once(each, "sse", _event) for each in updates]))
        except OsqueueError as error:
            await out.send(b"event: end\ndata: %b\n\n" % _json(error_body(error)))
            await out.end()

    async def _next(self, subscription: Subscription, out: _Out) -> Update | None:
        """What is told next; ``None`` when there is nothing for a while."""
        try:
            async with asyncio.timeout(EVENTS_LOOK_S):
                return await anext(subscription)
        except TimeoutError:
            await out.ping()
            return None
        except StopAsyncIteration:
            raise CallerGoneError from None


class _Out:
    """What is sent to one observer."""

    def __init__(self, send: Send, connection: Connection, stall_s: float) -> None:
        self._send = send
        self._connection = connection
        self._stall_s = stall_s
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._looked_at = self._now()

    async def begin(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})

    async def send(self, text: bytes) -> None:
        """Send as the caller takes it in. Raises `CallerGoneError` for one who takes nothing."""
        self._sent_at = self._now()
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send({"type": "http.response.body", "body": text, "more_body": True})
        except TimeoutError as error:
            self._connection.abort()
            raise CallerGoneError from error
        if self._connection.lost:
            raise CallerGoneError

    async def ping(self) -> None:
        """Send a comment when nothing was sent for a while."""
        if self._now() - self._sent_at >= EVENTS_PING_S:
            await self.send(PING)

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    def look_at(self, principal: Principal | None) -> None:
        """Raise `AuthError` for one who may not look any more. Now and then is enough."""
        if principal is None or self._now() - self._looked_at < EVENTS_LOOK_S:
            return
        self._looked_at = self._now()
        if not principal.current():
            raise AuthError(f"the token {principal.name} was revoked", status=401)


def _event(update: Update) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (update.commit.encode(), _json(update))


def _request(query: bytes) -> SubscribeRequest:
    """What is asked for; a type stands there for itself, as often as there are types."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "types":
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = value
    try:
        return msgspec.convert(fields, SubscribeRequest, strict=False)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
