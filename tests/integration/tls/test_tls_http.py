"""TLS on the HTTP port: whoever does not fit gets a sensible end, and harms nobody."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from tests.integration.conftest import Dial
from tests.integration.doors import Keys
from tests.integration.rest import Rest, Wire, connect, eventually, request
from tests.integration.tls.files import Tls

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.client.credentials import TlsSettings as ClientTls
from osqueue.config import AccessSettings, ClientSettings, LeadershipSettings
from osqueue.errors import ConfigError, TransportConfigError, TransportConnectionError
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

OTHER_CA = trustme.CA()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


@pytest.fixture
async def broker(tls: Tls) -> AsyncIterator[BrokerServer]:
    async with tls.broker() as broker:
        yield broker


async def status(url: str, context: ssl.SSLContext | bool) -> int:
    """What a client gets that makes a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/v1/stats", ssl=context) as answer,
    ):
        return answer.status


def place(broker: BrokerServer) -> tuple[str, int]:
    host, _, port = broker.address.rpartition(":")
    return host, int(port)


async def test_client_when_it_trusts_the_authority_then_served(
    tls: Tls, broker: BrokerServer
) -> None:
    assert broker.url.startswith("https://127.0.0.1:")
    assert await status(broker.url, tls.client()) == 200


@pytest.mark.parametrize("kind", ["rest", "connect", "grpc", "ws"])
async def test_client_of_ours_when_it_is_told_the_authority_then_served(
    kind: str, tls: Tls, broker: BrokerServer
) -> None:
    ours = ClientTls(ca=str(tls.ca_path))
    async with OsqueueClient(broker.url, transport=kind, tls=ours) as client:
        job_id = await client.submit_job("t", {"x": 1})
        assert (await client.get_job(job_id)).status == "unclaimed"


async def test_client_when_it_does_not_trust_the_authority_then_it_says_so_and_others_go_on(
    tls: Tls, broker: BrokerServer
) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await status(broker.url, True)
    assert await status(broker.url, tls.client()) == 200


async def test_client_when_the_name_is_another_then_it_says_so(tls: Tls) -> None:
    tls.issue(name="broker.example")
    async with tls.broker() as broker:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status(broker.url, tls.client())


