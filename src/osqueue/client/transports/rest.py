"""REST over one pool of keep-alive connections.

The pool is made by the first call, in the loop that makes it. Redirects are not followed: one of
a broker comes back as its `BrokerLeadershipError`. Cookies and proxies of the environment are not
used.
"""

from __future__ import annotations

import asyncio
import io
from typing import Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from msgspec import UNSET
from yarl import URL

from osqueue import __version__
from osqueue.client.addresses import parse_base_url
from osqueue.client.transports.http_answers import HttpAnswer, read_answer
from osqueue.client.transports.protocol import Answer
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerProtocolError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.messages import SubmitRequest
from osqueue.wire.operations import CLAIM, GET_PAYLOAD, Operation, PutQuery

__all__ = ["RestTransport"]

_encode = msgspec.json.Encoder().encode
_WITH_PAYLOADS: Final = frozenset({CLAIM.name, GET_PAYLOAD.name})
"""What brings payloads: a silence is timed, not the whole answer."""

BYTES_PER_S_MIN: Final = 1024 * 1024
"""The slowest connection on which a large payload is still sent in time."""

PAYLOADS_S_MAX: Final = 64
"""Longest time that payloads take to come, once they do: 64 MiB at that speed."""

WHOLE_BYTES_MAX: Final = 512 * 1024
"""Larger bodies are written to the socket bit by bit."""

_JSON_BODY: Final = {"content-type": "application/json"}


class RestTransport:
    """REST to the broker at ``base_url``, such as ``http://127.0.0.1:8080``."""

    def __init__(self, base_url: str, settings: ClientSettings | None = None) -> None:
        self._base = parse_base_url(base_url)
        self._settings = settings or ClientSettings()
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        url, body = self._encoded(operation, request, job_id)
        try:
            times = self._times(operation, len(body or b""), timeout_s)
            answer = await self._exchange(operation.verb, url, body, times)
        except TimeoutError as error:
            raise _timed_out(self._base, timeout_s, error) from error
        except aiohttp.ClientError as error:
            raise _connection_error(self._base, error) from error
        return read_answer(operation, answer)

    async def reconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def close(self) -> None:
        self._closed = True
        await self.reconnect()

    def _encoded(
        self, operation: Operation, request: msgspec.Struct | None, job_id: str | None
    ) -> tuple[URL, bytes | None]:
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
        return URL(self._base + path, encoded=True), body

    def _times(
        self, operation: Operation, body_bytes: int, timeout_s: float
    ) -> aiohttp.ClientTimeout:
        """Payloads get time of their own to travel in."""
        connect_s = min(timeout_s, self._settings.connect_ms / 1_000)
        if operation.name not in _WITH_PAYLOADS:
            total_s = timeout_s + (body_bytes / BYTES_PER_S_MIN if operation.verb == "PUT" else 0)
            return aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s)
        total_s = timeout_s + PAYLOADS_S_MAX
        return aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s, sock_read=timeout_s)

    async def _exchange(
        self, verb: str, url: URL, body: bytes | None, times: aiohttp.ClientTimeout
    ) -> HttpAnswer:
        async with self._open_session().request(
            verb,
            url,
            data=io.BytesIO(body) if body is not None and len(body) > WHOLE_BYTES_MAX else body,
            headers=_JSON_BODY if body is not None else None,
            allow_redirects=False,
            timeout=times,
        ) as response:
            content = await self._content(response)
            return HttpAnswer(response.status, content, response.headers.get("osqueue-commit"))

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._settings.answer_bytes_max:
                raise TransportRequestError(
                    f"the answer is larger than answer_bytes_max "
                    f"({self._settings.answer_bytes_max} bytes)",
                    status=response.status,
                )
        return bytes(content)

    def _open_session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")
        if self._session is None:
            self._loop = loop
            self._session = _new_session(self._settings)
        elif self._loop is not loop:
            raise TransportConfigError(
                "this client was first used in another event loop; make one client per loop, "
                "or close it at the end of each"
            )
        return self._session


def _new_session(settings: ClientSettings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.connections_max),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": f"osqueue-python/{__version__}"},
        skip_auto_headers=("content-type",),
    )


def _path(operation: Operation, job_id: str | None) -> str:
    if not operation.on_one_job:
        return operation.path
    if not job_id:
        raise BrokerProtocolError(f"{operation.name}: the job id is empty")
    return operation.path.replace("{jobId}", quote(job_id, safe=""))


def _query(request: msgspec.Struct) -> str:
    fields = msgspec.to_builtins(request)
    return "?" + urlencode(fields, quote_via=quote) if fields else ""


def _timed_out(base: str, timeout_s: float, error: TimeoutError) -> TransportConnectionError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreached(f"no broker answers at {base}: no connection in time; is it running?")
    return TransportConnectionError(f"no answer from {base} within {timeout_s:g} s")


def _connection_error(base: str, error: aiohttp.ClientError) -> Exception:
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unreached(f"no broker answers at {base}: {_reason(error)}; is it running?")
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportRequestError(f"{base} does not answer in HTTP: {error.message}")
    return TransportConnectionError(f"the connection to {base} broke: {error!r}")


def _unreached(message: str) -> TransportConnectionError:
    error = TransportConnectionError(message)
    error.applied = "no"
    return error


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} cannot be resolved"
    if isinstance(error.os_error, ConnectionRefusedError):
        return "connection refused"
    return error.os_error.strerror or str(error.os_error)
