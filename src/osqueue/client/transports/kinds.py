"""The kinds of transports, by name: the one place that knows them all.

A kind is a module with a function `dialler`, which takes options, settings and credentials, and
answers how a transport to a broker's URL is made. It is loaded when a client asks for it: gRPC
takes a fifth of a second, and a command that submits one job needs none of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from osqueue.client.credentials import Credentials
from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError

__all__ = [
    "DEFAULT_KIND",
    "KINDS",
    "Dial",
    "Dialler",
    "NoOptions",
    "TransportSpec",
    "dialler_of",
    "parse_options",
]

Dial: TypeAlias = Callable[[str], QueueTransportAdapter]
"""Makes a transport to a broker's base URL. Nothing is connected yet."""

TransportSpec: TypeAlias = str | Mapping[str, Any] | QueueTransportAdapter
"""A kind; a kind with options, as ``{"kind": "ws", "requests_max": 100}``; or a transport."""

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)

DEFAULT_KIND: Final = "connect"

KINDS: Final = MappingProxyType(
    {
        kind: f"osqueue.client.transports.{kind}"
        for kind in ("connect", "direct", "grpc", "rest", "ws")
    }
)
"""Each kind's module."""


class Dialler(NamedTuple):
    """What a kind makes of its options."""

    dial: Dial
    schemes: tuple[str, ...] = ("http", "https")
    """Of the URLs that it takes."""
    urls: tuple[str, ...] = ()
    """The brokers, where the options name them."""


def dialler_of(
    spec: str | Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """What is meant by a kind, or a kind with options. Raises `TransportConfigError`."""
    kind, options = _told(spec)
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS)
        hint = f", did you mean {close[0]!r}?" if close else "."
        raise TransportConfigError(
            f"there is no transport {kind!r}{hint} There are {', '.join(KINDS)}, and adapters of "
            "your own (QueueTransportAdapter)"
        )
    make = import_module(KINDS[kind]).dialler
    return cast("Dialler", make(options, settings, credentials))


class NoOptions(msgspec.Struct, frozen=True):
    """Of a kind where there is nothing to choose."""


def parse_options(kind: str, options: Mapping[str, Any], struct: type[OptionsT]) -> OptionsT:
    """The options of a kind, checked. Raises `TransportConfigError` naming what there is."""
    known = struct.__struct_fields__
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TransportConfigError(
            f"the transport {kind!r} has no option {unknown[0]!r}: {_named(known)}"
        )
    try:
        return msgspec.convert(dict(options), struct)
    except msgspec.ValidationError as error:
        raise TransportConfigError(f"the transport {kind!r}: {error}") from error


def _told(spec: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    options = dict(spec)
    kind = options.pop("kind", None)
    if not isinstance(kind, str):
        raise TransportConfigError(
            f'a transport with options is {{"kind": …, …}}, one of {", ".join(KINDS)}'
        )
    return kind, options


def _named(known: Iterable[str]) -> str:
    return f"it has {', '.join(known)}" if known else "it has none"
