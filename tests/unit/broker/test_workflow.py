"""What may be said of the jobs that one runs after, and where it is looked up."""

from __future__ import annotations

from typing import cast

import pytest
from tests.unit.broker.scripted_engine import AT, Q, Under

from osqueue.broker.engines import Lookup
from osqueue.broker.workflow import parents_in
from osqueue.errors import BrokerProtocolError, JobNotFoundError, ParentJobError
from osqueue.model import ops
from osqueue.model.outcomes import (
    NotFound,
    ParentMissing,
    Submitted,
    TooManyChildren,
    Workflow,
    WorkflowJob,
)
from osqueue.wire import messages
from osqueue.wire.messages import SubmitBatchRequest, SubmitRequest, WorkflowEdge
from osqueue.wire.operations import PutQuery


class Archive:
    """Has one line, of one job."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.asked: list[str] = []

    async def find(self, job_id: str) -> bytes | None:
        self.asked.append(job_id)
        return b"line" if job_id == self.job_id else None


async def test_submit_when_it_is_to_run_after_others_then_asked_for_so() -> None:
    under = Under(Submitted(1))
    await under.service.submit(Q, SubmitRequest(job_id="c", after=["a", "b"]))
    assert under.op == ops.Submit((ops.NewJob("c", after=("a", "b")),))


def test_parents_in_a_query_when_there_are_some_then_those() -> None:
    assert parents_in(PutQuery(after="a,b"), "c") == ("a", "b")
    assert parents_in(PutQuery(), "c") == ()


@pytest.mark.parametrize("after", ["c", "a,a", "a,b,c"])
def test_parents_in_a_query_when_they_make_no_sense_then_refused(after: str) -> None:
    with pytest.raises(BrokerProtocolError, match="after"):
        parents_in(PutQuery(after=after), "c")


async def test_submit_batch_when_one_is_to_run_after_itself_then_said_which() -> None:
    under = Under()
    jobs = [SubmitRequest(job_id="a"), SubmitRequest(job_id="b", after=["a", "b"])]
    with pytest.raises(BrokerProtocolError, match=r"`jobs\[1\]\.after`: job b cannot"):
        await under.service.submit_batch(Q, SubmitBatchRequest(jobs))
    assert under.engine.asked == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (ParentMissing("b", "a"), "not known, or no longer; submit a workflow's jobs in one batch"),
        (ParentMissing("b", "a", "cancelled"), "job b is to run after a, which is over: cancelled"),
        (TooManyChildren("a", 7), "7 jobs wait for job a"),
    ],
)
async def test_submit_when_it_cannot_wait_then_said_why_and_as_of_when(
    refusal: ParentMissing | TooManyChildren, said: str
) -> None:
    under = Under(refusal)
    with pytest.raises(ParentJobError, match=said) as caught:
        await under.service.submit(Q, SubmitRequest(job_id="b", after=["a"]))
    assert caught.value.position == AT
    assert not caught.value.retryable


async def test_workflow_when_the_job_is_known_then_the_archive_is_not_asked() -> None:
    job, child = WorkflowJob("a", "dead", "t"), WorkflowJob("b", "unclaimed", "", 5, waits=True)
    under = Under(Workflow((job, child), (("a", "b"),)))
    archive = Archive("a")
    under.service._archive = cast("Lookup", archive)
    reply = await under.service.get_workflow(Q, "a", consistent=True)
    assert reply.value == messages.Workflow(
        jobs=[
            messages.WorkflowJob(id="a", type="t", status="dead"),
            messages.WorkflowJob(id="b", type="", status="unclaimed", run_at=5, waits=True),
        ],
        edges=[WorkflowEdge("a", "b")],
    )
    assert (reply.position, archive.asked) == (AT, [])
    assert under.op == ops.GetWorkflow("a")
    assert under.engine.options == [{"consistent": True}]


@pytest.mark.parametrize("first", [NotFound("a"), Workflow((WorkflowJob("a", "completed"),), ())])
async def test_workflow_when_little_is_known_of_the_job_then_its_entry_in_the_archive_helps(
    first: NotFound | Workflow,
) -> None:
    whole = Workflow((WorkflowJob("a", "completed", "t"),), ())
    under = Under(first, whole)
    under.service._archive = cast("Lookup", Archive("a"))
    reply = await under.service.get_workflow(Q, "a")
    assert reply.value.jobs[0].type == "t"
    assert under.engine.asked == [ops.GetWorkflow("a"), ops.GetWorkflow("a", b"line")]


async def test_workflow_when_nothing_is_known_then_refused_as_of_when() -> None:
    under = Under(NotFound("a"))
    under.service._archive = cast("Lookup", Archive("other"))
    with pytest.raises(JobNotFoundError) as caught:
        await under.service.get_workflow(Q, "a")
    assert caught.value.position == AT
