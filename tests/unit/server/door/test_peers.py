"""This host, or another one."""

from __future__ import annotations

import pytest

from osqueue.advertise import route_source
from osqueue.server.door.peers import (
    Peer,
    forwarded_for,
    is_this_host,
    peer_of_grpc,
    peer_of_scope,
)


@pytest.mark.parametrize("local", ["10.0.0.5", None])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::FFFF:127.0.0.1", None]
)
def test_host_when_it_is_loopback_then_this_one(host: str | None, local: str | None) -> None:
    assert is_this_host(Peer(host, local))


@pytest.mark.parametrize("local", ["10.0.0.5", "::ffff:10.0.0.5"])
@pytest.mark.parametrize("host", ["10.0.0.5", "::ffff:10.0.0.5"])
def test_host_when_both_ends_have_one_address_then_this_one(host: str, local: str) -> None:
    assert is_this_host(Peer(host, local))


@pytest.mark.parametrize("local", ["10.0.0.5", "::ffff:10.0.0.5", "fd00::5"])
@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.6",
        "192.168.1.1",
        "8.8.8.8",
        "128.0.0.1",
        "::2",
        "::12",
        "::1:2:3",
        "fe80::1",
        "fd00::6",
        "::127.0.0.1",
        "::ffff:128.0.0.1",
        "",
        "localhost",
    ],
)
def test_host_when_the_ends_differ_then_another(host: str, local: str) -> None:
    assert not is_this_host(Peer(host, local))


@pytest.mark.parametrize("version", [4, 6])
def test_own_address_when_the_dialled_one_is_not_told_then_this_host(version: int) -> None:
    source = route_source(version)
    if source is None:
        pytest.skip(f"this machine has no address but loopback for IPv{version}")
    assert is_this_host(Peer(source, None))


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "2001:db8::1", "0.0.0.0", "::", "fe80::1", "evil.example", "", "1.2.3.4\0"],
)
def test_foreign_address_when_the_dialled_one_is_not_told_then_another(host: str) -> None:
    assert not is_this_host(Peer(host, None))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:1234", Peer("127.0.0.1", None)),
        ("ipv6:[::1]:1234", Peer("::1", None)),
        ("ipv6:%5B::1%5D:1234", Peer("::1", None)),
        ("ipv6:%5Bfe80::1%25eth0%5D:1234", Peer("fe80::1%eth0", None)),
        ("ipv6:%5B::ffff:10.0.0.6%5D:1234", Peer("::ffff:10.0.0.6", None)),
        ("unix:/run/queue.sock", Peer(None, None)),
        ("unix:", Peer(None, None)),
    ],
)
def test_grpc_peer_when_read_then_its_address(peer: str, expected: Peer) -> None:
    assert peer_of_grpc(peer) == expected


@pytest.mark.parametrize("peer", ["", "unknown", "vsock:1:2", "ipv4:10.0.0.6:1"])
def test_grpc_peer_when_it_is_no_address_of_here_then_another_host(peer: str) -> None:
    assert not is_this_host(peer_of_grpc(peer))


def test_scope_when_it_has_no_addresses_then_a_socket_in_the_file_system() -> None:
    assert peer_of_scope({"client": None, "server": ("/run/queue.sock", None)}).host is None
    assert peer_of_scope({}) == Peer(None, None)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x-forwarded-for", "10.0.0.6", ["10.0.0.6"]),
        ("x-forwarded-for", "10.0.0.6, 127.0.0.1,::1", ["10.0.0.6", "127.0.0.1", "::1"]),
        ("x-forwarded-for", "10.0.0.6:80, [::1]:80, [::2]", ["10.0.0.6", "::1", "::2"]),
        ("x-forwarded-for", "", [""]),
        ("x-forwarded-for", "unknown", ["unknown"]),
        ("x-real-ip", "10.0.0.6", ["10.0.0.6"]),
        ("forwarded", "for=10.0.0.6", ["10.0.0.6"]),
        ("forwarded", 'For="[2001:db8::1]:80"; proto=http', ["2001:db8::1"]),
        ("forwarded", "by=1.1.1.1;for=127.0.0.1, FOR = 10.0.0.6", ["127.0.0.1", "10.0.0.6"]),
        ("forwarded", "for=_hidden", ["_hidden"]),
        ("forwarded", "proto=https", ["unknown"]),
        ("forwarded", "", ["unknown"]),
    ],
)
def test_forwarded_when_a_proxy_names_callers_then_all_of_them(
    name: str, value: str, expected: list[str]
) -> None:
    assert list(forwarded_for({name.encode(): value.encode()})) == expected


def test_forwarded_when_no_proxy_speaks_then_nobody() -> None:
    assert list(forwarded_for({b"host": b"x"})) == []
