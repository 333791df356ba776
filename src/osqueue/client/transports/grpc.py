"""gRPC: every operation as a unary call, streams as server streams. Wants ``osqueue[grpc]``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from osqueue.client.addresses import parse_base_url
from osqueue.client.credentials import Credentials
from osqueue.client.transports.grpc_answers import error_of
from osqueue.client.transports.http_answers import parse_position, resting_on
from osqueue.client.transports.http_pool import BYTES_PER_S_MIN, PAYLOADS_S_MAX
from osqueue.client.transports.kinds import Dialler, NoOptions, parse_options
from osqueue.client.transports.lifetime import Lifetime, is_cancelled
from osqueue.client.transports.methods import read_message, written
from osqueue.client.transports.protocol import Answer
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError, TransportConnectionError
from osqueue.forks import keep_grpc_out
from osqueue.wire.methods import Method, method_of
from osqueue.wire.operations import SUBMIT_LARGE, WITH_PAYLOADS, Operation

keep_grpc_out()
try:
    import grpc
    import grpc.aio

    from osqueue.client.transports.grpc_channels import Channels, unreached
except ModuleNotFoundError as error:
    raise TransportConfigError(
        "the transport 'grpc' needs a package that is not installed: pip install 'osqueue[grpc]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCHEMES", "GrpcTransport", "dialler"]

SCHEMES: Final = ("http", "https", "grpc", "grpcs")
"""``grpc://host:port`` is the gRPC port itself; of an ``http`` URL it is asked for."""

_COMMIT: Final = "osqueue-commit"


def dialler(
    options: Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """How transports of this kind are made."""
    parse_options("grpc", options, NoOptions)
    if isinstance(credentials.tls, ssl.SSLContext):
        raise TransportConfigError(
            "the transport 'grpc' brings its own TLS, which no ssl.SSLContext can be handed to: "
            "give tls=TlsSettings(ca=…, cert=…, key=…), which names the files"
        )
    dial = partial(GrpcTransport, settings=settings, credentials=credentials)
    return Dialler(dial, schemes=SCHEMES)


class GrpcTransport:
    """gRPC to the broker at ``base_url``: ``http://host:8080``, or ``grpc://host:9090``."""

    def __init__(
        self,
        base_url: str,
        settings: ClientSettings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        credentials = credentials or Credentials()
        base = parse_base_url(base_url, schemes=SCHEMES)
        self._channels = Channels(base, settings or ClientSettings(), credentials)
        self._metadata: Sequence[tuple[str, str]] = tuple(credentials.headers.items())
        self._lifetime = Lifetime()

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        self._lifetime.use()
        method = method_of(operation)
        body = written(method, request, job_id)
        if operation is SUBMIT_LARGE:
            timeout_s += len(body) / BYTES_PER_S_MIN
        channel = await self._channels.ready(timeout_s)
        with self._translated(operation, timeout_s):
            return await self._answered(channel, method, body, timeout_s)

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        self._lifetime.use()
        method = method_of(operation)
        body = written(method, request, None)
        channel = await self._channels.ready(timeout_s)
        pushed = channel.unary_stream(method.path)(body, metadata=self._metadata)
        try:
            with self._translated(operation, timeout_s):
                async for data in pushed:
                    yield read_message(method, data)
        finally:
            pushed.cancel()

    async def reconnect(self) -> None:
        await self._channels.drop()
        self._lifetime.forget()

    async def close(self) -> None:
        self._lifetime.close()
        await self._channels.drop()

    async def _answered(
        self, channel: grpc.aio.Channel, method: Method, body: bytes, timeout_s: float
    ) -> Answer:
        patient = method.operation.name in WITH_PAYLOADS
        total_s = timeout_s + PAYLOADS_S_MAX if patient else timeout_s
        answer = channel.unary_unary(method.path)(body, timeout=total_s, metadata=self._metadata)
        try:
            if patient:
                async with asyncio.timeout(timeout_s):
                    await answer.initial_metadata()
            data = await answer
            headers = dict(await answer.initial_metadata())
        finally:
            answer.cancel()  # of one that has ended, it means nothing
        return Answer(read_message(method, data), parse_position(headers.get(_COMMIT)))

    @contextmanager
    def _translated(self, operation: Operation, timeout_s: float) -> Iterator[None]:
        """Inside, what gRPC raises is raised as ours."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not error.trailing_metadata():
                raise self._late(timeout_s) from error
            trailers = error.trailing_metadata() or ()
            refusal = error_of(
                operation, error.code().name, error.details() or "(no message)", trailers
            )
            headers = dict(error.initial_metadata() or ())
            raise resting_on(refusal, headers.get(_COMMIT)) from error
        except grpc.aio.UsageError as error:  # the channel was closed before the call began
            raise unreached(f"the connection to {self._channels.base} was closed") from error
        except TimeoutError as error:
            raise self._late(timeout_s) from error
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            message = f"the connection to {self._channels.base} was dropped"
            raise TransportConnectionError(message) from error

    def _late(self, timeout_s: float) -> TransportConnectionError:
        return TransportConnectionError(
            f"no answer from {self._channels.base} within {timeout_s:g} s"
        )
