"""A transport by which a submit returns when its jobs have run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from osqueue.client.transports.protocol import Answer, StreamingTransportAdapter
from osqueue.errors import OsqueueError
from osqueue.testing.passing import PassingTransport
from osqueue.wire.operations import SUBMIT, SUBMIT_BATCH, SUBMIT_LARGE, Operation

__all__ = ["ThenTransport"]

_SUBMITS: Final = frozenset({SUBMIT.name, SUBMIT_BATCH.name, SUBMIT_LARGE.name})


class ThenTransport(PassingTransport):
    """``inner``; after each submit that was taken, ``then`` is awaited, where the caller is.

    What ``then`` raises comes out of the submit. A client takes an `OsqueueError` for the answer of
    the broker, and might submit again; so such a one comes as the cause of a `RuntimeError`.
    """

    def __init__(
        self, inner: StreamingTransportAdapter, then: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__(inner)
        self._then = then

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        answer = await super().call(operation, request, job_id=job_id, timeout_s=timeout_s)
        if operation.name in _SUBMITS:
            try:
                await self._then()
            except OsqueueError as error:
                raise RuntimeError(f"the job was submitted, and failed: {error}") from error
        return answer
