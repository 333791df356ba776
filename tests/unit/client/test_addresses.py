from __future__ import annotations

import pytest

from osqueue.client.addresses import endpoint, is_secure, parse_base_url, url_of
from osqueue.errors import TransportConfigError
from osqueue.wire.leaders import embedded_address


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://queue.example.org", "https://queue.example.org"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTP://Queue.Example.org:8080", "http://queue.example.org:8080"),
    ],
)
def test_parse_base_url_of_host_and_port_gives_the_base(given: str, base: str) -> None:
    assert parse_base_url(given) == base


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("127.0.0.1:8080", "did you mean 'http://127.0.0.1:8080'"),
        ("localhost", "did you mean"),
        ("", "no scheme"),
        ("ftp://host", "unknown scheme 'ftp'"),
        ("http://", "names no host|no URL"),
        ("http://host:99999", "no URL"),
        ("http://host/v1", "must end after host and port"),
        ("http://host?x=1", "must end after host and port"),
        ("http://host#x", "must end after host and port"),
        ("http://user:secret@host", "must not hold credentials"),
    ],
)
def test_parse_base_url_of_anything_else_is_refused_with_the_reason(
    given: str, reason: str
) -> None:
    with pytest.raises(TransportConfigError, match=reason) as caught:
        parse_base_url(given)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("10.0.0.5:8080", "https://10.0.0.5:8080"),
        ("[::1]:8080", "https://[::1]:8080"),
        ("queue", "https://queue"),
    ],
)
def test_url_of_an_address_takes_the_scheme(address: str, url: str) -> None:
    assert url_of(address, scheme="https") == url


@pytest.mark.parametrize("address", ["", ":", "a:b", "u:p@host:1", "host:1/v1", "host:1?x"])
def test_url_of_what_cannot_be_dialled_is_none(address: str) -> None:
    assert url_of(address, scheme="http") is None


def test_endpoint_of_the_same_place_is_equal_whatever_the_scheme() -> None:
    assert endpoint("https://queue") == endpoint("http://queue:443") == ("queue", 443)


@pytest.mark.parametrize(
    ("url", "secure"),
    [("https://q", True), ("grpcs://q:1", True), ("http://q", False), ("grpc://q:1", False)],
)
def test_is_secure_of_a_scheme_of_tls_only(url: str, secure: bool) -> None:
    assert is_secure(url) == secure


def test_url_of_a_leader_that_nobody_can_dial_is_none() -> None:
    assert url_of(embedded_address("web-1", 7), scheme="http") is None
