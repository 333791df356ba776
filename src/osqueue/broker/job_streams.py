"""Jobs that the broker sends as they come, to workers that gave it credit for them.

Laws: a stream never sends more jobs than it has credit for, however often it is told of more; it
claims only when its reader asks for more, so nothing waits here for a slow one; a job submitted
while it waits is handed out in the same commit. What was granted to a reader that has gone
meanwhile is given back; what was granted for good by a broker that leads no more is sent, as nobody
can give it back. What was sent stays leased, whatever becomes of the connection: nobody here can
know whether it arrived. If it did not, the worker's next full list of leases leaves it out, and it
is released; without such lists the lease runs out.

The claims carry no claim id: it is the broker itself that makes them, once each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias

from osqueue.broker.reply import Reply
from osqueue.config import CREDIT_MAX, STREAM_JOBS_MAX, STREAM_WAIT_MS, StreamSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.refusals import over_error
from osqueue.engine.requests import End
from osqueue.errors import (
    BrokerProtocolError,
    JobNotFoundError,
    OsqueueError,
    OverloadedError,
)
from osqueue.wire.messages import ClaimAnswer, ClaimRequest, CreditRequest, StreamRequest

__all__ = ["JobStream", "JobStreams"]

ClaimJobs: TypeAlias = Callable[[ClaimRequest, Caller], Awaitable[Reply[ClaimAnswer]]]


class JobStream:
    """The jobs of one worker's stream: an asynchronous iterator of replies, for one reader.

    It ends by raising `BrokerLeadershipError` or `EngineStateError` when this broker stops leading,
    `BrokerProtocolError` when another stream takes its id, `CallerGoneError` when its caller has
    left, and what a claim is refused with. `aclose` it in any case.
    """

    def __init__(
        self, streams: JobStreams, request: StreamRequest, caller: Caller, claim: ClaimJobs
    ) -> None:
        self._streams = streams
        self.request = request
        self._caller = caller
        self._claim = claim
        self._total = request.credit
        self._sent = 0
        self._error: OsqueueError | None = None
        self._closed = False

    @property
    def credit(self) -> int:
        """How many more jobs may come."""
        return min(CREDIT_MAX, self._total - self._sent)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reply[ClaimAnswer]:
        try:
            return await self._next()
        except (OsqueueError, CallerGoneError):
            self._streams.leave(self)
            if self._error is not None:
                raise self._error from None
            if self._closed:
                raise StopAsyncIteration from None
            raise

    async def aclose(self) -> None:
        """Send nothing more. A second time does nothing."""
        self._closed = True
        self._streams.leave(self)
        self._caller.leave()

    def add(self, total: int) -> None:
        """Let more jobs come, so many in all."""
        waiting = self.credit == 0
        self._total = max(self._total, total)
        ticket = self._caller.ticket
        if waiting and self.credit > 0 and ticket is not None and not ticket.done():
            ticket.set_result(None)

    def end(self, error: OsqueueError) -> None:
        """Let it raise this, at once; what it was just granted is given back."""
        self._error = self._error or error
        self._streams.leave(self)
        self._caller.leave()

    def lose(self, error: OsqueueError) -> None:
        """Let it raise this after what it was granted for good: nobody could give that back now."""
        self._error = self._error or error
        self._streams.leave(self)
        if self.credit == 0:
            self._caller.leave()  # otherwise its claim ends with the term

    async def _next(self) -> Reply[ClaimAnswer]:
        while True:
            self._expect_open()
            if self.credit == 0:
                await self._more_credit()
            else:
                reply = await self._claim(self._request(), self._caller)
                if reply.value.jobs:
                    self._sent += len(reply.value.jobs)
                    return reply
                if reply.sent is not None:
                    reply.sent()

    async def _more_credit(self) -> None:
        caller = self._caller
        caller.ticket = asyncio.get_running_loop().create_future()
        try:
            await caller.ticket
        except asyncio.CancelledError:
            self._expect_open()
            raise

    def _expect_open(self) -> None:
        if self._error is not None or self._closed or self._caller.gone:
            raise CallerGoneError

    def _request(self) -> ClaimRequest:
        return ClaimRequest(
            worker_id=self.request.worker_id,
            types=self.request.types,
            max=min(self.credit, STREAM_JOBS_MAX),
            wait_ms=STREAM_WAIT_MS,
        )


class JobStreams:
    """All streams of one engine, by their ids."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._open: dict[str, JobStream] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request: StreamRequest, caller: Caller, claim: ClaimJobs) -> JobStream:
        """Begin one; an earlier one of the same worker and id ends, as its connection is lost.

        Raises `OverloadedError`, and `BrokerProtocolError` when the id is another worker's.
        """
        earlier = self._open.get(request.stream_id)
        if earlier is None and len(self._open) >= self._settings.streams_max:
            raise OverloadedError("too many streams of jobs are open; try again later")
        if earlier is not None:
            if earlier.request.worker_id != request.worker_id:
                raise BrokerProtocolError("`streamId` is the one of another worker's stream")
            again = "the worker has opened another stream under the same id, which goes on instead"
            earlier.end(BrokerProtocolError(again, status=409))
        stream = self._open[request.stream_id] = JobStream(self, request, caller, claim)
        return stream

    def add_credit(self, request: CreditRequest) -> None:
        """Let more jobs come by a stream. Raises `JobNotFoundError` when there is none."""
        stream = self._open.get(request.stream_id)
        if stream is None:
            raise JobNotFoundError("there is no such stream of jobs here; open a new one")
        stream.add(request.total)

    def leave(self, stream: JobStream) -> None:
        """One is over."""
        if self._open.get(stream.request.stream_id) is stream:
            del self._open[stream.request.stream_id]

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        for stream in list(self._open.values()):
            stream.lose(over_error(end))
