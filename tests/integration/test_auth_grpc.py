"""The door of the gRPC port, seen by a client that is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.doors import Keys

from osqueue.advertise import route_source
from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.roles import Role

Metadata = tuple[tuple[str, str], ...]


async def code_of(
    target: str, method: str = "GetStats", metadata: Metadata = (), request: bytes = b""
) -> str:
    """How a call ends; its message does not matter here."""
    async with grpc.aio.insecure_channel(target) as channel:
        ask = channel.unary_unary(f"/osqueue.v1.QueueService/{method}")
        try:
            await ask(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return "OK"


def here(broker: BrokerServer, host: str = "127.0.0.1") -> str:
    return f"{host}:{broker.grpc_port}"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def locked(keys: Keys) -> AsyncIterator[BrokerServer]:
    async with keys.broker() as broker:
        yield broker


def open_broker(host: str = "127.0.0.1", **server: Any) -> BrokerServer:
    settings = BrokerSettings(server=ServerSettings(**server))
    return BrokerServer("memory://", host=host, port=0, grpc_port=None, settings=settings)


async def test_token_when_shown_in_metadata_then_as_its_role_says(
    keys: Keys, locked: BrokerServer
) -> None:
    expected = {Role.OBSERVE: "OK", Role.ADMIN: "OK", Role.WORK: "PERMISSION_DENIED"}
    for role, code in expected.items():
        shown = (("authorization", f"Bearer {keys[role]}"),)
        assert await code_of(here(locked), metadata=shown) == code


@pytest.mark.parametrize("shown", [None, "", "Bearer", "Basic x", "Bearer x", "spare", "twice"])
async def test_token_when_it_is_not_known_then_unauthenticated(
    shown: str | None, keys: Keys, locked: BrokerServer
) -> None:
    metadata: Metadata = () if shown is None else (("authorization", shown),)
    if shown == "spare":
        metadata = (("authorization", f"Bearer {keys.spare.token}"),)
    if shown == "twice":
        metadata = (("authorization", f"Bearer {keys[Role.OBSERVE]}"),) * 2
    assert await code_of(here(locked), metadata=metadata) == "UNAUTHENTICATED"


async def test_message_when_its_sender_is_refused_then_it_is_not_read(locked: BrokerServer) -> None:
    assert await code_of(here(locked), "SubmitJob", request=b"\xff\xff") == "UNAUTHENTICATED"


async def test_status_when_asked_without_a_token_then_told(locked: BrokerServer) -> None:
    assert await code_of(here(locked), "GetStatus") == "OK"


@pytest.mark.parametrize("name", ["x-forwarded-for", "x-real-ip"])
async def test_proxy_when_it_forwards_a_stranger_and_no_token_is_configured_then_refused(
    name: str,
) -> None:
    async with open_broker() as broker:
        assert await code_of(here(broker), metadata=((name, "8.8.8.8"),)) == "PERMISSION_DENIED"
        assert await code_of(here(broker), metadata=((name, "127.0.0.1"),)) == "OK"
    async with open_broker(allow_remote=True) as broker:
        assert await code_of(here(broker), metadata=((name, "8.8.8.8"),)) == "OK"


async def test_own_address_when_dialled_from_the_same_host_then_served() -> None:
    own = route_source(4)
    if own is None:
        pytest.skip("this machine has no address but loopback")
    async with open_broker("0.0.0.0") as broker:
        assert await code_of(here(broker, own)) == "OK"


async def test_foreign_page_when_it_speaks_grpc_then_refused() -> None:
    """No browser can; whatever says that it is one is held to the same rule."""
    async with open_broker() as broker:
        metadata = (("origin", "https://evil.example"),)
        assert await code_of(here(broker), metadata=metadata) == "PERMISSION_DENIED"


async def test_push_of_the_older_system_when_asked_for_then_by_the_role_of_producers(
    keys: Keys, locked: BrokerServer
) -> None:
    request = pb.PushRequest(data=b"x").to_binary()
    for role, code in ((Role.PRODUCE, "OK"), (Role.WORK, "PERMISSION_DENIED")):
        shown = (("authorization", f"Bearer {keys[role]}"),)
        assert await code_of(here(locked), "Push", shown, request) == code
    for method in ("Claim", "Complete", "Heartbeat"):
        shown = (("authorization", f"Bearer {keys[Role.PRODUCE]}"),)
        assert await code_of(here(locked), method, shown) == "PERMISSION_DENIED"
