"""A client on the broker's host dials what it advertises, and is not taken for a stranger."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from tests.integration.rest import Rest

from osqueue.advertise import route_source
from osqueue.app import BrokerServer


def own_address(version: int) -> str:
    """This host's address on its default route, as a URL has it."""
    source = route_source(version)
    if source is None:
        pytest.skip(f"this machine has no address but loopback for IPv{version}")
    return f"[{source}]" if version == 6 else source


def listening(host: str) -> BrokerServer:
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("no socket takes both families here")
    return BrokerServer("memory://", host=host, port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_advertised_address_when_dialled_from_the_same_host_then_served(
    host: str, session: aiohttp.ClientSession
) -> None:
    async with listening(host) as broker:
        assert (await Rest(session, broker.url).get("/v1/stats")).status == 200


@pytest.mark.parametrize(("host", "version"), [("0.0.0.0", 4), ("::", 4), ("::", 6)])
async def test_own_address_when_dialled_from_the_same_host_then_served(
    host: str, version: int, session: aiohttp.ClientSession
) -> None:
    own = own_address(version)
    async with listening(host) as broker:
        port = broker.address.rpartition(":")[2]
        assert (await Rest(session, f"http://{own}:{port}").get("/v1/stats")).status == 200


async def test_own_address_when_the_caller_comes_from_elsewhere_then_refused() -> None:
    """The nearest to another host: from this one's address to its loopback."""
    own = own_address(4)
    connector = aiohttp.TCPConnector(local_addr=(own, 0))
    async with listening("0.0.0.0") as broker, aiohttp.ClientSession(connector=connector) as other:
        port = broker.address.rpartition(":")[2]
        assert (await Rest(other, f"http://127.0.0.1:{port}").get("/v1/stats")).status == 403


@pytest.mark.parametrize("name", ["advertised", "name"])
async def test_page_when_its_origin_is_one_of_the_brokers_names_then_it_may_call(
    name: str, session: aiohttp.ClientSession
) -> None:
    async with listening("0.0.0.0") as broker:
        port = broker.address.rpartition(":")[2]
        origin = broker.url if name == "advertised" else f"http://{socket.gethostname()}:{port}"
        answer = await Rest(session, f"http://127.0.0.1:{port}").get("/v1/stats", origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/status"])
async def test_health_and_status_when_asked_from_elsewhere_then_told(path: str) -> None:
    """Load balancers, and brokers that stand by, are on other hosts and have no token."""
    own = own_address(4)
    connector = aiohttp.TCPConnector(local_addr=(own, 0))
    async with listening("0.0.0.0") as broker, aiohttp.ClientSession(connector=connector) as other:
        port = broker.address.rpartition(":")[2]
        assert (await Rest(other, f"http://127.0.0.1:{port}").get(path)).status == 200
