"""TLS on the gRPC port, by Google's client."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import grpc
import pytest
import trustme
from tests.integration.doors import Keys
from tests.integration.rest import eventually
from tests.integration.tls.files import Tls

from osqueue.app import BrokerServer
from osqueue.config import AccessSettings
from osqueue.wire.roles import Role

OTHER_CA = trustme.CA()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def trusting(ca: trustme.CA, *, cert_of: trustme.CA | None = None) -> grpc.ChannelCredentials:
    """Credentials that trust an authority, with a certificate of one if it is given."""
    if cert_of is None:
        return grpc.ssl_channel_credentials(ca.cert_pem.bytes())
    made = cert_of.issue_cert("worker-1")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    return grpc.ssl_channel_credentials(ca.cert_pem.bytes(), made.private_key_pem.bytes(), chain)


async def code_of(
    broker: BrokerServer, credentials: grpc.ChannelCredentials | None, token: str | None = None
) -> str:
    """How a call on a connection of its own ends."""
    target = f"127.0.0.1:{broker.grpc_port}"
    options = (("grpc.use_local_subchannel_pool", 1),)
    channel = (
        grpc.aio.insecure_channel(target, options=options)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, options=options)
    )
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    async with channel:
        try:
            ask = channel.unary_unary("/osqueue.v1.QueueService/GetStats")
            await ask(b"", metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return "OK"


async def test_client_when_it_trusts_the_authority_then_served_and_others_are_not(tls: Tls) -> None:
    async with tls.broker() as broker:
        assert await code_of(broker, trusting(tls.ca)) == "OK"
        assert await code_of(broker, trusting(OTHER_CA)) == "UNAVAILABLE"
        assert await code_of(broker, None) == "UNAVAILABLE"
        assert await code_of(broker, trusting(tls.ca)) == "OK"


async def test_tls_client_when_the_port_speaks_plain_text_then_unavailable_and_others_go_on(
    tls: Tls,
) -> None:
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        assert await code_of(broker, trusting(tls.ca)) == "UNAVAILABLE"
        assert await code_of(broker, None) == "OK"


async def test_client_when_a_certificate_is_asked_for_then_only_with_one_of_that_authority(
    tls: Tls,
) -> None:
    async with tls.broker(tls={"client_ca": str(tls.ca_path)}) as broker:
        assert await code_of(broker, trusting(tls.ca)) == "UNAVAILABLE"
        assert await code_of(broker, trusting(tls.ca, cert_of=OTHER_CA)) == "UNAVAILABLE"
        assert await code_of(broker, trusting(tls.ca, cert_of=tls.ca)) == "OK"


async def test_token_when_sent_over_tls_then_asked_for_as_ever(tls: Tls, tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    access = AccessSettings(tokens_file=str(keys.path))
    async with tls.broker(access=access) as broker:
        assert await code_of(broker, trusting(tls.ca)) == "UNAUTHENTICATED"
        assert await code_of(broker, trusting(tls.ca), keys[Role.OBSERVE]) == "OK"


async def test_certificate_when_renewed_then_new_connections_get_it(tls: Tls) -> None:
    async with tls.broker() as broker:
        before = await shown(tls, broker)
        tls.issue()
        while await shown(tls, broker) == before:
            pass
        assert await code_of(broker, trusting(tls.ca)) == "OK"


async def test_certificate_when_the_new_one_cannot_be_used_then_the_old_one_is_shown(
    tls: Tls,
) -> None:
    async with tls.broker() as broker:
        before = await shown(tls, broker)
        tls.cert.write_text("nonsense")
        security = broker._security
        assert security is not None
        await eventually(security.problems)
        assert await shown(tls, broker) == before
        assert await code_of(broker, trusting(tls.ca)) == "OK"


async def shown(tls: Tls, broker: BrokerServer) -> bytes:
    """The certificate that a new connection is shown."""
    context = tls.client()
    context.set_alpn_protocols(["h2"])
    assert broker.grpc_port is not None
    _, writer = await asyncio.open_connection("127.0.0.1", broker.grpc_port, ssl=context)
    end: ssl.SSLObject = writer.get_extra_info("ssl_object")
    found = end.getpeercert(binary_form=True)
    writer.transport.abort()
    assert found is not None
    return found
