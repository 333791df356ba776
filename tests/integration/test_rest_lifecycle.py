"""Submit, claim, heartbeat and complete as older clients send them: no lease, no options."""

from __future__ import annotations

import re

import pytest
from tests.integration.rest import Rest

from osqueue.clock import SystemClock

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


async def test_submit_when_accepted_then_200_and_a_fresh_uuid_alone(rest: Rest) -> None:
    first = await rest.post("/v1/jobs", {"payload": 1})
    second = await rest.post("/v1/jobs", {"payload": 1})
    assert first.status == 200
    assert list(first.json) == ["jobId"]
    assert UUID7.match(first.json["jobId"])
    assert first.json != second.json


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", None])
async def test_submit_when_the_content_type_is_json_or_absent_then_it_is_taken(
    rest: Rest, kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = await rest.send("POST", "/v1/jobs", b'{"payload":{"a":[1]}}', headers=headers)
    assert answer.status == 200
    assert (await rest.claim())["payload"] == {"a": [1]}


async def test_claim_when_there_is_a_job_then_the_older_keys_stand_first(rest: Rest) -> None:
    job_id = await rest.submit(payload={"to": "x"}, type="mail")
    answer = await rest.post("/v1/jobs/claim", {"workerId": "w"})
    assert answer.status == 200
    assert answer.body.startswith(
        b'{"jobId":"%b","payload":{"to":"x"},"type":"mail"' % job_id.encode()
    )
    assert set(answer.json) >= {"lease", "attempt", "maxAttempts"}


async def test_claim_when_there_is_none_then_200_and_an_empty_object(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/claim", {"workerId": "w"})
    assert (answer.status, answer.body) == (200, b"{}")


async def test_claim_when_the_job_has_no_payload_and_type_then_neither_key_is_there(
    rest: Rest,
) -> None:
    await rest.submit()
    job = await rest.claim()
    assert "payload" not in job
    assert "type" not in job


async def test_claim_when_the_payload_is_null_then_it_stays_null(rest: Rest) -> None:
    await rest.submit(payload=None)
    assert (await rest.claim())["payload"] is None


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b'""',
        b"0",
        b"false",
        b'{"b":1,"a":2}',
        b"1.0",
        b"1e3",
        b'"\\u00e9"',
        b"[1, 2]",
    ],
)
async def test_claim_when_a_payload_was_given_then_its_text_comes_back_unchanged(
    rest: Rest, text: bytes
) -> None:
    answer = await rest.send("POST", "/v1/jobs", b'{"payload":%b}' % text)
    assert answer.status == 200
    claim = await rest.post("/v1/jobs/claim", {"workerId": "w"})
    assert b'"payload":%b,' % text in claim.body


async def test_submit_when_it_has_unknown_fields_then_they_are_ignored(rest: Rest) -> None:
    await rest.submit(payload=1, colour="red", nested={"a": [1, {"b": None}]})
    job = await rest.claim()
    assert job["payload"] == 1
    assert "colour" not in str(await rest.state())


async def test_claim_when_many_wait_then_first_in_first_out(rest: Rest) -> None:
    ids = [await rest.submit(payload=n) for n in range(5)]
    assert [(await rest.claim())["jobId"] for _ in range(5)] == ids


async def test_claim_when_types_are_listed_then_only_those_come_in_order(rest: Rest) -> None:
    ids = [await rest.submit(type=type_) for type_ in ("a", "b", "c", "a")]
    got = [(await rest.claim(types=["a", "c"]))["jobId"] for _ in range(3)]
    assert got == [ids[0], ids[2], ids[3]]
    assert await rest.claim(types=["a", "c"]) == {}


@pytest.mark.parametrize("types", [[], None])
async def test_claim_when_the_types_are_empty_or_null_then_any_job_comes(
    rest: Rest, types: object
) -> None:
    ids = [await rest.submit(type="a"), await rest.submit()]
    assert [(await rest.claim(types=types))["jobId"] for _ in range(2)] == ids


