"""Our own clients at a locked door: tokens and TLS, by every transport that has a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from tests.integration.doors import Keys
from tests.integration.tls.files import Tls

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient, TlsSettings
from osqueue.config import AccessSettings, BrokerSettings
from osqueue.errors import AuthError, TransportConfigError, TransportConnectionError
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

KINDS = ("connect", "grpc", "rest", "ws")

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def trusting(tls: Tls, **own: str) -> TlsSettings:
    return TlsSettings(ca=str(tls.ca_path), **own)


def shown(folder: Path, authority: trustme.CA) -> dict[str, str]:
    """A certificate of a client, in files."""
    made = authority.issue_cert("worker-1")
    made.private_key_pem.write_to_path(str(folder / "own-key.pem"))
    made.cert_chain_pems[0].write_to_path(str(folder / "own-cert.pem"))
    return {"cert": f"{folder}/own-cert.pem", "key": f"{folder}/own-key.pem"}


def server(
    tls: Tls | None, store: MemoryBackend | None = None, keys: Keys | None = None, **more: Any
) -> BrokerServer:
    """A broker with gRPC, behind TLS, and asking for tokens, where these are given."""
    given: dict[str, Any] = {}
    if tls is not None:
        given["tls"] = tls.settings(ca=str(tls.ca_path), **more)
    if keys is not None:
        given["access"] = AccessSettings(tokens_file=str(keys.path))
    settings = BrokerSettings(**given)
    store = store or MemoryBackend()
    return BrokerServer(store, host="127.0.0.1", port=0, grpc_port=None, settings=settings)


@contextmanager
def refused(cls: type[Exception], reason: str) -> Iterator[None]:
    """At once: nothing of this gets better by asking again."""
    with pytest.raises(cls, match=reason) as caught:
        yield
    assert type(caught.value) is cls


async def test_client_when_it_trusts_the_broker_and_has_a_token_then_served(
    kind: str, tls: Tls, keys: Keys
) -> None:
    async with (
        server(tls, keys=keys) as broker,
        OsqueueClient(
            broker.url, transport=kind, token=keys[Role.ADMIN], tls=trusting(tls)
        ) as client,
    ):
        job_id = await client.submit_job("t", {"x": 1})
        job = await client.claim_job("w")
        assert job is not None
        await client.complete_job(job)
        assert (await client.get_job(job_id)).status == "completed"
        if kind != "rest":
            async with aclosing(client.subscribe()) as updates:
                assert (await anext(updates)).stats is not None


async def test_client_when_the_machine_trusts_the_authority_then_needs_no_tls(
    kind: str, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca_path))
    async with server(tls) as broker, OsqueueClient(broker.url, transport=kind) as client:
        assert (await client.get_stats()).total == 0


async def test_client_when_the_leader_is_another_then_it_is_dialled_by_tls(
    kind: str, tls: Tls, keys: Keys
) -> None:
    store = MemoryBackend()
    async with (
        server(tls, store, keys) as leader,
        server(tls, store, keys) as standby,
        OsqueueClient(
            standby.url, transport=kind, token=keys[Role.ADMIN], tls=trusting(tls)
        ) as client,
        OsqueueClient(
            storage=store, transport=kind, token=keys[Role.ADMIN], tls=trusting(tls)
        ) as finding,
    ):
        await client.submit_job("t", job_id="a")
        assert (await finding.get_job("a")).status == "unclaimed"
        for each in (client, finding):
            known = each._caller.transport._brokers.known  # type: ignore[attr-defined]
            assert known[0] == f"https://{leader.address}"
            assert all(url.startswith("https://") for url in known)


@pytest.mark.parametrize("token", [None, "osq_wrong"])
async def test_client_when_its_token_is_missing_or_wrong_then_told_so(
    kind: str, token: str | None, keys: Keys
) -> None:
    async with (
        server(None, keys=keys) as broker,
        OsqueueClient(broker.url, transport=kind, token=token) as client,
    ):
        with pytest.raises(AuthError) as caught:
            await client.submit_job("t")
        assert caught.value.status == 401
        assert token is None or token not in caught.value.message


async def test_client_when_its_role_is_too_small_then_told_which_one_is_needed(
    kind: str, keys: Keys
) -> None:
    async with (
        server(None, keys=keys) as broker,
        OsqueueClient(broker.url, transport=kind, token=keys[Role.OBSERVE]) as client,
    ):
        await client.get_stats()
        with pytest.raises(AuthError, match="produce") as caught:
            await client.submit_job("t")
        if kind != "ws":  # its frames carry no status
            assert caught.value.status == 403
        assert caught.value.method == "submitJob"


async def test_client_when_it_does_not_trust_the_broker_then_refused_at_once(
    kind: str, tls: Tls
) -> None:
    async with server(tls) as broker, OsqueueClient(broker.url, transport=kind) as client:
        with refused(TransportConfigError, "not to be trusted.*TlsSettings"):
            await client.get_stats()


async def test_client_when_the_broker_speaks_no_tls_then_refused_at_once(
    kind: str, tls: Tls
) -> None:
    async with (
        server(None) as broker,
        OsqueueClient(f"https://{broker.address}", transport=kind, tls=trusting(tls)) as client,
    ):
        with refused(TransportConfigError, "does not speak TLS"):
            await client.get_stats()


async def test_client_when_it_speaks_no_tls_then_the_connection_breaks(kind: str, tls: Tls) -> None:
    async with (
        server(tls) as broker,
        asyncio.timeout(20),
        OsqueueClient(f"http://{broker.address}", transport=kind) as client,
    ):
        once = client.with_settings(_once(client))
        with pytest.raises(TransportConnectionError):
            await once.get_stats()


async def test_client_when_the_broker_asks_for_a_certificate_then_shows_its_own(
    kind: str, tls: Tls, tmp_path: Path
) -> None:
    own = shown(tmp_path, tls.ca)
    async with server(tls, client_ca=str(tls.ca_path)) as broker:
        async with OsqueueClient(broker.url, transport=kind, tls=trusting(tls, **own)) as client:
            assert (await client.get_stats()).total == 0
        async with OsqueueClient(broker.url, transport=kind, tls=trusting(tls)) as nobody:
            once = nobody.with_settings(_once(nobody))
            with pytest.raises(TransportConnectionError):  # asyncio's server does not say why
                await once.get_stats()


async def test_client_by_the_url_of_the_grpc_port_when_behind_tls_then_served(
    kind: str, tls: Tls
) -> None:
    if kind != "grpc":
        return
    async with server(tls) as broker:
        url = f"grpcs://127.0.0.1:{broker.grpc_port}"
        async with OsqueueClient(url, transport=kind, tls=trusting(tls)) as client:
            assert (await client.get_stats()).total == 0
        async with OsqueueClient(url, transport=kind) as distrustful:
            once = distrustful.with_settings(_once(distrustful))
            with pytest.raises(TransportConnectionError, match="with this TLS") as caught:
                await once.get_stats()
            assert caught.value.applied == "no"


def _once(client: OsqueueClient) -> Any:
    return msgspec.structs.replace(client.settings, retry_for_ms=0)
