"""What every gRPC server is asked beside its own service: whether it is well, and what it speaks.

Health is asked by load balancers from wherever they are, as `/readyz` is: it stands before the
door. A broker that stands by is not serving, so they find the leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from osqueue.wire.gen.osqueue.v1 import queue_pb

__all__ = ["Health", "Reflection"]

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

HEALTH: Final = "grpc.health.v1.Health"
REFLECTIONS: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""One service by two names: its messages are the same in both versions."""

LOOK_S: Final = 0.25
"""How often it is looked for those who watch whether health has changed."""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Tells whether the broker leads and its store answers, of the whole and of each service."""

    def __init__(self, is_well: Callable[[], bool], services: Sequence[str]) -> None:
        self._is_well = is_well
        self._services = frozenset({"", *services})
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Say to all who watch that it is over."""
        self._stopped.set()

    def handlers(self) -> tuple[Any, ...]:
        """What the server is given."""
        reads = health_pb2.HealthCheckRequest.FromString
        writes = health_pb2.HealthCheckResponse.SerializeToString
        check = grpc.unary_unary_rpc_method_handler(self._check, reads, writes)
        watch = grpc.unary_stream_rpc_method_handler(self._watch, reads, writes)
        return (grpc.method_handlers_generic_handler(HEALTH, {"Check": check, "Watch": watch}),)

    async def _check(self, request: Any, context: Context) -> Any:
        status = self._status(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service[:100]!r}")
        return health_pb2.HealthCheckResponse(status=status)

    async def _watch(self, request: Any, _context: Context) -> AsyncIterator[Any]:
        told = None
        while not self._stopped.is_set():
            status = self._status(request.service)
            if status != told:
                yield health_pb2.HealthCheckResponse(status=status)
                told = status
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._stopped.wait()
        if told == _SERVING:
            yield health_pb2.HealthCheckResponse(status=_NOT_SERVING)

    def _status(self, service: str) -> Any:
        if service not in self._services:
            return _UNKNOWN
        return _SERVING if self._is_well() and not self._stopped.is_set() else _NOT_SERVING


class Reflection:
    """Describes the services to tools that have no `.proto` file.

    ``let_in`` ends the call of whoever may not ask.
    """

    def __init__(
        self, services: Sequence[str], let_in: Callable[[Context], Awaitable[None]]
    ) -> None:
        pool = DescriptorPool()
        pool.AddSerializedFile(queue_pb.desc().proto.to_binary())
        for foreign in (health_pb2, reflection_pb2):
            pool.AddSerializedFile(foreign.DESCRIPTOR.serialized_pb)
        names = (*services, HEALTH, REFLECTIONS[-1])
        self._servicer = reflection.aio.ReflectionServicer(names, pool)
        self._let_in = let_in

    def handlers(self) -> tuple[Any, ...]:
        """What the server is given."""
        describe = grpc.stream_stream_rpc_method_handler(
            self._describe,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        methods = {"ServerReflectionInfo": describe}
        return tuple([grpc.method_handlers_generic_handler(name, methods) for name in REFLECTIONS])

    async def _describe(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        await self._let_in(context)
        async for described in self._servicer.ServerReflectionInfo(requests, context):
            yield described
