"""A transport that stands before another one."""

from __future__ import annotations

import msgspec

from osqueue.client.transports.protocol import Answer, StreamingTransportAdapter
from osqueue.wire.operations import Operation

__all__ = ["PassingTransport"]


class PassingTransport:
    """Hands everything on to ``inner``. What adds something to calls overrides `call`."""

    def __init__(self, inner: StreamingTransportAdapter) -> None:
        self._inner = inner
        self.stream = inner.stream
        self.reconnect = inner.reconnect
        self.close = inner.close

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        """One operation. Raises what ``inner`` does."""
        return await self._inner.call(operation, request, job_id=job_id, timeout_s=timeout_s)
