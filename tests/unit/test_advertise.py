"""What a broker advertises that was not told: no wildcard, and for two hosts never the same."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from osqueue.advertise import addresses_of, advertised_host, is_wildcard, route_source

Listen = Callable[[str], socket.socket]

LOOPBACK = ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"]
NAME = socket.gethostname()


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Binds a host as a broker does; skips where there is no such address."""
    opened: list[socket.socket] = []

    def bind(host: str, *, v6only: bool = False) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        opened.append(sock)
        if sock.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        try:
            sock.bind((host, 0))
        except OSError as error:
            pytest.skip(f"cannot bind {host}: {error}")
        return sock

    yield bind
    for sock in opened:
        sock.close()


@pytest.fixture
def everywhere(listen: Listen) -> socket.socket:
    return listen("0.0.0.0")


def nowhere(_version: int) -> str | None:
    return None


def never(what: object) -> list[str]:
    raise AssertionError(f"nobody needs to ask for {what}")


def sources(v4: str | None, v6: str | None) -> Callable[[int], str | None]:
    return {4: v4, 6: v6}.__getitem__


@pytest.mark.parametrize(
    ("host", "advertised"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("::1", "[::1]")],
)
async def test_host_when_it_listens_on_one_address_then_that_and_nobody_is_asked(
    host: str, advertised: str, listen: Listen
) -> None:
    sock = listen(host)
    assert await advertised_host(host, sock, resolve=never, route=never) == advertised  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "", "::", "::0", "::ffff:0.0.0.0"])
async def test_host_when_it_listens_everywhere_then_the_route_whatever_it_is_called(
    host: str, listen: Listen
) -> None:
    sock = listen(host)
    assert is_wildcard(sock)
    found = await advertised_host(
        host, sock, resolve=lambda _: LOOPBACK, route=sources("10.0.0.5", "fd00::5")
    )
    assert found == "10.0.0.5"


@pytest.mark.parametrize("address", ["10.0.0.5", "203.0.113.7", "::ffff:10.0.0.5"])
async def test_name_when_it_resolves_to_more_than_loopback_then_the_name(
    address: str, everywhere: socket.socket
) -> None:
    found = await advertised_host(
        "0.0.0.0",
        everywhere,
        resolve=lambda _: ["127.0.1.1", address],
        route=never,  # type: ignore[arg-type]
    )
    assert found == NAME


async def test_name_then_the_hosts_own_is_resolved(everywhere: socket.socket) -> None:
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["10.0.0.5"]

    await advertised_host("0.0.0.0", everywhere, resolve=resolve)
    assert asked == [NAME]


@pytest.mark.parametrize(
    "addresses", [[], LOOPBACK, ["0.0.0.0", "::"], ["169.254.3.4"], ["fe80::1%lo"], ["fd00::5"]]
)
async def test_name_when_nobody_could_dial_it_then_the_route(
    addresses: list[str], everywhere: socket.socket
) -> None:
    found = await advertised_host(
        "0.0.0.0", everywhere, resolve=lambda _: addresses, route=sources("10.0.0.5", "fd00::5")
    )
    assert found == "10.0.0.5"


async def test_name_when_the_resolver_hangs_then_the_route_and_the_loop_runs_on(
    everywhere: socket.socket,
) -> None:
    asked, let_go, done = threading.Event(), threading.Event(), threading.Event()

    def resolve(_name: str) -> Iterator[str]:
        asked.set()
        let_go.wait(10)
        done.set()
        yield "10.0.0.6"

    finding = asyncio.create_task(
        advertised_host(
            "0.0.0.0", everywhere, resolve=resolve, route=sources("10.0.0.5", None), wait_s=0.05
        )
    )
    assert await asyncio.to_thread(asked.wait, 10)
    assert await finding == "10.0.0.5"
    let_go.set()
    assert await asyncio.to_thread(done.wait, 10)


async def test_start_when_cancelled_while_the_resolver_hangs_then_it_ends_at_once(
    everywhere: socket.socket,
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def resolve(_name: str) -> list[str]:
        asked.set()
        let_go.wait(10)
        return []

    finding = asyncio.create_task(
        advertised_host("0.0.0.0", everywhere, resolve=resolve, wait_s=60)
    )
    assert await asyncio.to_thread(asked.wait, 10)
    finding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finding
    let_go.set()


async def test_two_hosts_of_one_name_then_two_addresses(listen: Listen) -> None:
    advertised = {
        await advertised_host(
            "0.0.0.0", listen("0.0.0.0"), resolve=lambda _: LOOPBACK, route=sources(source, None)
        )
        for source in ("10.0.0.5", "10.0.0.6")
    }
    assert advertised == {"10.0.0.5", "10.0.0.6"}


@pytest.mark.parametrize(
    ("v4", "v6", "advertised"),
    [
        ("10.0.0.5", "fd00::5", "10.0.0.5"),
        (None, "fd00::5", "[fd00::5]"),
        ("127.0.0.1", "fd00::5", "[fd00::5]"),
        ("0.0.0.0", "fe80::5", NAME),
        (None, None, NAME),
    ],
)
async def test_route_when_it_listens_for_both_families_then_the_first_that_can_be_dialled(
    v4: str | None, v6: str | None, advertised: str, listen: Listen
) -> None:
    found = await advertised_host("::", listen("::"), resolve=lambda _: [], route=sources(v4, v6))
    assert found == advertised


@pytest.mark.parametrize(
    ("host", "v6only", "advertised"),
    [("0.0.0.0", False, NAME), ("::ffff:0.0.0.0", False, NAME), ("::", True, "[fd00::5]")],
)
async def test_route_when_the_socket_does_not_take_its_family_then_it_is_none(
    host: str, advertised: str, listen: Callable[..., socket.socket], *, v6only: bool
) -> None:
    v4 = None if advertised == NAME else "10.0.0.5"
    found = await advertised_host(
        host, listen(host, v6only=v6only), resolve=lambda _: [], route=sources(v4, "fd00::5")
    )
    assert found == advertised


async def test_host_when_this_one_is_asked_then_something_that_a_socket_can_dial(
    everywhere: socket.socket,
) -> None:
    everywhere.listen()
    host = await advertised_host("0.0.0.0", everywhere)
    assert host == NAME or ip_address(host) == ip_address(route_source(4) or "")
    socket.create_connection((host, everywhere.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize("version", [4, 6])
def test_route_source_then_an_address_of_this_host_that_can_be_bound(version: int) -> None:
    source = route_source(version)
    if source is None:
        pytest.skip(f"no route for IPv{version} here")
    assert ip_address(source).version == version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))


def test_addresses_of_a_name_then_those_of_the_resolver_or_none() -> None:
    assert set(addresses_of("localhost")) & {"127.0.0.1", "::1"}
    assert addresses_of("no-such-host.invalid") == []
    assert addresses_of("x" * 64 + ".invalid") == []
