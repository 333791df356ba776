"""How a client may be told by what transport to speak."""

from __future__ import annotations

from typing import Any

import pytest

import osqueue
from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import DEFAULT_KIND, KINDS, dialler_of
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError, TransportConnectionError

URL = "http://127.0.0.1:1"


def dial(spec: Any) -> Any:
    return dialler_of(spec, ClientSettings(), Credentials()).dial(URL)


def test_default_is_connect() -> None:
    assert DEFAULT_KIND == "connect"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "direct"])
@pytest.mark.parametrize("form", [str, lambda kind: {"kind": kind}])
def test_kind_by_name_or_with_options_makes_its_transport(kind: str, form: Any) -> None:
    assert type(dial(form(kind))).__name__.lower() == f"{kind}transport"


def test_options_of_a_kind_reach_its_transport() -> None:
    assert dial({"kind": "ws", "requests_max": 7})._options.requests_max == 7


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("websocket", "there is no transport 'websocket'"),
        ("conect", "did you mean 'connect'"),
        ("", "connect, direct, grpc, rest, ws"),
        ({}, "connect, direct, grpc, rest, ws"),
        ({"kind": 7}, 'is {"kind"'),
        ({"kind": "ws", "requests": 1}, "no option 'requests': it has requests_max, heartbeat_s"),
        ({"kind": "ws", "requests_max": 0}, "'ws': Expected `int` >= 1"),
        ({"kind": "ws", "heartbeat_s": "often"}, "heartbeat_s"),
        ({"kind": "rest", "x": 1}, "no option 'x': it has none"),
        ({"kind": "connect", "x": 1}, "no option 'x': it has none"),
        ({"kind": "grpc", "x": 1}, "no option 'x': it has none"),
        ("direct", "for brokers of this process"),
        ({"kind": "direct", "brokers": []}, "for brokers of this process"),
        ({"kind": "direct", "brokers": "http://a"}, "for brokers of this process"),
        ({"kind": "direct", "broker": 1}, "no option 'broker': it has brokers"),
    ],
)
def test_anything_else_is_refused_naming_what_there_is(spec: Any, reason: str) -> None:
    with pytest.raises(TransportConfigError) as caught:
        OsqueueClient(URL, transport=spec)
    assert reason in caught.value.message


@pytest.mark.parametrize("kind", ["connect", "rest", "ws"])
def test_url_of_the_grpc_port_is_for_that_transport_only(kind: str) -> None:
    with pytest.raises(TransportConfigError, match="unknown scheme 'grpc'"):
        OsqueueClient("grpc://a:9090", transport=kind)


async def test_direct_without_a_url_knows_its_brokers() -> None:
    async with BrokerServer("memory://", host="127.0.0.1", port=0) as broker:
        async with OsqueueClient(transport={"kind": "direct", "brokers": broker}) as client:
            assert (await client.get_stats()).broker_address == broker.address
        spec = {"kind": "direct", "brokers": [broker]}
        async with OsqueueClient("http://127.0.0.1:1", transport=spec) as other:
            fast = other.with_settings(ClientSettings(retry_for_ms=0))
            with pytest.raises(TransportConnectionError, match="no broker of this process"):
                await fast.get_stats()


def test_adapter_protocol_is_public() -> None:
    assert osqueue.QueueTransportAdapter.__name__ == "QueueTransportAdapter"
    assert osqueue.__all__ == sorted(osqueue.__all__)
    assert all(hasattr(osqueue, name) for name in osqueue.__all__)
