"""One reader of the overview: where he is, and how he is woken. Nothing is kept for him."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, Self

from msgspec import Raw

from osqueue.broker.reply import Reply
from osqueue.errors import OsqueueError
from osqueue.server.dashboard.documents import Mark

__all__ = ["Watch"]


class Source(Protocol):
    """Where the documents come from."""

    def next(self, mark: Mark | None, *, begun: bool) -> tuple[Reply[Raw], Mark] | None:
        """What is told next to who has been told all until ``mark``; ``None``: nothing yet."""
        ...

    def leave(self, watch: Watch) -> None:
        """Somebody reads no more."""
        ...


class Watch:
    """What one reader is told: an asynchronous iterator of documents, to be closed in any case.

    It ends by raising when this broker stops leading.
    """

    def __init__(self, source: Source, mark: Mark | None) -> None:
        self._source = source
        self._mark = mark
        self._begun = self._closed = False
        self._error: OsqueueError | None = None
        self._reading: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reply[Any]:
        while True:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            told = self._source.next(self._mark, begun=self._begun)
            if told is not None:
                reply, self._mark = told
                self._begun = True
                return reply
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading

    async def aclose(self) -> None:
        """Be told nothing more. A second time does nothing."""
        self._source.leave(self)
        self._closed = True
        self.wake()

    def end(self, error: OsqueueError) -> None:
        """Let it raise this."""
        self._source.leave(self)
        self._error = self._error or error
        self.wake()

    def begin_anew(self) -> None:
        """What was told means nothing any more."""
        self._mark, self._begun = None, False

    def wake(self) -> None:
        """There may be something to tell."""
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
