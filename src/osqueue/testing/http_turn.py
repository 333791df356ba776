"""What the fault-injecting proxy does with one request: each fault, step by step.

Laws: a request that is forwarded reaches the upstream as it came, byte for byte; what the client
does meanwhile doesn't take back what was sent; a fault that ends with the upstream's answer lost or
replaced waits for the whole of that answer first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import assert_never

from osqueue.testing.http_faults import Exchange, HttpFault, HttpRequest, HttpStep
from osqueue.testing.http_framing import FramingError, Head, read_head
from osqueue.testing.http_peer import Forwarding, Peer, Place, forwarding, held

__all__ = ["LateWrite", "Turn", "request_of"]


class LateWrite:
    """A whole request that waits in the proxy. Its client no longer matters."""

    def __init__(self, head: Head, body: list[bytes], place: Place) -> None:
        self._head = head
        self._body = body
        self._place = place
        self.told = asyncio.Event()

    async def land(self, delay_s: float | None) -> Exchange:
        """Forward it after ``delay_s`` or when told; never raises what the network does."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.told.wait(), delay_s)
        request = request_of(self._head)
        status, error = None, ""
        try:
            status = await self._forward()
        except (FramingError, OSError) as problem:
            error = f"upstream: {problem}"
        late = HttpFault.LATE_WRITE
        return Exchange(request.method, request.target, late, status, late=True, error=error)

    async def _forward(self) -> int:
        upstream = await Peer.dial(self._place)
        try:
            await upstream.send(self._head.raw, *self._body)
            answer = await read_head(upstream.reader, asked=self._head.first[0])
            while answer is not None and answer.interim:
                answer = await read_head(upstream.reader, asked=self._head.first[0])
        finally:
            upstream.abort()
        if answer is None:
            raise FramingError("it closed the connection without an answer")
        return answer.status


class Turn:
    """One request and its step. ``hold`` takes a late write over; it answers when it has landed."""

    def __init__(
        self,
        head: Head,
        step: HttpStep,
        *,
        client: Peer,
        place: Place,
        hold: Callable[[LateWrite, HttpStep], asyncio.Task[Exchange]],
    ) -> None:
        self._head = head
        self._step = step
        self._client = client
        self._place = place
        self._hold = hold
        self._upstream: int | None = None
        self._answered: int | None = None
        self._error = ""
        self.goes_on = False
        """Whether the client's connection can carry another request."""

    async def play(self) -> Exchange:
        """Do what the step says; a side that breaks off resets the client."""
        try:
            await self._play()
        except (FramingError, OSError) as error:
            self._error = str(error)
            self.goes_on = False
            self._client.reset()
        request, fault = request_of(self._head), self._step.fault
        seen = (self._upstream, self._answered)
        return Exchange(request.method, request.target, fault, *seen, error=self._error)

    async def _play(self) -> None:
        match self._step.fault:
            case HttpFault.NONE | HttpFault.SLOW:
                await self._pass()
            case HttpFault.TRUNCATED:
                await self._truncate()
            case HttpFault.LOST_REQUEST | HttpFault.REFUSED:
                await self._swallow()
            case HttpFault.RESET:
                self._client.reset()
            case HttpFault.LATE_WRITE:
                await self._hold_back()
            case HttpFault.LOST_REPLY | HttpFault.RESET_REPLY:
                await self._lose_reply()
            case HttpFault.FALSE_STATUS | HttpFault.HANGING:
                await self._withhold_reply()
            case _:
                assert_never(self._step.fault)

    async def _pass(self) -> None:
        async with self._forwarding() as under_way:
            answer = await self._answer(under_way)
            if self._step.fault is HttpFault.SLOW:
                await asyncio.sleep(self._step.delay_s or 0)
            self._answered = answer.status
            await self._client.send(answer.raw)
            async for piece in under_way.body(answer):
                await self._client.send(piece)
            self.goes_on = await under_way.request_ended() and not answer.closes

    async def _truncate(self) -> None:
        async with self._forwarding() as under_way:
            answer = await self._answer(under_way)
            self._answered = answer.status
            body = await _half(answer, under_way)
            await self._client.send(*([answer.raw, *body] if body else [_cut(answer.raw)]))
            if answer.framing == "close":  # there a close would look like the body's own end
                self._client.reset()

    async def _swallow(self) -> None:
        await held(self._head, self._client)
        if self._step.fault is HttpFault.REFUSED:
            await self._say_status()
            self.goes_on = True

    async def _hold_back(self) -> None:
        body = await held(self._head, self._client)
        landed = self._hold(LateWrite(self._head, body, self._place), self._step)
        if self._step.hang_up:
            return
        left = asyncio.ensure_future(self._client.left())
        try:
            await asyncio.wait({landed, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()

    async def _lose_reply(self) -> None:
        await self._whole_answer()
        if self._step.fault is HttpFault.RESET_REPLY:
            self._client.reset()

    async def _withhold_reply(self) -> None:
        request_ended = await self._whole_answer()
        if self._step.fault is HttpFault.FALSE_STATUS:
            await self._say_status()
            self.goes_on = request_ended
        else:
            await self._client.left()

    async def _whole_answer(self) -> bool:
        async with self._forwarding() as under_way:
            await under_way.rest(await self._answer(under_way))
            return await under_way.request_ended()

    async def _answer(self, under_way: Forwarding) -> Head:
        answer = await under_way.answer()
        self._upstream = answer.status
        return answer

    async def _say_status(self) -> None:
        self._answered = self._step.status
        line = f"HTTP/1.1 {self._step.status} Injected\r\ncontent-length: 0\r\n\r\n"
        await self._client.send(line.encode())

    def _forwarding(self) -> AbstractAsyncContextManager[Forwarding]:
        return forwarding(self._head, self._client, self._place)


async def _half(answer: Head, under_way: Forwarding) -> list[bytes]:
    """The first half of the body; of one of unknown length, of what came first.

    Empty when there is no body to halve.
    """
    pieces: list[bytes] = []
    left = answer.length // 2
    async for piece in under_way.body(answer):
        pieces.append(piece[:left] if answer.length else piece)
        left -= len(piece)
        if left <= 0 and (answer.length or len(pieces) == 2):
            break
    return pieces if answer.length or not pieces else [_cut(b"".join(pieces))]


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def request_of(head: Head) -> HttpRequest:
    """What a source of faults is shown."""
    return HttpRequest(head.first[0], head.first[1], head.headers)
