"""Connect: every operation as a POST of one message, and streams as answers that go on coming.

A unary call of that protocol is plain HTTP: the message is the body, and an error is JSON. So it
goes over the connections that REST goes over, and needs no library of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import msgspec

from osqueue.client.credentials import Credentials
from osqueue.client.transports import connect_answers, envelopes
from osqueue.client.transports.http_pool import HttpPool
from osqueue.client.transports.kinds import Dialler, NoOptions, parse_options
from osqueue.client.transports.methods import read_message, written
from osqueue.client.transports.protocol import Answer
from osqueue.config import ClientSettings
from osqueue.wire.methods import method_of
from osqueue.wire.operations import SUBMIT_LARGE, WITH_PAYLOADS, Operation

__all__ = ["ConnectTransport", "dialler"]

_UNARY: Final = {
    "content-type": "application/proto",
    "connect-protocol-version": "1",
    "accept-encoding": "identity",  # in a data centre, compressing costs more than it saves
}
_STREAM: Final = {
    "content-type": "application/connect+proto",
    "connect-protocol-version": "1",
    "accept-encoding": "identity",
}


def dialler(
    options: Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """How transports of this kind are made."""
    parse_options("connect", options, NoOptions)
    return Dialler(partial(ConnectTransport, settings=settings, credentials=credentials))


class ConnectTransport:
    """Connect to the broker at ``base_url``, such as ``http://127.0.0.1:8080``."""

    def __init__(
        self,
        base_url: str,
        settings: ClientSettings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._settings = settings or ClientSettings()
        self._pool = HttpPool(base_url, self._settings, credentials or Credentials())

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        method = method_of(operation)
        body = written(method, request, job_id)
        times = self._pool.times(
            timeout_s,
            large_body=len(body) if operation is SUBMIT_LARGE else 0,
            payloads=operation.name in WITH_PAYLOADS,
        )
        answer = await self._pool.exchange(
            "POST",
            method.path,
            body,
            headers={**_UNARY, "connect-timeout-ms": _timeout_ms(times.total or timeout_s)},
            times=times,
        )
        return connect_answers.read_answer(method, answer)

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        method = method_of(operation)
        body = envelopes.enveloped(written(method, request, None))
        async with self._pool.opened(
            method.path, body, headers=_STREAM, timeout_s=timeout_s
        ) as response:
            if response.status != 200:
                raise connect_answers.error_of(
                    method, response.status, await self._pool.content(response)
                )
            bytes_max = self._settings.answer_bytes_max
            async with aclosing(envelopes.read(response.content, bytes_max)) as messages:
                async for envelope in messages:
                    if envelope.last:
                        connect_answers.end_stream(method, envelope.data)
                        return
                    yield read_message(method, envelope.data)

    async def reconnect(self) -> None:
        await self._pool.reconnect()

    async def close(self) -> None:
        await self._pool.close()


def _timeout_ms(timeout_s: float) -> str:
    """As the header has it: at least 1, and at most ten digits."""
    return str(min(max(1, round(timeout_s * 1_000)), 9_999_999_999))
