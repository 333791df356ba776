from __future__ import annotations

from typing import Any

import pytest

from osqueue.config import ServerSettings
from osqueue.errors import AuthError
from osqueue.server.guard import Guard

OWN = frozenset({"10.0.0.5:8080", "localhost:8080"})


def guard(**settings: Any) -> Guard:
    return Guard(ServerSettings(**settings), OWN)


def scope(client: str | None, path: str = "/v1/stats", server: str = "10.0.0.5") -> dict[str, Any]:
    return {
        "path": path,
        "client": None if client is None else (client, 40_000),
        "server": (server, 8080),
    }


@pytest.mark.parametrize(
    "client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "10.0.0.5", None]
)
def test_host_when_it_is_this_one_then_it_is_admitted(client: str | None) -> None:
    assert guard().check(scope(client), {}) == ()


@pytest.mark.parametrize(
    "client",
    ["10.0.0.6", "192.168.1.1", "8.8.8.8", "::2", "::12", "::1:2:3", "fe80::1", "128.0.0.1"],
)
def test_host_when_it_is_another_then_refused_saying_what_to_set(client: str) -> None:
    with pytest.raises(AuthError, match=r"--allow-remote \(BROKER_ALLOW_REMOTE=1\)") as caught:
        guard().check(scope(client), {})
    assert client in caught.value.message


@pytest.mark.parametrize("server", ["10.0.0.5", "::ffff:10.0.0.5"])
@pytest.mark.parametrize("client", ["10.0.0.5", "::ffff:10.0.0.5", "::ffff:127.0.0.1"])
def test_host_when_its_ipv4_address_stands_in_ipv6_then_it_is_the_same(
    client: str, server: str
) -> None:
    assert guard().check(scope(client, server=server), {}) == ()


@pytest.mark.parametrize("server", ["10.0.0.5", "::ffff:10.0.0.5", "fd00::5"])
@pytest.mark.parametrize(
    "client", ["::ffff:10.0.0.6", "::ffff:128.0.0.1", "fd00::6", "::127.0.0.1"]
)
def test_host_when_it_is_another_in_ipv6_then_refused(client: str, server: str) -> None:
    with pytest.raises(AuthError):
        guard().check(scope(client, server=server), {})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_host_when_it_asks_for_health_then_it_is_admitted(path: str) -> None:
    assert guard().check(scope("10.0.0.6", path), {}) == ()


def test_host_when_remote_ones_are_allowed_then_it_is_admitted() -> None:
    assert guard(allow_remote=True).check(scope("10.0.0.6"), {}) == ()


def test_host_when_the_servers_own_address_is_unknown_then_another_is_refused() -> None:
    with pytest.raises(AuthError):
        guard().check({**scope("10.0.0.6"), "server": None}, {})


@pytest.mark.parametrize("origin", [b"http://10.0.0.5:8080", b"https://localhost:8080"])
def test_origin_when_own_then_reflected(origin: bytes) -> None:
    headers = guard().check(scope("::1"), {b"origin": origin})
    assert headers == ((b"access-control-allow-origin", origin),)


def test_origin_when_configured_then_reflected() -> None:
    origin = b"https://ui.example"
    headers = guard(cors_origins=("https://ui.example",)).check(scope("::1"), {b"origin": origin})
    assert headers == ((b"access-control-allow-origin", origin),)


@pytest.mark.parametrize(
    "origin",
    [b"http://10.0.0.5", b"http://10.0.0.5:8081", b"ws://10.0.0.5:8080", b"null", b"", b"\xff"],
)
def test_origin_when_foreign_then_refused(origin: bytes) -> None:
    with pytest.raises(AuthError, match="--cors-origin"):
        guard().check(scope("::1"), {b"origin": origin})


def test_origin_when_allowed_but_the_host_is_another_then_refused() -> None:
    with pytest.raises(AuthError, match="allow-remote"):
        guard().check(scope("10.0.0.6"), {b"origin": b"http://10.0.0.5:8080"})


@pytest.mark.parametrize(
    "headers", [{}, {b"origin": b"o"}, {b"access-control-request-method": b"GET"}]
)
def test_preflight_when_it_lacks_a_header_then_it_is_none(headers: dict[bytes, bytes]) -> None:
    assert guard().preflight(headers) is None
