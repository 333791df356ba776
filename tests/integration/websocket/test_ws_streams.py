"""What the broker pushes by WebSocket: events, counts and jobs, and how streams and claims end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.rest import Rest, eventually, json_bytes, waiting_claims
from tests.integration.ws import TEXT, Ws, masked, sockets_of

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings, StreamSettings, WebSocketSettings
from osqueue.storage import MemoryBackend


async def opened(ws: Ws, method: str, params: object) -> str:
    """Open a stream; answers its id."""
    id_ = await ws.send(method, params)
    assert await ws.receive() == {"id": id_, "open": True}
    return id_


async def test_subscription_when_opened_then_told_the_counts_and_each_event(
    ws: Ws, rest: Rest
) -> None:
    id_ = await opened(ws, "subscribe", {"types": ["t"]})
    first = await ws.receive()
    assert (first["id"], list(first)) == (id_, ["id", "event"])
    assert first["event"]["stats"]["total"] == 0
    job_id = await rest.submit(type="t", payload=1)
    await rest.submit(type="other")
    told = (await ws.receive())["event"]
    assert [(event["kind"], event["jobId"]) for event in told["events"]] == [("submitted", job_id)]
    await rest.claim("w", types=["t"])
    kinds: list[str] = []
    while "claimed" not in kinds:
        kinds += [event["kind"] for event in (await ws.receive())["event"].get("events", [])]
    assert kinds == ["claimed"]


async def test_stream_when_cancelled_then_it_ends_well_and_its_id_is_free(ws: Ws) -> None:
    id_ = await opened(ws, "subscribe", {"events": False})
    await ws.receive()
    cancel = await ws.send("cancel", {"id": id_})
    ends = [await ws.receive(), await ws.receive()]
    assert {"id": cancel, "ok": True, "result": {"cancelled": True}} in ends
    assert {"id": id_, "ok": True, "result": {}} in ends
    assert await ws.result("cancel", {"id": id_}) == {"cancelled": False}
    assert (await ws.ask("subscribe", {}, id=id_))["open"]


async def test_stream_when_cancelled_before_it_begins_then_it_never_does(
    broker: BrokerServer, ws: Ws
) -> None:
    asked = [
        {"id": 1, "method": "subscribe"},
        {
            "id": 2,
            "method": "streamJobs",
            "params": {"workerId": "w", "credit": 1, "streamId": "s"},
        },
        {"id": 3, "method": "cancel", "params": {"id": 1}},
        {"id": 4, "method": "cancel", "params": {"id": 2}},
    ]
    await ws.wire.send(b"".join(masked(TEXT, json_bytes(each)) for each in asked))
    answers = {answer["id"]: answer["result"] for answer in [await ws.receive() for _ in asked]}
    assert answers == {1: {}, 2: {}, 3: {"cancelled": True}, 4: {"cancelled": True}}
    assert broker._service is not None
    assert len(broker._service.streams.jobs) == 0


@pytest.mark.parametrize(("method", "nothing"), [("claimJob", {}), ("claimJobs", {"jobs": []})])
async def test_claim_when_cancelled_then_it_got_nothing(
    ws: Ws, rest: Rest, broker: BrokerServer, method: str, nothing: Any
) -> None:
    id_ = await ws.send(method, {"workerId": "w", "waitMs": 60_000})
    await eventually(lambda: waiting_claims(broker) == 1)
    await ws.send("cancel", {"id": id_})
    answers = {answer["id"]: answer["result"] for answer in [await ws.receive() for _ in range(2)]}
    assert answers[id_] == nothing
    assert waiting_claims(broker) == 0
    await rest.submit(jobId="j")
    assert (await rest.claim("other"))["jobId"] == "j"


async def test_cancel_when_nothing_goes_by_that_id_then_it_says_so(ws: Ws) -> None:
    assert await ws.result("cancel", {"id": "nobody"}) == {"cancelled": False}


@pytest.mark.parametrize("method", ["subscribe", "streamJobs"])
async def test_stream_when_it_has_no_id_then_refused(ws: Ws, method: str) -> None:
    params = {"workerId": "w", "credit": 1, "streamId": "s"}
    answer = await ws.ask(method, params, id=None)
    assert (answer["id"], "`id`" in answer["error"]["message"]) == (None, True)


async def test_stream_when_its_id_is_in_use_then_refused_and_the_first_goes_on(
    ws: Ws, rest: Rest
) -> None:
    id_ = await opened(ws, "subscribe", {"statsEveryMs": 0})
    await ws.receive()
    answer = await ws.ask("claimJob", {"workerId": "w", "waitMs": 1_000}, id=id_)
    assert "`id`" in answer["error"]["message"]
    await rest.submit(jobId="j")
    assert (await ws.receive())["event"]["events"][0]["jobId"] == "j"


async def test_job_stream_when_it_has_credit_then_jobs_come_up_to_it(ws: Ws, rest: Rest) -> None:
    stream = {"workerId": "w", "credit": 2, "streamId": "s-1"}
    id_ = await opened(ws, "streamJobs", stream)
    ids = [await rest.submit(payload=at) for at in range(3)]
    got: list[Any] = []
    while len(got) < 2:
        told = await ws.receive()
        assert told["id"] == id_
        got += told["event"]["jobs"]
    assert [job["jobId"] for job in got] == ids[:2]
    assert (await rest.get("/v1/stats?consistent=true")).json["unclaimed"] == 1
    credit = await ws.send("addCredit", {"streamId": "s-1", "total": 7})
    answers = {answer["id"]: answer for answer in [await ws.receive() for _ in range(2)]}
    assert answers[credit] == {"id": credit, "ok": True, "result": {}}
    assert [job["jobId"] for job in answers[id_]["event"]["jobs"]] == ids[2:]
    lease = {"jobId": ids[2], "workerId": "w", "lease": answers[id_]["event"]["jobs"][0]["lease"]}
    assert await ws.result("completeJob", lease) == {}


async def test_job_stream_when_the_client_knows_of_commits_then_each_event_has_its_own(
    ws: Ws, rest: Rest
) -> None:
    await ws.send("streamJobs", {"workerId": "w", "credit": 1, "streamId": "s"}, v=1)
    await ws.receive()
    await rest.submit(jobId="j")
    assert list(await ws.receive()) == ["id", "event", "commit"]


async def test_credit_when_there_is_no_such_stream_then_a_typed_error(ws: Ws) -> None:
    error = await ws.error("addCredit", {"streamId": "none", "total": 1})
    assert error["_tag"] == "JobNotFoundError"


async def test_connection_when_lost_then_waiting_claims_and_streams_take_no_job(
    broker: BrokerServer, rest: Rest
) -> None:
    ws = await Ws.open(broker)
    await opened(ws, "streamJobs", {"workerId": "w", "credit": 10, "streamId": "s"})
    await opened(ws, "subscribe", {})
    for _ in range(5):
        await ws.send("claimJobs", {"workerId": "w", "waitMs": 60_000})
    await eventually(lambda: waiting_claims(broker) == 6)
    ws.wire.drop()
    await eventually(lambda: waiting_claims(broker) == 0)
    await rest.submit(jobId="j")
    assert (await rest.claim("other"))["jobId"] == "j"


async def test_claims_and_streams_when_too_many_wait_then_refused_and_the_rest_goes_on() -> None:
    settings = BrokerSettings(server=ServerSettings(ws=WebSocketSettings(waits_max=2)))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        await Ws.open(broker) as ws,
    ):
        waiting = await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
        await opened(ws, "subscribe", {"events": False, "statsEveryMs": 0})
        await ws.receive()
        refused = await ws.ask("claimJob", {"workerId": "w", "waitMs": 1})
        assert refused["error"]["_tag"] == "OverloadedError"
        assert refused["error"]["applied"] == "no"
        await ws.send("cancel", {"id": waiting})
        await ws.receive()
        await ws.receive()
        assert await ws.result("claimJob", {"workerId": "w", "waitMs": 1}) == {}


@pytest.fixture
async def narrow() -> AsyncIterator[BrokerServer]:
    """A broker that lets little wait for an observer."""
    settings = BrokerSettings(streams=StreamSettings(updates_max=16, events_max=500))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        yield broker


async def test_subscription_when_its_reader_is_slow_then_ended_with_the_reason(
    narrow: BrokerServer,
) -> None:
    async with await Ws.open(narrow) as slow, await Ws.open(narrow) as busy:
        id_ = await opened(slow, "subscribe", {"statsEveryMs": 0})
        [theirs] = [each for each in sockets_of(narrow) if each._session._waits]
        theirs.pause_writing()  # as the transport does when nobody reads
        for _ in range(20):
            await busy.result("submitJobs", {"jobs": [{}] * 100})
        theirs.resume_writing()
        told = await slow.receive()
        while "event" in told:
            told = await slow.receive()
        assert (told["id"], told["error"]["_tag"]) == (id_, "OverloadedError")
        assert await slow.result("getStats")


async def test_claim_when_its_client_takes_nothing_in_then_not_granted_for_good(
    broker: BrokerServer, rest: Rest
) -> None:
    ws = await Ws.open(broker)
    await ws.send("claimJobs", {"workerId": "w", "waitMs": 60_000, "claimId": "c"})
    await eventually(lambda: waiting_claims(broker) == 1)
    [theirs] = sockets_of(broker)
    theirs.pause_writing()
    await rest.submit(jobId="j")
    await eventually(lambda: waiting_claims(broker) == 0)
    assert await rest.claim("other") == {}, "it is on its way to the first"
    ws.wire.drop()
    await eventually(lambda: not sockets_of(broker))
    assert (await rest.claim("other", waitMs=5_000))["jobId"] == "j"


async def test_claim_when_its_client_takes_things_in_again_then_it_gets_the_job(
    broker: BrokerServer, rest: Rest, ws: Ws
) -> None:
    id_ = await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
    await eventually(lambda: waiting_claims(broker) == 1)
    [theirs] = sockets_of(broker)
    theirs.pause_writing()
    await rest.submit(jobId="j")
    await eventually(lambda: waiting_claims(broker) == 0)
    theirs.resume_writing()
    assert (await ws.receive()) == {"id": id_, "ok": True, "result": await _held(rest, "j")}


async def _held(rest: Rest, job_id: str) -> dict[str, Any]:
    """What the claim of a job without payload and type was answered."""
    state = await rest.state()
    [job] = [each for each in state["jobs"] if each["id"] == job_id]
    return {
        "jobId": job_id,
        "lease": job["lease"],
        "attempt": 1,
        "maxAttempts": 3,
        "createdAt": job["createdAt"],
        "priority": 0,
    }


async def test_streams_when_the_broker_stops_then_each_is_told_before_the_close(
    store: MemoryBackend,
) -> None:
    broker = BrokerServer(store, host="127.0.0.1", port=0)
    await broker.start()
    async with await Ws.open(broker) as ws:
        stream = await opened(ws, "streamJobs", {"workerId": "w", "credit": 1, "streamId": "s"})
        claim = await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
        await eventually(lambda: waiting_claims(broker) == 2)
        stopping = asyncio.ensure_future(broker.stop())
        ends = {answer["id"]: answer["error"] for answer in [await ws.receive() for _ in range(2)]}
        assert {ends[stream]["_tag"], ends[claim]["_tag"]} <= {
            "EngineStateError",
            "BrokerLeadershipError",
        }
        assert ends[claim]["applied"] == "no"
        assert await ws.closed() == (1001, "the broker is stopping")
        ws.wire.drop()
        await stopping
