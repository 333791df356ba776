"""REST: every operation by its route. It brings no streams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from osqueue.client.credentials import Credentials
from osqueue.client.transports.http_answers import read_answer
from osqueue.client.transports.http_pool import HttpPool
from osqueue.client.transports.http_requests import write_request
from osqueue.client.transports.kinds import Dialler, NoOptions, parse_options
from osqueue.client.transports.protocol import Answer
from osqueue.config import ClientSettings
from osqueue.wire.operations import WITH_PAYLOADS, Operation

__all__ = ["RestTransport", "dialler"]


def dialler(
    options: Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """How transports of this kind are made."""
    parse_options("rest", options, NoOptions)
    return Dialler(partial(RestTransport, settings=settings, credentials=credentials))


class RestTransport:
    """REST to the broker at ``base_url``, such as ``http://127.0.0.1:8080``."""

    def __init__(
        self,
        base_url: str,
        settings: ClientSettings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._pool = HttpPool(base_url, settings or ClientSettings(), credentials or Credentials())

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        asked = write_request(operation, request, job_id)
        large_body = len(asked.body or b"") if operation.verb == "PUT" else 0
        answer = await self._pool.exchange(
            asked.verb,
            asked.target,
            asked.body,
            headers=asked.headers or None,
            times=self._pool.times(
                timeout_s, large_body=large_body, payloads=operation.name in WITH_PAYLOADS
            ),
        )
        return read_answer(operation, answer)

    async def reconnect(self) -> None:
        await self._pool.reconnect()

    async def close(self) -> None:
        await self._pool.close()
