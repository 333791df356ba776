"""``osqueue broker``."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from osqueue.cli import options
from osqueue.cli.durations import milliseconds
from osqueue.cli.failures import require_broker
from osqueue.cli.logs import LogFormat, LogLevel

if TYPE_CHECKING:  # heavy, and not always installed
    from osqueue.cli.serving import BrokerPlan

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
Dashboard = Annotated[
    bool,
    typer.Option(
        "--dashboard/--no-dashboard",
        envvar="BROKER_DASHBOARD",
        help="Serve the dashboard at `/`.",
    ),
]
HidePayloads = Annotated[
    bool,
    typer.Option(
        "--hide-payloads",
        envvar="OSQUEUE_HIDE_PAYLOADS",
        help="Show payloads and results only to tokens with the role work.",
        rich_help_panel=SECURITY,
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

_FIELDS: Final = MappingProxyType(
    {
        "cors_origin": "cors_origins",
        "archive_retention": "archive_retention_ms",
        "max_payload_bytes": "payload_bytes_max",
        "job_heartbeat_timeout_ms": "lease_timeout_ms",
        "group_commit_interval_ms": "commit_interval_ms",
        "broker_heartbeat_interval_ms": "heartbeat_interval_ms",
        "broker_heartbeat_timeout_ms": "heartbeat_timeout_ms",
        "max_reads_per_minute": "reads_per_minute",
        "max_writes_per_minute": "writes_per_minute",
        "max_writes_per_day": "writes_per_day",
    }
)
"""What an option is called in the plan, where that is not its own name."""

_BLANK_IS_NONE: Final = ("tokens_file", "tokens", "tls_cert", "tls_key", "tls_client_ca", "tls_ca")
_LEAST_0: Final = (
    "dead_max",
    "max_reads_per_minute",
    "max_writes_per_minute",
    "max_writes_per_day",
)
_PORTS: Final = ("port", "grpc_port")


def broker(  # noqa: PLR0913 - the signature is the list of options; `_plan` reads them
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
    dashboard: Dashboard = True,
    hide_payloads: HidePayloads = False,
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
    _check_ranges(context)
    require_broker("the broker")
    from osqueue.cli import serving  # noqa: PLC0415 - heavy, and not always installed

    store = options.open_storage(context, storage)
    return serving.run(_plan(context), store, _variables(context))


def _check_ranges(context: typer.Context) -> None:
    for name in _PORTS:
        if context.params[name] is not None:
            options.check_range(context, name, context.params[name], least=0, most=65_535)
    for name in _LEAST_0:
        options.check_range(context, name, context.params[name], least=0)


def _variables(context: typer.Context) -> dict[str, str]:
    """The environment variable of each setting that has one, by the setting's name."""
    from osqueue.cli import serving  # noqa: PLC0415 - as above

    names = {"storage": "storage", "advertise": "advertise", **serving.BrokerPlan.settings_of()}
    given = {_FIELDS.get(str(each.name), each.name): each for each in context.command.params}
    return {
        name: str(given[field].envvar)
        for field, name in names.items()
        if field in given and given[field].envvar
    }


def _plan(context: typer.Context) -> BrokerPlan:
    """What the options ask for: most are fields of the plan as they are."""
    from osqueue.cli import serving  # noqa: PLC0415 - as above

    said = context.params
    given = {_FIELDS.get(name, name): value for name, value in said.items()}
    given |= {name: said[name] or None for name in _BLANK_IS_NONE}
    given["advertise"] = options.checked_address(context, "advertise", said["advertise"])
    given["cors_origins"] = options.split_origins(context, "cors_origin", said["cors_origin"] or ())
    retention, origin = said["archive_retention"], options.origin_of(context, "archive_retention")
    given["archive_retention_ms"] = milliseconds(retention, origin)
    return serving.BrokerPlan(
        **{each: given[each] for each in serving.BrokerPlan.__struct_fields__}
    )
