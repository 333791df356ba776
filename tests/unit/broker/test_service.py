"""What each request asks of the engine, and what is made of its outcome."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import UNSET, Raw
from tests.unit.broker.scripted_engine import AT, LEASE, Q, Under

from osqueue.engine.callers import Caller
from osqueue.errors import (
    BrokerProtocolError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
)
from osqueue.model import ops
from osqueue.model.outcomes import (
    Claimed,
    Done,
    Grant,
    LeaseLost,
    NotFound,
    NotWaiting,
    Results,
    Submitted,
)
from osqueue.wire.messages import (
    ClaimRequest,
    FailRequest,
    JobError,
    LeaseRequest,
    PriorityRequest,
    SubmitBatchRequest,
    SubmitRequest,
)


async def test_submit_when_it_says_all_then_the_job_is_asked_for_so() -> None:
    under = Under(Submitted(1))
    request = SubmitRequest(
        payload=Raw(b"[1]"), type="t", max_attempts=2, job_id="j", priority=-1, run_at=5
    )
    reply = await under.service.submit(Q, request, size=77)
    assert (reply.value.job_id, reply.position) == ("j", AT)
    job = ops.NewJob("j", "t", Raw(b"[1]"), 2, -1, 5)
    assert under.op == ops.Submit((job,))
    assert under.engine.options == [{"size": 77}]


async def test_submit_when_it_says_nothing_then_a_fresh_id_and_no_type() -> None:
    under = Under(Submitted(1))
    reply = await under.service.submit(Q, SubmitRequest())
    assert reply.value.job_id == "id-1"
    assert under.op == ops.Submit((ops.NewJob("id-1", "", UNSET, None, 0, None),))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'"\xff"', "UTF-8"),
        (b"[" * 201 + b"]" * 201, "200 levels"),
        (b"9" * 4301, "4300 digits"),
    ],
)
async def test_submit_when_the_payload_cannot_be_kept_then_nothing_is_asked(
    payload: bytes, said: str
) -> None:
    under = Under()
    with pytest.raises(BrokerProtocolError, match="`payload`") as caught:
        await under.service.submit(Q, SubmitRequest(payload=Raw(payload)))
    assert said in caught.value.message
    assert under.engine.asked == []


async def test_submit_batch_when_several_then_their_ids_in_order() -> None:
    under = Under(Submitted(2))
    request = SubmitBatchRequest([SubmitRequest(), SubmitRequest(job_id="mine"), SubmitRequest()])
    reply = await under.service.submit_batch(Q, request, size=5)
    assert reply.value.job_ids == ["id-1", "mine", "id-2"]
    assert [job.id for job in under.op.jobs] == reply.value.job_ids


async def test_submit_batch_when_an_id_stands_twice_then_nothing_is_asked() -> None:
    under = Under()
    request = SubmitBatchRequest([SubmitRequest(job_id="twin"), SubmitRequest(job_id="twin")])
    with pytest.raises(BrokerProtocolError, match="`jobs` holds the job id 'twin' twice"):
        await under.service.submit_batch(Q, request)
    assert under.engine.asked == []


async def test_submit_batch_when_a_payload_cannot_be_kept_then_its_place_is_said() -> None:
    request = SubmitBatchRequest([SubmitRequest(), SubmitRequest(payload=Raw(b'"\xff"'))])
    with pytest.raises(BrokerProtocolError, match=r"`jobs\[1\]\.payload`"):
        await Under().service.submit_batch(Q, request)


@pytest.mark.parametrize(
    ("types", "asked"),
    [
        (None, None),
        ([], None),
        (["a"], ("a",)),
        (["b", "a"], ("b", "a")),
        (["", "a"], ("a",)),
        ([""], ()),
    ],
)
async def test_claim_when_types_are_listed_then_no_untyped_job_is_asked_for(
    types: list[str] | None, asked: tuple[str, ...] | None
) -> None:
    under = Under(Claimed(()))
    await under.service.claim(Q, ClaimRequest(worker_id="w", types=types), Caller())
    assert under.op.types == asked


async def test_claim_when_it_says_all_then_the_engine_is_asked_so() -> None:
    under = Under(Claimed((Grant("j", "t", UNSET, "l", 1, 3, 0, 0),)))
    caller = Caller()
    request = ClaimRequest(worker_id="w", max=5, wait_ms=9, claim_id="c")
    reply = await under.service.claim(Q, request, caller)
    assert [job.job_id for job in reply.value.jobs] == ["j"]
    assert reply.position == AT
    assert under.op == ops.Claim("w", "token-1", None, 5, "c")
    (options,) = under.engine.options
    assert (options["wait_ms"], options["caller"]) == (9, caller)


async def test_claim_when_repeated_then_its_leases_are_of_another_seed() -> None:
    under = Under(Claimed(()), Claimed(()))
    for _ in range(2):
        await under.service.claim(Q, ClaimRequest(worker_id="w"), Caller())
    first, second = under.engine.asked
    assert first.lease_seed != second.lease_seed
    assert first.max == 1


ONE = [
    ("heartbeat", LEASE, ops.Heartbeat("w", (ops.LeaseRef("j", "l-1"),))),
    ("complete", LEASE, ops.Complete("w", (ops.LeaseRef("j", "l-1"),))),
    ("release", LEASE, ops.Release("w", (ops.LeaseRef("j", "l-1"),))),
]


@pytest.mark.parametrize(("name", "request_", "op"), ONE)
async def test_lease_when_held_then_the_engine_is_asked_and_nothing_is_answered(
    name: str, request_: LeaseRequest, op: ops.Op
) -> None:
    under = Under(Results((Done(),)))
    reply = await getattr(under.service, name)(Q, "j", request_)
    assert (reply.value, reply.position) == (None, AT)
    assert under.op == op


@pytest.mark.parametrize("name", [name for name, *_ in ONE])
@pytest.mark.parametrize(
    ("outcome", "error"), [(NotFound("j"), JobNotFoundError), (LeaseLost("j"), LeaseLostError)]
)
async def test_lease_when_refused_then_the_error_says_on_which_commit_it_rests(
    name: str, outcome: Any, error: type[Exception]
) -> None:
    under = Under(Results((outcome,)))
    with pytest.raises(error) as caught:
        await getattr(under.service, name)(Q, "j", LEASE)
    assert cast("JobNotFoundError", caught.value).position == AT


async def test_fail_when_it_says_all_then_the_error_is_kept_as_json() -> None:
    under = Under(Done())
    error = JobError(type="E", message="é" * 10_000, traceback="a\nb")
    request = FailRequest(worker_id="w", lease="l", error=error, retry=False, delay_ms=5)
    await under.service.fail(Q, "j", request)
    op = under.op
    assert (op.ref, op.retry, op.delay_ms) == (ops.LeaseRef("j", "l"), False, 5)
    kept = bytes(op.error).decode()
    assert kept.startswith('{"type":"E","message":"éé')
    assert kept.count("é") == 8192


@pytest.mark.parametrize(("name", "op"), [("pause", ops.Pause()), ("resume", ops.Resume())])
async def test_queue_when_told_what_to_do_then_the_engine_is_asked(name: str, op: ops.Op) -> None:
    under = Under(Done())
    reply = await getattr(under.service, name)(Q)
    assert reply.position == AT
    assert under.op == op


async def test_priority_when_set_then_the_engine_is_asked() -> None:
    under = Under(Done())
    await under.service.set_priority(Q, "j", PriorityRequest(priority=3))
    assert under.op == ops.SetPriority("j", 3)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (NotWaiting("j", "in_progress"), "job j is held by a worker; only a job that waits"),
        (NotWaiting("j", "dead"), "job j is dead; queue it again first"),
        (NotWaiting("j", "cancelled"), "job j is over: cancelled"),
    ],
)
async def test_priority_when_the_job_does_not_wait_then_it_says_what_it_is(
    outcome: NotWaiting, says: str
) -> None:
    with pytest.raises(JobStateError) as caught:
        await Under(outcome).service.set_priority(Q, "j", PriorityRequest(priority=3))
    assert caught.value.message.startswith(says)
    assert caught.value.position == AT


@pytest.mark.parametrize(("name", "op"), [("cancel", ops.Cancel("j")), ("retry", ops.Retry("j"))])
async def test_job_when_told_what_to_do_then_the_engine_is_asked(name: str, op: ops.Op) -> None:
    under = Under(Done())
    reply = await getattr(under.service, name)(Q, "j")
    assert reply.position == AT
    assert under.op == op
