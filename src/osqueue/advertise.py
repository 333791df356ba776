"""The host under which others dial a broker that was not told one.

A broker that listens on one address is dialled there. One that listens on all of them goes by its
host's name, if that means more than loopback to a resolver, or else by the address from which this
host would send to the world; a host that knows neither has nobody to be dialled by, and its name
will do. So two hosts that listen on the same wildcard are two addresses.

Laws: never a wildcard; only addresses of a family that the socket accepts; the name is resolved off
the event loop and for a bounded time; no packet is sent to learn the route.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Thread
from types import MappingProxyType

__all__ = ["NAME_WAIT_S", "addresses_of", "advertised_host", "is_wildcard", "route_source"]

NAME_WAIT_S = 3.0
"""Longest wait for the resolver: one that answers later is no help to those who dial, either."""

Resolve = Callable[[str], Iterable[str]]
Route = Callable[[int], str | None]

_FAR_AWAY = MappingProxyType(
    {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}
)
"""By version of IP: an address for documentation, which only the default route leads to."""

_ANY_PORT = 9


def addresses_of(name: str) -> list[str]:
    """The addresses that a name has for this host; none when it does not resolve. Blocks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def route_source(version: int) -> str | None:
    """The own address on the default route; ``None`` without one. Sends nothing."""
    family, far_away = _FAR_AWAY[version]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far_away, _ANY_PORT))
            return str(probe.getsockname()[0])
    except OSError:
        return None


async def advertised_host(
    host: str,
    sock: socket.socket,
    *,
    resolve: Resolve = addresses_of,
    route: Route = route_source,
    wait_s: float = NAME_WAIT_S,
) -> str:
    """What others dial to reach ``sock``, which was bound to ``host``; IPv6 in brackets.

    ``resolve`` tells the addresses of a name, ``route`` this host's own towards the world by the
    version of IP (4 or 6).
    """
    if not is_wildcard(sock):
        return _bracketed(host)
    name, versions = socket.gethostname(), _versions(sock)
    found = await _resolved(partial(resolve, name), wait_s)
    if any(_is_dialable(address, versions) for address in found):
        return name
    sources = filter(None, map(route, versions))
    return next((_bracketed(each) for each in sources if _is_dialable(each, versions)), name)


def is_wildcard(sock: socket.socket) -> bool:
    """Whether a socket listens on every address of this host."""
    return _plain(sock.getsockname()[0]).is_unspecified


async def _resolved(resolve: Callable[[], Iterable[str]], wait_s: float) -> list[str]:
    """What a resolver says in time. Its thread is left behind: nothing ends it, or waits for it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def ask() -> None:
        found = list(resolve())
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_answer, answer, found)

    Thread(target=ask, name="osqueue resolver", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            return await answer
    return []


def _answer(waiting: asyncio.Future[list[str]], found: list[str]) -> None:
    if not waiting.done():
        waiting.set_result(found)


def _versions(sock: socket.socket) -> tuple[int, ...]:
    """The versions of IP that reach a socket, the one to prefer first."""
    local = sock.getsockname()[0]
    if _plain(local).version == 4:
        return (4,)
    only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return (6,) if only else (4, 6)


def _is_dialable(address: str, versions: tuple[int, ...]) -> bool:
    ip = _plain(address)
    near = ip.is_loopback or ip.is_link_local or ip.is_unspecified
    return ip.version in versions and not near


def _plain(address: str) -> IPv4Address | IPv6Address:
    """An address; one of IPv4 that stands in IPv6 as what it is."""
    ip = ip_address(address)
    return ip if ip.version == 4 else ip.ipv4_mapped or ip


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
