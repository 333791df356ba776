"""REST: every operation by its route. It brings no streams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from osqueue.client.credentials import Credentials
from osqueue.client.transports.http_answers import read_answer
from osqueue.client.transports.http_pool import HttpPool
from osqueue.client.transports.kinds import Dialler, NoOptions, parse_options
from osqueue.client.transports.protocol import Answer
from osqueue.config import ClientSettings
from osqueue.errors import BrokerProtocolError
from osqueue.wire.messages import SubmitRequest
from osqueue.wire.operations import WITH_PAYLOADS, Operation, PutQuery

__all__ = ["RestTransport", "dialler"]

_encode = msgspec.json.Encoder().encode
_JSON_BODY: Final = {"content-type": "application/json"}


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
        path, body = _encoded(operation, request, job_id)
        large_body = len(body or b"") if operation.verb == "PUT" else 0
        answer = await self._pool.exchange(
            operation.verb,
            path,
            body,
            headers=_JSON_BODY if body is not None else None,
            times=self._pool.times(
                timeout_s, large_body=large_body, payloads=operation.name in WITH_PAYLOADS
            ),
        )
        return read_answer(operation, answer)

    async def reconnect(self) -> None:
        await self._pool.reconnect()

    async def close(self) -> None:
        await self._pool.close()


def _encoded(
    operation: Operation, request: msgspec.Struct | None, job_id: str | None
) -> tuple[str, bytes | None]:
    try:
        path, body = _path(operation, job_id), None
        if request is not None and operation.verb == "GET":
            path += _query(request)
        elif isinstance(request, SubmitRequest) and operation.verb == "PUT":
            path += _query(PutQuery.of(request))
            body = b"null" if request.payload is UNSET else bytes(request.payload)
        elif request is not None:
            body = _encode(request)
    except UnicodeEncodeError as error:
        raise BrokerProtocolError(f"{operation.name}: not a Unicode text: {error}") from error
    return path, body


def _path(operation: Operation, job_id: str | None) -> str:
    if not operation.on_one_job:
        return operation.path
    if not job_id:
        raise BrokerProtocolError(f"{operation.name}: the job id is empty")
    return operation.path.replace("{jobId}", quote(job_id, safe=""))


def _query(request: msgspec.Struct) -> str:
    fields = msgspec.to_builtins(request)
    return "?" + urlencode(fields, quote_via=quote) if fields else ""
