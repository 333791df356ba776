"""The options that say by what way a command speaks to brokers, and as whom.

They are many, and the same for each command that has a client: `speaks_to_brokers` adds them, and
`way` reads them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple, TypeVar, cast

import typer

__all__ = ["Secret", "Transport", "Way", "speaks_to_brokers", "way"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Transport(StrEnum):
    """How brokers are spoken to."""

    CONNECT = "connect"
    GRPC = "grpc"
    REST = "rest"
    WS = "ws"


class Secret(str):
    """A text that is not shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Way(NamedTuple):
    """What the options say; ``None`` where they say nothing."""

    transport: str | None = None
    token: Secret | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None


def _file(name: str, help_: str) -> object:
    variable = "OSQUEUE_" + name.upper().replace("-", "_")
    option = typer.Option(
        f"--{name}", metavar="FILE", envvar=variable, help=help_, show_default=False
    )
    return Annotated[str | None, option]


_OPTIONS: Final[dict[str, object]] = {
    "transport": Annotated[
        Transport | None,
        typer.Option(
            "--transport",
            metavar="KIND",
            envvar="OSQUEUE_TRANSPORT",
            help="How to speak to brokers: connect (default), rest, ws, grpc.",
            show_default=False,
        ),
    ],
    "token": Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TOKEN",
            envvar="OSQUEUE_TOKEN",
            help="Who asks. Better in OSQUEUE_TOKEN: others on this host see a command's options.",
            show_default=False,
        ),
    ],
    "tls_ca": _file("tls-ca", "Whom to believe that a broker is one: PEM."),
    "tls_cert": _file("tls-cert", "Who this client is, for brokers that ask: PEM."),
    "tls_key": _file("tls-key", "The key of --tls-cert."),
}


def speaks_to_brokers(command: CommandT) -> CommandT:
    """The command with these options. Its first parameter is its context, which has the values."""

    @functools.wraps(command)
    def speaking(context: typer.Context, **given: Any) -> Any:
        for name in _OPTIONS:
            given.pop(name)
        return command(context, **given)

    own = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    whole = own.replace(parameters=[*own.parameters.values(), *added])
    described = cast("Any", speaking)
    described.__signature__ = whole
    described.__annotations__ = {
        name: parameter.annotation for name, parameter in whole.parameters.items()
    } | {"return": whole.return_annotation}
    return cast("CommandT", speaking)


def way(context: typer.Context) -> Way:
    """What a command was told: a flag wins over one of its group, and that over variables."""
    said = {name: _said(context, name) for name in _OPTIONS}
    token = said.pop("token")
    return Way(token=None if token is None else Secret(token), **said)


def _said(context: typer.Context, name: str) -> str | None:
    group = cast("typer.Context | None", context.parent)
    if group is not None and _is_flag(group, name) and not _is_flag(context, name):
        context = group
    value = context.params.get(name)
    return str(value) if value else None


def _is_flag(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
