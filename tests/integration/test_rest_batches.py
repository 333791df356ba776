"""Many jobs in one request."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.rest import Rest


async def claimed(rest: Rest, count: int) -> list[dict[str, str]]:
    """References to so many jobs, held by the worker ``w``."""
    await rest.post("/v1/jobs/batch", {"jobs": [{"payload": n} for n in range(count)]})
    jobs = await rest.claim("w", max=count)
    return [{"jobId": job["jobId"], "lease": job["lease"]} for job in jobs]


async def test_submit_when_many_then_their_ids_in_order(rest: Rest) -> None:
    jobs = [{"payload": n, "type": "t", "jobId": f"job-{n}"} for n in range(3)]
    answer = await rest.post("/v1/jobs/batch", {"jobs": [*jobs, {"payload": 3}]})
    assert answer.status == 200
    assert list(answer.json) == ["jobIds"]
    assert answer.json["jobIds"][:3] == ["job-0", "job-1", "job-2"]
    assert [(await rest.claim("w"))["payload"] for _ in range(4)] == [0, 1, 2, 3]


async def test_submit_when_a_thousand_then_all_and_one_more_then_none(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/batch", {"jobs": [{}] * 1000})
    assert len(set(answer.json["jobIds"])) == 1000
    answer = await rest.post("/v1/jobs/batch", {"jobs": [{}] * 1001})
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert "`jobs`" in answer.message
    assert "1000" in answer.message
    assert (await rest.get("/v1/stats")).json["unclaimed"] == 1000


async def test_submit_when_empty_then_no_ids(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/batch", {"jobs": []})
    assert (answer.status, answer.body) == (200, b'{"jobIds":[]}')


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ({"type": 5}, 400),
        ({"maxAttempts": -1}, 400),
        ({"jobId": "no slash / please"}, 400),
        ({"jobId": "same"}, 400),
        ({"jobId": "taken", "payload": "another"}, 409),
    ],
)
async def test_submit_when_one_is_refused_then_none_is_stored(
    rest: Rest, bad: dict[str, Any], status: int
) -> None:
    await rest.submit(jobId="taken", payload="mine")
    before = await rest.state()
    jobs = [{"payload": 1}, {"jobId": "same"}, bad, {"payload": 2}]
    answer = await rest.post("/v1/jobs/batch", {"jobs": jobs})
    assert answer.status == status
    assert await rest.state() == before


async def test_submit_when_a_payload_cannot_be_kept_then_the_message_says_which(rest: Rest) -> None:
    deep = "[" * 300 + "]" * 300
    body = f'{{"jobs":[{{"payload":1}},{{"payload":{deep}}}]}}'.encode()
    answer = await rest.send("POST", "/v1/jobs/batch", body)
    assert answer.status == 400
    assert "`jobs[1].payload`" in answer.message
    assert (await rest.get("/v1/stats")).json["total"] == 0


async def test_submit_when_an_id_stands_twice_then_400_names_it(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/batch", {"jobs": [{"jobId": "twin"}, {"jobId": "twin"}]})
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert "twin" in answer.message


async def test_submit_when_repeated_then_known_ids_are_answered_and_new_ones_added(
    rest: Rest,
) -> None:
    jobs = [{"jobId": f"j{n}", "payload": n} for n in range(3)]
    await rest.post("/v1/jobs/batch", {"jobs": jobs[:2]})
    answer = await rest.post("/v1/jobs/batch", {"jobs": jobs})
    assert answer.json["jobIds"] == ["j0", "j1", "j2"]
    assert (await rest.get("/v1/stats")).json["total"] == 3


@pytest.mark.parametrize("action", ["heartbeat", "complete"])
async def test_batch_when_all_are_held_then_each_is_answered_without_error(
    rest: Rest, action: str
) -> None:
    refs = await claimed(rest, 3)
    answer = await rest.post(f"/v1/jobs/{action}", {"workerId": "w", "jobs": refs})
    assert answer.status == 200
    assert answer.json == {"results": [{"jobId": ref["jobId"]} for ref in refs]}
    done = (await rest.get("/v1/stats")).json["completedTotal"]
    assert done == (3 if action == "complete" else 0)


@pytest.mark.parametrize("action", ["heartbeat", "complete"])
async def test_batch_when_some_are_lost_then_each_gets_its_own_typed_answer(
    rest: Rest, action: str
) -> None:
    held, other, stale = await claimed(rest, 3)
    waiting = await rest.submit()
    jobs = [
        {"jobId": "ghost"},
        {"jobId": held["jobId"]},
        {"jobId": stale["jobId"], "lease": "stale"},
        {"jobId": waiting},
        other,
    ]
    answer = await rest.post(f"/v1/jobs/{action}", {"workerId": "w", "jobs": jobs})
    assert answer.status == 200
    results = answer.json["results"]
    assert [result["jobId"] for result in results] == [job["jobId"] for job in jobs]
    tags = [result.get("error", {}).get("_tag") for result in results]
    assert tags == ["JobNotFoundError", None, "LeaseLostError", "LeaseLostError", None]
    assert "ghost" in results[0]["error"]["message"]


async def test_complete_when_repeated_with_the_leases_then_the_same_answer(rest: Rest) -> None:
    refs = await claimed(rest, 3)
    body = {"workerId": "w", "jobs": refs}
    first = await rest.post("/v1/jobs/complete", body)
    again = await rest.post("/v1/jobs/complete", body)
    assert first.json == again.json
    assert (await rest.get("/v1/stats")).json["completedTotal"] == 3


async def test_heartbeat_when_the_list_is_complete_then_young_leases_are_kept(rest: Rest) -> None:
    refs = await claimed(rest, 2)
    body = {"workerId": "w", "jobs": refs[:1], "all": True}
    answer = await rest.post("/v1/jobs/heartbeat", body)
    assert answer.json == {"results": [{"jobId": refs[0]["jobId"]}]}
    assert (await rest.get("/v1/stats")).json["inProgress"] == 2


@pytest.mark.parametrize("action", ["heartbeat", "complete"])
async def test_batch_when_empty_then_no_results(rest: Rest, action: str) -> None:
    answer = await rest.post(f"/v1/jobs/{action}", {"workerId": "w", "jobs": []})
    assert (answer.status, answer.body) == (200, b'{"results":[]}')


@pytest.mark.parametrize("action", ["heartbeat", "complete"])
async def test_batch_when_a_job_stands_twice_or_there_are_too_many_then_400(
    rest: Rest, action: str
) -> None:
    (ref,) = await claimed(rest, 1)
    many = [{"jobId": f"j{n}"} for n in range(1001)]
    for jobs in ([ref, ref], many):
        answer = await rest.post(f"/v1/jobs/{action}", {"workerId": "w", "jobs": jobs})
        assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
        assert "`jobs`" in answer.message
    assert (await rest.job(ref["jobId"]))["status"] == "in_progress"
