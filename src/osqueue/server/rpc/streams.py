"""What the broker pushes, as the messages of Connect, gRPC-Web and gRPC.

Laws: a stream is closed in any case; one whose caller's token was revoked ends within seconds;
`Reply.sent` is called when the next message is asked for, or there will be none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Self

from protobuf import Message

from osqueue.broker.dispatch import STREAM_HANDLERS, Call
from osqueue.broker.reply import Reply
from osqueue.broker.service import QueueService
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import OsqueueError
from osqueue.server.door.auth import Principal
from osqueue.server.encode_once import encode_once
from osqueue.server.rpc.answerer import Served
from osqueue.wire.messages import Update
from osqueue.wire.methods import STREAMED

__all__ = ["MessageStream"]

logger = logging.getLogger("osqueue.server")

LOOK_S: Final = 3
"""How often it is looked whether the token of a stream's caller is still known."""

_METHODS: Final = {method.name: method for method in STREAMED}


class MessageStream:
    """One stream: an asynchronous iterator of messages, for one reader. `aclose` it in any case.

    Raises `OsqueueError`, and `CallerGoneError`.
    """

    def __init__(self, service: QueueService, method: Served, principal: Principal) -> None:
        self._service = service
        self._served = method
        self._method = _METHODS[method.name]
        self._principal = principal
        self._stream: Any = None
        self._watch: asyncio.Task[None] | None = None
        self._sent: Callable[[], None] | None = None

    def begin(self, message: Any, size: int) -> None:
        """Open the stream that a request asks for."""
        asked = self._served.read(message, size)
        call = Call(asked.message, size=size, caller=Caller())
        self._stream = STREAM_HANDLERS[self._method.operation.name](self._service, call)
        watch = self._end_once_revoked()
        self._watch = asyncio.get_running_loop().create_task(watch, name="osqueue stream watch")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[Any]:
        self._tell_sent()
        try:
            item = await anext(self._stream)
            value = item.value if isinstance(item, Reply) else item
            self._sent = item.sent if isinstance(item, Reply) else None
            if isinstance(value, Update):
                return encode_once(value, "proto", self._method.write_answer)
            return self._method.write_answer(value)
        except StopAsyncIteration:
            self._principal.check(self._method.operation.role)
            raise
        except (OsqueueError, CallerGoneError):
            raise
        except Exception as error:
            logger.exception("%s failed inside", self._method.name)
            raise OsqueueError("the broker failed on this stream") from error

    async def aclose(self) -> None:
        """Send nothing more. A second time does nothing."""
        self._tell_sent()
        if self._watch is not None:
            self._watch.cancel()
        if self._stream is not None:
            await self._stream.aclose()

    def _tell_sent(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            sent()

    async def _end_once_revoked(self) -> None:
        while self._principal.current():  # noqa: ASYNC110 - a revoked token tells nobody
            await asyncio.sleep(LOOK_S)
        await self._stream.aclose()
