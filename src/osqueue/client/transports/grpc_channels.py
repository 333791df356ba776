"""The gRPC channel to one broker: where it is, how it is made, and when it has to be made again.

A broker's gRPC port is asked for at its HTTP address (``GET /v1/status``), and again whenever the
connection has failed: its successor at that address may have another one. A channel is used only
when it is connected, so that a call which could not be sent is known to be none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from yarl import URL

from osqueue import __version__
from osqueue.client.addresses import is_secure
from osqueue.client.credentials import Credentials, TlsSettings
from osqueue.client.transports.rest import RestTransport
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError, TransportConfigError, TransportConnectionError
from osqueue.wire.messages import BrokerStatus
from osqueue.wire.operations import GET_STATUS

__all__ = ["Channels", "is_cancelled", "unreached"]

_T = TypeVar("_T")

PING_MS: Final = 10_000
"""A connection that was silent for so long is pinged, also while only a claim waits on it."""

PONG_MS: Final = 5_000
"""It has broken when no answer comes for this long."""


class Channels:
    """The channel to the broker at ``base_url``, made when it is first asked for."""

    def __init__(self, base_url: str, settings: ClientSettings, credentials: Credentials) -> None:
        self.base = base_url
        self._settings = settings
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._opening: asyncio.Task[grpc.aio.Channel] | None = None
        self._status = _status_transport(base_url, settings, credentials)

    async def ready(self, timeout_s: float) -> grpc.aio.Channel:
        """A connected channel, the same for all who ask. Raises errors that say ``applied`` no."""
        channel = self._channel
        if channel is not None and channel.get_state() is grpc.ChannelConnectivity.READY:
            return channel
        opening = self._opening
        if opening is None:
            opening = asyncio.create_task(self._open(), name="osqueue-grpc-channel")
            self._opening = opening
            opening.add_done_callback(self._opened)
        try:
            return await _within(timeout_s, asyncio.shield(opening))
        except TimeoutError as error:
            raise unreached(f"no broker answers at {self.base}: no connection in time") from error
        except asyncio.CancelledError as error:
            if is_cancelled() or not opening.cancelled():
                raise
            raise unreached(f"connecting to {self.base} was given up") from error

    async def drop(self) -> None:
        """Close the channel; what is under way breaks."""
        channel, self._channel = self._channel, None
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if channel is not None:
            await channel.close()
        if self._status is not None:
            await self._status.reconnect()

    def _opened(self, opening: asyncio.Task[grpc.aio.Channel]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._channel = opening.result()

    async def _open(self) -> grpc.aio.Channel:
        former, self._channel = self._channel, None
        if former is not None:
            await former.close()
        try:
            target = await self._target()
            channel = self._make(target)
            try:
                await _within(self._settings.connect_ms / 1_000, _connected(channel, target))
            except BaseException:
                await channel.close()
                raise
        except TimeoutError as error:
            message = f"no broker answers gRPC at {self.base}: no connection in time"
            raise unreached(message) from error
        except OsqueueError as error:
            error.applied = "no"
            raise
        return channel

    async def _target(self) -> str:
        """``host:port`` of the gRPC port."""
        url = URL(self.base)
        host = f"[{url.host}]" if ":" in (url.host or "") else url.host
        if self._status is None:
            return f"{host}:{url.port}"
        connect_s = self._settings.connect_ms / 1_000
        answer = await self._status.call(GET_STATUS, timeout_s=connect_s)
        status = answer.value
        if not isinstance(status, BrokerStatus) or status.grpc_port is None:
            raise TransportConfigError(
                f"the broker at {self.base} serves no gRPC: start it with --grpc-port, or use "
                "another transport"
            )
        return f"{host}:{status.grpc_port}"

    def _make(self, target: str) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.primary_user_agent", f"osqueue-python/{__version__}"),
            ("grpc.max_receive_message_length", self._settings.answer_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", PING_MS),
            ("grpc.keepalive_timeout_ms", PONG_MS),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),  # or a new one would be the broken one
            ("grpc.enable_retries", 0),
        ]
        if not is_secure(self.base):
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, _tls(self._credentials), options)


def _status_transport(
    base_url: str, settings: ClientSettings, credentials: Credentials
) -> RestTransport | None:
    """Whom to ask for the port; nobody when the URL names it."""
    if base_url.startswith("grpc"):
        return None
    return RestTransport(base_url, settings, credentials)


def _tls(credentials: Credentials) -> grpc.ChannelCredentials:
    tls = credentials.tls
    assert tls is None or isinstance(tls, TlsSettings), "checked when the transport was chosen"
    pem = {
        name: None if path is None else TlsSettings.pem(path)
        for name, path in (
            ("root_certificates", _machine_ca() if tls is None or tls.ca is None else tls.ca),
            ("private_key", None if tls is None else tls.key),
            ("certificate_chain", None if tls is None else tls.cert),
        )
    }
    return grpc.ssl_channel_credentials(**pem)


def _machine_ca() -> str | None:
    """Whom this machine believes; gRPC would believe a list that it brings with it."""
    return ssl.get_default_verify_paths().cafile


async def _connected(channel: grpc.aio.Channel, target: str) -> None:
    """Return when it is; raise when the first try has failed."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise unreached(f"no broker answers gRPC at {target}; is it running, with this TLS?")
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


async def _within(timeout_s: float, step: Awaitable[_T]) -> _T:
    async with asyncio.timeout(timeout_s):
        return await step


def is_cancelled() -> bool:
    """Whether the running task was asked to end, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def unreached(message: str) -> TransportConnectionError:
    """The error of a request that surely was not received."""
    error = TransportConnectionError(message)
    error.applied = "no"
    return error
