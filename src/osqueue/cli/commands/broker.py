"""``osqueue broker``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.failures import require_broker, usage
from osqueue.cli.logs import LogFormat, LogLevel

__all__ = ["broker"]

TUNING = "Timing"

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="OSQUEUE_STORAGE",
        help="Where the queue lives: file:///path, or memory:// for as long as the broker runs "
        "(the default).",
        show_default=False,
    ),
]
Backend = Annotated[str | None, typer.Option(envvar="STORAGE_BACKEND", hidden=True)]
Host = Annotated[
    str, typer.Option(metavar="HOST", envvar="BROKER_HOST", help="Address to listen on.")
]
Port = Annotated[
    int, typer.Option(metavar="PORT", envvar="BROKER_PORT", help="0 takes any free one.")
]
Advertise = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", envvar="BROKER_ADVERTISE", help="The address that others dial."
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option("--allow-remote", envvar="BROKER_ALLOW_REMOTE", help="Serve other hosts, too."),
]
MaxPayloadBytes = Annotated[
    int,
    typer.Option(
        metavar="BYTES", envvar="BROKER_MAX_PAYLOAD_BYTES", help="The largest payload taken."
    ),
]
CorsOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN", envvar="BROKER_CORS_ORIGINS", help="Pages that may call; repeatable."
    ),
]
LeaseTimeout = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="JOB_HEARTBEAT_TIMEOUT_MS",
        help="A job without a heartbeat for this long is given to another worker.",
        rich_help_panel=TUNING,
    ),
]
CommitInterval = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="GROUP_COMMIT_INTERVAL_MS",
        help="Least time between the starts of two writes.",
        rich_help_panel=TUNING,
    ),
]
HeartbeatInterval = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="BROKER_HEARTBEAT_INTERVAL_MS",
        help="The broker writes at least this often.",
        rich_help_panel=TUNING,
    ),
]
HeartbeatTimeout = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="BROKER_HEARTBEAT_TIMEOUT_MS",
        help="A silent broker is replaced after this long; at least three intervals.",
        rich_help_panel=TUNING,
    ),
]


def broker(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    storage: Storage = None,
    backend: Backend = None,
    host: Host = "0.0.0.0",  # noqa: S104 - other hosts are refused unless allowed
    port: Port = 8080,
    advertise: Advertise = None,
    allow_remote: AllowRemote = False,
    cors_origin: CorsOrigin = None,
    max_payload_bytes: MaxPayloadBytes = 67_108_864,
    job_heartbeat_timeout_ms: LeaseTimeout = 30_000,
    group_commit_interval_ms: CommitInterval = 0,
    broker_heartbeat_interval_ms: HeartbeatInterval = 3_000,
    broker_heartbeat_timeout_ms: HeartbeatTimeout = 10_000,
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_level: options.LogLevelOption = LogLevel.INFO,
    supervised: options.Supervised = False,
    debug: options.Debug = False,
) -> int:
    """Run a broker: it keeps the queue and serves producers and workers.

    Stops on Ctrl-C or SIGTERM, with everything acknowledged safely stored.
    """
    options.set_up(context, debug=debug, log_format=log_format, log_level=log_level)
    options.check_range(context, "port", port, least=0, most=65_535)
    require_broker("the broker")
    from osqueue.cli import serving  # noqa: PLC0415 - heavy, and not always installed

    plan = serving.BrokerPlan(
        storage=options.storage_url(storage, backend),
        host=host,
        port=port,
        advertise=options.checked_address(context, "advertise", advertise),
        allow_remote=allow_remote,
        cors_origins=options.split_origins(context, "cors_origin", cors_origin or ()),
        payload_bytes_max=max_payload_bytes,
        lease_timeout_ms=job_heartbeat_timeout_ms,
        commit_interval_ms=group_commit_interval_ms,
        heartbeat_interval_ms=broker_heartbeat_interval_ms,
        heartbeat_timeout_ms=broker_heartbeat_timeout_ms,
        supervised=supervised,
    )
    with usage(options.origin_of(context, "storage")):
        store = plan.open_store()
    return serving.run(plan, store)
