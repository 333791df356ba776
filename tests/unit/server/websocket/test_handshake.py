"""Opening a WebSocket: what is answered, and whose token it is opened with."""

from __future__ import annotations

import pytest

from osqueue.errors import BrokerProtocolError
from osqueue.server.door.peers import Peer
from osqueue.server.websocket.handshake import Upgrade, accepting

HEADERS = {
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def upgrade(method: str = "GET", path: str = "/v1/ws", **headers: bytes | None) -> Upgrade:
    """A request; a header that is ``None`` is left out."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    fields = {name: value for name, value in {**HEADERS, **named}.items() if value is not None}
    return Upgrade(method, path, fields, Peer("127.0.0.1", "127.0.0.1"))


def test_upgrade_when_valid_then_accepted_with_the_key_of_the_standard() -> None:
    head = accepting(upgrade()).decode()
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert head.endswith("\r\n\r\n")
    assert "sec-websocket-protocol" not in head


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (upgrade("POST"), 404),
        (upgrade(path="/v1/ws/"), 404),
        (upgrade(sec_websocket_version=None), 426),
        (upgrade(sec_websocket_version=b"8"), 426),
        (upgrade(sec_websocket_key=None), 400),
        (upgrade(sec_websocket_key=b"AAAA"), 400),
        (upgrade(sec_websocket_key=b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (upgrade(sec_websocket_key=b"\xff"), 400),
    ],
)
def test_upgrade_when_invalid_then_refused(wrong: Upgrade, status: int) -> None:
    with pytest.raises(BrokerProtocolError) as raised:
        accepting(wrong)
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("offered", "taken"),
    [(b"a, b", b"a"), (b" , b", b"b"), (b"bearer.t,a", b"a"), (b"bearer.t", None), (b"", None)],
)
def test_subprotocol_when_taken_then_never_the_token(offered: bytes, taken: bytes | None) -> None:
    head = accepting(upgrade(sec_websocket_protocol=offered))
    assert b"bearer" not in head
    assert (b"\r\nsec-websocket-protocol: %b\r\n" % (taken or b"")) in head or taken is None
    assert (b"sec-websocket-protocol" in head) is (taken is not None)


def test_token_when_offered_as_a_subprotocol_then_it_stands_where_tokens_stand() -> None:
    asked = upgrade(sec_websocket_protocol=b"osqueue, bearer.osq_x")
    assert asked.credentials[b"authorization"] == b"Bearer osq_x"
    assert b"authorization" not in asked.headers


def test_token_when_there_is_a_header_then_that_counts() -> None:
    asked = upgrade(sec_websocket_protocol=b"bearer.other", authorization=b"Bearer mine")
    assert asked.credentials[b"authorization"] == b"Bearer mine"