async def test_plain_client_when_the_port_speaks_tls_then_closed_and_others_go_on(
    tls: Tls, broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/v1/stats", method="GET"))
    assert not (await wire.ended()).startswith(b"HTTP/1.1 2")
    assert await status(broker.url, tls.client()) == 200


async def test_tls_client_when_the_port_speaks_plain_text_then_refused_and_others_go_on(
    tls: Tls, session: aiohttp.ClientSession
) -> None:
    async with BrokerServer("memory://", host="127.0.0.1", port=0) as plain:
        with pytest.raises(aiohttp.ClientConnectorSSLError):
            await status(plain.url.replace("http:", "https:"), tls.client())
        assert (await Rest(session, plain.url).get("/v1/stats")).status == 200


async def test_client_of_ours_when_its_scheme_is_wrong_then_an_error_that_is_ours(tls: Tls) -> None:
    hasty = ClientSettings(retry_for_ms=0)
    async with tls.broker() as locked, BrokerServer("memory://", host="127.0.0.1", port=0) as plain:
        ways = {f"http://{locked.address}": None, f"https://{plain.address}": tls.client()}
        for url, context in ways.items():
            async with OsqueueClient(url, tls=context, settings=hasty) as client:
                with pytest.raises((TransportConnectionError, TransportConfigError)):
                    await client.get_stats()


async def test_client_when_a_certificate_is_asked_for_then_only_with_one_of_that_authority(
    tls: Tls,
) -> None:
    async with tls.broker(tls={"client_ca": str(tls.ca_path)}) as broker:
        for context in (tls.client(), tls.client(cert_of=OTHER_CA)):
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await status(broker.url, context)
        assert await status(broker.url, tls.client(cert_of=tls.ca)) == 200


async def test_handshake_when_it_never_ends_then_given_up_and_others_go_on_meanwhile(
    tls: Tls,
) -> None:
    async with tls.broker(tls={"handshake_s_max": 1}) as broker:
        silent = [Wire(*await asyncio.open_connection(*place(broker))) for _ in range(3)]
        await silent[1].send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a handshake
        assert await status(broker.url, tls.client()) == 200
        for wire in silent:
            assert await wire.ended() == b""
            wire.drop()


async def test_handshake_when_it_is_nonsense_then_closed_at_once_and_others_go_on(
    tls: Tls, broker: BrokerServer, dial: Dial
) -> None:
    for nonsense in (b"\x00" * 64, b"\x16\x03\x01\x00\x04\xff\x00\x00\x00", b"\xff" * 10_000):
        wire = await dial(broker)
        await wire.send(nonsense)
        await wire.ended()
    assert await status(broker.url, tls.client()) == 200


async def test_connection_when_dropped_amid_the_handshake_then_others_go_on(
    tls: Tls, broker: BrokerServer
) -> None:
    for _ in range(10):
        with connect(broker) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00")
    assert await status(broker.url, tls.client()) == 200


async def test_certificate_when_renewed_then_new_connections_get_it_and_old_ones_live_on(
    tls: Tls, broker: BrokerServer
) -> None:
    reader, writer = await asyncio.open_connection(*place(broker), ssl=tls.client())
    old = Wire(reader, writer)
    before = shown(writer)
    tls.issue()
    while await newest(tls, broker) == before:
        pass
    await old.send(request("/healthz", method="GET"))
    assert (await old.answer()).status == 200
    writer.close()
    assert await status(broker.url, tls.client()) == 200


async def test_certificate_when_its_files_do_not_fit_then_readyz_says_so_until_they_do(
    tls: Tls, broker: BrokerServer
) -> None:
    whole = tls.cert.read_bytes()
    tls.cert.write_text("nonsense")
    while "problems" not in await ready(tls, broker):
        pass
    tls.cert.write_bytes(whole)
    while "problems" in await ready(tls, broker):
        pass


async def test_files_when_missing_at_the_start_then_named_and_the_port_is_free_again(
    tls: Tls,
) -> None:
    tls.key.unlink()
    broker = tls.broker()
    with pytest.raises(ConfigError, match=r"key\.pem cannot be read"):
        await broker.start()
    await broker.stop()


async def test_token_when_sent_over_tls_then_asked_for_as_ever(tls: Tls, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    access = AccessSettings(tokens_file=str(keys.path))
    async with tls.broker(access=access) as broker:
        assert await status(broker.url, tls.client()) == 401
        token = keys[Role.OBSERVE]
        async with OsqueueClient(broker.url, token=token, tls=tls.client()) as client:
            assert (await client.get_stats()).total == 0


async def test_standby_when_all_speak_tls_and_ask_for_tokens_then_it_is_heard_and_takes_over(
    tls: Tls, tmp_path: Path
) -> None:
    keys, store = Keys(tmp_path), MemoryBackend()
    access = AccessSettings(tokens_file=str(keys.path))
    leadership = LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=600)
    mutual = {"client_ca": str(tls.ca_path), "ca": str(tls.ca_path)}
    settings = {"tls": mutual, "access": access, "leadership": leadership}
    async with tls.broker(store, **settings) as leader, tls.broker(store, **settings) as standby:
        await eventually(lambda: leader.status().standbys)
        assert standby.status().role == "standby"
        epoch = leader.status().epoch
        await leader.stop()
        await eventually(lambda: standby.status().role == "leader")
        assert standby.status().epoch > epoch


async def ready(tls: Tls, broker: BrokerServer) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{broker.url}/readyz", ssl=tls.client()) as answer,
    ):
        return await answer.text()


async def newest(tls: Tls, broker: BrokerServer) -> bytes:
    """The certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection(*place(broker), ssl=tls.client())
    found = shown(writer)
    writer.close()
    return found


def shown(writer: asyncio.StreamWriter) -> bytes:
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found
