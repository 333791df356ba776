"""What goes beyond the older clients: leases, waiting claims, failing, releasing, replaying."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from tests.integration.rest import Rest, eventually, waiting_claims

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, QueueLimits

ERROR = {"type": "ValueError", "message": "no such order"}
ENDINGS: dict[str, dict[str, Any]] = {"complete": {}, "release": {}, "fail": {"error": ERROR}}


async def test_claim_when_it_asks_for_max_then_up_to_that_many_with_all_they_need(
    rest: Rest,
) -> None:
    ids = [await rest.submit(payload=n, type="t", priority=1) for n in range(3)]
    two = await rest.claim("w", max=2)
    assert [job["jobId"] for job in two] == ids[:2]
    assert [job["payload"] for job in two] == [0, 1]
    (job, _) = two
    assert (job["type"], job["attempt"], job["maxAttempts"], job["priority"]) == ("t", 1, 3, 1)
    assert job["lease"] != two[1]["lease"]
    assert [job["jobId"] for job in await rest.claim("w", max=1000)] == ids[2:]


async def test_claim_when_it_asks_for_max_and_finds_nothing_then_an_empty_list(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/claim", {"workerId": "w", "max": 5})
    assert answer.body == b'{"jobs":[]}'


async def test_claim_when_it_waits_then_a_submitted_job_comes_at_once(
    rest: Rest, broker: BrokerServer
) -> None:
    waiting = asyncio.create_task(rest.claim("w", waitMs=60_000, types=["a"]))
    await eventually(lambda: waiting_claims(broker) == 1)
    await rest.submit(type="b")
    job_id = await rest.submit(type="a")
    async with asyncio.timeout(5):
        assert (await waiting)["jobId"] == job_id


async def test_claim_when_its_wait_is_over_then_it_is_answered_empty(rest: Rest) -> None:
    async with asyncio.timeout(5):
        assert await rest.claim("w", waitMs=30) == {}
        assert await rest.claim("w", waitMs=30, max=3) == []


async def test_claims_when_many_wait_then_each_job_goes_to_the_one_that_waits_longest(
    rest: Rest, broker: BrokerServer
) -> None:
    claims: list[asyncio.Task[Any]] = []
    for n in range(4):
        claims.append(asyncio.create_task(rest.claim(f"w{n}", waitMs=60_000)))
        await eventually(lambda: waiting_claims(broker) == len(claims))
    batch = {"jobs": [{"payload": n} for n in range(4)]}
    await rest.post("/v1/jobs/batch", batch)
    async with asyncio.timeout(5):
        assert [job["payload"] for job in await asyncio.gather(*claims)] == [0, 1, 2, 3]


async def test_claim_when_repeated_with_its_id_then_the_same_leases(rest: Rest) -> None:
    for n in range(5):
        await rest.submit(payload=n)
    first = await rest.claim("w", max=2, claimId="c-1")
    again = await rest.claim("w", max=2, claimId="c-1")
    other = await rest.claim("w", max=2, claimId="c-2")
    assert again == first
    assert [job["payload"] for job in other] == [2, 3]


async def test_claim_when_repeated_by_another_worker_then_other_leases(rest: Rest) -> None:
    await rest.submit(payload=0)
    await rest.submit(payload=1)
    await rest.claim("w", claimId="c")
    assert (await rest.claim("v", claimId="c"))["payload"] == 1


async def test_claim_when_repeated_while_the_first_still_waits_then_the_repeat_gets_the_job(
    rest: Rest, broker: BrokerServer
) -> None:
    first = asyncio.create_task(rest.claim("w", waitMs=60_000, claimId="c"))
    await eventually(lambda: waiting_claims(broker) == 1)
    second = asyncio.create_task(rest.claim("w", waitMs=60_000, claimId="c"))
    async with asyncio.timeout(5):
        assert await first == {}
        await rest.submit(payload="late")
        assert (await second)["payload"] == "late"


@pytest.mark.parametrize("action", ENDINGS)
async def test_lease_when_it_is_right_then_204_whoever_asks(rest: Rest, action: str) -> None:
    job_id = await rest.submit()
    lease = (await rest.claim("w"))["lease"]
    body = {"workerId": "moved", "lease": lease, **ENDINGS[action]}
    assert (await rest.post(f"/v1/jobs/{job_id}/heartbeat", body)).status == 204
    assert (await rest.post(f"/v1/jobs/{job_id}/{action}", body)).status == 204


@pytest.mark.parametrize("action", [*ENDINGS, "heartbeat"])
async def test_lease_when_stale_then_409_even_for_the_same_worker(rest: Rest, action: str) -> None:
    job_id = await rest.submit()
    stale = (await rest.claim("w"))["lease"]
    await rest.post(f"/v1/jobs/{job_id}/release", {"workerId": "w", "lease": stale})
    await rest.claim("w")
    body = {"workerId": "w", "lease": "0" * 24, **ENDINGS.get(action, {})}
    answer = await rest.post(f"/v1/jobs/{job_id}/{action}", body)
    assert (answer.status, answer.tag) == (409, "LeaseLostError")
    assert job_id in answer.message
    assert (await rest.job(job_id))["status"] == "in_progress"


@pytest.mark.parametrize("action", ENDINGS)
async def test_ending_when_repeated_with_the_lease_then_the_first_answer_again(
    rest: Rest, action: str
) -> None:
    job_id = await rest.submit()
    body = {"workerId": "w", "lease": (await rest.claim("w"))["lease"], **ENDINGS[action]}
    first = await rest.post(f"/v1/jobs/{job_id}/{action}", body)
    before = await rest.state()
    again = await rest.post(f"/v1/jobs/{job_id}/{action}", body)
    assert first.status == again.status == 204
    assert await rest.state() == before


@pytest.mark.parametrize("action", ENDINGS)
async def test_ending_when_another_end_came_first_then_409(rest: Rest, action: str) -> None:
    job_id = await rest.submit()
    lease = (await rest.claim("w"))["lease"]
    first = "release" if action != "release" else "complete"
    await rest.post(f"/v1/jobs/{job_id}/{first}", {"workerId": "w", "lease": lease})
    body = {"workerId": "w", "lease": lease, **ENDINGS[action]}
    answer = await rest.post(f"/v1/jobs/{job_id}/{action}", body)
    assert (answer.status, answer.tag) == (409, "LeaseLostError")


async def test_release_when_done_then_the_attempt_does_not_count(rest: Rest) -> None:
    job_id = await rest.submit(maxAttempts=1)
    for _ in range(3):
        job = await rest.claim("w")
        assert (job["jobId"], job["attempt"]) == (job_id, 1)
        await rest.post(f"/v1/jobs/{job_id}/release", {"workerId": "w", "lease": job["lease"]})
    assert (await rest.job(job_id))["attempts"] == 0


async def test_release_when_done_then_the_job_stands_where_it_stood(rest: Rest) -> None:
    first, second = await rest.submit(), await rest.submit()
    await rest.claim("w")
    await rest.post(f"/v1/jobs/{first}/release", {"workerId": "w"})
    assert [(await rest.claim("w"))["jobId"] for _ in range(2)] == [first, second]


async def test_fail_when_attempts_are_left_then_the_job_comes_again_with_its_error(
    rest: Rest,
) -> None:
    job_id = await rest.submit(payload=1)
    await rest.claim("w")
    error = {**ERROR, "traceback": "line 1\nline 2"}
    body = {"workerId": "w", "error": error, "delayMs": 0}
    await rest.post(f"/v1/jobs/{job_id}/fail", body)
    job = await rest.job(job_id)
    noted = {**error, "at": job["lastError"]["at"], "attempt": 1, "workerId": "w"}
    assert (job["status"], job["attempts"], job["lastError"]) == ("unclaimed", 1, noted)
    assert (await rest.claim("w"))["attempt"] == 2


async def test_fail_when_no_delay_is_said_then_the_job_waits_by_its_policy(rest: Rest) -> None:
    policy = {"baseMs": 3_600_000, "jitter": 0, "maxMs": 7_200_000}
    job_id = await rest.submit(retry=policy)
    await rest.claim("w")
    await rest.post(f"/v1/jobs/{job_id}/fail", {"workerId": "w", "error": ERROR})
    job = await rest.job(job_id)
    assert job["runAt"] == job["lastError"]["at"] + 3_600_000
    assert job["retry"] == policy
    assert await rest.claim("w") == {}


async def test_fail_when_delayed_then_the_job_waits(rest: Rest) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    body = {"workerId": "w", "error": ERROR, "delayMs": 3_600_000}
    await rest.post(f"/v1/jobs/{job_id}/fail", body)
    assert await rest.claim("w") == {}
    assert (await rest.get("/v1/stats")).json["delayed"] == 1


async def test_fail_when_it_must_not_be_retried_then_a_dead_letter_at_once(rest: Rest) -> None:
    job_id = await rest.submit(maxAttempts=10)
    await rest.claim("w")
    body = {"workerId": "w", "error": ERROR, "retry": False}
    await rest.post(f"/v1/jobs/{job_id}/fail", body)
    job = await rest.job(job_id)
    noted = {**ERROR, "at": job["lastError"]["at"], "attempt": 1, "workerId": "w"}
    assert (job["status"], job["lastError"]) == ("dead", noted)
    stats = (await rest.get("/v1/stats")).json
    assert (stats["total"], stats["dead"], stats["deadTotal"]) == (0, 1, 1)


async def test_fail_when_its_texts_are_long_then_they_are_cut_to_the_telling_end(
    rest: Rest,
) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    error = {"type": "E", "message": "m" * 100_000, "traceback": "t" * 100_000 + "the end"}
    await rest.post(f"/v1/jobs/{job_id}/fail", {"workerId": "w", "error": error})
    kept = (await rest.job(job_id))["lastError"]
    assert len(kept["message"]) == len(kept["traceback"]) == 8192
    assert kept["traceback"].endswith("the end")


async def dead_letter(rest: Rest) -> str:
    job_id = await rest.submit(payload={"keep": "me"}, type="t")
    await rest.claim("w")
    body = {"workerId": "w", "error": ERROR, "retry": False}
    assert (await rest.post(f"/v1/jobs/{job_id}/fail", body)).status == 204
    return job_id


async def test_retry_when_it_is_a_dead_letter_then_it_starts_anew(rest: Rest) -> None:
    job_id = await dead_letter(rest)
    assert (await rest.post(f"/v1/jobs/{job_id}/retry")).status == 204
    job = await rest.claim("w")
    assert (job["jobId"], job["attempt"], job["payload"]) == (job_id, 1, {"keep": "me"})


async def test_retry_when_repeated_or_not_needed_then_204_and_nothing_changes(rest: Rest) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    before = await rest.state()
    assert (await rest.post(f"/v1/jobs/{job_id}/retry")).status == 204
    assert await rest.state() == before


async def test_retry_when_unknown_then_404(rest: Rest) -> None:
    answer = await rest.post("/v1/jobs/ghost/retry")
    assert (answer.status, answer.tag) == (404, "JobNotFoundError")


async def test_cancel_when_it_waits_then_it_is_over_and_known_as_cancelled(rest: Rest) -> None:
    job_id = await rest.submit(type="t")
    first, again = [await rest.delete(f"/v1/jobs/{job_id}") for _ in range(2)]
    assert (first.status, again.status) == (204, 204)
    assert await rest.claim("w") == {}
    job = await rest.job(job_id)
    assert (job["status"], job["type"]) == ("cancelled", "t")
    assert "payload" not in job


async def test_cancel_when_it_runs_then_its_worker_has_lost_it(rest: Rest) -> None:
    job_id = await rest.submit()
    lease = (await rest.claim("w"))["lease"]
    assert (await rest.delete(f"/v1/jobs/{job_id}")).status == 204
    body = {"workerId": "w", "lease": lease}
    answer = await rest.post(f"/v1/jobs/{job_id}/heartbeat", body)
    assert (answer.status, answer.tag) == (409, "LeaseLostError")


async def test_cancel_when_it_is_a_dead_letter_then_it_is_discarded(rest: Rest) -> None:
    job_id = await dead_letter(rest)
    assert (await rest.delete(f"/v1/jobs/{job_id}")).status == 204
    assert (await rest.job(job_id))["status"] == "discarded"


async def test_cancel_when_completed_or_unknown_then_404(rest: Rest) -> None:
    job_id = await rest.submit()
    await rest.claim("w")
    await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs/ghost"):
        answer = await rest.delete(path)
        assert (answer.status, answer.tag) == (404, "JobNotFoundError")


async def test_get_when_completed_then_it_says_so_without_the_payload(rest: Rest) -> None:
    job_id = await rest.submit(payload={"secret": 1}, type="t")
    await rest.claim("w")
    await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
    job = await rest.job(job_id)
    assert (job["status"], job["workerId"], job["attempts"]) == ("completed", "w", 1)
    assert job["endedAt"] >= job["createdAt"]
    assert "payload" not in job


async def test_lease_when_it_expires_then_the_job_goes_ahead_of_later_ones(
    session: aiohttp.ClientSession,
) -> None:
    settings = BrokerSettings(limits=QueueLimits(lease_timeout_ms=1_000))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        first = await rest.submit(type="t")
        lost = (await rest.claim("slow", types=["t"]))["lease"]
        async with asyncio.timeout(20):
            waiting = asyncio.create_task(rest.claim("quick", types=["t"], waitMs=15_000))
            await eventually(lambda: waiting_claims(broker) == 1)
            job = await waiting
        assert (job["jobId"], job["attempt"]) == (first, 2)
        assert job["lease"] != lost
        answer = await rest.post(f"/v1/jobs/{first}/complete", {"workerId": "slow", "lease": lost})
        assert (answer.status, answer.tag) == (409, "LeaseLostError")
        assert (await rest.job(first))["lastError"]["type"] == "LeaseExpired"
