"""One pool of keep-alive connections to one broker, for every transport that speaks HTTP.

The pool is made by the first call, in the loop that makes it. Redirects are not followed: one of a
broker comes back as its `BrokerLeadershipError`. Cookies and proxies of the environment are not
used. Here aiohttp's errors become ours, and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, cast

import aiohttp
from yarl import URL

from osqueue import __version__
from osqueue.client.addresses import parse_base_url
from osqueue.client.credentials import Credentials
from osqueue.client.transports.http_answers import HttpAnswer
from osqueue.client.transports.lifetime import Lifetime
from osqueue.client.transports.progress import ProgressSocket
from osqueue.config import ClientSettings
from osqueue.errors import (
    OsqueueError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.sockets import ask_the_silent

__all__ = ["BYTES_PER_S_MIN", "PAYLOADS_S_MAX", "HttpPool"]

BYTES_PER_S_MIN: Final = 1024 * 1024
"""The slowest connection on which a large payload is still sent in time."""

PAYLOADS_S_MAX: Final = 64
"""Longest time that payloads take to come, once they do: 64 MiB at that speed."""

WHOLE_BYTES_MAX: Final = 512 * 1024
"""Larger bodies are written to the socket bit by bit."""

CLOSE_S_MAX: Final = 1.0
"""How long a broker may take to agree that a WebSocket is closed."""

_CLOSED: Final = ("Connection closed.",)
"""What aiohttp says, by a `RuntimeError`, of reading on after the connection was closed here."""

_MISMATCHES: Final = frozenset({"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
"""What OpenSSL calls an answer that is no TLS."""

_WANTS_CERTIFICATE: Final = "CERTIFICATE_REQUIRED"
"""At the end of what it calls the alert of a broker that asks for a client's certificate."""