@pytest.mark.parametrize("types", [["a"], [""], ["", "a"]])
async def test_claim_when_types_are_listed_then_untyped_jobs_never_match(
    rest: Rest, types: list[str]
) -> None:
    await rest.submit(payload=1)
    await rest.submit(payload=2, type="")
    assert await rest.claim(types=types) == {}
    assert (await rest.claim())["payload"] == 1


async def test_claim_when_granted_then_observers_see_the_lease(rest: Rest) -> None:
    started = SystemClock().wall_ms()
    job_id = await rest.submit(payload=1)
    await rest.claim("worker-7")
    (job,) = (await rest.get("/v1/jobs")).json["jobs"]
    assert (job["id"], job["status"], job["workerId"]) == (job_id, "in_progress", "worker-7")
    assert job["attempts"] == 1
    assert started - 1000 < job["createdAt"] <= job["heartbeat"] < started + 60_000


async def test_heartbeat_when_the_worker_holds_the_job_then_204_and_time_moves(rest: Rest) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    before = (await rest.job(job_id))["heartbeat"]
    answer = await rest.post(f"/v1/jobs/{job_id}/heartbeat", {"workerId": "w"})
    assert (answer.status, answer.body) == (204, b"")
    assert (await rest.job(job_id))["heartbeat"] >= before


async def test_complete_when_the_worker_holds_the_job_then_it_leaves_the_queue(rest: Rest) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    answer = await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
    assert (answer.status, answer.body) == (204, b"")
    page = (await rest.get("/v1/jobs")).json
    assert (page["jobs"], page["total"], page["completedTotal"]) == ([], 0, 1)


ENDINGS = ["heartbeat", "complete", "release"]


@pytest.mark.parametrize("action", ENDINGS)
async def test_job_when_unknown_then_404(rest: Rest, action: str) -> None:
    answer = await rest.post(f"/v1/jobs/ghost/{action}", {"workerId": "w"})
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")
    assert "ghost" in answer.message


@pytest.mark.parametrize("action", ENDINGS)
async def test_job_when_nobody_claimed_it_then_409(rest: Rest, action: str) -> None:
    job_id = await rest.submit()
    answer = await rest.post(f"/v1/jobs/{job_id}/{action}", {"workerId": "w"})
    assert (answer.status, answer.tag) == (409, "LeaseLostError")
    assert (await rest.job(job_id))["status"] == "unclaimed"


@pytest.mark.parametrize("action", ENDINGS)
async def test_job_when_another_worker_holds_it_then_409_and_it_keeps_it(
    rest: Rest, action: str
) -> None:
    job_id = await rest.submit()
    await rest.claim("mine")
    answer = await rest.post(f"/v1/jobs/{job_id}/{action}", {"workerId": "yours"})
    assert (answer.status, answer.tag) == (409, "LeaseLostError")
    assert (await rest.job(job_id))["workerId"] == "mine"


@pytest.mark.parametrize("action", ENDINGS)
async def test_job_when_completed_before_then_404_says_so(rest: Rest, action: str) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
    answer = await rest.post(f"/v1/jobs/{job_id}/{action}", {"workerId": "w"})
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")
    assert "completed" in answer.message
    assert (await rest.get("/v1/stats")).json["completedTotal"] == 1


@pytest.mark.parametrize(
    ("given", "shown", "tries"), [({}, 0, 3), ({"maxAttempts": None}, 0, 3),
        ({"maxAttempts": 0}, 0, 1), ({"maxAttempts": 1}, 1, 1), ({"maxAttempts": 2}, 2, 2),
        ({"maxAttempts": 2.0}, 2, 2)],
)  # fmt: skip
async def test_attempts_when_each_fails_then_as_many_as_asked_for_and_a_dead_letter(
    rest: Rest, given: dict[str, object], shown: int, tries: int
) -> None:
    job_id = await rest.submit(**given)
    for attempt in range(1, tries + 1):
        job = await rest.claim("w")
        assert (job["jobId"], job["attempt"], job["maxAttempts"]) == (job_id, attempt, tries)
        body = {"workerId": "w", "error": {"type": "E", "message": "no"}, "delayMs": 0}
        assert (await rest.post(f"/v1/jobs/{job_id}/fail", body)).status == 204
    assert await rest.claim("w") == {}
    dead = await rest.job(job_id)
    assert (dead["status"], dead["attempts"], dead["maxAttempts"]) == ("dead", tries, shown)


