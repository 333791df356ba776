"""The broker as a whole: the core of its queue, and the ports that it is asked on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, Self

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from osqueue.advertise import advertised_host, is_wildcard
from osqueue.broker.probe import probe_leader
from osqueue.broker.service import QueueService
from osqueue.broker.settings import Effective
from osqueue.broker.workers import KnownWorker
from osqueue.clock import Clock, Entropy, SystemClock, SystemEntropy
from osqueue.config import WORKERS_KNOWN_MAX, BrokerSettings
from osqueue.core import QueueCore
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.engine.leadership import Probe
from osqueue.engine.observer import Observer, Observers
from osqueue.engine.requests import End
from osqueue.errors import (
    ConfigError,
    EngineStateError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.inprocess import InProcessTransport
from osqueue.server.asgi import make_app
from osqueue.server.dashboard.live import Live, Place
from osqueue.server.door.security import Security
from osqueue.server.door.tls import ServerTls
from osqueue.server.http_server import HttpServer, bind
from osqueue.server.rpc.grpc_port import GrpcServer, open_grpc
from osqueue.server.telemetry.access_log import AccessLog
from osqueue.server.telemetry.commit_traces import CommitTraces
from osqueue.server.telemetry.metrics import Metrics
from osqueue.server.telemetry.observed_http import HTTP, REST
from osqueue.server.telemetry.observing import Observed
from osqueue.server.websocket.protocol import WebSocketEndpoint
from osqueue.storage.protocol import Store, layers
from osqueue.storage.throttled import ThrottledStorageBackend
from osqueue.storage.urls import open_store
from osqueue.wire.messages import BrokerStatus

__all__ = ["BrokerServer"]

logger = logging.getLogger("osqueue.broker")

_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})


class _Told(NamedTuple):
    """Who is told of requests, and the figures that are shown."""

    observed: Observed
    metrics: Metrics


class BrokerServer:
    """A broker: one port for HTTP, and one for gRPC.

    ::

        async with BrokerServer(storage="file:///var/lib/queue", port=8080) as broker:
            print(broker.address)

    ``storage`` is a URL or a `Store`; a store that was handed in is not closed. ``host``, ``port``
    (0: any free one), ``grpc_port`` (0: no gRPC, ``None``: any free one) and ``advertise`` (the
    ``host:port`` that others dial) stand for the same fields of ``settings``. ``on_leading`` is
    called whenever this broker has become the leader. ``observers`` are told what happens
    (`osqueue.engine.observer`), beside the metrics. ``variables`` names the environment variables
    that settings were taken from, by setting, for those who look at them.
    """

    def __init__(  # noqa: PLR0913 - each by its name, and all but one may be left out
        self,
        storage: str | Store,
        *,
        host: str | None = None,
        port: int | None = None,
        grpc_port: int | UnsetType | None = UNSET,
        advertise: str | None = None,
        settings: BrokerSettings | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        on_leading: Callable[[], None] | None = None,
        observers: Iterable[Observer] = (),
        variables: Mapping[str, str] = _NO_VARIABLES,
    ) -> None:
        self._on_leading = on_leading
        self._observers = tuple(observers)
        self._variables = variables
        self._settings = _merged(settings or BrokerSettings(), host, port, grpc_port)
        self._settings.validate()
        self._storage = storage
        self._advertise = advertise
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._store: Store | None = None
        self._core: QueueCore | None = None
        self._http: HttpServer | None = None
        self._security: Security | None = None
        self._live: Live | None = None
        self._grpc: GrpcServer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """``host:port`` under which this broker can be dialled, once it has been started."""
        return self._address

    @property
    def url(self) -> str:
        """The address as a URL."""
        scheme = "https" if self._settings.tls.active else "http"
        return f"{scheme}://{self._address}"

    @property
    def grpc_port(self) -> int | None:
        """Where gRPC is served, once the broker has been started; ``None`` where it is not."""
        return None if self._grpc is None else self._grpc.port

    @property
    def end(self) -> End | None:
        """Why this broker neither leads nor stands by any more."""
        return None if self._engine is None else self._engine.end

    @property
    def waiting_claims(self) -> int:
        """How many claims wait here for a job."""
        return 0 if self._engine is None else self._engine.waiting_claims

    @property
    def waiting_ends(self) -> int:
        """How many calls wait here for the end of a job."""
        return 0 if self._service is None else len(self._service.streams.ends)

    def workers(self, most: int = WORKERS_KNOWN_MAX) -> list[KnownWorker]:
        """The workers that were heard of here last, the latest first."""
        return [] if self._service is None else self._service.workers.known(most)

    def status(self) -> BrokerStatus:
        """How the broker is doing. Raises `ConfigError` before the start."""
        return replace(self._started().status(), grpc_port=self.grpc_port)

    def in_process(self) -> InProcessTransport:
        """A way to this broker for clients in its own process and loop: the transport ``direct``.

        Raises `TransportConnectionError` while it is not running.
        """
        if self._core is None:
            error = TransportConnectionError("the broker of this process is not running")
            error.applied = "no"
            raise error
        if self._starting is None or self._starting.get_loop() is not asyncio.get_running_loop():
            raise TransportConfigError(
                "the broker runs in another event loop: dial it by another transport"
            )
        return self._core.transport()

    async def start(self) -> None:
        """Take the queue and serve it, or stand by while another broker leads.

        A second start does nothing. Raises `ConfigError` when the port is taken,
        `BrokerLeadershipError` when an older implementation has overwritten the state,
        `CorruptStateError`, `UnsupportedStoreError` when the store fails the probe
        (`osqueue.storage.probe`), and the store's errors.
        """
        if self._starting is not None:
            return
        sock = bind(self._settings.server)
        loop = asyncio.get_running_loop()
        self._starting = starting = loop.create_task(self._start_on(sock), name="osqueue start")
        try:
            await asyncio.wait({starting})
            _expect_started(starting)
        except BaseException:
            await self.stop()
            sock.close()
            raise

    async def stop(self) -> None:
        """Commit what is pending, give leadership back, close. Harmless at any time."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        async with AsyncExitStack() as closing:
            if self._store is not None and self._store is not self._storage:
                closing.push_async_callback(self._store.close)
            if self._security is not None:
                closing.push_async_callback(self._security.stop)
            if self._http is not None:
                closing.push_async_callback(self._http.stop)
            if self._grpc is not None:
                closing.push_async_callback(self._grpc.stop)
            if self._live is not None:
                closing.push_async_callback(self._live.stop)
            if self._core is not None:
                await self._core.stop()
        self._core = self._http = self._grpc = self._security = self._live = None
        self._store = self._starting = None

    async def wait_ended(self) -> End:
        """Wait until this broker neither leads nor stands by any more, for whatever reason."""
        engine = self._started()
        await engine.ended.wait()
        end = engine.end
        assert end is not None, "it has ended"
        return end

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _start_on(self, sock: socket.socket) -> None:
        port: int = sock.getsockname()[1]
        self._address = self._advertise or f"{await self._own_host(sock)}:{port}"
        security = self._security = Security(self._settings, self._clock, self._entropy)
        store = open_store(self._storage) if isinstance(self._storage, str) else self._storage
        self._store = store
        metrics = Metrics(self._clock)
        live = self._live = Live(self._clock, self._entropy)
        observers = self._all_observers(metrics, live)
        core = self._core = self._new_core(store, security, observers)
        metrics.watch(core.engine.gauges, core.service.streams)
        self._settle(live, core, security)
        observed = Observed(REST, observers, detailed=core.settings.server.access_log)
        await self._open_ports(sock, core, security, _Told(observed, metrics))
        security.start()
        await core.start()

    def _settle(self, live: Live, core: QueueCore, security: Security) -> None:
        """Let it tell of this broker."""
        service, store = core.service, core.store.url
        live.settle(Place(core.engine, service.streams, store, security.problems, service.workers))
        service.overviews = live

    def _new_core(self, store: Store, security: Security, observers: Observers) -> QueueCore:
        return QueueCore(
            store,
            address=self._address,
            settings=self._settings,
            clock=self._clock,
            entropy=self._entropy,
            probe=_probe(security.tls),
            observers=observers,
            on_leading=self._on_leading,
        )

    async def _open_ports(
        self, sock: socket.socket, core: QueueCore, security: Security, told: _Told
    ) -> None:
        """Answer on both ports; until the engine leads, with that."""
        service, server, observed = core.service, core.settings.server, told.observed
        local = frozenset(f"{name}:{sock.getsockname()[1]}" for name in _local_names(sock))
        door = security.door(self._address, local)
        self._http = HttpServer(
            make_app(
                service,
                server,
                door,
                throttle=_throttle_of(core.store),
                problems=security.problems,
                observed=observed,
                metrics=told.metrics,
            ),
            server,
            sock,
            tls=security.tls,
            websockets=WebSocketEndpoint(service, server, door, observed=observed.over("ws")),
            observed=observed.over(HTTP),
        )
        self._grpc = open_grpc(service, server, door, tls=security.tls, observed=observed)
        if self._grpc is not None:
            service.grpc_port = self._grpc.port
        service.effective = self._effective(core, sock.getsockname()[1])
        if self._grpc is not None:
            await self._grpc.start()
        await self._http.start()

    def _effective(self, core: QueueCore, port: int) -> Effective:
        """The settings as they hold: with the ports that are listened on."""
        server = replace(core.settings.server, port=port, grpc_port=self.grpc_port or 0)
        return Effective(
            replace(core.settings, server=server),
            storage=core.store.url,
            address=self._address,
            variables=self._variables,
        )

    async def _own_host(self, sock: socket.socket) -> str:
        return await advertised_host(self._settings.server.host, sock)

    def _all_observers(self, metrics: Metrics, live: Live) -> Observers:
        log = (AccessLog(self._clock),) if self._settings.server.access_log else ()
        return Observers((metrics, live, CommitTraces(self._clock), *log, *self._observers))

    @property
    def _engine(self) -> Engine | None:
        return None if self._core is None else self._core.engine

    @property
    def _service(self) -> QueueService | None:
        return None if self._core is None else self._core.service

    def _started(self) -> Engine:
        if self._engine is None:
            raise ConfigError("the broker has not been started")
        return self._engine


def _expect_started(starting: asyncio.Task[None]) -> None:
    if starting.cancelled():
        raise EngineStateError("the broker was stopped while it was starting")
    starting.result()


def _merged(
    settings: BrokerSettings,
    host: str | None,
    port: int | None,
    grpc_port: int | UnsetType | None,
) -> BrokerSettings:
    given: dict[str, Any] = {} if grpc_port is UNSET else {"grpc_port": grpc_port}
    given |= {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return replace(settings, server=replace(settings.server, **given))


def _probe(tls: ServerTls | None) -> Probe:
    """How to ask another broker of the queue, whose port speaks TLS if ours does."""

    async def probe(ask: Ask) -> ProbeAnswer:
        return await probe_leader(ask, tls=None if tls is None else tls.client_context)

    return probe


def _throttle_of(store: Store) -> ThrottledStorageBackend | None:
    """What keeps the statistics, also of a store that was handed in already throttled."""
    return next((each for each in layers(store) if isinstance(each, ThrottledStorageBackend)), None)


def _local_names(sock: socket.socket) -> set[str]:
    """What pages on this host may call the broker by."""
    names = {"localhost", "127.0.0.1", "[::1]"}
    return names | {socket.gethostname()} if is_wildcard(sock) else names