class HttpPool:
    """Requests to the broker at ``base_url``, such as ``http://127.0.0.1:8080``."""

    def __init__(
        self,
        base_url: str,
        settings: ClientSettings,
        credentials: Credentials,
        *,
        middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
    ) -> None:
        self._middlewares = middlewares
        self.base = parse_base_url(base_url)
        self._settings = settings
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._lifetime = Lifetime()

    async def exchange(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        *,
        headers: Mapping[str, str] | None,
        times: aiohttp.ClientTimeout,
    ) -> HttpAnswer:
        """One request, and its whole answer whatever its status."""
        with self._translated(times.sock_read or times.total):
            async with self.session().request(
                verb,
                URL(self.base + path, encoded=True),
                data=io.BytesIO(body) if body is not None and len(body) > WHOLE_BYTES_MAX else body,
                headers=headers,
                allow_redirects=False,
                timeout=times,
            ) as response:
                content = await self.content(response)
                return HttpAnswer(response.status, content, response.headers.get("osqueue-commit"))

    @asynccontextmanager
    async def opened(
        self, path: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, to be read for as long as it goes on coming.

        ``timeout_s``: how long it may take to have a connection.
        """
        connect_s = min(timeout_s, self._settings.connect_ms / 1_000)
        times = aiohttp.ClientTimeout(total=None, connect=timeout_s, sock_connect=connect_s)
        with self._translated(timeout_s):
            async with self.session().post(
                URL(self.base + path, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=times,
            ) as response:
                yield response

    @asynccontextmanager
    async def websocket(
        self, path: str, *, heartbeat_s: float, timeout_s: float
    ) -> AsyncIterator[ProgressSocket]:
        """An open WebSocket, closed afterwards. Its reader answers pings."""
        with self._translated(timeout_s):
            async with asyncio.timeout(timeout_s):
                socket = await self.session().ws_connect(
                    URL(self.base + path, encoded=True),
                    heartbeat=heartbeat_s,
                    max_msg_size=self._settings.answer_bytes_max,
                    autoclose=False,
                    autoping=False,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S_MAX),
                )
        try:
            yield cast("ProgressSocket", socket)  # what the session makes
        finally:
            await socket.close()

    async def content(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, if it is not larger than allowed."""
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._settings.answer_bytes_max:
                raise self.too_large(response.status)
        return bytes(content)

    def too_large(self, status: int | None = None) -> TransportRequestError:
        """What is said of an answer that is larger than allowed."""
        limit = self._settings.answer_bytes_max
        message = f"the answer is larger than answer_bytes_max ({limit} bytes)"
        return TransportRequestError(message, status=status)

    def times(
        self, timeout_s: float, *, large_body: int = 0, payloads: bool = False
    ) -> aiohttp.ClientTimeout:
        """Payloads get time of their own to travel in. ``large_body``: bytes of one sent.

        Where ``payloads`` come, a silence is timed, not the whole answer.
        """
        connect_s = min(timeout_s, self._settings.connect_ms / 1_000)
        if not payloads:
            total_s = timeout_s + large_body / BYTES_PER_S_MIN
            return aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s)
        total_s = timeout_s + PAYLOADS_S_MAX
        return aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s, sock_read=timeout_s)

    def session(self) -> aiohttp.ClientSession:
        """The session, made when it is first asked for."""
        self._lifetime.use()
        if self._session is None:
            self._session = self._new_session()
        return self._session

    async def reconnect(self) -> None:
        """Drop the connections; the next request makes new ones."""
        session, self._session = self._session, None
        self._lifetime.forget()
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Drop the connections for good."""
        self._lifetime.close()
        await self.reconnect()

    def _new_session(self) -> aiohttp.ClientSession:
        secure = self.base.startswith("https:")
        return aiohttp.ClientSession(
            ws_response_class=ProgressSocket,  # type: ignore[arg-type] # its default is of text
            connector=aiohttp.TCPConnector(
                limit=self._settings.connections_max,
                socket_factory=_socket,
                ssl=self._credentials.context() if secure else True,
            ),
            middlewares=self._middlewares,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": f"osqueue-python/{__version__}", **self._credentials.headers},
            skip_auto_headers=("content-type",),
        )

    @contextmanager
    def _translated(self, timeout_s: float | None) -> Iterator[None]:
        """Inside, what aiohttp raises is raised as ours."""
        try:
            yield
        except TimeoutError as error:
            raise _timed_out(self.base, timeout_s or 0, error) from error
        except aiohttp.ClientError as error:
            raise _connection_error(self.base, error) from error
        except RuntimeError as error:
            if error.args != _CLOSED:
                raise
            raise TransportConnectionError(f"the connection to {self.base} was closed") from error


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """One that tells a reader when its broker's machine is gone."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    ask_the_silent(sock)
    return sock


def _timed_out(base: str, timeout_s: float, error: TimeoutError) -> TransportConnectionError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreached(f"no broker answers at {base}: no connection in time; is it running?")
    return TransportConnectionError(f"no answer from {base} within {timeout_s:g} s")


def _connection_error(base: str, error: aiohttp.ClientError) -> OsqueueError:
    tls = _tls_error(base, error)
    if tls is not None:
        return tls
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unreached(f"no broker answers at {base}: {_reason(error)}; is it running?")
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportRequestError(f"{base} does not answer in HTTP: {error.message}")
    return TransportConnectionError(f"the connection to {base} broke: {error!r}")


def _tls_error(base: str, error: aiohttp.ClientError) -> OsqueueError | None:
    """What will not be better the next time: the two sides do not fit."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        message = f"the certificate of {base} is not to be trusted: {refused}"
        return _never(f"{message}; name its authority with tls=TlsSettings(ca=…)")
    if not isinstance(error, aiohttp.ClientOSError):
        return None
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__
    reason = (cause.reason if isinstance(cause, ssl.SSLError) else None) or ""
    if reason in _MISMATCHES:
        return _never(f"{base} does not speak TLS; is it http://?")
    if reason.endswith(_WANTS_CERTIFICATE):
        return _never(
            f"{base} asks for a certificate of this client: tls=TlsSettings(cert=…, key=…)"
        )
    return None


def _never(message: str) -> TransportConfigError:
    error = TransportConfigError(message)
    error.applied = "no"
    return error


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
