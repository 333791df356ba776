"""Pages in browsers, and the names they use."""

from __future__ import annotations

import pytest

from osqueue.errors import AuthError
from osqueue.server.door.origins import Origins

OWN = ("10.0.0.5:8080", "[fd00::5]:8080", "vm.corp.example:8080")


def origins(*allowed: str) -> Origins:
    return Origins(OWN, allowed, authorization=False)


@pytest.mark.parametrize("origin", [b"http://10.0.0.5:8080", b"https://[fd00::5]:8080"])
def test_origin_when_own_then_reflected(origin: bytes) -> None:
    headers = origins().check({b"origin": origin})
    assert headers == ((b"access-control-allow-origin", origin),)


def test_origin_when_configured_then_reflected() -> None:
    headers = origins("https://ui.example").check({b"origin": b"https://ui.example"})
    assert headers == ((b"access-control-allow-origin", b"https://ui.example"),)


def test_origin_when_absent_then_nothing_is_said() -> None:
    assert origins().check({}) == ()


@pytest.mark.parametrize(
    "origin",
    [
        b"http://10.0.0.5",
        b"http://10.0.0.5:8081",
        b"ws://10.0.0.5:8080",
        b"http://10.0.0.5:8080, http://10.0.0.5:8080",
        b"null",
        b"",
        b"\xff",
    ],
)
def test_origin_when_foreign_then_refused(origin: bytes) -> None:
    with pytest.raises(AuthError, match="--cors-origin"):
        origins().check({b"origin": origin})


@pytest.mark.parametrize(
    "headers", [{}, {b"origin": b"o"}, {b"access-control-request-method": b"GET"}]
)
def test_preflight_when_it_lacks_a_header_then_it_is_none(headers: dict[bytes, bytes]) -> None:
    assert origins().preflight(headers) is None


@pytest.mark.parametrize(
    "host",
    [
        b"10.0.0.5:8080",
        b"10.0.0.5:9999",
        b"192.168.1.7",
        b"[::1]:8080",
        b"[fd00::1]",
        b"localhost:8080",
        b"LOCALHOST",
        b"broker",
        b"broker:80",
        b"vm.corp.example:8080",
        b"VM.corp.example.:8080",
        b"vm.corp.example",
        b"queue.default.svc.cluster.local:8080",
        b"ui.example",
        b"",
    ],
)
def test_name_when_it_cannot_be_a_strangers_then_it_passes(host: bytes) -> None:
    origins("https://ui.example").check_host({b"host": host})


def test_name_when_the_header_is_absent_then_it_passes() -> None:
    origins().check_host({})


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8080",
        b"evil.example.",
        b"127.0.0.1.evil.example:8080",
        b"localhost.evil.example",
        b"evil.localhost.example",
        b"10.0.0.5.8080",
        b"vm.corp.example.evil",
        b"broker, evil.example",
        b"caf\xe9.example",
    ],
)
def test_name_when_it_may_be_a_strangers_then_refused(host: bytes) -> None:
    with pytest.raises(AuthError, match="does not go by the name"):
        origins().check_host({b"host": host})


OF_HOST = [
    (b"http://localhost:18080", b"localhost:18080"),
    (b"http://localhost:18080", b"LocalHost:18080"),
    (b"https://192.168.1.7", b"192.168.1.7"),
    (b"http://[fd00::9]:81", b"[fd00::9]:81"),
    (b"http://broker", b"broker"),
    (b"http://queue.internal:80", b"queue.internal:80"),
]


@pytest.mark.parametrize(("origin", "host"), OF_HOST)
def test_origin_when_it_is_the_host_that_is_asked_then_own(origin: bytes, host: bytes) -> None:
    answer = origins().check({b"origin": origin, b"host": host})
    assert answer == ((b"access-control-allow-origin", origin),)


NOT_OF_HOST = [
    (b"http://localhost:3000", b"localhost:8080"),
    (b"http://localhost", b"localhost:8080"),
    (b"http://localhost:80", b"localhost"),
    (b"ftp://localhost:8080", b"localhost:8080"),
    (b"localhost:8080", b"localhost:8080"),
    (b"http://", b""),
    (b"null", b"null"),
    (b"http://a://b", b"b"),
    (b"http://localhost:8080/", b"localhost:8080"),
    (b"http://a, http://a", b"a, http://a"),
]


@pytest.mark.parametrize(("origin", "host"), NOT_OF_HOST)
@pytest.mark.parametrize("tokens", [False, True])
def test_origin_when_it_is_not_quite_the_host_then_refused(
    origin: bytes, host: bytes, tokens: bool
) -> None:
    door = Origins(OWN, (), authorization=tokens)
    with pytest.raises(AuthError, match="--cors-origin"):
        door.check({b"origin": origin, b"host": host})


def test_origin_when_it_is_a_strangers_name_then_own_only_where_tokens_are_asked_for() -> None:
    """Its page has neither a token nor a cookie of the name that the broker's users know."""
    rebound = {b"origin": b"http://evil.example:8080", b"host": b"evil.example:8080"}
    with pytest.raises(AuthError, match="--cors-origin"):
        origins().check(rebound)
    assert Origins(OWN, (), authorization=True).check(rebound)
