"""WebSocket: all calls over one connection, pipelined; it is made again when it has broken.

A call that was never sent says so (``applied`` is ``"no"``), and a broken connection fails what was
under way; sending again is the client's business. Pings find a broker that is gone without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import aiohttp
import msgspec
from msgspec import Meta

from osqueue.client.credentials import Credentials
from osqueue.client.transports.http_answers import HttpAnswer, error_of
from osqueue.client.transports.http_pool import BYTES_PER_S_MIN, PAYLOADS_S_MAX, HttpPool
from osqueue.client.transports.kinds import Dialler, parse_options
from osqueue.client.transports.protocol import Answer
from osqueue.client.transports.ws_connection import REGRETS_MAX, Regret, WsConnection
from osqueue.client.transports.ws_frames import (
    Frame,
    read_event,
    read_result,
    release_texts,
    written,
)
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError, TransportConnectionError, for_one
from osqueue.wire.messages import ClaimRequest, StreamRequest
from osqueue.wire.operations import SUBMIT_LARGE, WITH_PAYLOADS, Operation

__all__ = ["PATH", "WsOptions", "WsTransport", "dialler"]

PATH: Final = "/v1/ws"

_OPEN: Final = Operation("openWebSocket", "GET", PATH, None, None, "", None)

SWITCHING: Final = 101
REFUSAL_BYTES_MAX: Final = 64 * 1024
"""What is read of a refusal: an error's text is much shorter."""

_T = TypeVar("_T")


class WsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What can be chosen of a WebSocket."""

    requests_max: Annotated[int, Meta(ge=1)] = 1_000
    """Most requests under way; further ones wait for one to be answered."""

    heartbeat_s: Annotated[float, Meta(gt=0)] = 10.0
    """A connection that was silent for so long is pinged, and has broken when half as long passes
    without an answer: a third of a lease, so a worker has time to take its jobs elsewhere."""


def dialler(
    options: Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """How transports of this kind are made."""
    parsed = parse_options("ws", options, WsOptions)
    return Dialler(partial(WsTransport, settings=settings, credentials=credentials, options=parsed))


class WsTransport:
    """A WebSocket to the broker at ``base_url``, such as ``http://127.0.0.1:8080``."""

    def __init__(
        self,
        base_url: str,
        settings: ClientSettings | None = None,
        credentials: Credentials | None = None,
        options: WsOptions | None = None,
    ) -> None:
        self._settings = settings or ClientSettings()
        self._options = options or WsOptions()
        self._pool = HttpPool(
            base_url, self._settings, credentials or Credentials(), middlewares=(_expect_opened,)
        )
        self._slots = asyncio.Semaphore(self._options.requests_max)
        self._connection: WsConnection | None = None
        self._opening: asyncio.Future[WsConnection] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._last_asked: dict[str, object] = {}
        """Of each claim its last request, by the claim's id."""

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        text = written(operation, request, job_id)
        if operation is SUBMIT_LARGE:
            timeout_s += len(text) / BYTES_PER_S_MIN
        until = asyncio.get_running_loop().time() + timeout_s
        slot = self._slots.acquire()
        await (self._unsent_until(until, slot) if self._slots.locked() else slot)
        try:
            connection = await self._connected(until)
            if operation.name in WITH_PAYLOADS:
                asking = connection.ask(text, regret=self._regret(request))
                frame = await self._patiently(connection, asking, timeout_s)
            else:
                frame = await self._asked(connection, text, timeout_s, until=until)
        finally:
            self._slots.release()
        return read_result(operation, frame)

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        text = written(operation, request, None)
        until = asyncio.get_running_loop().time() + timeout_s
        connection = await self._connected(until)
        async with aclosing(connection.follow(text, regret=_regret(request))) as frames:
            async for frame in frames:
                if frame.ok:
                    return
                event = read_event(operation, frame)
                if event is not None:
                    yield event

    async def reconnect(self) -> None:
        await self._drop()
        await self._pool.reconnect()

    async def close(self) -> None:
        await self._drop()
        await self._pool.close()

    async def _connected(self, until: float) -> WsConnection:
        """The open connection, or a new one."""
        self._pool.session()  # refuses when this client is closed, or in another loop
        connection = self._connection
        if connection is not None and connection.alive:
            return connection
        return await self._unsent_until(until, self._connect())

    async def _connect(self) -> WsConnection:
        """A new connection, the same for all who ask for one meanwhile."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_future()
            self._opening.add_done_callback(self._opened)
            running = asyncio.create_task(self._run(self._opening), name="osqueue-websocket")
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(self._opening)
        except OsqueueError as error:
            raise for_one(error) from error.__cause__

    def _opened(self, opening: asyncio.Future[WsConnection]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()

    async def _run(self, opening: asyncio.Future[WsConnection]) -> None:
        """A connection, from its beginning to its end."""
        connect_s = self._settings.connect_ms / 1_000
        heartbeat_s = self._options.heartbeat_s
        try:
            async with self._pool.websocket(
                PATH, heartbeat_s=heartbeat_s, timeout_s=connect_s
            ) as socket:
                connection = WsConnection(socket, self._pool.base)
                opening.set_result(connection)
                await connection.run()
        except OsqueueError as error:
            error.applied = "no"
            opening.set_exception(error)
        finally:
            if not opening.done():
                message = f"connecting to {self._pool.base} was given up"
                opening.set_exception(_unsent(message))

    async def _drop(self) -> None:
        """End the connections; what is under way breaks."""
        self._connection = None
        running = list(self._running)
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running)

    async def _unsent_until(self, until: float, step: Awaitable[_T]) -> _T:
        """What comes before a request is sent, in time."""
        try:
            async with asyncio.timeout_at(until):
                return await step
        except TimeoutError as error:
            message = f"no free connection to {self._pool.base} in time"
            raise _unsent(message) from error

    async def _asked(
        self, connection: WsConnection, text: bytes, timeout_s: float, *, until: float
    ) -> Frame:
        try:
            async with asyncio.timeout_at(until):
                return await connection.ask(text)
        except TimeoutError as error:
            raise self._late(timeout_s) from error

    async def _patiently(
        self, connection: WsConnection, call: Coroutine[Any, Any, Frame], timeout_s: float
    ) -> Frame:
        """The same, but while anything comes, it may be this answer, which is large."""
        loop = asyncio.get_running_loop()
        longest = loop.time() + timeout_s + PAYLOADS_S_MAX

        def look(heard: int) -> None:
            if connection.heard == heard or loop.time() >= longest:
                limit.reschedule(loop.time())
            else:
                looks.append(loop.call_later(timeout_s, look, connection.heard))

        looks = [loop.call_later(timeout_s, look, connection.heard)]
        try:
            async with asyncio.timeout(None) as limit:
                return await call
        except TimeoutError as error:
            raise self._late(timeout_s) from error
        finally:
            looks[-1].cancel()

    def _late(self, timeout_s: float) -> TransportConnectionError:
        return TransportConnectionError(f"no answer from {self._pool.base} within {timeout_s:g} s")

    def _regret(self, request: msgspec.Struct | None) -> Regret | None:
        """Nothing is given back of a claim that was asked again: that brings the same jobs."""
        give_back = _regret(request)
        if give_back is None or not isinstance(request, ClaimRequest) or request.claim_id is None:
            return give_back
        claim_id, asked = request.claim_id, object()
        self._last_asked.pop(claim_id, None)
        self._last_asked[claim_id] = asked
        if len(self._last_asked) > REGRETS_MAX:
            del self._last_asked[next(iter(self._last_asked))]
        return lambda frame: (
            give_back(frame) if self._last_asked.get(claim_id, asked) is asked else []
        )


def _regret(request: msgspec.Struct | None) -> Regret | None:
    """How jobs are given back that come when nobody waits for them any more."""
    if isinstance(request, ClaimRequest | StreamRequest):
        return partial(release_texts, request.worker_id)
    return None


async def _expect_opened(
    request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Raise what a broker says that opens no WebSocket; aiohttp would keep that to itself."""
    answer = await ask(request)
    if answer.status == SWITCHING:
        return answer
    try:
        body = await answer.content.read(REFUSAL_BYTES_MAX)
    finally:
        answer.close()
    raise error_of(_OPEN, HttpAnswer(answer.status, body))


def _unsent(message: str) -> TransportConnectionError:
    error = TransportConnectionError(message)
    error.applied = "no"
    return error
