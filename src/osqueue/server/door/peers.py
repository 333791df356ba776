"""Whether a caller is on this host: the rule of protected mode, for every transport.

Laws: an address of IPv4 that stands in IPv6 is what it stands for; a proxy on this host speaks for
those whom it names, so each of them must be on this host, too; no packet is sent to find out.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

__all__ = ["Peer", "forwarded_for", "is_this_host", "peer_of_grpc", "peer_of_scope"]

_MAPPED: Final = "::ffff:"
"""Begins an address of IPv4 where the socket is of IPv6."""

_DISCARD_PORT: Final = 9

_FOR: Final = re.compile(r'(?:^|[;,])\s*for\s*=\s*("[^"]*"|[^;,\s]*)', re.IGNORECASE)
"""One who is named in a header `forwarded`."""

_WITH_PORT: Final = re.compile(r"\[(?P<six>[^\]]*)\](?::\d+)?|(?P<four>[\d.]+):\d+")


class Peer(NamedTuple):
    """Both ends of a connection, as addresses of IP without ports."""

    host: str | None
    """The caller's; ``None`` for a socket in the file system, which only this host has."""
    local: str | None
    """The own one that was dialled; ``None`` where a transport does not tell."""


def peer_of_scope(scope: Mapping[str, Any]) -> Peer:
    """The ends of an ASGI request's connection."""
    client, server = scope.get("client"), scope.get("server")
    return Peer(None if client is None else client[0], None if server is None else server[0])


def peer_of_grpc(peer: str) -> Peer:
    """The ends of a call in gRPC, which says ``ipv4:10.0.0.5:40000`` and not what was dialled."""
    kind, _, address = peer.partition(":")
    if kind == "unix":
        return Peer(None, None)
    return Peer(unquote(address).rpartition(":")[0].strip("[]"), None)


def is_this_host(peer: Peer) -> bool:
    """Whether a connection begins and ends on one host."""
    if peer.host is None:
        return True
    host = _plain(peer.host)
    if host == "::1" or host.startswith("127."):
        return True
    return _is_own(host) if peer.local is None else host == _plain(peer.local)


def forwarded_for(headers: Mapping[bytes, bytes]) -> Iterator[str]:
    """For whom proxies say that they speak; what is no address of IP is named as it is."""
    for name in (b"x-forwarded-for", b"x-real-ip"):
        if (value := headers.get(name)) is not None:
            yield from (_without_port(each.strip()) for each in value.decode("latin-1").split(","))
    if (value := headers.get(b"forwarded")) is not None:
        named = _FOR.findall(value.decode("latin-1")) or ["unknown"]
        yield from (_without_port(each.strip('"')) for each in named)


def _plain(host: str) -> str:
    return host.lower().removeprefix(_MAPPED)


def _is_own(host: str) -> bool:
    """Whether this host would send to an address from that address, which none but its own is."""
    try:
        ip_address(host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, _DISCARD_PORT))
            return bool(probe.getsockname()[0] == host)
    except (OSError, ValueError):
        return False


def _without_port(address: str) -> str:
    match = _WITH_PORT.fullmatch(address)
    return address if match is None else match["six"] or match["four"] or address
