"""Every operation by WebSocket, and the typed errors of mistakes in it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.rest import Rest, json_bytes
from tests.integration.ws import CONT, TEXT, Ws

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, QueueLimits, ServerSettings

WRONG: list[tuple[str, object, str]] = [
    ("submitJob", {"type": 42}, "`type`"),
    ("submitJob", {"maxAttempts": "five"}, "`maxAttempts`"),
    ("submitJob", {"maxAttempts": 1.5}, "`maxAttempts`"),
    ("submitJob", {"maxAttempts": -1}, "`maxAttempts`"),
    ("submitJob", {"jobId": "a/b"}, "`jobId`"),
    ("submitJob", "str", "the request is invalid"),
    ("submitJob", [], "the request is invalid"),
    ("submitJobs", {}, "`jobs`"),
    ("submitJobs", {"jobs": [{"jobId": "a"}, {"jobId": "a"}]}, "twice"),
    ("claimJob", {}, "`workerId`"),
    ("claimJob", {"workerId": 7}, "`workerId`"),
    ("claimJob", {"workerId": "w", "types": {"length": 2}}, "`types`"),
    ("claimJob", {"workerId": "w", "types": "t"}, "`types`"),
    ("claimJobs", {"workerId": "w", "max": 1_001}, "`max`"),
    ("claimJobs", {"workerId": "w", "waitMs": 60_001}, "`waitMs`"),
    ("heartbeat", {"workerId": "w"}, "`jobId`"),
    ("heartbeat", {"jobId": "", "workerId": "w"}, "`jobId`"),
    ("completeJob", {"jobId": "x"}, "`workerId`"),
    ("failJob", {"jobId": "x", "workerId": "w"}, "`error`"),
    ("listJobs", {"limit": 0}, "`limit`"),
    ("listJobs", {"status": "odd"}, "`status`"),
    ("getJob", {"jobId": "x", "consistent": "yes"}, "`consistent`"),
    ("cancel", {}, "`id`"),
]


@pytest.mark.parametrize(("method", "params", "said"), WRONG)
async def test_request_when_its_fields_are_wrong_then_the_error_names_them(
    ws: Ws, method: str, params: object, said: str
) -> None:
    error = await ws.error(method, params)
    assert error["_tag"] == "BrokerProtocolError"
    assert said in error["message"]


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("heartbeat", {}),
        ("completeJob", {}),
        ("releaseJob", {}),
        ("failJob", {"error": {"type": "E", "message": "m"}}),
    ],
)
async def test_job_when_unknown_or_not_held_then_a_typed_error(
    ws: Ws, method: str, more: dict[str, Any]
) -> None:
    unknown = await ws.error(method, {"jobId": "none", "workerId": "w", **more})
    assert unknown["_tag"] == "JobNotFoundError"
    await ws.result("submitJob", {"jobId": "j"})
    unclaimed = await ws.error(method, {"jobId": "j", "workerId": "w", **more})
    assert unclaimed["_tag"] == "LeaseLostError"
    await ws.result("claimJob", {"workerId": "w"})
    foreign = await ws.error(method, {"jobId": "j", "workerId": "other", **more})
    assert foreign["_tag"] == "LeaseLostError"
    stale = await ws.error(method, {"jobId": "j", "workerId": "w", "lease": "old", **more})
    assert stale["_tag"] == "LeaseLostError"


async def test_job_id_when_it_names_another_job_then_a_conflict(ws: Ws) -> None:
    await ws.result("submitJob", {"jobId": "j", "payload": 1})
    assert await ws.result("submitJob", {"jobId": "j", "payload": 1}) == {"jobId": "j"}
    assert (await ws.error("submitJob", {"jobId": "j", "payload": 2}))["_tag"] == (
        "JobIdConflictError"
    )


async def test_request_when_one_is_bad_then_its_neighbours_are_not_harmed(ws: Ws) -> None:
    good = [await ws.send("submitJob", {"payload": 1})]
    bad = await ws.send("claimJob", {"workerId": "w", "types": {"length": 2}})
    good.append(await ws.send("submitJob", {"payload": 2}))
    answers = {answer["id"]: answer["ok"] for answer in [await ws.receive() for _ in range(3)]}
    assert answers == {good[0]: True, good[1]: True, bad: False}


async def test_batches_when_worked_on_then_each_job_has_its_answer(ws: Ws) -> None:
    jobs = [{"payload": at, "type": "t"} for at in range(3)]
    ids = (await ws.result("submitJobs", {"jobs": jobs}))["jobIds"]
    claimed = await ws.result("claimJobs", {"workerId": "w", "max": 10, "claimId": "c"})
    assert [job["jobId"] for job in claimed["jobs"]] == ids
    again = await ws.result("claimJobs", {"workerId": "w", "max": 10, "claimId": "c"})
    assert again == claimed
    refs = [{"jobId": job["jobId"], "lease": job["lease"]} for job in claimed["jobs"]]
    beaten = await ws.result("heartbeatJobs", {"workerId": "w", "jobs": refs, "all": True})
    assert [each["jobId"] for each in beaten["results"]] == ids
    refs.append({"jobId": "none"})
    done = await ws.result("completeJobs", {"workerId": "w", "jobs": refs})
    assert "error" not in done["results"][0]
    assert done["results"][3]["error"]["_tag"] == "JobNotFoundError"


async def test_claim_of_many_when_there_is_nothing_then_an_empty_list(ws: Ws) -> None:
    assert await ws.result("claimJobs", {"workerId": "w"}) == {"jobs": []}


async def test_job_when_failed_released_retried_and_cancelled_then_as_by_rest(
    ws: Ws, rest: Rest
) -> None:
    job_id = (await ws.result("submitJob", {"payload": 1}))["jobId"]
    first = await ws.result("claimJob", {"workerId": "w"})
    lease = {"jobId": job_id, "workerId": "w", "lease": first["lease"]}
    assert await ws.result("releaseJob", lease) == {}
    lease["lease"] = (await ws.result("claimJob", {"workerId": "w"}))["lease"]
    failure = {"error": {"type": "E", "message": "m"}, "retry": False}
    assert await ws.result("failJob", {**lease, **failure}) == {}
    assert await ws.result("failJob", {**lease, **failure}) == {}, "the same answer again"
    dead = await ws.result("getJob", {"jobId": job_id, "consistent": True})
    assert dead == await rest.job(job_id)
    assert dead["status"] == "dead"
    assert await ws.result("retryJob", {"jobId": job_id}) == {}
    assert await ws.result("cancelJob", {"jobId": job_id}) == {}
    assert (await ws.result("getJob", {"jobId": job_id}))["status"] == "cancelled"


@pytest.mark.parametrize(("payload", "kept"), [({"payload": [1]}, {"payload": [1]}), ({}, {})])
async def test_payload_when_asked_for_then_in_an_object_if_there_is_one(
    ws: Ws, payload: dict[str, Any], kept: dict[str, Any]
) -> None:
    job_id = (await ws.result("submitJob", payload))["jobId"]
    assert await ws.result("getPayload", {"jobId": job_id}) == kept


async def test_listing_when_paged_then_as_by_rest(ws: Ws, rest: Rest) -> None:
    await ws.result("submitJobs", {"jobs": [{"type": "a"}, {"type": "b"}, {"type": "a"}]})
    page = await ws.result("listJobs", {"limit": 1, "type": "a"})
    assert page == (await rest.get("/v1/jobs?limit=1&type=a")).json
    rest_of = await ws.result("listJobs", {"cursor": page["nextCursor"], "type": "a"})
    assert [job["type"] for job in rest_of["jobs"]] == ["a"]


async def test_status_when_asked_then_the_leader(ws: Ws, broker: BrokerServer) -> None:
    status = await ws.result("getStatus")
    assert (status["role"], status["address"]) == ("leader", broker.address)


async def test_fail_over_when_nobody_stands_by_then_refused(ws: Ws) -> None:
    assert (await ws.error("failOver"))["_tag"] == "BrokerProtocolError"


async def test_whole_number_when_written_as_a_float_then_taken(ws: Ws) -> None:
    await ws.text(b'{"id":"1","method":"submitJob","params":{"maxAttempts":2.0}}')
    assert (await ws.receive())["ok"]
    assert (await ws.result("claimJob", {"workerId": "w"}))["maxAttempts"] == 2


async def test_commit_when_a_client_knows_of_commits_then_told_beside_the_result(
    ws: Ws, rest: Rest
) -> None:
    asked = await rest.get("/v1/stats?consistent=true")
    answer = await ws.ask("submitJob", {"jobId": "j"}, v=1)
    assert list(answer) == ["id", "ok", "result", "commit"]
    epoch, _, number = answer["commit"].partition("-")
    assert (int(epoch), int(number)) == (asked.commit[0], asked.commit[1] + 1)
    refused = await ws.ask("submitJob", {"jobId": "j", "type": "other"}, v=1)
    assert list(refused) == ["id", "ok", "error", "commit"]


@pytest.mark.parametrize("version", [0, None])
async def test_commit_when_a_client_does_not_know_of_commits_then_not_told(
    ws: Ws, version: int | None
) -> None:
    assert list(await ws.ask("submitJob", {}, v=version)) == ["id", "ok", "result"]


async def test_version_when_it_is_no_number_then_refused(ws: Ws) -> None:
    assert "`v`" in (await ws.error("getStats", {}, v="1"))["message"]


@pytest.mark.parametrize("id_", ["x" * 2_000, {"deep": ["x" * 2_000]}])
async def test_id_when_too_long_then_refused_without_one(ws: Ws, id_: object) -> None:
    await ws.text(json_bytes({"id": id_, "method": "getStats"}))
    answer = await ws.receive()
    assert (answer["id"], answer["error"]["_tag"]) == (None, "BrokerProtocolError")
    assert "`id`" in answer["error"]["message"]


async def test_message_when_nested_too_deep_then_said_under_its_id(ws: Ws) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    await ws.text(b'{"id":"7","method":"submitJob","params":{"payload":%b}}' % deep)
    answer = await ws.receive()
    assert (answer["id"], "nested too deep" in answer["error"]["message"]) == ("7", True)
    deep = b"[" * 201 + b"]" * 201
    await ws.text(b'{"id":"8","method":"submitJob","params":{"payload":%b}}' % deep)
    assert "`payload`" in (await ws.receive())["error"]["message"]


async def test_message_when_in_pieces_with_pings_between_then_taken_whole(ws: Ws) -> None:
    text = json_bytes({"id": 1, "method": "claimJob", "params": {"workerId": "é"}})
    await ws.frame(TEXT, text[:50], fin=False)
    await ws.frame(9, b"between")
    await ws.frame(CONT, text[50:-9], fin=False)  # the cut is inside of a letter
    await ws.frame(CONT, text[-9:])
    assert await ws.raw() == (10, b"between", True)
    assert (await ws.receive())["ok"]


async def test_message_when_large_and_in_pieces_then_taken_whole(ws: Ws) -> None:
    text = json_bytes({"id": 1, "method": "submitJob", "params": {"payload": "y" * 2_500_000}})
    await ws.frame(TEXT, text[:900_000], fin=False)
    await ws.frame(CONT, text[900_000:2_200_000], fin=False)
    await ws.frame(9, b"still there")
    await ws.frame(CONT, text[2_200_000:])
    assert await ws.raw() == (10, b"still there", True)
    job_id = (await ws.receive())["result"]["jobId"]
    assert len((await ws.result("getPayload", {"jobId": job_id}))["payload"]) == 2_500_000


async def test_message_when_large_and_no_submit_then_refused_and_the_connection_stays(
    ws: Ws,
) -> None:
    error = await ws.error("submitJobs", {"jobs": [{"payload": "x" * 1_100_000}]})
    assert (error["_tag"], "submitJob" in error["message"]) == ("BrokerProtocolError", True)
    assert (await ws.result("listJobs"))["jobs"] == []


async def test_message_when_beyond_the_limit_then_closed_before_it_has_come() -> None:
    settings = BrokerSettings(server=ServerSettings(payload_bytes_max=2_000_000))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker,
        await Ws.open(broker) as ws,
    ):
        refused = await ws.error("submitJob", {"payload": "x" * 2_100_000})
        assert "payload is larger than 2000000 bytes" in refused["message"]
        size = 2_000_000 + 2**20 + 1
        await ws.wire.send(b"\x81\xff" + size.to_bytes(8, "big") + b"mask")
        assert (await ws.closed()).code == 1009


async def test_answer_when_large_then_in_pieces_between_which_pings_are_answered() -> None:
    limits = QueueLimits(payload_inline_max=2**20)
    async with (
        BrokerServer(
            "memory://", host="127.0.0.1", port=0, settings=BrokerSettings(limits=limits)
        ) as broker,
        await Ws.open(broker) as ws,
    ):
        for _ in range(8):
            await ws.result("submitJob", {"payload": "z" * 900_000})
        await ws.send("listJobs")
        await ws.frame(9, b"?")
        kinds = [await ws.raw()]
        while kinds[-1][0] == 10 or not kinds[-1][2]:
            kinds.append(await ws.raw())
        opcodes = [opcode for opcode, _, _ in kinds]
        assert 10 in opcodes[:-1]
        opcodes.remove(10)
        assert opcodes == [TEXT, *[CONT] * (len(opcodes) - 1)]
        assert len(opcodes) > 20
        claimed = await ws.result("claimJobs", {"workerId": "w", "max": 8})
        assert [len(job["payload"]) for job in claimed["jobs"]] == [900_000] * 8


async def test_job_when_its_wait_is_cancelled_then_it_is_forgotten_and_others_wait_on(
    ws: Ws, rest: Rest
) -> None:
    job_id = await rest.submit(payload=1)
    params = {"jobId": job_id, "waitMs": 60_000}
    first, second = await ws.send("getJob", params), await ws.send("getJob", params)
    cancel = await ws.send("cancel", {"id": first})
    answers = [await ws.receive(), await ws.receive()]
    assert {"id": cancel, "ok": True, "result": {"cancelled": True}} in answers
    assert {"id": first, "ok": True, "result": {}} in answers
    await rest.send("DELETE", f"/v1/jobs/{job_id}")
    last = await ws.receive()
    assert (last["id"], last["result"]["status"]) == (second, "cancelled")
