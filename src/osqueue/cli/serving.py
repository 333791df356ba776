"""A broker process, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
from collections.abc import Mapping
from typing import Any

import msgspec
import uvloop
from msgspec import UNSET

from osqueue.allocator import collect_seldom, keep_large_buffers
from osqueue.app import BrokerServer
from osqueue.broker.settings import flattened
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.logs import start_access_log
from osqueue.cli.output import say
from osqueue.cli.signals import StopRequest, StopRequestedError
from osqueue.config import (
    AccessSettings,
    ArchiveSettings,
    BrokerSettings,
    CommitSettings,
    LeadershipSettings,
    QueueLimits,
    ServerSettings,
    ServerTlsSettings,
    ThrottleSettings,
)
from osqueue.engine.requests import End, EndReason
from osqueue.errors import ConfigError
from osqueue.storage import MemoryBackend, Store

__all__ = ["BrokerPlan", "run"]

_log = logging.getLogger("osqueue.cli")


class BrokerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker was asked to be."""

    host: str
    port: int
    grpc_port: int | None = None
    """0: none; ``None``: it was not said."""
    advertise: str | None
    adopt: bool
    allow_remote: bool
    cors_origins: tuple[str, ...]
    payload_bytes_max: int
    lease_timeout_ms: int
    commit_interval_ms: int
    heartbeat_interval_ms: int
    heartbeat_timeout_ms: int
    archive_retention_ms: int
    dead_max: int
    supervised: bool
    reads_per_minute: int = 0
    writes_per_minute: int = 0
    writes_per_day: int = 0
    tokens_file: str | None = None
    tokens: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    tls_ca: str | None = None
    requests_per_s: float = 0
    requests_burst: int = 0
    connections_per_host: int = 0
    access_log: bool = False
    dashboard: bool = True
    hide_payloads: bool = False

    def settings(self) -> BrokerSettings:
        """The broker's settings. Raises `CliError` when they make no sense."""
        settings = self._said()
        try:
            settings.validate()
        except ConfigError as error:
            raise CliError(error.message, code=USAGE) from error
        return settings

    @classmethod
    def settings_of(cls) -> dict[str, str]:
        """What each field is called among the broker's settings, of those that are one."""
        marks = {field: object() for field in cls.__struct_fields__}
        marked: dict[str, Any] = dict(marks)
        said = cls(**marked)._said()  # noqa: SLF001 - its own class
        placed = {id(each.value): each.name for each in flattened(said)}
        return {field: placed[id(mark)] for field, mark in marks.items() if id(mark) in placed}

    def _said(self) -> BrokerSettings:
        return BrokerSettings(
            server=self._server(),
            access=self._access(),
            tls=self._tls(),
            limits=QueueLimits(lease_timeout_ms=self.lease_timeout_ms, dead_max=self.dead_max),
            commit=CommitSettings(interval_ms=self.commit_interval_ms),
            leadership=LeadershipSettings(
                heartbeat_interval_ms=self.heartbeat_interval_ms,
                heartbeat_timeout_ms=self.heartbeat_timeout_ms,
                adopt=self.adopt,
            ),
            archive=ArchiveSettings(retention_ms=self.archive_retention_ms),
            throttle=ThrottleSettings(
                reads_per_minute=self.reads_per_minute,
                writes_per_minute=self.writes_per_minute,
                writes_per_day=self.writes_per_day,
            ),
        )

    def _server(self) -> ServerSettings:
        return ServerSettings(
            host=self.host,
            port=self.port,
            grpc_port=UNSET if self.grpc_port is None else self.grpc_port,
            allow_remote=self.allow_remote,
            cors_origins=self.cors_origins,
            payload_bytes_max=self.payload_bytes_max,
            connections_per_host=self.connections_per_host,
            access_log=self.access_log,
            dashboard=self.dashboard,
            hide_payloads=self.hide_payloads,
        )

    def _access(self) -> AccessSettings:
        return AccessSettings(
            tokens_file=self.tokens_file,
            tokens=self.tokens,
            requests_per_s=self.requests_per_s,
            burst=self.requests_burst,
        )

    def _tls(self) -> ServerTlsSettings:
        return ServerTlsSettings(
            cert=self.tls_cert, key=self.tls_key, client_ca=self.tls_client_ca, ca=self.tls_ca
        )


def run(plan: BrokerPlan, store: Store, variables: Mapping[str, str]) -> int:
    """Be a broker until stopped; answers the exit code. ``variables``: see `BrokerServer`."""
    settings = plan.settings()
    if plan.access_log:
        start_access_log()
    keep_large_buffers()
    collect_seldom()
    ports = 1 if settings.server.grpc_port == 0 else 2
    _allow_many_connections(settings.server.connections_max * ports)
    return uvloop.run(_run(plan, store, settings, variables))


async def _run(
    plan: BrokerPlan, store: Store, settings: BrokerSettings, variables: Mapping[str, str]
) -> int:
    broker = BrokerServer(
        store,
        advertise=plan.advertise,
        settings=settings,
        on_leading=gc.freeze,
        variables=variables,
    )
    say(_config_line(settings))
    try:
        with StopRequest(supervised=plan.supervised) as stop:
            return await _serve(broker, plan, store, stop)
    finally:
        await broker.stop()
        await store.close()


async def _serve(broker: BrokerServer, plan: BrokerPlan, store: Store, stop: StopRequest) -> int:
    try:
        await stop.unless_requested(broker.start())
    except StopRequestedError:
        say("Shutting down broker...")
        return 0
    if isinstance(store, MemoryBackend):
        _log.warning("the queue is in memory and ends with this broker; keep it with --storage")
    say(f"Broker listening on {_listening(broker, plan)}")
    if broker.grpc_port is not None:
        say(f"gRPC listening on {_place(plan.host, broker.grpc_port)}")
    if plan.dashboard:
        say(f"dashboard: {broker.url}/")
    return await _until_over(broker, stop)


async def _until_over(broker: BrokerServer, stop: StopRequest) -> int:
    ended = asyncio.ensure_future(broker.wait_ended())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not ended.done():
        say("Shutting down broker...")
        await broker.stop()
    return _exit_code(await ended)


def _exit_code(end: End) -> int:
    if end.reason is EndReason.RELEASED:
        return 0
    if end.reason is EndReason.STOPPED:
        raise CliError(f"stopped without giving leadership back: {end.message}")
    raise CliError(f"this broker cannot go on: {end.message}")


def _config_line(settings: BrokerSettings) -> str:
    return (
        f"[broker] Config: heartbeatInterval={settings.leadership.heartbeat_interval_ms}ms, "
        f"heartbeatTimeout={settings.leadership.heartbeat_timeout_ms}ms, "
        f"groupCommitInterval={settings.commit.interval_ms}ms"
    )


def _listening(broker: BrokerServer, plan: BrokerPlan) -> str:
    """The bound address with its real port; where others dial another one, that."""
    if plan.advertise is not None:
        return plan.advertise
    return _place(plan.host, broker.address.rpartition(":")[2])


def _place(host: str, port: int | str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allow_many_connections(connections: int) -> None:
    """Raise the limit on open files as far as is allowed: many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 1_000
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
