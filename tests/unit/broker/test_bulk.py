"""Counting jobs and acting on many: what is asked of the engine, and what is made of it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from tests.unit.broker.scripted_engine import AT, COUNTS, Q, Under

from osqueue.broker import bulk
from osqueue.errors import BrokerProtocolError
from osqueue.model import ops
from osqueue.model.outcomes import (
    Acted,
    ActOutcome,
    BadCursor,
    Done,
    Found,
    Leaving,
    NotFound,
    NotWaiting,
    StateFull,
)
from osqueue.wire.messages import ActionRequest, JobFilter
from osqueue.wire.operations import CountQuery

ALIKE = ops.JobFilter(None, "t", None)


def wanting(**fields: object) -> ActionRequest:
    return ActionRequest(**{"action": "cancel", "filter": JobFilter(type="t"), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "count"),
    [(None, 18), ("unclaimed", 10), ("ready", 6), ("delayed", 4), ("in_progress", 5), ("dead", 3)],
)
async def test_count_when_only_of_a_status_then_no_job_is_looked_at(
    status: str | None, count: int
) -> None:
    counts = replace(COUNTS, unclaimed=10, delayed=4, in_progress=5, dead=3)
    under = Under(counts)
    reply = await under.service.count_jobs(Q, CountQuery(status=status, text="", consistent=True))
    assert (reply.value.count, reply.value.at_least, reply.position) == (count, False, AT)
    assert under.op == ops.GetStats()
    assert under.engine.options == [{"consistent": True}]


async def test_count_when_it_takes_several_looks_then_their_sum() -> None:
    under = Under(Found(("a", "b"), "g.5"), Found((), "g.9"), Found(("c",), None))
    reply = await under.service.count_jobs(Q, CountQuery(type="t"))
    assert (reply.value.count, reply.value.at_least) == (3, False)
    assert [op.cursor for op in under.engine.asked] == [None, "g.5", "g.9"]
    assert {op.wanted for op in under.engine.asked} == {ALIKE}


async def test_count_when_the_state_is_read_anew_in_between_then_it_begins_again() -> None:
    under = Under(Found(("a", "b"), "g.5"), BadCursor(), Found(("a",), None))
    assert (await under.service.count_jobs(Q, CountQuery(type="t"))).value.count == 1
    assert [op.cursor for op in under.engine.asked] == [None, "g.5", None]


async def test_count_when_it_does_not_come_to_an_end_then_at_least_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "FIND_SCANS_MAX", 2)
    under = Under(Found(("a",), "g.1"), Found(("b",), "g.2"))
    reply = await under.service.count_jobs(Q, CountQuery(type="t"))
    assert (reply.value.count, reply.value.at_least) == (2, True)


async def test_count_when_answers_come_at_once_then_others_have_their_turn_in_between() -> None:
    under = Under(*[Found((), f"g.{number}") for number in range(9)], Found((), None))
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(under.engine.asked))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await under.service.count_jobs(Q, CountQuery(type="t"))
    task.cancel()
    assert {1, 5, 9} <= set(turns)


async def test_act_when_by_ids_then_one_operation_of_all() -> None:
    under = Under(Acted((Done(), NotFound("b"))))
    request = ActionRequest(action="retry", job_ids=["a", "b"])
    reply = await under.service.act_on_jobs(Q, request, size=7)
    assert under.op == ops.Act((ops.Retry("a"), ops.Retry("b")), None)
    assert under.engine.options == [{"size": 7}]
    assert (reply.value.done, reply.value.left, reply.value.skipped) == (1, False, 0)
    (failed,) = reply.value.failed
    assert failed.error is not None
    assert (failed.job_id, failed.error.tag) == ("b", "JobNotFoundError")
    assert reply.position == AT


async def test_act_when_by_a_filter_then_found_first_and_looked_at_again() -> None:
    under = Under(Found(("a",), "g.5"), Found(("b", "c"), "g.9"), Acted((Done(), None, Done())))
    reply = await under.service.act_on_jobs(Q, wanting(max=3))
    first, second, act = under.engine.asked
    assert (first.limit, second.limit) == (3, 2)
    assert act == ops.Act((ops.Cancel("a"), ops.Cancel("b"), ops.Cancel("c")), ALIKE)
    assert (reply.value.done, reply.value.skipped, reply.value.left) == (2, 1, True)


async def test_act_when_the_filter_means_none_then_nothing_is_written() -> None:
    under = Under(Found((), None))
    reply = await under.service.act_on_jobs(Q, wanting())
    assert (reply.value.done, reply.value.failed, reply.value.left) == (0, [], False)
    assert isinstance(under.op, ops.FindJobs)


async def test_act_when_by_ids_and_a_filter_then_only_those_that_are_still_meant() -> None:
    under = Under(Acted((None,)))
    request = wanting(job_ids=["a"], filter=JobFilter(status="dead"))
    reply = await under.service.act_on_jobs(Q, request)
    assert under.op == ops.Act((ops.Cancel("a"),), ops.JobFilter("dead"))
    assert (reply.value.done, reply.value.skipped) == (0, 1)


async def test_act_when_it_is_a_retry_by_a_filter_then_only_of_dead_letters() -> None:
    under = Under(Found(("a",), None), Acted((Done(),)))
    await under.service.act_on_jobs(Q, wanting(action="retry"))
    assert under.engine.asked[0].wanted == ops.JobFilter("dead", "t")
    assert under.engine.asked[1].wanted == ops.JobFilter("dead", "t")


@pytest.mark.parametrize(("status", "meant"), [(None, "unclaimed"), ("delayed", "delayed")])
async def test_act_when_it_sets_a_priority_then_only_of_jobs_that_wait(
    status: str | None, meant: str
) -> None:
    under = Under(Found(("a", "b"), None), Acted((Done(), NotWaiting("b", "dead"))))
    given = JobFilter(type="t", status=status)
    reply = await under.service.act_on_jobs(
        Q, wanting(action="setPriority", priority=0, filter=given)
    )
    find, act = under.engine.asked
    assert find.wanted == act.wanted == ops.JobFilter(meant, "t")
    assert act.each == (ops.SetPriority("a", 0), ops.SetPriority("b", 0))
    (failed,) = reply.value.failed
    assert failed.error is not None
    assert failed.error.tag == "JobStateError"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filter": None}, "say which jobs"),
        ({"filter": JobFilter()}, "every job of the queue"),
        ({"filter": JobFilter(text="")}, "every job of the queue"),
        ({"filter": JobFilter(), "job_ids": ["a"]}, "every job of the queue"),
        ({"job_ids": ["a", "b", "a"]}, "'a' twice"),
        ({"action": "retry", "filter": JobFilter(status="ready")}, "retry is for dead jobs"),
        ({"action": "setPriority"}, "`priority` is what"),
        ({"priority": 3}, "`priority` is what"),
        (
            {"action": "setPriority", "priority": 3, "filter": JobFilter(status="dead")},
            "setPriority is for unclaimed jobs, not for dead ones",
        ),
    ],
)
async def test_act_when_it_is_not_clear_what_is_meant_then_refused(
    fields: dict[str, object], message: str
) -> None:
    under = Under()
    with pytest.raises(BrokerProtocolError, match=message):
        await under.service.act_on_jobs(Q, wanting(**fields))
    assert under.engine.asked == []


async def test_act_when_many_are_refused_then_some_are_named() -> None:
    outcomes: list[ActOutcome] = [NotFound("x"), Leaving("x"), StateFull(5)] * 20
    under = Under(Acted(tuple(outcomes)))
    ids = [f"j{number}" for number in range(60)]
    reply = await under.service.act_on_jobs(Q, ActionRequest(action="retry", job_ids=ids))
    assert [each.job_id for each in reply.value.failed] == ids[:50]
    assert (reply.value.done, reply.value.skipped) == (0, 0)
    tags = {each.error.tag for each in reply.value.failed if each.error is not None}
    assert tags == {"JobNotFoundError", "OverloadedError"}
