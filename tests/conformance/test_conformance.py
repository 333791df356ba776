"""The wire contract, row by row, on every way into a broker.

Each row is asked by raw clients (`peers`), so what holds here holds for clients that we did not
write. `python -m tests.conformance` runs this file and writes the table of the documentation.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import pytest
from tests.conformance.conftest import Ask, Calling
from tests.conformance.rows import on, row
from tests.integration.doors import Keys

from osqueue.app import BrokerServer
from osqueue.config import BATCH_JOBS_MAX
from osqueue.wire.messages import WorkerInfo
from osqueue.wire.roles import Role

WORKER = "w-1"


async def submitted(peer: Ask, payload: object = None, **fields: Any) -> str:
    said = await peer.ask("submitJob", payload=payload, **fields)
    assert said.tag is None, said
    return str(said.value["jobId"])


async def claimed(peer: Ask, **fields: Any) -> dict[str, Any]:
    said = await peer.ask("claimJob", **{"workerId": WORKER, **fields})
    assert said.tag is None, said
    return said.value


# Submit


@row("submit", "answers an id, a UUID")
async def test_submit_when_asked_then_an_id(peer: Ask) -> None:
    job_id = await submitted(peer, {"a": 1}, type="t")
    assert str(uuid.UUID(job_id)) == job_id


@row("submit", "a payload comes back as it was sent")
@pytest.mark.parametrize(
    "payload", [None, True, 0, -1.5, "", "é\u2028\"'", [], [1, [2]], {"a": {"b": None}}]
)
async def test_payload_when_claimed_then_as_it_was_sent(peer: Ask, payload: object) -> None:
    await submitted(peer, payload, type="t")
    assert (await claimed(peer)).get("payload") == payload


@row("submit", "the id that a client brings is kept, and submitting it again adds nothing")
async def test_submit_when_repeated_then_the_same_id_and_one_job(peer: Ask) -> None:
    for _ in range(2):
        assert await submitted(peer, [1], type="t", jobId="my-own_id.1~") == "my-own_id.1~"
    assert (await peer.ask("getStats")).value["total"] == 1


@row("submit", "the same id with another payload or type is refused", "JobIdConflictError")
@pytest.mark.parametrize("other", [{"payload": 2, "type": "t"}, {"payload": 1, "type": "u"}])
async def test_submit_when_the_id_is_another_jobs_then_conflict(
    peer: Ask, other: dict[str, Any]
) -> None:
    await submitted(peer, 1, type="t", jobId="mine")
    said = await peer.ask("submitJob", jobId="mine", **other)
    peer.expect(said, "JobIdConflictError", http="409", rpc="already_exists")


@row("submit", "an invalid job id, a type or count beyond its bound is refused", "400")
@pytest.mark.parametrize(
    "fields", [{"jobId": "a/b"}, {"jobId": "x" * 129}, {"type": "t" * 257}, {"maxAttempts": -1}]
)
async def test_submit_when_a_field_breaks_its_limit_then_refused(
    peer: Ask, fields: dict[str, Any]
) -> None:
    said = await peer.ask("submitJob", payload=1, **fields)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert next(iter(fields)) in said.message
    assert (await peer.ask("getStats")).value.get("total", 0) == 0


@row("submit", "types are checked: none is stored that others could not read", "400")
@pytest.mark.parametrize(
    "fields", [{"type": 42}, {"maxAttempts": 1.5}, {"maxAttempts": "five"}, {"type": ["t"]}]
)
async def test_submit_when_a_type_is_wrong_then_refused(loose: Ask, fields: dict[str, Any]) -> None:
    said = await loose.ask("submitJob", payload=1, **fields)
    loose.expect(said, None, http="400", rpc="invalid_argument")
    assert (await loose.ask("getStats")).value.get("total", 0) == 0


@row("submit", "a batch is all or nothing; at most 1,000 jobs, each id once", "400")
async def test_submit_batch_when_one_is_invalid_then_none_is_added(peer: Ask) -> None:
    jobs = [{"payload": at, "type": "t"} for at in range(3)]
    answer = await peer.ask("submitJobs", jobs=jobs)
    assert len(answer.value["jobIds"]) == 3
    too_many = [{"payload": 1}] * (BATCH_JOBS_MAX + 1)
    for bad in (
        [*jobs, {"payload": 1, "jobId": "a/b"}],
        [{"payload": 1, "jobId": "twice"}] * 2,
        too_many,
    ):
        said = await peer.ask("submitJobs", jobs=bad)
        peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert (await peer.ask("getStats")).value["total"] == 3


@row("submit", "a job waits until those are completed that it is to run after")
async def test_submit_when_it_is_to_run_after_others_then_handed_out_when_they_are_done(
    peer: Ask,
) -> None:
    jobs = [{"type": "t", "jobId": "a"}, {"type": "t", "jobId": "b", "after": ["a"]}]
    assert (await peer.ask("submitJobs", jobs=jobs)).tag is None
    seen = (await peer.ask("getJob", jobId="b")).value
    assert (seen["status"], seen["after"], seen["waitsFor"]) == ("unclaimed", ["a"], ["a"])
    assert (await peer.ask("getStats")).value["waiting"] == 1
    lease = (await claimed(peer))["lease"]
    assert "jobId" not in await claimed(peer)
    done = await peer.ask("completeJob", jobId="a", workerId=WORKER, lease=lease)
    assert done.tag is None
    assert (await claimed(peer))["jobId"] == "b"
    assert "waitsFor" not in (await peer.ask("getJob", jobId="b")).value


@row("submit", "a job whose parent is not known before it is refused", "ParentJobError")
async def test_submit_when_its_parent_is_not_known_then_refused_as_a_whole(peer: Ask) -> None:
    jobs = [{"type": "t", "jobId": "b", "after": ["a"]}, {"type": "t", "jobId": "a"}]
    said = await peer.ask("submitJobs", jobs=jobs)
    peer.expect(said, "ParentJobError", http="409", rpc="failed_precondition")
    assert "parents first" in said.message
    assert (await peer.ask("getStats")).value.get("total", 0) == 0


@row("submit", "a job after itself, after one twice, or after more than 100 is refused", "400")
@pytest.mark.parametrize("after", [["me"], ["a", "a"], ["a/b"], [f"j{n}" for n in range(101)]])
async def test_submit_when_what_it_is_to_run_after_makes_no_sense_then_refused(
    peer: Ask, after: list[str]
) -> None:
    await submitted(peer, jobId="a")
    said = await peer.ask("submitJob", jobId="me", after=after)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert "after" in said.message


@row("submit", "large payloads are taken, and come back")
async def test_submit_when_the_payload_has_a_megabyte_then_it_comes_back(peer: Ask) -> None:
    text = "x" * (900 * 1024)
    await submitted(peer, text, type="big")
    assert (await claimed(peer))["payload"] == text


@row("submit", "time-out, retry policy and the wish for a result are kept, shown and handed out")
async def test_submit_when_it_says_how_to_be_tried_then_so_it_is_kept(peer: Ask) -> None:
    policy = {"baseMs": 50, "factor": 3, "maxMs": 900, "jitter": 0}
    job_id = await submitted(peer, 1, type="t", retry=policy, timeoutMs=1500, keepResult=True)
    job = await claimed(peer)
    assert (job["timeoutMs"], job["keepResult"]) == (1500, True)
    shown = (await peer.ask("getJob", jobId=job_id)).value
    assert (shown["retry"], shown["timeoutMs"], shown["keepResult"]) == (policy, 1500, True)


@row("submit", "a retry policy beyond its bounds is refused", "400")
@pytest.mark.parametrize("odd", [{"factor": 0.5}, {"jitter": 1.5}, {"baseMs": -1}])
async def test_submit_when_its_policy_is_out_of_bounds_then_refused(
    peer: Ask, odd: dict[str, float]
) -> None:
    said = await peer.ask("submitJob", payload=1, type="t", retry=odd)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")


# Claim


@row("claim", "nothing to claim is an empty answer")
async def test_claim_when_there_is_nothing_then_empty(peer: Ask) -> None:
    assert (await claimed(peer)) == {}
    assert (await peer.ask("claimJobs", workerId=WORKER, max=5)).value.get("jobs", []) == []


@row("claim", "first in, first out; of the types asked for, or of any")
async def test_claim_when_types_are_given_then_the_first_of_those(peer: Ask) -> None:
    ids = [await submitted(peer, at, type=type_) for at, type_ in enumerate(["a", "b", "", "b"])]
    assert (await claimed(peer, types=["b"]))["jobId"] == ids[1]
    assert (await claimed(peer, types=["nope"])) == {}
    untyped = [(await claimed(peer, types=types))["jobId"] for types in ([], ["a", "b"], [])]
    assert untyped == [ids[0], ids[3], ids[2]]


@row("claim", "a lease, the attempt and what was asked for come along")
async def test_claim_when_granted_then_lease_and_attempt(peer: Ask) -> None:
    await submitted(peer, 1, type="t", maxAttempts=5, priority=7)
    job = await claimed(peer)
    assert job["lease"]
    assert (job["attempt"], job["maxAttempts"], job["priority"], job["type"]) == (1, 5, 7, "t")
    assert job["createdAt"] > 1_700_000_000_000


@row("claim", "repeated under its `claimId`, it brings the same jobs")
async def test_claim_when_repeated_then_the_same_jobs(peer: Ask) -> None:
    for at in range(3):
        await submitted(peer, at, type="t")
    asked = {"workerId": WORKER, "max": 2, "claimId": "once"}
    first, again = [(await peer.ask("claimJobs", **asked)).value["jobs"] for _ in range(2)]
    assert [job["lease"] for job in first] == [job["lease"] for job in again]
    assert (await peer.ask("getStats")).value["inProgress"] == 2


@row("claim", "may wait for a job, which then comes at once")
async def test_claim_when_it_waits_then_a_later_job_comes(
    peer: Ask, other: Ask, broker: BrokerServer
) -> None:
    waiting = asyncio.ensure_future(claimed(peer, waitMs=15_000))
    async with asyncio.timeout(10):
        while not broker.waiting_claims:
            assert not waiting.done(), "it waits"
            await other.ask("getStatus")
    job_id = await submitted(other, "now", type="t")
    assert (await waiting)["jobId"] == job_id


@row("claim", "without a worker's id it is refused", "400")
async def test_claim_when_no_worker_is_named_then_refused(peer: Ask) -> None:
    said = await peer.ask("claimJob")
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert "workerId" in said.message


@row("claim", "`types` that is no list is refused, and harms no other request", "400")
@pytest.mark.parametrize("types", [{"length": 2}, "t1", 5, [1]])
async def test_claim_when_types_is_no_list_then_refused(
    loose: Ask, other: Ask, types: object
) -> None:
    await submitted(other, 1, type="t1")
    said, job = await asyncio.gather(
        loose.ask("claimJob", workerId=WORKER, types=types), claimed(other)
    )
    loose.expect(said, None, http="400", rpc="invalid_argument")
    assert job["type"] == "t1"


@row("claim", "at most so many of a type, where that is said, and none of one with 0")
async def test_claim_when_capped_by_type_then_no_more_of_it(peer: Ask) -> None:
    for number in range(2):
        await submitted(peer, f"a{number}", type="a")
        await submitted(peer, f"b{number}", type="b")
    said = await peer.ask("claimJobs", workerId=WORKER, max=9, maxByType={"a": 1})
    assert [job["payload"] for job in said.value["jobs"]] == ["a0", "b0", "b1"]
    said = await peer.ask("claimJobs", workerId=WORKER, max=9, maxByType={"a": 0})
    assert said.value.get("jobs", []) == []


@row("claim", "what it says of the worker is known to those who watch, until it says it anew")
async def test_claim_when_it_tells_of_its_worker_then_that_is_known(
    peer: Ask, broker: BrokerServer
) -> None:
    worker = {"concurrency": 8, "host": "höst", "pid": 7, "version": "1.2", "types": ["t", "u"]}
    for said in ({"worker": worker}, {}):
        assert (await peer.ask("claimJob", workerId=WORKER, **said)).tag is None
    (known,) = broker.workers()
    assert (known.id, msgspec.to_builtins(known.info)) == (WORKER, worker)
    assert (await peer.ask("claimJobs", workerId=WORKER, max=2, worker={"pid": 8})).tag is None
    (known,) = broker.workers()
    assert msgspec.to_builtins(known.info) == {"pid": 8}


@row("claim", "what it says of the worker is bounded", "400")
@pytest.mark.parametrize(
    "odd", [{"concurrency": 0}, {"host": "x" * 257}, {"types": ["t"] * 51}, {"pid": -1}]
)
async def test_claim_when_what_it_tells_is_beyond_its_bounds_then_refused(
    peer: Ask, broker: BrokerServer, odd: dict[str, Any]
) -> None:
    said = await peer.ask("claimJob", workerId=WORKER, worker=odd)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert next(iter(odd)) in said.message
    assert broker.workers() == []


# Leases


@row("lease", "heartbeat and complete by the worker's id alone, as older clients do")
async def test_lease_when_only_the_worker_is_named_then_it_holds(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    await claimed(peer)
    for operation in ("heartbeat", "completeJob"):
        said = await peer.ask(operation, jobId=job_id, workerId=WORKER)
        assert (said.tag, said.value) == (None, {})
    stats = (await peer.ask("getStats")).value
    assert (stats.get("total", 0), stats["completedTotal"]) == (0, 1)


@row("lease", "of an unknown job: refused in every transport", "JobNotFoundError")
@pytest.mark.parametrize("operation", ["heartbeat", "completeJob", "releaseJob"])
async def test_lease_when_the_job_is_unknown_then_not_found(peer: Ask, operation: str) -> None:
    said = await peer.ask(operation, jobId="nobody", workerId=WORKER)
    peer.expect(said, "JobNotFoundError", http="404", rpc="not_found")


@row("lease", "of another worker, stale, or of a job that nobody holds: refused", "LeaseLostError")
@pytest.mark.parametrize("operation", ["heartbeat", "completeJob", "releaseJob"])
async def test_lease_when_it_is_not_held_then_lost(peer: Ask, operation: str) -> None:
    job_id = await submitted(peer, 1, type="t")
    unheld = await peer.ask(operation, jobId=job_id, workerId=WORKER)
    await claimed(peer)
    foreign = await peer.ask(operation, jobId=job_id, workerId="w-2")
    stale = await peer.ask(operation, jobId=job_id, workerId=WORKER, lease="older-0")
    for said in (unheld, foreign, stale):
        peer.expect(said, "LeaseLostError", http="409", rpc="failed_precondition")


@row("lease", "a repeated complete, fail or release gets the first answer again")
@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("completeJob", {}),
        ("releaseJob", {}),
        ("failJob", {"error": {"type": "E", "message": "m"}}),
    ],
)
async def test_end_when_repeated_then_the_first_answer_again(
    peer: Ask, operation: str, more: dict[str, Any]
) -> None:
    job_id = await submitted(peer, 1, type="t")
    lease = (await claimed(peer))["lease"]
    for _ in range(2):
        said = await peer.ask(operation, jobId=job_id, workerId=WORKER, lease=lease, **more)
        assert (said.tag, said.value) == (None, {})


@row("lease", "batches are answered job by job")
@pytest.mark.parametrize("operation", ["heartbeatJobs", "completeJobs"])
async def test_batch_when_one_job_is_not_held_then_only_that_one_is_refused(
    peer: Ask, operation: str
) -> None:
    job_id = await submitted(peer, 1, type="t")
    lease = (await claimed(peer))["lease"]
    jobs = [{"jobId": job_id, "lease": lease}, {"jobId": "nobody"}]
    results = (await peer.ask(operation, workerId=WORKER, jobs=jobs)).value["results"]
    assert [result.get("error", {}).get(peer.tag_key) for result in results] == [
        None,
        "JobNotFoundError",
    ]


@row("lease", "a heartbeat tells how far its job is")
async def test_heartbeat_when_it_tells_progress_then_it_is_shown(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    lease = (await claimed(peer))["lease"]
    progress = {"done": 1.5, "total": 4, "note": "käse"}
    jobs = [{"jobId": job_id, "lease": lease, "progress": progress}]
    assert (await peer.ask("heartbeatJobs", workerId=WORKER, jobs=jobs)).tag is None
    assert (await peer.ask("getJob", jobId=job_id)).value["progress"] == progress


@row("lease", "a heartbeat tells of its worker as a claim does; any word of one is a sign of life")
async def test_heartbeat_when_it_tells_of_its_worker_then_that_is_known(
    peer: Ask, broker: BrokerServer
) -> None:
    told = {"workerId": WORKER, "jobs": [], "worker": {"concurrency": 3}}
    assert (await peer.ask("heartbeatJobs", **told)).tag is None
    for operation in ("heartbeat", "completeJob", "releaseJob"):
        await peer.ask(operation, jobId="nobody", workerId=f"w-{operation}")
    assert [each.id for each in broker.workers()] == [
        "w-releaseJob", "w-completeJob", "w-heartbeat", WORKER,
    ]  # fmt: skip
    assert broker.workers()[-1].info == WorkerInfo(concurrency=3)


# The end


@row("end", "a result is kept with the completed job; a repeated complete changes nothing")
@pytest.mark.parametrize("result", [None, 0, "é", [], {"a": [1, None]}])
async def test_result_when_the_job_is_completed_then_it_is_kept(peer: Ask, result: object) -> None:
    job_id = await submitted(peer, 1, type="t")
    lease = (await claimed(peer))["lease"]
    for brought in (result, "another"):
        said = await peer.ask(
            "completeJob", jobId=job_id, workerId=WORKER, lease=lease, result=brought
        )
        assert said.tag is None
    shown = (await peer.ask("getJob", jobId=job_id)).value
    assert (shown["status"], shown["result"]) == ("completed", result)


@row("end", "a result beyond 64 KiB is refused, and the job stays held", "PayloadValidationError")
async def test_result_when_it_is_too_large_then_refused_and_the_job_is_held(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    held = {"jobId": job_id, "workerId": WORKER, "lease": (await claimed(peer))["lease"]}
    said = await peer.ask("completeJob", **held, result="x" * 65_536)
    peer.expect(said, "PayloadValidationError", http="422", rpc="invalid_argument")
    assert (await peer.ask("completeJob", **held, result="x" * 65_534)).tag is None


@row("end", "a failed job waits by its policy, or by what is said; the last five failures are kept")
async def test_fail_when_it_goes_on_then_it_waits_and_its_failures_are_kept(peer: Ask) -> None:
    policy = {"baseMs": 3_600_000, "jitter": 0, "maxMs": 3_600_000}
    job_id = await submitted(peer, 1, type="t", maxAttempts=9, retry=policy)
    for number in range(7):
        job = await claimed(peer)
        delay = {} if number == 6 else {"delayMs": 0}
        await peer.ask(
            "failJob", jobId=job_id, workerId=WORKER, lease=job["lease"],
            error={"type": "E", "message": str(number)}, **delay,
        )  # fmt: skip
    shown = (await peer.ask("getJob", jobId=job_id)).value
    assert [error["message"] for error in shown["errors"]] == ["2", "3", "4", "5", "6"]
    assert (shown["lastError"]["attempt"], shown["lastError"]["workerId"]) == (7, WORKER)
    assert shown["runAt"] == shown["lastError"]["at"] + 3_600_000
    assert await claimed(peer) == {}


@row("end", "out of attempts is a dead letter: kept, listed, and it can be queued again")
async def test_fail_when_no_attempt_is_left_then_a_dead_letter(peer: Ask) -> None:
    job_id = await submitted(peer, {"k": 1}, type="t", maxAttempts=1)
    lease = (await claimed(peer))["lease"]
    error = {"type": "ValueError", "message": "bad"}
    said = await peer.ask("failJob", jobId=job_id, workerId=WORKER, lease=lease, error=error)
    assert said.tag is None
    listed = (await peer.ask("listJobs", status="dead")).value["jobs"]
    assert [(job["id"], job["lastError"]["message"]) for job in listed] == [(job_id, "bad")]
    assert (await peer.ask("retryJob", jobId=job_id)).tag is None
    assert (await claimed(peer))["payload"] == {"k": 1}


@row("end", "`maxAttempts` 0 and 1 mean one attempt, absent means three")
@pytest.mark.parametrize(("given", "allowed"), [(0, 1), (1, 1), (2, 2), (None, 3)])
async def test_attempts_when_given_then_as_many(peer: Ask, given: int | None, allowed: int) -> None:
    await submitted(peer, 1, type="t", **({} if given is None else {"maxAttempts": given}))
    for attempt in range(1, allowed + 1):
        job = await claimed(peer)
        assert job["attempt"] == attempt
        await peer.ask(
            "failJob", jobId=job["jobId"], workerId=WORKER, lease=job["lease"],
            error={"type": "E", "message": ""}, delayMs=0,
        )  # fmt: skip
    assert (await claimed(peer)) == {}
    assert (await peer.ask("getStats")).value["dead"] == 1


@row("end", "a released job is ready again, and its attempt does not count")
async def test_release_when_held_then_ready_again(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    job = await claimed(peer)
    said = await peer.ask("releaseJob", jobId=job_id, workerId=WORKER, lease=job["lease"])
    assert said.tag is None
    assert (await claimed(peer))["attempt"] == 1


@row("end", "a cancelled job is gone, and is known as such")
async def test_cancel_when_queued_then_gone(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    assert (await peer.ask("cancelJob", jobId=job_id)).tag is None
    assert (await claimed(peer)) == {}
    assert (await peer.ask("getJob", jobId=job_id)).value["status"] == "cancelled"


# Looking


@row("look", "the counts")
async def test_stats_when_asked_then_the_counts_add_up(peer: Ask) -> None:
    for at in range(3):
        await submitted(peer, at, type="t")
    await claimed(peer)
    stats = (await peer.ask("getStats")).value
    assert (stats["total"], stats["unclaimed"], stats["inProgress"]) == (3, 2, 1)
    assert stats["brokerAddress"] == peer.address


@row("look", "a page of jobs, with the counts; a cursor to the next")
async def test_list_when_limited_then_pages(peer: Ask) -> None:
    ids = [await submitted(peer, at, type="t") for at in range(5)]
    first = (await peer.ask("listJobs", limit=3)).value
    rest = (await peer.ask("listJobs", limit=3, cursor=first["nextCursor"])).value
    assert [job["id"] for job in [*first["jobs"], *rest["jobs"]]] == ids
    assert (first["total"], rest.get("nextCursor")) == (5, None)
    assert [job["payload"] for job in first["jobs"]] == [0, 1, 2]


@row("look", "a page of jobs without their payloads, for who asks so")
async def test_list_when_payloads_are_not_wanted_then_left_out(peer: Ask) -> None:
    job_id = await submitted(peer, {"n": 1}, type="t")
    (job,) = (await peer.ask("listJobs", payloads=False)).value["jobs"]
    assert (job["id"], job["type"], job.get("payload")) == (job_id, "t", None)
    (job,) = (await peer.ask("listJobs", payloads=True)).value["jobs"]
    assert job["payload"] == {"n": 1}


@row("look", "one job, while it is queued, held, and over")
async def test_job_when_looked_at_then_its_status(peer: Ask) -> None:
    job_id = await submitted(peer, [1], type="t")
    before = (await peer.ask("getJob", jobId=job_id)).value
    job = await claimed(peer)
    held = (await peer.ask("getJob", jobId=job_id)).value
    await peer.ask("completeJob", jobId=job_id, workerId=WORKER, lease=job["lease"])
    over = (await peer.ask("getJob", jobId=job_id)).value
    assert (before["status"], before["payload"]) == ("unclaimed", [1])
    assert (held["status"], held["workerId"], held["attempts"]) == ("in_progress", WORKER, 1)
    assert over["status"] == "completed"


@row("look", "one job, waiting until it has ended or is dead")
async def test_job_when_awaited_then_answered_when_it_is_over(
    peer: Ask, other: Ask, broker: BrokerServer
) -> None:
    job_id = await submitted(peer, 1, type="t", maxAttempts=1)
    lease = (await claimed(peer))["lease"]
    shown = (await peer.ask("getJob", jobId=job_id, waitMs=10)).value
    assert shown["status"] == "in_progress"
    awaiting = asyncio.ensure_future(peer.ask("getJob", jobId=job_id, waitMs=60_000))
    async with asyncio.timeout(10):
        while not broker.waiting_ends:
            assert not awaiting.done(), "it waits"
            await other.ask("getStatus")
    await other.ask(
        "failJob", jobId=job_id, workerId=WORKER, lease=lease, error={"type": "E", "message": ""}
    )
    assert (await awaiting).value["status"] == "dead"


@row("look", "an unknown job is refused", "JobNotFoundError")
@pytest.mark.parametrize(
    "operation", ["getJob", "getPayload", "getWorkflow", "cancelJob", "retryJob"]
)
async def test_job_when_unknown_then_not_found(peer: Ask, operation: str) -> None:
    said = await peer.ask(operation, jobId="nobody")
    peer.expect(said, "JobNotFoundError", http="404", rpc="not_found")


@row("look", "the jobs around one: what it runs after, and what runs after it")
async def test_workflow_when_asked_for_then_jobs_and_edges(peer: Ask) -> None:
    jobs: list[dict[str, Any]] = [{"type": "t", "jobId": "a"}, {"jobId": "b", "after": ["a"]}]
    assert (await peer.ask("submitJobs", jobs=jobs)).tag is None
    found = (await peer.ask("getWorkflow", jobId="b")).value
    parent, child = {"id": "a", "status": "unclaimed"}, {"id": "b", "status": "unclaimed"}
    assert found["jobs"] == [{**child, "type": "", "waits": True}, {**parent, "type": "t"}]
    (edge,) = found["edges"]
    pair = edge if isinstance(edge, list) else [edge["parent"], edge["child"]]
    assert pair == ["a", "b"]


@row("look", "a payload by itself")
async def test_payload_when_asked_for_then_the_json(peer: Ask) -> None:
    job_id = await submitted(peer, {"a": [1, None]}, type="t")
    assert (await peer.ask("getPayload", jobId=job_id)).value["payload"] == {"a": [1, None]}


@row("look", "how the broker is doing")
async def test_status_when_asked_then_who_leads(peer: Ask) -> None:
    status = (await peer.ask("getStatus")).value
    assert (status["ready"], status["role"], status["leader"]) == (True, "leader", peer.address)


@row("look", "the job types that were announced, with the schemas of their payloads, and others")
async def test_types_when_announced_then_they_are_told_with_those_of_jobs(peer: Ask) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "title": "Mäil"}
    announced = {"email:send": {"schema": schema}, "a": {}}
    assert (await peer.ask("getTypes")).value.get("types", {}) == {}
    assert (await peer.ask("announceTypes", types=announced)).tag is None
    await submitted(peer, 1, type="queued")
    await submitted(peer, 1, type="")
    types = (await peer.ask("getTypes")).value["types"]
    assert types == {**announced, "queued": {}}


@row("look", "a schema that is no JSON object, or too large, is refused, with all others", "400")
@pytest.mark.parametrize("schema", [[], "x", 1, {"title": "x" * 65_536}])
async def test_types_when_a_schema_cannot_be_kept_then_refused(peer: Ask, schema: object) -> None:
    types = {"good": {}, "bad": {"schema": schema}}
    said = await peer.ask("announceTypes", types=types)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert "'bad'" in said.message
    assert (await peer.ask("getTypes")).value.get("types", {}) == {}


@row("look", "the settings of the broker, without its secrets")
async def test_settings_when_asked_for_then_as_they_hold(peer: Ask) -> None:
    told = {each["name"]: each for each in (await peer.ask("getSettings")).value["settings"]}
    assert told["limits.lease_timeout_ms"]["value"] == 30_000
    assert told["storage"]["value"] == "memory://"
    assert told["server.port"]["value"] == int(peer.address.rpartition(":")[2])


# The queue as a whole, and its order


@row("queue", "while it is paused, claims get nothing, and the counts say so; then all goes on")
async def test_pause_when_jobs_are_ready_then_none_is_handed_out(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t")
    for _ in range(2):
        assert (await peer.ask("pauseQueue")).tag is None
    assert (await claimed(peer)) == {}
    assert (await peer.ask("getStats")).value["paused"] is True
    for _ in range(2):
        assert (await peer.ask("resumeQueue")).tag is None
    assert "paused" not in (await peer.ask("getStats")).value
    assert (await claimed(peer))["jobId"] == job_id


@row("queue", "a claim that waits while it is paused is served when it is resumed")
async def test_pause_when_a_claim_waits_then_resuming_serves_it(
    peer: Ask, other: Ask, broker: BrokerServer
) -> None:
    await peer.ask("pauseQueue")
    await submitted(peer, 1, type="t")
    waiting = asyncio.ensure_future(claimed(other, waitMs=10_000))
    async with asyncio.timeout(10):
        while not broker.waiting_claims:
            assert not waiting.done(), "it waits"
            await peer.ask("getStatus")
    await peer.ask("resumeQueue")
    assert (await waiting)["payload"] == 1


@row("queue", "what is held while it is paused can be kept and completed")
async def test_pause_when_a_job_is_held_then_it_goes_on(peer: Ask) -> None:
    await submitted(peer, 1, type="t")
    job = await claimed(peer)
    await peer.ask("pauseQueue")
    lease = {"jobId": job["jobId"], "workerId": WORKER, "lease": job["lease"]}
    assert (await peer.ask("heartbeat", **lease)).tag is None
    assert (await peer.ask("completeJob", **lease)).tag is None


@row("queue", "a job that waits is given another priority: lower first, then as they came")
async def test_priority_when_set_then_the_order_is_another(peer: Ask) -> None:
    ids = [await submitted(peer, at, type="t") for at in range(3)]
    for job_id, priority in ((ids[0], 5), (ids[2], -1)):
        assert (await peer.ask("setPriority", jobId=job_id, priority=priority)).tag is None
    assert (await peer.ask("getJob", jobId=ids[0])).value["priority"] == 5
    assert [(await claimed(peer))["jobId"] for _ in ids] == [ids[2], ids[1], ids[0]]


@row("queue", "the priority of a job that is held, dead or over is refused", "JobStateError")
async def test_priority_when_the_job_does_not_wait_then_refused(peer: Ask) -> None:
    job_id = await submitted(peer, 1, type="t", maxAttempts=1)
    job = await claimed(peer)
    for status in ("held", "dead", "over"):
        said = await peer.ask("setPriority", jobId=job_id, priority=1)
        peer.expect(said, "JobStateError", http="409", rpc="failed_precondition")
        assert status in said.message
        if status == "held":
            error = {"type": "E", "message": "no"}
            lease = {"jobId": job_id, "workerId": WORKER, "lease": job["lease"]}
            await peer.ask("failJob", **lease, error=error)
        else:
            await peer.ask("cancelJob", jobId=job_id)


@row("queue", "the priority of an unknown job, or one beyond its bound, is refused", "404, 400")
async def test_priority_when_it_cannot_be_then_refused(peer: Ask) -> None:
    said = await peer.ask("setPriority", jobId="nobody", priority=1)
    peer.expect(said, "JobNotFoundError", http="404", rpc="not_found")
    job_id = await submitted(peer, 1, type="t")
    said = await peer.ask("setPriority", jobId=job_id, priority=2**53)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")


# Schedules

HOUR_MS = 3_600_000


@row("schedules", "one is kept, and listed with its next time; the same again changes nothing")
async def test_schedule_when_put_then_listed_with_its_next_time(peer: Ask) -> None:
    nightly = {"name": "nightly", "type": "t", "payload": {"a": [1]}, "cron": "0 3 * * *"}
    first = await peer.ask("putSchedule", **nightly, timezone="Europe/Rome")
    assert first.tag is None, first
    again = await peer.ask("putSchedule", **nightly, timezone="Europe/Rome")
    (listed,) = (await peer.ask("listSchedules")).value["schedules"]
    assert first.value == again.value == listed
    assert listed["payload"] == {"a": [1]}
    assert listed["when"] == "At 03:00 every day, Europe/Rome"
    assert listed["nextAt"] > listed["createdAt"]


@row("schedules", "it is paused, resumed and dropped; to drop what is not there is no error")
async def test_schedule_when_paused_resumed_and_dropped_then_it_is_so(peer: Ask) -> None:
    await peer.ask("putSchedule", name="s", everyMs=HOUR_MS)
    assert (await peer.ask("pauseSchedule", name="s")).tag is None
    (paused,) = (await peer.ask("listSchedules")).value["schedules"]
    assert (paused["paused"], "nextAt" in paused) == (True, False)
    assert (await peer.ask("resumeSchedule", name="s")).tag is None
    (resumed,) = (await peer.ask("listSchedules")).value["schedules"]
    assert ("paused" in resumed, "nextAt" in resumed) == (False, True)
    for _ in range(2):
        assert (await peer.ask("dropSchedule", name="s")).tag is None
    assert (await peer.ask("listSchedules")).value.get("schedules", []) == []


@row("schedules", "it is run beside its times; the same job id again adds nothing")
async def test_schedule_when_run_then_a_job_of_it(peer: Ask) -> None:
    await peer.ask("putSchedule", name="s", type="t", payload=[7], everyMs=HOUR_MS)
    for _ in range(2):
        assert (await peer.ask("runSchedule", name="s", jobId="mine")).value == {"jobId": "mine"}
    fresh = (await peer.ask("runSchedule", name="s")).value["jobId"]
    assert str(uuid.UUID(fresh)) == fresh
    jobs = [await claimed(peer) for _ in range(2)]
    assert [job["jobId"] for job in jobs] == ["mine", fresh]
    assert [job["payload"] for job in jobs] == [[7], [7]]


@row("schedules", "one that comes never, or of which is said both or no time, is refused", "400")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cron": "0 3 * * *", "everyMs": HOUR_MS},
        {"cron": "0 0 30 2 *"},
        {"cron": "often"},
        {"cron": "0 3 * * *", "timezone": "Mars/Olympus"},
        {"everyMs": 999},
    ],
)
async def test_schedule_when_it_cannot_be_then_refused(peer: Ask, fields: dict[str, Any]) -> None:
    said = await peer.ask("putSchedule", name="s", **fields)
    peer.expect(said, "BrokerProtocolError", http="400", rpc="invalid_argument")
    assert (await peer.ask("listSchedules")).value.get("schedules", []) == []


@row("schedules", "one that is not there is not paused, resumed or run", "ScheduleNotFoundError")
@pytest.mark.parametrize("operation", ["pauseSchedule", "resumeSchedule", "runSchedule"])
async def test_schedule_when_there_is_none_then_refused(peer: Ask, operation: str) -> None:
    said = await peer.ask(operation, name="none")
    peer.expect(said, "ScheduleNotFoundError", http="404", rpc="not_found")


# Several brokers, and the store


@row("leader", "a broker that stands by names the leader; nothing was applied",
     "BrokerLeadershipError")  # fmt: skip
@pytest.mark.parametrize("operation", ["submitJob", "claimJob", "getStats", "announceTypes"])
async def test_standby_when_asked_then_it_names_the_leader(
    standby: Ask, leader_address: str, operation: str
) -> None:
    fields: dict[str, Any] = {"claimJob": {"workerId": WORKER}}.get(operation, {})
    if operation == "announceTypes":
        fields = {"types": {"t": {}}}
    if operation == "submitJob":
        fields = {"payload": 1}
    said = await standby.ask(operation, **fields)
    standby.expect(said, "BrokerLeadershipError", http="307", rpc="unavailable")
    assert said.more == {"applied": "no", "leader": leader_address}


@row("leader", "handing over without a standby is refused", "409")
async def test_fail_over_when_nobody_stands_by_then_refused(peer: Ask) -> None:
    said = await peer.ask("failOver")
    peer.expect(said, "BrokerProtocolError", http="409", rpc="invalid_argument")


@row("store", "a change of unknown fate says so", "CommitUnknownError")
async def test_submit_when_the_store_is_gone_then_unknown_or_not_applied(stalled: Ask) -> None:
    said = await stalled.ask("submitJob", payload=1, type="t", jobId="doubtful")
    assert said.tag in {"CommitUnknownError", "EngineStateError"}
    assert said.more["applied"] in {"no", "unknown"}


# Bytes, as an older system has them


@row("bytes", "pushed bytes come back as they were, whether or not they are JSON")
@on("Connect, JSON", "Connect", "gRPC-Web", "gRPC")
@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe", b'{"a":1}', b"plain", b" [1, 2] "])
async def test_push_when_claimed_then_the_same_bytes(peer: Ask, data: bytes) -> None:
    job_id = (await peer.ask("push", data=data)).value["jobId"]
    job = (await peer.ask("claim", workerId=WORKER)).value
    assert (job["jobId"], job.get("data", b"")) == (job_id, data)
    assert (await peer.ask("complete", jobId=job_id, workerId=WORKER)).tag is None
    assert (await peer.ask("claim", workerId=WORKER)).value == {"empty": True}


@row("bytes", "an unknown job, another worker's job: refused", "JobNotFoundError")
@on("Connect, JSON", "Connect", "gRPC-Web", "gRPC")
async def test_complete_when_not_held_then_refused(peer: Ask) -> None:
    said = await peer.ask("complete", jobId="nobody", workerId=WORKER)
    peer.expect(said, "JobNotFoundError", http="404", rpc="not_found")
    job_id = (await peer.ask("push", data=b"x")).value["jobId"]
    await peer.ask("claim", workerId="w-2")
    said = await peer.ask("complete", jobId=job_id, workerId=WORKER)
    peer.expect(said, "LeaseLostError", http="409", rpc="failed_precondition")


# The door

OPEN_TO: dict[str, tuple[str, dict[str, Any]]] = {
    "submitJob": ("produce", {"payload": 1}),
    "claimJob": ("work", {"workerId": WORKER}),
    "getStats": ("observe", {}),
    "failOver": ("admin", {}),
}


@row("door", "without a token, or with an unknown one: refused where tokens are asked for",
     "AuthError, 401")  # fmt: skip
@pytest.mark.parametrize("operation", OPEN_TO)
@pytest.mark.parametrize("token", [None, "osq_no_such", "", "x" * 4_000])
async def test_call_when_no_known_token_is_shown_then_refused(
    locked: BrokerServer, calling: Calling, operation: str, token: str | None
) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    peer = await calling(locked, headers)
    said = await peer.ask(operation, **OPEN_TO[operation][1])
    peer.expect(said, "AuthError", http="401", rpc="unauthenticated", upgrade="401")
    assert token is None or len(token) < 5 or token not in said.message


@row("door", "a token of another role is refused", "AuthError, 403")
@pytest.mark.parametrize("operation", OPEN_TO)
async def test_call_when_the_role_is_another_then_refused(
    locked: BrokerServer, calling: Calling, keys: Keys, operation: str
) -> None:
    needed, fields = OPEN_TO[operation]
    others = [role for role in Role if role not in {needed, Role.ADMIN}]
    for role in others:
        peer = await calling(locked, {"authorization": f"Bearer {keys[role]}"})
        said = await peer.ask(operation, **fields)
        peer.expect(said, "AuthError", http="403", rpc="permission_denied")
        assert needed in said.message


@row("door", "a token of the role, or of `admin`, opens it")
@pytest.mark.parametrize("operation", ["submitJob", "claimJob", "getStats"])
async def test_call_when_the_role_fits_then_answered(
    locked: BrokerServer, calling: Calling, keys: Keys, operation: str
) -> None:
    needed, fields = OPEN_TO[operation]
    for role in (Role(needed), Role.ADMIN):
        peer = await calling(locked, {"authorization": f"bearer  {keys[role]}"})
        assert (await peer.ask(operation, **fields)).tag is None


@row("door", "a revoked token is refused, also on a connection that was open", "AuthError, 401")
async def test_call_when_the_token_was_revoked_meanwhile_then_refused(
    locked: BrokerServer, calling: Calling, keys: Keys
) -> None:
    peer = await calling(locked, {"authorization": f"Bearer {keys[Role.OBSERVE]}"})
    assert (await peer.ask("getStats")).tag is None
    keys.write(keys.made[Role.ADMIN])
    async with asyncio.timeout(10):
        while (said := await peer.ask("getStats")).tag is None and said.value:
            pass
    assert said.tag in {"AuthError", None}
    assert "revoked" in said.message or "not known" in said.message


@row("door", "the pages of a foreign origin are refused", "AuthError, 403")
@on("REST", "WebSocket", "Connect, JSON", "Connect", "gRPC-Web")
async def test_call_when_a_page_is_of_a_foreign_origin_then_refused(
    broker: BrokerServer, calling: Calling
) -> None:
    peer = await calling(broker, {"origin": "http://evil.example"})
    said = await peer.ask("getStats")
    peer.expect(said, "AuthError", http="403", rpc="permission_denied", upgrade="403")
    own = await calling(broker, {"origin": broker.url})
    assert (await own.ask("getStats")).tag is None


# What is no operation


@row("errors", "an operation that there is not is refused", "404")
async def test_operation_when_there_is_none_then_refused(loose: Ask) -> None:
    said = await loose.ask("noSuchThing")
    assert said.tag == "BrokerProtocolError"