async def test_submit_when_an_id_is_brought_then_it_is_kept(rest: Rest) -> None:
    assert await rest.submit(jobId="order-17.a~b_c", payload=1) == "order-17.a~b_c"
    assert (await rest.claim())["jobId"] == "order-17.a~b_c"


async def test_submit_when_repeated_with_its_id_then_it_adds_nothing(rest: Rest) -> None:
    for _ in range(3):
        assert await rest.submit(jobId="once", payload={"n": 1}, type="t") == "once"
    assert (await rest.get("/v1/stats")).json["total"] == 1


@pytest.mark.parametrize("other", [{"payload": 2, "type": "t"}, {"payload": 1, "type": "u"}, {}])
async def test_submit_when_the_id_names_another_job_then_409(
    rest: Rest, other: dict[str, object]
) -> None:
    await rest.submit(jobId="taken", payload=1, type="t")
    answer = await rest.post("/v1/jobs", {"jobId": "taken", **other})
    assert (answer.status, answer.tag) == (409, "JobIdConflictError")
    assert "taken" in answer.message
    assert (await rest.job("taken"))["payload"] == 1


async def test_submit_when_the_job_is_over_then_its_id_is_answered_and_nothing_added(
    rest: Rest,
) -> None:
    await rest.submit(jobId="done", payload=1)
    await rest.claim("w")
    await rest.post("/v1/jobs/done/complete", {"workerId": "w"})
    assert await rest.submit(jobId="done", payload=1) == "done"
    assert await rest.claim("w") == {}


async def test_submit_when_delayed_then_it_waits_for_its_time(rest: Rest) -> None:
    later = SystemClock().wall_ms() + 3_600_000
    job_id = await rest.submit(runAt=later)
    assert await rest.claim("w") == {}
    job = await rest.job(job_id)
    assert (job["status"], job["runAt"]) == ("unclaimed", later)
    stats = (await rest.get("/v1/stats")).json
    assert (stats["unclaimed"], stats["delayed"]) == (1, 1)


async def test_submit_when_it_has_a_priority_then_lower_runs_first(rest: Rest) -> None:
    ids = {n: await rest.submit(priority=n) for n in (5, -3, 0, 2**53 - 1, -(2**53 - 1))}
    got = [(await rest.claim("w"))["jobId"] for _ in ids]
    assert got == [ids[n] for n in sorted(ids)]


async def test_answers_when_nothing_new_is_asked_for_then_they_are_byte_for_byte_what_they_were(
    rest: Rest,
) -> None:
    job_id = await rest.submit(payload={"to": "x"}, type="mail")
    created = (await rest.job(job_id))["createdAt"]
    queued = (
        f'{{"id":"{job_id}","status":"unclaimed","payload":{{"to":"x"}},"type":"mail",'
        f'"createdAt":{created},"attempts":0,"maxAttempts":0,"heartbeat":0}}'
    )
    assert (await rest.get(f"/v1/jobs/{job_id}")).body.decode() == queued
    assert (await rest.get("/v1/jobs")).body.decode().endswith(f'"jobs":[{queued}]}}')
    claim = (await rest.post("/v1/jobs/claim", {"workerId": "w"})).body.decode()
    lease = re.search(r'"lease":"([^"]+)"', claim)
    assert lease is not None
    assert claim == (
        f'{{"jobId":"{job_id}","payload":{{"to":"x"}},"type":"mail","lease":"{lease[1]}",'
        f'"attempt":1,"maxAttempts":3,"createdAt":{created},"priority":0}}'
    )
    stored = (await rest.get("/state")).json["jobs"][0]
    assert list(stored) == [
        "id", "status", "payload", "type", "createdAt", "attempts", "workerId", "heartbeat",
        "lease",
    ]  # fmt: skip
