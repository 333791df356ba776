"""What every gRPC server is asked beside its own service: whether it is well, and what it speaks.

Health is asked by load balancers from wherever they are, as `/readyz` is: it stands before the
door. A broker that stands by is not serving, so they find the leader. As anybody may watch it, only
so many can, and one timer looks for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from osqueue.config import HEALTH_WATCHES_MAX
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
        self._stopped = False
        self._was_well: bool | None = None
        self._changed = asyncio.Event()
        """Replaced once it is set."""
        self._watching = 0
        self._timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Say to all who watch that it is over."""
        self._stopped = True
        self._wake()

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

    async def _watch(self, request: Any, context: Context) -> AsyncIterator[Any]:
        if self._watching >= HEALTH_WATCHES_MAX:
            said = "too many watch the health of this broker; use `Check`"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, said)
        self._watching += 1
        try:
            async for status in self._changes(request.service):
                yield health_pb2.HealthCheckResponse(status=status)
        finally:
            self._watching -= 1

    async def _changes(self, service: str) -> AsyncIterator[Any]:
        """The status now, and whenever it is another."""
        if self._timer is None:
            self._look()
        told = None
        while not self._stopped:
            changed = self._changed
            status = self._status(service)
            if status != told:
                yield status
                told = status
            await changed.wait()
        if told == _SERVING:
            yield _NOT_SERVING

    def _look(self) -> None:
        well, loop = self._is_well(), asyncio.get_running_loop()
        if well != self._was_well:
            self._was_well = well
            self._wake()
        goes_on = self._watching and not self._stopped
        self._timer = loop.call_later(LOOK_S, self._look) if goes_on else None

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _status(self, service: str) -> Any:
        if service not in self._services:
            return _UNKNOWN
        return _SERVING if self._is_well() and not self._stopped else _NOT_SERVING


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
