"""Payloads that are hidden: over every transport, from everybody who does not work on them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from tests.integration.doors import REQUESTS, Keys
from tests.integration.rest import Rest, eventually
from tests.integration.ws import Ws

from osqueue import BrokerServer, OsqueueClient
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import dialler_of
from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.config import (
    KIB,
    AccessSettings,
    ArchiveSettings,
    BrokerSettings,
    ClientSettings,
    ServerSettings,
)
from osqueue.errors import AuthError, OsqueueError
from osqueue.server.door.tokens import NewToken
from osqueue.wire import operations as ops
from osqueue.wire.operations import Operation
from osqueue.wire.roles import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "the-secret-word"
KINDS = ("rest", "connect", "grpc", "ws")
READS = [each for each in ops.OPERATIONS if each.verb == "GET" and each.role is not None]
LISTS = (ops.LIST_JOBS, ops.LIST_ENDED)
JOBS = ("waiting", "held", "done", "dead", "large")


class Hiding(NamedTuple):
    """A broker that hides payloads, with a job in every state."""

    broker: BrokerServer
    keys: Keys
    both: NewToken
    """A token that may do all, and was told to work."""

    def token(self, who: str) -> str:
        return self.both.token if who == "both" else self.keys[Role(who)]

    def transport(self, kind: str, who: str) -> QueueTransportAdapter:
        credentials = Credentials(token=self.token(who))
        return dialler_of(kind, ClientSettings(), credentials).dial(self.broker.url)


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hiding(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hiding]:
    keys = Keys(tmp_path_factory.mktemp("keys"))
    settings = BrokerSettings(
        access=AccessSettings(tokens_file=str(keys.path), reload_ms=5),
        server=ServerSettings(hide_payloads=True),
        archive=ArchiveSettings(linger_ms=600_000),
    )
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None, settings=settings)
    both = keys.spare._replace(
        entry=keys.spare.entry._replace(roles=frozenset({Role.WORK, Role.ADMIN}))
    )
    keys.write(*keys.made.values(), both)
    async with broker:
        await fill(broker, keys)
        yield Hiding(broker, keys, both)


async def fill(broker: BrokerServer, keys: Keys) -> None:
    """Have a job of each kind, all with the secret in what is theirs."""
    async with OsqueueClient(broker.url, token=keys[Role.ADMIN]) as client:
        for name in ("done", "dead", "held"):
            payload = {name: SECRET}
            await client.submit_job("t", payload, job_id=name, keep_result=True, max_attempts=1)
            job = await client.claim_job("w")
            assert job is not None
            assert job.payload == payload, "who claims a job is given its payload"
            if name == "done":
                await client.complete_job(job, result=[SECRET])
            elif name == "dead":
                await client.fail_job(job, ValueError("no"))
        await client.submit_job("t", {"waiting": SECRET}, job_id="waiting")
        await client.submit_job("t", SECRET * (8 * KIB), job_id="large")


async def text_of(transport: QueueTransportAdapter, operation: Operation, job_id: str) -> str:
    """All that is answered, or the error."""
    request = REQUESTS.get(operation.name)
    named = job_id if operation.on_one_job else None
    try:
        answer = await transport.call(operation, request, job_id=named, timeout_s=20)
    except OsqueueError as error:
        return repr(error)
    return msgspec.json.encode(answer.value).decode()


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("who", ["observe", "admin", "both"])
@pytest.mark.parametrize("operation", READS, ids=lambda each: each.name)
@pytest.mark.parametrize("kind", KINDS)
async def test_read_when_payloads_are_hidden_then_the_secret_is_shown_only_to_workers(
    hiding: Hiding, kind: str, operation: Operation, who: str, job: str
) -> None:
    """Of every operation that reads, those to come included."""
    transport = hiding.transport(kind, who)
    try:
        text = await text_of(transport, operation, job)
    finally:
        await transport.close()
    if who != "both":
        assert SECRET not in text
    elif kind == "rest" and operation in LISTS:
        assert SECRET in text, "it is there to be hidden"


@pytest.mark.parametrize("who", ["observe", "admin"])
@pytest.mark.parametrize("operation", ops.FOR_PAGES, ids=lambda each: each.name)
async def test_page_when_payloads_are_hidden_then_what_is_made_for_it_has_none(
    hiding: Hiding, session: aiohttp.ClientSession, operation: Operation, who: str
) -> None:
    bearer = f"Bearer {hiding.token(who)}"
    answer = await Rest(session, hiding.broker.url).get(operation.path, authorization=bearer)
    assert answer.status == 200
    assert SECRET not in answer.body.decode()
    async with await Ws.open(hiding.broker, f"authorization: {bearer}") as ws:
        assert SECRET not in json.dumps(await ws.result(operation.name, {}))
        await ws.send(ops.WATCH_OVERVIEW.name, {})
        told = [await ws.bytes() for _ in range(2)]
        assert SECRET.encode() not in b"".join(told)


@pytest.mark.parametrize("kind", KINDS)
async def test_job_when_its_payload_is_hidden_then_it_says_so_and_all_else_is_there(
    hiding: Hiding, kind: str
) -> None:
    async with client(hiding, kind, "observe") as looking:
        for name, status in (("waiting", "unclaimed"), ("done", "completed"), ("dead", "dead")):
            job = await looking.get_job(name)
            assert (job.status, job.type, job.payload_hidden) == (status, "t", True)
            assert (job.raw_payload, job.raw_result) == (None, None)
        assert (await looking.get_job("dead")).errors[0].message == "no"
        listed = (await looking.list_jobs()).jobs
        assert {job.job_id for job in listed} >= {"waiting", "held", "dead", "large"}
        assert all(job.payload_hidden and job.raw_payload is None for job in listed)
        with pytest.raises(AuthError, match="hides payloads from the-observe") as caught:
            await looking.get_payload("large")
        assert caught.value.status == 403


@pytest.mark.parametrize("kind", KINDS)
async def test_job_when_whoever_asks_works_on_jobs_then_shown_whole(
    hiding: Hiding, kind: str
) -> None:
    async with client(hiding, kind, "both") as working:
        assert (await working.get_job("waiting")).payload == {"waiting": SECRET}
        assert await working.result("done") == [SECRET]
        assert json.loads(await working.get_payload("large") or b"") == SECRET * (8 * KIB)
        assert not any(job.payload_hidden for job in (await working.list_jobs()).jobs)


@pytest.mark.parametrize("kind", KINDS)
async def test_result_when_hidden_then_an_error_and_not_nothing(hiding: Hiding, kind: str) -> None:
    async with client(hiding, kind, "observe") as looking:
        with pytest.raises(AuthError, match="hides results from this token"):
            await looking.result("done")


def client(hiding: Hiding, kind: str, who: str) -> OsqueueClient:
    return OsqueueClient(hiding.broker.url, transport=kind, token=hiding.token(who))


async def test_job_when_it_has_neither_payload_nor_result_then_nothing_is_said_to_be_hidden(
    open_rest: Rest,
) -> None:
    await open_rest.post("/v1/jobs", {"jobId": "bare", "type": "bare"})
    assert "payloadHidden" not in (await open_rest.get("/v1/jobs/bare")).json


async def test_job_when_in_the_archive_then_its_result_is_hidden_as_well(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    settings = BrokerSettings(
        access=AccessSettings(tokens_file=str(keys.path)),
        server=ServerSettings(hide_payloads=True),
        archive=ArchiveSettings(linger_ms=0, look_ms=1),
    )
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        OsqueueClient(broker.url, token=keys[Role.ADMIN]) as client,
    ):
        await client.submit_job("t", SECRET, job_id="old", keep_result=True)
        job = await client.claim_job("w")
        assert job is not None
        await client.complete_job(job, result=SECRET)
        service = broker._service
        assert service is not None
        await eventually(lambda: b'"finished":[{' not in service._engine.durable)
        found = await client.get_job("old")
    assert (found.status, found.raw_result, found.payload_hidden) == ("completed", None, True)


@pytest.mark.parametrize(("who", "status"), [("admin", 403), ("observe", 403), ("both", 200)])
async def test_state_when_payloads_are_hidden_then_refused(
    hiding: Hiding, session: aiohttp.ClientSession, who: str, status: int
) -> None:
    shown = {"authorization": f"Bearer {hiding.token(who)}"}
    answer = await Rest(session, hiding.broker.url).get("/state", **shown)
    assert answer.status == status
    assert (SECRET in answer.body.decode()) == (status == 200)


@pytest_asyncio.fixture(loop_scope="module")
async def open_rest(session: aiohttp.ClientSession) -> AsyncIterator[Rest]:
    """A broker that asks for no token, and hides payloads."""
    settings = BrokerSettings(server=ServerSettings(hide_payloads=True))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        yield Rest(session, broker.url)


async def test_payload_when_hidden_and_no_token_is_asked_for_then_nobody_reads_it(
    open_rest: Rest,
) -> None:
    job_id = await open_rest.submit(payload=SECRET, type="t")
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs", f"/v1/jobs/{job_id}/payload", "/state"):
        assert SECRET not in (await open_rest.get(path)).body.decode()
    assert (await open_rest.get("/ui/session")).json["hidePayloads"] is True
    assert (await open_rest.claim())["payload"] == SECRET


async def test_payload_when_asked_for_inside_of_the_process_then_shown() -> None:
    """A program that runs the broker has its memory, too."""
    settings = BrokerSettings(server=ServerSettings(hide_payloads=True))
    broker = BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings)
    async with broker:
        direct: Any = {"kind": "direct", "brokers": broker}
        async with OsqueueClient(broker.url, transport=direct) as client:
            job_id = await client.submit_job("t", SECRET)
            assert (await client.get_job(job_id)).payload == SECRET


async def test_events_when_payloads_are_hidden_then_they_carry_none(
    hiding: Hiding, session: aiohttp.ClientSession
) -> None:
    looks = {"authorization": f"Bearer {hiding.keys[Role.OBSERVE]}"}
    makes = {"authorization": f"Bearer {hiding.keys[Role.PRODUCE]}"}
    url = f"{hiding.broker.url}/v1/events?statsEveryMs=0"
    async with session.get(url, headers=looks) as events:
        await Rest(session, hiding.broker.url).post("/v1/jobs", {"payload": SECRET}, **makes)
        told = b""
        while b"submitted" not in told:
            told += await events.content.readline()
    assert SECRET.encode() not in told
