"""Batches, reads and refusals: what is asked of the engine, and what is made of its outcome."""

from __future__ import annotations

from typing import cast

import pytest
from msgspec import Raw
from tests.unit.broker.scripted_engine import AT, COUNTS, LEASE, Q, Under

from osqueue.engine.callers import Caller
from osqueue.errors import (
    BrokerProtocolError,
    JobIdConflictError,
    JobNotFoundError,
    OverloadedError,
)
from osqueue.model import ops
from osqueue.model.outcomes import (
    ArchiveBehind,
    BadCursor,
    Done,
    IdConflict,
    JobView,
    LeaseLost,
    NotFound,
    Outcome,
    Page,
    Results,
    StateFull,
)
from osqueue.wire.messages import (
    ClaimRequest,
    CompleteBatchRequest,
    CompleteRef,
    HeartbeatBatchRequest,
    HeartbeatRef,
    SubmitBatchRequest,
    SubmitRequest,
)
from osqueue.wire.operations import ListQuery


@pytest.mark.parametrize("name", ["heartbeat_batch", "complete_batch"])
async def test_batch_when_answered_then_each_job_gets_its_own(name: str) -> None:
    under = Under(Results((Done(), LeaseLost("b"), NotFound("c"))))
    held = [("a", "l"), ("b", None), ("c", None)]
    request: object
    if name == "heartbeat_batch":
        renewed = [HeartbeatRef(job_id=job_id, lease=lease) for job_id, lease in held]
        request = HeartbeatBatchRequest(worker_id="w", jobs=renewed)
    else:
        done = [CompleteRef(job_id=job_id, lease=lease) for job_id, lease in held]
        request = CompleteBatchRequest(worker_id="w", jobs=done)
    reply = await getattr(under.service, name)(Q, request)
    tags = [None if result.error is None else result.error.tag for result in reply.value.results]
    assert tags == [None, "LeaseLostError", "JobNotFoundError"]
    assert [result.job_id for result in reply.value.results] == ["a", "b", "c"]
    assert under.op.refs[0] == ops.LeaseRef("a", "l")


async def test_heartbeat_batch_when_the_list_is_complete_then_the_engine_is_told() -> None:
    under = Under(Results(()))
    await under.service.heartbeat_batch(Q, HeartbeatBatchRequest(worker_id="w", jobs=[], all=True))
    assert under.op == ops.Heartbeat("w", (), complete_list=True)


async def test_batch_when_a_job_stands_twice_then_nothing_is_asked() -> None:
    under = Under()
    jobs = [CompleteRef(job_id="a"), CompleteRef(job_id="b"), CompleteRef(job_id="a", lease="l")]
    with pytest.raises(BrokerProtocolError, match="'a' twice"):
        await under.service.complete_batch(Q, CompleteBatchRequest(worker_id="w", jobs=jobs))
    assert under.engine.asked == []


async def test_complete_batch_when_results_are_too_many_for_the_state_then_it_is_overloaded() -> (
    None
):
    under = Under(ArchiveBehind(5))
    jobs = [CompleteRef(job_id="a", lease="l", result=Raw(b"1"))]
    with pytest.raises(OverloadedError, match="more than 5 bytes of ended jobs"):
        await under.service.complete_batch(Q, CompleteBatchRequest(worker_id="w", jobs=jobs))


async def test_read_when_it_must_be_fresh_then_the_engine_is_told() -> None:
    view = JobView(id="j", status="dead")
    under = Under(view, Page(COUNTS, (view,), None), COUNTS, COUNTS)
    service = under.service
    assert (await service.get_job(Q, "j", consistent=True)).value.id == "j"
    assert (await service.list_jobs(Q, ListQuery(), consistent=True)).value.total == 1
    assert (await service.stats(Q, consistent=True)).value.broker_address == "me:1"
    assert (await service.raw_state(Q, consistent=True)).value == b'{"jobs":[]}'
    assert under.engine.options == [{"consistent": True}] * 4


async def test_list_when_it_is_narrowed_then_the_engine_is_asked_so() -> None:
    under = Under(Page(COUNTS, (), None))
    await under.service.list_jobs(Q, ListQuery(limit=5, cursor="c", status="dead", type=""))
    assert under.op == ops.ListJobs(5, "c", "dead", "")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [(StateFull(5), OverloadedError), (IdConflict("j"), JobIdConflictError)],
)
async def test_submit_when_refused_then_the_typed_error(
    outcome: Outcome, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await Under(outcome).service.submit(Q, SubmitRequest())
    assert cast("OverloadedError", caught.value).position == AT


async def test_read_when_refused_then_the_typed_error() -> None:
    with pytest.raises(JobNotFoundError):
        await Under(NotFound("j")).service.get_job(Q, "j")
    with pytest.raises(BrokerProtocolError, match="`cursor`"):
        await Under(BadCursor()).service.list_jobs(Q, ListQuery())


async def test_queue_when_it_is_another_then_refused_before_anything_is_asked() -> None:
    under = Under()
    service = under.service
    for asking in (
        service.submit("mail", SubmitRequest()),
        service.submit_batch("mail", SubmitBatchRequest([])),
        service.claim("mail", ClaimRequest(worker_id="w"), Caller()),
        service.complete("mail", "j", LEASE),
        service.complete_batch("mail", CompleteBatchRequest(worker_id="w", jobs=[])),
        service.cancel("mail", "j"),
        service.get_job("mail", "j"),
        service.list_jobs("mail", ListQuery()),
        service.stats("mail"),
        service.raw_state("mail"),
    ):
        with pytest.raises(BrokerProtocolError, match="'mail'"):
            await asking
    assert under.engine.asked == []


def test_status_when_asked_then_it_is_the_engines() -> None:
    assert Under().service.status().role == "leader"
