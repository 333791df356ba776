"""What the headers of Connect, gRPC-Web and gRPC say of a request on the HTTP port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from osqueue.errors import BrokerProtocolError
from osqueue.server.http import Headers

__all__ = [
    "GRPC",
    "WEB",
    "check_timeouts",
    "compressed_by",
    "is_enveloped",
    "is_grpc",
    "is_plain_grpc",
    "is_text",
    "kept",
    "length_of_body",
]

GRPC: Final = b"application/grpc"
WEB: Final = b"application/grpc-web"
_CONNECT_STREAM: Final = b"application/connect+"
_KIND: Final = b"content-type"

_TEXT: Final = re.compile(rb"application/(?:grpc-web\+|grpc\+|connect\+)?json\b", re.IGNORECASE)

_TIMEOUTS: Final[Mapping[bytes, re.Pattern[bytes]]] = MappingProxyType(
    {
        b"connect-timeout-ms": re.compile(rb"[0-9]{1,10}"),
        b"grpc-timeout": re.compile(rb"[0-9]{1,8}[HMSmun]"),
    }
)
_COMPRESSED_BY: Final = (b"content-encoding", b"connect-content-encoding", b"grpc-encoding")


def check_timeouts(headers: Headers) -> None:
    """Raise `BrokerProtocolError` for a deadline that is none."""
    for name, pattern in _TIMEOUTS.items():
        value = headers.get(name)
        if value is not None and not pattern.fullmatch(value):
            protocol, shown = name.decode().split("-")[0], value.decode("latin-1")
            raise BrokerProtocolError(f"protocol error: invalid {protocol} timeout value: {shown}")


def compressed_by(headers: Headers) -> bytes | None:
    """The name of a request's compression, if it has one."""
    for header in _COMPRESSED_BY:
        name = headers.get(header, b"identity")
        if name != b"identity":
            return name
    return None


def is_enveloped(headers: Headers) -> bool:
    """Whether messages stand in envelopes: in all but Connect's unary methods."""
    return headers.get(_KIND, b"").lower().startswith((GRPC, _CONNECT_STREAM))


def is_grpc(headers: Headers) -> bool:
    """Whether a request is gRPC-Web, or gRPC as it is."""
    return headers.get(_KIND, b"").lower().startswith(GRPC)


def is_plain_grpc(headers: Headers) -> bool:
    """Whether a request is gRPC as it is, and not as browsers can send it."""
    kind = headers.get(_KIND, b"").lower()
    return kind.startswith(GRPC) and not kind.startswith(WEB)


def is_text(headers: Headers) -> bool:
    """Whether messages are JSON."""
    return _TEXT.match(headers.get(_KIND, b"")) is not None


def kept(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What `connectrpc` is to see: neither compression, which is done here, nor what is invalid.

    gRPC is to be taken for gRPC-Web, which differs only in where the trailers are.
    """
    kind = headers.get(_KIND, b"")
    if is_plain_grpc(headers):
        kind = kind.lower().replace(GRPC, WEB, 1)
    found = [(_KIND, kind)] if kind and kind.isascii() else []
    for name, pattern in _TIMEOUTS.items():
        value = headers.get(name)
        if value is not None and pattern.fullmatch(value):
            found.append((name, value))
    return found


def length_of_body(headers: Headers) -> int | None:
    """What a request says of its length."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None
