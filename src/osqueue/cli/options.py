"""Options that commands share, and what becomes of those that need more than their type.

Here the environment is read: each option names its variable, and a flag wins over it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, cast

import typer

from osqueue.cli.failures import USAGE, CliError, usage
from osqueue.cli.invocation import Invocation
from osqueue.cli.logs import LogFormat, LogLevel, start_logging
from osqueue.cli.ways import Way, way
from osqueue.errors import ConfigError

if TYPE_CHECKING:  # it takes a tenth of a second, and most commands need none
    from osqueue.storage import Store

__all__ = [
    "Broker",
    "BrokerUrl",
    "Brokerless",
    "ClientStorage",
    "Consistent",
    "Debug",
    "JsonOutput",
    "LogFormatOption",
    "LogLevelOption",
    "NamedStorage",
    "Storage",
    "Supervised",
    "broker",
    "check_range",
    "checked_address",
    "open_named_storage",
    "open_storage",
    "origin_of",
    "set_up",
    "split_origins",
]

BrokerUrl = Annotated[
    list[str] | None,
    typer.Option(
        "--broker-url",
        metavar="URL",
        envvar="BROKER_URL",
        help="A broker to talk to; repeatable. Those that don't lead name the one that does "
        "(default: http://localhost:8080).",
        show_default=False,
    ),
]
Brokerless = Annotated[
    bool,
    typer.Option(
        "--brokerless",
        help="Write the queue in --storage directly, where no broker leads it.",
    ),
]
ClientStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="OSQUEUE_STORAGE",
        help="Find the leader in the queue's own object there: s3://bucket/folder, gs://, az:// or "
        "file:///path.",
        show_default=False,
    ),
]
"""For commands that talk to brokers. The variable counts only where no broker was given."""

Consistent = Annotated[
    bool,
    typer.Option(
        "--consistent", help="Have the broker first prove that it leads: nothing shown is outdated."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        "--log-format", metavar="FORMAT", envvar="OSQUEUE_LOG_FORMAT", help="Log lines: text, json."
    ),
]
LogLevelOption = Annotated[
    LogLevel,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        envvar="OSQUEUE_LOG_LEVEL",
        help="Least that is logged: debug, info, warning, error.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="OSQUEUE_STORAGE",
        help="Where the queue lives: s3://bucket/folder, gs://, az://, file:///path, or memory:// "
        "for as long as the broker runs (the default).",
        show_default=False,
    ),
]
NamedStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="OSQUEUE_STORAGE",
        help="Where the queue lives: s3://bucket/folder, gs://, az:// or file:///path.",
        show_default=False,
    ),
]
"""For commands that look at a queue which is there already."""

Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]
"""Stop when stdin ends, as it does when whoever started this process dies."""

DEFAULT_BROKER_URL: Final = "http://localhost:8080"

_WILDCARDS: Final = frozenset({"0", "0.0.0.0", "[::]", "[::0]"})  # noqa: S104 - refused, not bound
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")
_ORIGIN: Final = re.compile(r"https?://[^\s/?#@]+")


class Broker(NamedTuple):
    """The brokers to talk to, where else to look for the leader, and what said so."""

    urls: tuple[str, ...]
    storage: str | None
    origin: str
    brokerless: bool = False
    """Whether there is none, and the storage is written directly."""
    way: Way = Way()
    """How to speak to them, and as whom."""

    @property
    def place(self) -> str:
        """Where the leader is looked for, for people: without credentials and options."""
        storage = re.sub(r"//[^/]*@", "//", self.storage or "").partition("?")[0]
        return ", ".join([*self.urls, storage] if storage else self.urls)


def broker(
    context: typer.Context,
    urls: Sequence[str] | None,
    storage: str | None,
    *,
    brokerless: bool = False,
) -> Broker:
    """The brokers of a command; what its group was told holds unless it was told itself.

    A flag wins over the variable of the other, and ``BROKER_URL`` over ``OSQUEUE_STORAGE``, which
    may be there to tell a broker where to keep its queue.
    """
    group, flags = context.parent, _flags(context, "broker_url", "storage")
    if group is not None and "broker_url" in group.params:
        brokerless = brokerless or group.params.get("brokerless", False)
        if not flags:
            told = group.params["broker_url"], group.params["storage"]
            told_group = broker(cast("typer.Context", group), *told, brokerless=brokerless)
            return told_group._replace(way=told_group.way if brokerless else way(context))
    if brokerless:
        return _without_broker(context, storage)
    each = tuple(part for text in urls or () for part in re.split(r"[,\s]+", text) if part)
    if flags == ["storage"]:
        each = ()
    elif (each or _is_memory(storage)) and "storage" not in flags:
        storage = None
    origins = [origin_of(context, "broker_url")] if each or not storage else []
    origins += [origin_of(context, "storage")] if storage else []
    default = () if storage else (DEFAULT_BROKER_URL,)
    return Broker(each or default, storage or None, " and ".join(origins), way=way(context))


def _without_broker(context: typer.Context, storage: str | None) -> Broker:
    if not storage or _is_memory(storage):
        message = "say with --storage where the queue lives, such as file:///path"
        raise CliError(f"--brokerless: {message}", code=USAGE)
    return Broker((), storage, origin_of(context, "storage"), brokerless=True)


def set_up(
    context: typer.Context,
    *,
    debug: bool = False,
    log_format: LogFormat = LogFormat.TEXT,
    log_level: LogLevel = LogLevel.WARNING,
) -> None:
    """Do what the common options of a command say."""
    invocation = context.find_object(Invocation)
    if invocation is not None:
        invocation.debug |= debug
        invocation.log_format = log_format
    start_logging(log_format, log_level)


def origin_of(context: typer.Context, name: str) -> str:
    """Where the value of an option came from: its flag, or its variable."""
    parameter = next(each for each in context.command.params if each.name == name)
    from_variable = _is_from_environment(context, name)
    return str(parameter.envvar if from_variable else parameter.opts[0])


def check_range(
    context: typer.Context, name: str, value: float, *, least: float, most: float | None = None
) -> None:
    """Raise `CliError` unless ``value``, which was given for the option, is within its bounds."""
    if value >= least and (most is None or value <= most):
        return
    bounds = f"at least {least}" if most is None else f"{least} to {most}"
    raise CliError(f"{origin_of(context, name)}: must be {bounds}, not {value:g}", code=USAGE)


def open_storage(context: typer.Context, storage: str | None) -> Store:
    """The store that ``--storage`` names, or the variables of the older implementations do.

    Nothing is read or written yet.
    """
    from osqueue.storage import open_store  # noqa: PLC0415 - see above
    from osqueue.storage.environment import storage_url  # noqa: PLC0415 - the same

    try:
        url = storage or storage_url(os.environ)
    except ConfigError as error:
        raise CliError(error.message, code=USAGE) from error
    with usage(origin_of(context, "storage") if storage else "STORAGE_BACKEND"):
        return open_store(url)


def open_named_storage(context: typer.Context, storage: str | None) -> Store:
    """The same, but something must name it: a new, empty memory is not what anybody asks about."""
    if not storage and not os.environ.get("STORAGE_BACKEND"):
        message = "say where the queue lives, such as file:///path or s3://bucket/folder"
        raise CliError(f"{origin_of(context, 'storage')}: {message}", code=USAGE)
    return open_storage(context, storage)


def checked_address(context: typer.Context, name: str, address: str | None) -> str | None:
    """``host:port`` as it was given."""
    if not address:
        return None
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match.group(2)) <= 65_535:
        message = f"{address!r} is not host:port, such as 10.0.0.5:8080"
        raise CliError(f"{origin_of(context, name)}: {message}", code=USAGE)
    if match.group(1) in _WILDCARDS:
        message = f"{address!r} is no address that others can dial"
        raise CliError(f"{origin_of(context, name)}: {message}", code=USAGE)
    return address


def split_origins(context: typer.Context, name: str, origins: Sequence[str]) -> tuple[str, ...]:
    """Origins of pages, each given by itself or several between commas."""
    each = [part.rstrip("/") for given in origins for part in re.split(r"[,\s]+", given) if part]
    for page in each:
        if not _ORIGIN.fullmatch(page):
            message = f"{page!r} is not an origin, such as https://app.example.org"
            raise CliError(f"{origin_of(context, name)}: {message}", code=USAGE)
    return tuple(each)


def _flags(context: typer.Context, *names: str) -> list[str]:
    """Those of the options that were given as flags."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _is_from_environment(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "ENVIRONMENT"


def _is_memory(storage: str | None) -> bool:
    return storage is not None and storage.partition(":")[0].lower() == "memory"
