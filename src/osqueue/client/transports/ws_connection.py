"""One WebSocket, shared by all calls of a transport: answers are matched by id, in any order.

Laws: what is under way when the connection ends fails at once, saying why; a call that is given up
tells the broker; what comes for nobody is dropped, but jobs are given back first: they were on
their way when the call was given up; a slow reader of a stream loses the stream, and holds up
nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from itertools import count
from typing import Final, TypeAlias

import aiohttp

from osqueue.client.transports.lifetime import is_cancelled
from osqueue.client.transports.progress import ProgressSocket
from osqueue.client.transports.ws_frames import Frame, cancel_frame, parse_frame, request_frame
from osqueue.errors import (
    OsqueueError,
    OverloadedError,
    TransportConnectionError,
    TransportRequestError,
)

__all__ = ["PUSHED_MAX", "REGRETS_MAX", "Regret", "WsConnection"]

Regret: TypeAlias = Callable[[Frame], list[bytes]]
"""The requests that undo what an answer has brought that nobody waits for any more."""

REGRETS_MAX: Final = 1_000
"""Most calls given up whose answer is awaited so; the oldest are forgotten."""

PUSHED_MAX: Final = 1_000
"""Most messages of a stream that wait for their reader: of jobs there are never as many, and an
observer that is so far behind had better begin anew."""


class WsConnection:
    """Calls over an open ``socket``; `run` reads it until its end."""

    def __init__(self, socket: ProgressSocket, base: str) -> None:
        self._socket = socket
        self._base = base
        self._numbers = count(1)
        self._calls: dict[str, asyncio.Future[Frame]] = {}
        self._streams: dict[str, _Pushed] = {}
        self._overtaken: dict[str, Frame] = {}
        """Answers that their callers may not see, since they are being cancelled."""
        self._regrets: dict[str, Regret] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self._pings = 0
        self._end: str | None = None

    @property
    def alive(self) -> bool:
        """Whether a call can be made."""
        return self._end is None and not self._socket.closed

    @property
    def heard(self) -> int:
        """Grows whenever anything comes, but for pings and their answers: they bring no other."""
        return self._socket.heard - self._pings

    async def run(self) -> None:
        """Read until the end, and fail what is under way then."""
        end = "was dropped by this client"
        try:
            end = await self._read()
        except TransportRequestError as error:
            end = f"was given up: {error.message}"
        finally:
            self._ended(end)
            for aside in self._asides:
                aside.cancel()

    async def ask(self, text: bytes, *, regret: Regret | None = None) -> Frame:
        """Send a request, and wait for its answer."""
        number = next(self._numbers)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        key = str(number)
        self._calls[key] = answer
        try:
            await self._send(request_frame(number, text))
            return await answer
        except asyncio.CancelledError:
            self._give_up(number, regret, self._overtaken.get(key))
            raise
        finally:
            del self._calls[key]
            self._overtaken.pop(key, None)

    async def follow(
        self, text: bytes, *, regret: Regret | None = None
    ) -> AsyncGenerator[Frame, None]:
        """Send a request, and bring all that is pushed for it, until it is closed."""
        number = next(self._numbers)
        key = str(number)
        pushed = self._streams[key] = _Pushed()
        try:
            await self._send(request_frame(number, text))
            while True:
                yield await pushed.take()
        finally:
            del self._streams[key]
            self._give_up(number, regret, *pushed.rest())

    async def _send(self, frame: bytes) -> None:
        if not self.alive:
            raise self._unsent()
        try:
            await self._socket.send_frame(frame, aiohttp.WSMsgType.TEXT)
        except aiohttp.ClientConnectionResetError as error:  # nothing of it was written
            raise self._unsent() from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken() from error
        except asyncio.CancelledError:
            # All who wait for the socket to take more wait for one future of aiohttp's, and any of
            # them that is cancelled cancels it. The frames of the others are on their way.
            if is_cancelled():
                raise

    def _unsent(self) -> TransportConnectionError:
        error = self._broken()
        error.applied = "no"
        return error

    def _broken(self) -> TransportConnectionError:
        return TransportConnectionError(f"the connection to {self._base} {self._end or 'broke'}")

    def _give_up(self, number: int, regret: Regret | None, *unread: Frame | None) -> None:
        """Have the broker told, and undo what has come and will come."""
        self._post(cancel_frame(number))
        if regret is None:
            return
        if len(self._regrets) >= REGRETS_MAX:
            del self._regrets[next(iter(self._regrets))]
        self._regrets[str(number)] = regret
        for frame in unread:
            if frame is not None:
                self._undo(str(number), frame)

    def _undo(self, key: str, frame: Frame) -> None:
        """Do what an answer for nobody asks for; a stream goes on until it is said to be over."""
        regret = self._regrets.get(key) if frame.ok is None else self._regrets.pop(key, None)
        if regret is not None and self.alive:
            self._aside(partial(self._send_regrets, regret, frame))

    async def _send_regrets(self, regret: Regret, frame: Frame) -> None:
        """What there is to undo is asked now: what is sent by then is before it."""
        for text in regret(frame):
            await self._send(request_frame(next(self._numbers), text))

    def _post(self, frame: bytes) -> None:
        """Send, without waiting for it."""
        if self.alive:
            self._aside(partial(self._send, frame))

    def _aside(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do what nobody waits for; it ends with the connection, of which others tell."""
        aside = asyncio.ensure_future(_quietly(step))
        self._asides.add(aside)
        aside.add_done_callback(self._asides.discard)

    async def _read(self) -> str:
        """Hand out what comes; answers why nothing more does."""
        while True:
            message = await self._socket.receive()
            if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                self._take(parse_frame(message.data))
            elif message.type is aiohttp.WSMsgType.PONG:
                self._pings += 1
            elif message.type is aiohttp.WSMsgType.PING:
                self._pings += 1
                self._aside(partial(self._socket.pong, message.data))
            elif message.type is aiohttp.WSMsgType.CLOSE:
                reason = f": {message.extra}" if message.extra else ""
                return f"was closed by the broker ({message.data}){reason}"
            else:
                cause = message.data if isinstance(message.data, Exception) else None
                return f"broke: {cause}" if cause else "broke"

    def _take(self, frame: Frame) -> None:
        key = frame.id or ""
        call = self._calls.get(key)
        if call is not None:
            self._overtaken[key] = frame
            if not call.done():
                call.set_result(frame)
            return
        pushed = self._streams.get(key)
        if pushed is not None:
            pushed.put(frame)
        else:
            self._undo(key, frame)

    def _ended(self, end: str) -> None:
        self._end = end
        for call in self._calls.values():
            if not call.done():
                call.set_exception(self._broken())
                call.exception()  # its caller may be about to raise another
        for pushed in self._streams.values():
            pushed.end(self._broken())


class _Pushed:
    """What has come of a stream, and is not read yet."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._error: OsqueueError | None = None
        self._come = asyncio.Event()

    async def take(self) -> Frame:
        """The next one; raises what the stream has ended by once all are taken."""
        while not self._frames:
            if self._error is not None:
                raise self._error
            self._come.clear()
            await self._come.wait()
        return self._frames.popleft()

    def rest(self) -> list[Frame]:
        """What nobody has taken, and nobody will."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def put(self, frame: Frame) -> None:
        if self._error is not None:
            return  # it is over: nothing is told after what was left out
        if len(self._frames) < PUSHED_MAX:
            self._frames.append(frame)
            self._come.set()
        else:
            message = f"this stream was read too slowly: {PUSHED_MAX} messages were waiting"
            self.end(OverloadedError(message))

    def end(self, error: OsqueueError) -> None:
        self._error = self._error or error
        self._come.set()


async def _quietly(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except (TransportConnectionError, aiohttp.ClientError, OSError):
        return
