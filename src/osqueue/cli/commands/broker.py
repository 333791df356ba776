"""``osqueue broker``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.durations import milliseconds
from osqueue.cli.failures import require_broker
from osqueue.cli.logs import LogFormat, LogLevel

__all__ = ["broker"]

TUNING = "Timing"
SECURITY = "Who may call"
THROTTLE = "Throttle, for stores that cost money"

Host = Annotated[
    str, typer.Option(metavar="HOST", envvar="BROKER_HOST", help="Address to listen on.")
]
Port = Annotated[
    int, typer.Option(metavar="PORT", envvar="BROKER_PORT", help="0 takes any free one.")
]
GrpcPort = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        envvar="BROKER_GRPC_PORT",
        help="Port of gRPC; 0: no gRPC. Unless said: 9090, if nobody else has it.",
    ),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", envvar="BROKER_ADVERTISE", help="The address that others dial."
    ),
]
Adopt = Annotated[
    bool,
    typer.Option(
        "--adopt",
        help="Go on from a state that an older implementation has overwritten; stop that first.",
    ),
]
AccessLog = Annotated[
    bool,
    typer.Option(
        "--access-log",
        envvar="BROKER_ACCESS_LOG",
        help="Log each request to stderr, as a line of JSON.",
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote",
        envvar="BROKER_ALLOW_REMOTE",
        help="Serve other hosts without a token, too.",
        rich_help_panel=SECURITY,
    ),
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
        metavar="ORIGIN",
        envvar="BROKER_CORS_ORIGINS",
        help="Pages that may call; repeatable.",
        rich_help_panel=SECURITY,
    ),
]
TokensFile = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="OSQUEUE_TOKENS_FILE",
        help="The list of tokens, one of which every caller must show: see `osqueue token`.",
        rich_help_panel=SECURITY,
    ),
]
Tokens = Annotated[
    str | None, typer.Option("--tokens", hidden=True, envvar="OSQUEUE_TOKENS", show_envvar=False)
]
"""Lines of the list; by the environment, where a file is hard to come by."""

TlsCert = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="BROKER_TLS_CERT",
        help="Serve TLS with this certificate (PEM, with its chain).",
        rich_help_panel=SECURITY,
    ),
]
TlsKey = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="BROKER_TLS_KEY",
        help="The certificate's key.",
        rich_help_panel=SECURITY,
    ),
]
TlsClientCa = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="BROKER_TLS_CLIENT_CA",
        help="Serve only clients with a certificate of this authority.",
        rich_help_panel=SECURITY,
    ),
]
TlsCa = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="BROKER_TLS_CA",
        help="The authority of the other brokers' certificates, unless this machine trusts it.",
        rich_help_panel=SECURITY,
    ),
]
RequestsPerS = Annotated[
    float,
    typer.Option(
        metavar="N",
        envvar="BROKER_REQUESTS_PER_S",
        help="Most requests a second of one token, or of one host where none is needed; 0: any.",
        rich_help_panel=SECURITY,
    ),
]
RequestsBurst = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="BROKER_REQUESTS_BURST",
        help="Most of them at once; 0: those of one second.",
        rich_help_panel=SECURITY,
    ),
]
ConnectionsPerHost = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="BROKER_CONNECTIONS_PER_HOST",
        help="Most open connections of one host; 0: any.",
        rich_help_panel=SECURITY,
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
ArchiveRetention = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        envvar="ARCHIVE_RETENTION",
        help="How long ended jobs are kept, such as 12h or 7d; 0 keeps only the last few.",
    ),
]
DeadMax = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="DEAD_LETTERS_MAX",
        help="Dead letters kept in the state; the oldest beyond it move to the archive.",
    ),
]
HeartbeatInterval = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="BROKER_HEARTBEAT_INTERVAL_MS",
        help="A leader that is watched by a standby writes at least this often.",
        rich_help_panel=TUNING,
    ),
]
HeartbeatTimeout = Annotated[
    int,
    typer.Option(
        metavar="MS",
        envvar="BROKER_HEARTBEAT_TIMEOUT_MS",
        help="A silent leader is replaced after this long; at least three intervals.",
        rich_help_panel=TUNING,
    ),
]
ReadsPerMinute = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="S3_MAX_READS_PER_MINUTE",
        help="Most reads of the store in a minute; 0: no limit.",
        rich_help_panel=THROTTLE,
    ),
]
WritesPerMinute = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="S3_MAX_WRITES_PER_MINUTE",
        help="Most writes in a minute, beside heartbeats; 0: no limit.",
        rich_help_panel=THROTTLE,
    ),
]
WritesPerDay = Annotated[
    int,
    typer.Option(
        metavar="N",
        envvar="S3_MAX_WRITES_PER_DAY",
        help="Writes in a UTC day after which only heartbeats, and what joins them, are written; "
        "0: no limit.",
        rich_help_panel=THROTTLE,
    ),
]


def broker(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    storage: options.Storage = None,
    host: Host = "0.0.0.0",  # noqa: S104 - other hosts are refused unless allowed
    port: Port = 8080,
    grpc_port: GrpcPort = None,
    advertise: Advertise = None,
    adopt: Adopt = False,
    allow_remote: AllowRemote = False,
    cors_origin: CorsOrigin = None,
    tokens_file: TokensFile = None,
    tokens: Tokens = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    tls_ca: TlsCa = None,
    requests_per_s: RequestsPerS = 0,
    requests_burst: RequestsBurst = 0,
    connections_per_host: ConnectionsPerHost = 0,
    access_log: AccessLog = False,
    max_payload_bytes: MaxPayloadBytes = 67_108_864,
    archive_retention: ArchiveRetention = "7d",
    dead_max: DeadMax = 1_000,
    job_heartbeat_timeout_ms: LeaseTimeout = 30_000,
    group_commit_interval_ms: CommitInterval = 0,
    broker_heartbeat_interval_ms: HeartbeatInterval = 3_000,
    broker_heartbeat_timeout_ms: HeartbeatTimeout = 10_000,
    max_reads_per_minute: ReadsPerMinute = 0,
    max_writes_per_minute: WritesPerMinute = 0,
    max_writes_per_day: WritesPerDay = 0,
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_level: options.LogLevelOption = LogLevel.INFO,
    supervised: options.Supervised = False,
    debug: options.Debug = False,
) -> int:
    """Run a broker: it keeps the queue and serves producers and workers.

    Of several on one storage, one leads and the others stand by. Stops on Ctrl-C or SIGTERM, with
    everything acknowledged safely stored.
    """
    options.set_up(context, debug=debug, log_format=log_format, log_level=log_level)
    options.check_range(context, "port", port, least=0, most=65_535)
    if grpc_port is not None:
        options.check_range(context, "grpc_port", grpc_port, least=0, most=65_535)
    for name, value in (
        ("dead_max", dead_max),
        ("max_reads_per_minute", max_reads_per_minute),
        ("max_writes_per_minute", max_writes_per_minute),
        ("max_writes_per_day", max_writes_per_day),
    ):
        options.check_range(context, name, value, least=0)
    require_broker("the broker")
    from osqueue.cli import serving  # noqa: PLC0415 - heavy, and not always installed

    plan = serving.BrokerPlan(
        host=host,
        port=port,
        grpc_port=grpc_port,
        advertise=options.checked_address(context, "advertise", advertise),
        adopt=adopt,
        allow_remote=allow_remote,
        cors_origins=options.split_origins(context, "cors_origin", cors_origin or ()),
        tokens_file=tokens_file or None,
        tokens=tokens or None,
        tls_cert=tls_cert or None,
        tls_key=tls_key or None,
        tls_client_ca=tls_client_ca or None,
        tls_ca=tls_ca or None,
        requests_per_s=requests_per_s,
        requests_burst=requests_burst,
        connections_per_host=connections_per_host,
        access_log=access_log,
        payload_bytes_max=max_payload_bytes,
        lease_timeout_ms=job_heartbeat_timeout_ms,
        commit_interval_ms=group_commit_interval_ms,
        heartbeat_interval_ms=broker_heartbeat_interval_ms,
        heartbeat_timeout_ms=broker_heartbeat_timeout_ms,
        dead_max=dead_max,
        archive_retention_ms=milliseconds(
            archive_retention, options.origin_of(context, "archive_retention")
        ),
        reads_per_minute=max_reads_per_minute,
        writes_per_minute=max_writes_per_minute,
        writes_per_day=max_writes_per_day,
        supervised=supervised,
    )
    return serving.run(plan, options.open_storage(context, storage))
