"""How a broker begins and ends, and what its callers see of that."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Answer, Rest, eventually, request, waiting_claims

from osqueue.app import BrokerServer
from osqueue.errors import ConfigError, CorruptStateError, OsqueueError
from osqueue.storage import MemoryBackend
from osqueue.storage.protocol import Store
from osqueue.testing.faulty_store import ScriptedStore, Step


def local(storage: str | Store, port: int = 0) -> BrokerServer:
    return BrokerServer(storage, host="127.0.0.1", port=port)


def files(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


async def test_stop_when_claims_wait_then_each_is_told_that_nothing_was_applied(
    rest: Rest, broker: BrokerServer
) -> None:
    body = {"workerId": "w", "waitMs": 60_000}
    claims = [asyncio.create_task(rest.post("/v1/jobs/claim", body)) for _ in range(20)]
    await eventually(lambda: waiting_claims(broker) == 20)
    async with asyncio.timeout(10):
        await broker.stop()
        answers: list[Answer] = await asyncio.gather(*claims)
    for answer in answers:
        assert (answer.status, answer.tag) == (503, "EngineStateError")
        assert answer.json["applied"] == "no"


async def test_stop_when_a_commit_is_under_way_then_its_caller_is_answered_and_it_is_kept(
    session: aiohttp.ClientSession,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    async with local(store) as broker:
        rest = Rest(session, broker.url)
        store.then(Step("put", hold="request"))
        submit = asyncio.create_task(rest.post("/v1/jobs", {"jobId": "late"}))
        await store.held()
        stop = asyncio.create_task(broker.stop())
        await asyncio.sleep(0)
        store.release()
        async with asyncio.timeout(10):
            assert (await submit).body == b'{"jobId":"late"}'
            await stop
    stored = await memory.get("queue.json")
    assert stored is not None
    assert [job["id"] for job in json.loads(stored.data)["jobs"]] == ["late"]


async def test_stop_when_requests_are_half_sent_then_it_does_not_wait_for_them(
    broker: BrokerServer, dial: Dial
) -> None:
    halves = [b"", b"POST /v1/jo", b"POST /v1/jobs HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
    wires = [await dial(broker) for _ in halves]
    for wire, half in zip(wires, halves, strict=True):
        await wire.send(half)
    async with asyncio.timeout(3):
        await broker.stop()
    for wire in wires:
        assert await wire.ended() == b""


async def test_stop_when_clean_then_leadership_is_given_back_in_the_object(
    store: MemoryBackend,
) -> None:
    async with local(store):
        pass
    stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data).get("broker") is None


async def test_stop_when_never_started_or_repeated_then_nothing_happens() -> None:
    broker = local("memory://")
    await broker.stop()
    await broker.start()
    await broker.stop()
    await broker.stop()


async def test_start_when_repeated_then_the_same_broker_serves_on(
    rest: Rest, broker: BrokerServer
) -> None:
    address = broker.address
    await broker.start()
    assert broker.address == address
    assert (await rest.get("/readyz")).status == 200


async def test_start_when_stopped_before_then_it_serves_the_same_jobs_again(
    session: aiohttp.ClientSession, store: MemoryBackend
) -> None:
    broker = local(store)
    async with broker:
        await Rest(session, broker.url).submit(jobId="kept")
    async with broker:
        assert (await Rest(session, broker.url).job("kept"))["status"] == "unclaimed"


async def test_start_when_the_port_is_taken_then_a_config_error_names_it(
    broker: BrokerServer,
) -> None:
    port = int(broker.address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*--port"):
        await local("memory://", port).start()


async def test_start_when_the_port_is_taken_then_the_store_is_left_alone(
    broker: BrokerServer, tmp_path: Path
) -> None:
    port = int(broker.address.rpartition(":")[2])
    with pytest.raises(ConfigError):
        await local(f"file://{tmp_path}/store", port).start()
    assert files(tmp_path) == []


DAMAGED = {
    "empty": b"",
    "blank": b"  \n",
    "cut": b'{"format":1,"jobs":[{"id":"a"',
    "no json": b"queue!",
    "an array": b"[]",
    "null": b"null",
    "no jobs": b'{"format":1}',
    "newer": b'{"format":2,"jobs":[]}',
    "bad job": b'{"format":1,"jobs":[{"id":5}]}',
    "a job twice": b'{"format":1,"jobs":[%b,%b]}'
    % ((b'{"id":"a","status":"unclaimed","createdAt":1,"attempts":0}',) * 2),
    "not utf-8": b'{"format":1,"jobs":[],"note":"\xff"}',
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
async def test_start_when_the_object_is_damaged_then_it_is_named_and_untouched(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "queue.json"
    path.write_bytes(data)
    with pytest.raises(CorruptStateError) as caught:
        await local(f"file://{tmp_path}").start()
    assert str(tmp_path) in caught.value.message
    assert "queue.json" in caught.value.message
    assert path.read_bytes() == data
    assert [name for name in files(tmp_path) if name.endswith(".json")] == ["queue.json"]


async def test_start_when_it_failed_then_the_port_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "queue.json").write_bytes(b"")
    broker = local(f"file://{tmp_path}")
    with pytest.raises(CorruptStateError):
        await broker.start()
    port = int(broker.address.rpartition(":")[2])
    async with local("memory://", port):
        pass


async def test_start_when_the_directory_cannot_be_had_then_the_error_names_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OsqueueError, match=str(tmp_path)):
        await local(f"file://{tmp_path}/file/store").start()


async def test_start_when_another_broker_leads_then_it_stands_by_and_sends_callers_there(
    rest: Rest, broker: BrokerServer, store: MemoryBackend, session: aiohttp.ClientSession
) -> None:
    await rest.submit(jobId="mine")
    async with local(store) as second:
        assert (second.status().role, second.status().leader) == ("standby", broker.address)
        asked = await session.post(
            f"{second.url}/v1/jobs/claim?a=1", json={"workerId": "w"}, allow_redirects=False
        )
        assert asked.status == 307
        assert asked.headers["location"] == f"{broker.url}/v1/jobs/claim?a=1"
        body = await asked.json()
        assert (body["_tag"], body["applied"]) == ("BrokerLeadershipError", "no")
        assert body["leader"] == broker.address
        followed = await session.post(f"{second.url}/v1/jobs/claim", json={"workerId": "w"})
        assert (await followed.json())["jobId"] == "mine"


async def test_stop_when_another_stands_by_then_that_one_leads_and_nothing_is_lost(
    session: aiohttp.ClientSession,
) -> None:
    store = MemoryBackend()
    first = local(store)
    await first.start()
    await Rest(session, first.url).submit(jobId="mine")
    async with local(store) as second:
        await first.stop()
        async with asyncio.timeout(10):
            while not second.status().ready:  # noqa: ASYNC110 - a leader tells nobody
                await asyncio.sleep(0.001)
        assert (await Rest(session, second.url).claim("w"))["jobId"] == "mine"


async def test_failover_when_another_stands_by_then_they_change_places(
    rest: Rest, broker: BrokerServer, store: MemoryBackend
) -> None:
    alone = await rest.post("/v1/failover", None)
    assert (alone.status, alone.tag) == (409, "BrokerProtocolError")
    async with local(store) as second:
        while not broker.status().standbys:  # noqa: ASYNC110 - nothing tells when it was asked
            await asyncio.sleep(0.001)
        assert (await rest.post("/v1/failover", None)).status == 204
        async with asyncio.timeout(10):
            while broker.status().leader != second.address:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.001)
        assert (broker.status().role, second.status().role) == ("standby", "leader")


async def test_start_when_an_older_implementations_object_is_there_then_it_is_carried_on(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    job = {"id": "old", "status": "unclaimed", "payload": {"a": 1}, "createdAt": 5, "attempts": 1}
    older = {"broker": None, "brokerHeartbeat": 7, "jobs": [job], "completedTotal": 3, "theirs": 1}
    (tmp_path / "queue.json").write_text(json.dumps(older))
    async with local(f"file://{tmp_path}") as broker:
        rest = Rest(session, broker.url)
        assert (await rest.get("/v1/stats")).json["completedTotal"] == 3
        assert (await rest.claim("w"))["payload"] == {"a": 1}
        assert (await rest.state())["theirs"] == 1


async def test_start_when_the_leader_was_killed_then_a_new_one_takes_over_and_keeps_the_jobs(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("broker_process.py")
    storage = f"file://{tmp_path}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), storage, "0"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            address = (await process.stdout.readline()).decode().strip()
        killed = Rest(session, f"http://{address}")
        ids = [await killed.submit(payload=n) for n in range(20)]
        lease = (await killed.claim("w"))["lease"]
    finally:
        process.kill()
        await process.communicate()
    port = int(address.rpartition(":")[2])
    async with asyncio.timeout(8), local(storage, port) as broker:  # below the leader's time-out
        assert broker.address == address
        rest = Rest(session, broker.url)
        assert [job["id"] for job in (await rest.get("/v1/jobs")).json["jobs"]] == ids
        body = {"workerId": "w", "lease": lease}
        assert (await rest.post(f"/v1/jobs/{ids[0]}/complete", body)).status == 204


async def test_start_when_the_killed_leader_had_another_port_then_it_is_taken_at_once(
    session: aiohttp.ClientSession, store: MemoryBackend
) -> None:
    async with local(store) as old:
        await Rest(session, old.url).submit(jobId="kept")
        stored = await store.get("queue.json")
    assert stored is not None
    left_behind = MemoryBackend()
    await left_behind.create("queue.json", stored.data)
    async with asyncio.timeout(8), local(left_behind) as new:
        assert new.address != old.address
        assert (await Rest(session, new.url).job("kept"))["status"] == "unclaimed"


async def test_stop_when_a_silent_leader_is_still_being_waited_for_then_the_start_gives_up(
    store: MemoryBackend,
) -> None:
    calls: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, call: calls.append(call), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    state = {"broker": f"127.0.0.1:{port}", "brokerHeartbeat": 1, "jobs": []}
    await store.create("queue.json", json.dumps(state).encode())
    broker = local(store)
    start = asyncio.create_task(broker.start())
    await eventually(lambda: broker.address)
    async with asyncio.timeout(5):
        await broker.stop()
        with pytest.raises(OsqueueError, match="stopped"):
            await start
    stored = await store.get("queue.json")
    assert stored is not None
    assert json.loads(stored.data) == state
    for call in calls:
        call.transport.abort()
    silent.close()
    await silent.wait_closed()


async def test_connection_when_idle_then_it_is_closed_by_the_stop(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/healthz", method="GET"))
    await wire.answer()
    await broker.stop()
    assert await wire.ended() == b""
