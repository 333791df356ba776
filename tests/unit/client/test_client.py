from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.unit.client.conftest import ManualTime, ScriptedTransport

from osqueue.client import Job, NewJob, OsqueueClient, Runtime
from osqueue.client.transports import Answer, Position
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerProtocolError,
    ConfigError,
    JobNotFoundError,
    LeaseLostError,
    PayloadValidationError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire import messages, operations
from osqueue.wire.messages import JobError
from osqueue.wire.operations import CountQuery, EndedQuery, JobQuery, ListQuery, ReadQuery

DONE = None


def _job(number: int = 1) -> Job:
    return Job(
        job_id=f"id-{number}",
        type="t",
        raw_payload=b"1",
        worker_id="w",
        lease=f"lease-{number}",
        attempt=1,
        max_attempts=3,
        created_at=0,
    )


def _claimed(job_id: str, **fields: Any) -> messages.ClaimedJob:
    return messages.ClaimedJob(
        job_id=job_id, lease="l", attempt=2, max_attempts=3, created_at=7, priority=-1, **fields
    )


def _answered(*answers: tuple[int, str | None]) -> messages.BatchAnswer:
    return messages.BatchAnswer(
        [
            messages.JobAnswer(
                job_id=f"id-{number}",
                error=tag if tag is None else messages.ErrorBody(tag=tag, message="so it is"),
            )
            for number, tag in answers
        ]
    )


def _all_done(numbers: range) -> messages.BatchAnswer:
    return _answered(*[(number, None) for number in numbers])


def _page(*job_ids: str, cursor: str | None) -> messages.JobsPage:
    return messages.JobsPage(
        total=3,
        unclaimed=2,
        in_progress=1,
        completed_total=9,
        broker_address="b:1",
        jobs=[messages.JobInfo(id=job_id, status="unclaimed") for job_id in job_ids],
        next_cursor=cursor,
    )


async def test_submit_job_answers_the_id_and_sends_a_fresh_one(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitAnswer("job-1"))

    assert await client.submit_job("email:send", {"to": "ada@example.org"}) == "job-1"

    (call,) = transport.calls
    assert call.operation is operations.SUBMIT
    assert (call.request.type, call.request.job_id) == ("email:send", "job-1")
    assert call.request.payload == Raw(b'{"to":"ada@example.org"}')


async def test_submit_job_sent_again_keeps_its_id(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(TransportConnectionError("broke"), messages.SubmitAnswer("job-1"))

    await client.submit_job("t")

    assert [call.request.job_id for call in transport.calls] == ["job-1", "job-1"]


async def test_submit_job_with_options_sends_them(
    client: OsqueueClient, transport: ScriptedTransport, time: ManualTime
) -> None:
    transport.answers(messages.SubmitAnswer("mine"))

    await client.submit_job("t", 1, job_id="mine", max_attempts=1, priority=3, delay_ms=500)

    request = transport.calls[0].request
    assert (request.job_id, request.max_attempts, request.priority) == ("mine", 1, 3)
    assert request.run_at == time.now_ms + 500


async def test_submit_job_with_a_payload_that_is_no_json_sends_nothing(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    with pytest.raises(PayloadValidationError):
        await client.submit_job("t", object())
    assert transport.calls == []


async def test_submit_jobs_of_both_forms_answers_their_ids_in_order(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitBatchAnswer(["job-1", "mine"]))

    ids = await client.submit_jobs([("a", 1), NewJob("b", 2, job_id="mine")])

    assert ids == ["job-1", "mine"]
    assert [(each.type, each.payload) for each in transport.calls[0].request.jobs] == [
        ("a", Raw(b"1")),
        ("b", Raw(b"2")),
    ]


async def test_submit_jobs_of_more_than_a_thousand_sends_several_requests(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitBatchAnswer(["x"] * 1_000), messages.SubmitBatchAnswer(["y"]))

    ids = await client.submit_jobs([("t", number) for number in range(1_001)])

    assert ids == ["x"] * 1_000 + ["y"]
    assert [len(call.request.jobs) for call in transport.calls] == [1_000, 1]


async def test_submit_jobs_of_large_payloads_keeps_requests_below_the_brokers_limit(
    transport: ScriptedTransport, runtime: Runtime
) -> None:
    client = OsqueueClient(
        transport=transport, settings=ClientSettings(batch_bytes_max=500), runtime=runtime
    )
    transport.answers(messages.SubmitBatchAnswer(["x"]))

    await client.submit_jobs([("t", "x" * 60), ("t", "x" * 60)])

    assert [len(call.request.jobs) for call in transport.calls] == [1, 1]


async def test_submit_jobs_sends_a_job_beyond_the_limit_by_itself(
    transport: ScriptedTransport, runtime: Runtime
) -> None:
    client = OsqueueClient(
        transport=transport, settings=ClientSettings(batch_bytes_max=500), runtime=runtime
    )
    transport.answers(
        messages.SubmitBatchAnswer(["a"]),
        messages.SubmitAnswer("b"),
        messages.SubmitBatchAnswer(["c"]),
    )

    ids = await client.submit_jobs([("t", 1), NewJob("t", "x" * 600, job_id="b"), ("t", 2)])

    assert ids == ["a", "b", "c"]
    names = [call.operation.name for call in transport.calls]
    assert names == ["submitJobs", "putJob", "submitJobs"]
    large = transport.calls[1]
    assert (large.job_id, large.request.job_id, large.request.type) == ("b", "b", "t")


async def test_submit_job_beyond_the_limit_over_a_transport_that_lacks_it_says_so(
    transport: ScriptedTransport, runtime: Runtime
) -> None:
    client = OsqueueClient(
        transport=transport, settings=ClientSettings(batch_bytes_max=500), runtime=runtime
    )
    transport.answers(TransportConfigError("this transport carries no large payloads"))
    with pytest.raises(TransportConfigError, match="large payloads"):
        await client.submit_job("t", "x" * 600)
    assert len(transport.calls) == 1


async def test_submit_jobs_of_nothing_sends_nothing(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    assert await client.submit_jobs([]) == []
    assert transport.calls == []


async def test_claim_job_gives_the_job_with_its_payload_and_lease(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(
        messages.ClaimAnswer([_claimed("a", type="email:send", payload=Raw(b'{"to": 1}'))])
    )

    job = await client.claim_job("w", ["email:send"], wait_ms=50)

    assert job is not None
    assert (job.job_id, job.type, job.payload) == ("a", "email:send", {"to": 1})
    assert (job.worker_id, job.lease, job.attempt, job.priority) == ("w", "l", 2, -1)
    request = transport.calls[0].request
    assert (request.worker_id, request.types, request.max) == ("w", ["email:send"], 1)
    assert request.wait_ms == 50


async def test_claim_job_when_there_is_none_gives_none(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.ClaimAnswer([]))

    assert await client.claim_job("w") is None


async def test_claim_jobs_without_type_and_payload_gives_empty_ones(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.ClaimAnswer([_claimed("a")]))

    (job,) = await client.claim_jobs("w", max_jobs=5)

    assert (job.type, job.payload) == ("", None)


async def test_claim_jobs_each_time_makes_a_claim_id_unless_given_one(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.ClaimAnswer([]))

    await client.claim_jobs("w", max_jobs=1)
    await client.claim_jobs("w", max_jobs=1)
    await client.claim_jobs("w", max_jobs=1, claim_id="mine")

    claim_ids = [call.request.claim_id for call in transport.calls]
    assert len(set(claim_ids)) == 3
    assert claim_ids[2] == "mine"


async def test_heartbeat_complete_and_release_state_worker_and_lease(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.heartbeat(_job())
    await client.complete_job(_job())
    await client.release_job(_job())

    assert [call.operation.name for call in transport.calls] == [
        "heartbeat",
        "completeJob",
        "releaseJob",
    ]
    for call in transport.calls:
        assert call.job_id == "id-1"
        assert (call.request.worker_id, call.request.lease) == ("w", "lease-1")


async def test_fail_job_with_an_exception_describes_it(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.fail_job(_job(), ValueError("no such address"), retry=False, delay_ms=5)

    request = transport.calls[0].request
    assert (request.error.type, request.error.message) == ("ValueError", "no such address")
    assert (request.retry, request.delay_ms, request.lease) == (False, 5, "lease-1")


async def test_fail_job_with_a_text_keeps_it(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.fail_job(_job(), "out of stamps")

    assert transport.calls[0].request.error == JobError(type="Error", message="out of stamps")


async def test_complete_jobs_gives_each_job_its_own_answer(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_answered((1, None), (2, "LeaseLostError"), (3, "JobNotFoundError")))

    first, second, third = await client.complete_jobs([_job(1), _job(2), _job(3)])

    assert first is None
    assert isinstance(second, LeaseLostError)
    assert (second.message, second.status) == ("so it is", 409)
    assert isinstance(third, JobNotFoundError)


async def test_complete_jobs_of_more_than_a_thousand_sends_several_requests(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_all_done(range(1_000)), _all_done(range(1_000, 1_001)))

    results = await client.complete_jobs([_job(number) for number in range(1_001)])

    assert results == [None] * 1_001
    assert [len(call.request.jobs) for call in transport.calls] == [1_000, 1]


async def test_complete_jobs_with_answers_of_other_jobs_is_refused(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_answered((2, None)))

    with pytest.raises(TransportRequestError, match="do not match"):
        await client.complete_jobs([_job(1)])


@pytest.mark.parametrize("all_held", [True, False])
async def test_heartbeat_jobs_says_whether_it_names_all(
    client: OsqueueClient, transport: ScriptedTransport, *, all_held: bool
) -> None:
    transport.answers(_answered((1, None)))

    assert await client.heartbeat_jobs("w", [_job(1)], all_held=all_held) == [None]
    assert transport.calls[0].request.all is all_held


async def test_heartbeat_jobs_of_more_than_a_thousand_never_says_that_it_names_all(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_all_done(range(1_000)), _all_done(range(1_000, 1_500)))

    await client.heartbeat_jobs("w", [_job(number) for number in range(1_500)], all_held=True)

    assert [call.request.all for call in transport.calls] == [False, False]


async def test_heartbeat_jobs_of_no_jobs_can_say_that_none_are_held(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_answered())

    assert await client.heartbeat_jobs("w", [], all_held=True) == []
    assert transport.calls[0].request == messages.HeartbeatBatchRequest(
        worker_id="w", jobs=[], all=True
    )


async def test_cancel_and_retry_name_the_job(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.cancel_job("a")
    await client.retry_job("b")

    assert [(call.operation.name, call.job_id) for call in transport.calls] == [
        ("cancelJob", "a"),
        ("retryJob", "b"),
    ]


async def test_set_priority_names_the_job_and_the_priority(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.set_priority("a", -2)

    (call,) = transport.calls
    assert (call.operation.name, call.job_id) == ("setPriority", "a")
    assert call.request == messages.PriorityRequest(priority=-2)


async def test_pause_and_resume_say_nothing_more(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(DONE)

    await client.pause_queue()
    await client.resume_queue()

    assert [(call.operation.name, call.request) for call in transport.calls] == [
        ("pauseQueue", None),
        ("resumeQueue", None),
    ]


async def test_get_job_of_a_dead_letter_shows_why(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    error = JobError(type="ValueError", message="no")
    transport.answers(
        messages.JobInfo(
            id="a", status="dead", type="t", payload=Raw(b"[1]"), attempts=3, last_error=error
        )
    )

    info = await client.get_job("a")

    assert (info.job_id, info.status, info.type, info.payload) == ("a", "dead", "t", [1])
    assert (info.attempts, info.last_error, info.worker_id) == (3, error, None)


async def test_get_job_that_ended_has_no_payload(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.JobInfo(id="a", status="completed", ended_at=5))

    info = await client.get_job("a")

    assert (info.payload, info.created_at, info.ended_at) == (None, None, 5)


async def test_list_jobs_sends_its_filter_and_gives_page_and_counts(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_page("a", "b", cursor="next"))

    page = await client.list_jobs(status="dead", job_type="t", limit=2, cursor="here")

    assert transport.calls[0].request == ListQuery(limit=2, cursor="here", status="dead", type="t")
    assert [job.job_id for job in page.jobs] == ["a", "b"]
    assert page.next_cursor == "next"
    assert (page.stats.total, page.stats.completed_total) == (3, 9)


async def test_iter_jobs_follows_the_cursors_over_empty_pages_to_the_end(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_page("a", cursor="1"), _page(cursor="2"), _page("b", "c", cursor=None))

    assert [job.job_id async for job in client.iter_jobs(status="unclaimed")] == ["a", "b", "c"]
    assert [call.request.cursor for call in transport.calls] == [None, "1", "2"]


async def test_reads_say_that_they_are_to_be_consistent_only_when_asked_to(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    job = messages.JobInfo(id="a", status="completed", ended_at=5)
    answers = (job, "counts", _page(cursor=None), _page(cursor=None), None) * 2
    transport.answers(*(Answer(each, Position(5, 10)) for each in answers))
    for consistent in (True, False):
        await client.get_job("a", consistent=consistent)
        await client.get_stats(consistent=consistent)
        await client.list_jobs(limit=2, consistent=consistent)
        _ = [job async for job in client.iter_jobs(status="dead", consistent=consistent)]
        await client.get_payload("a", consistent=consistent)

    one = ReadQuery(consistent=True)
    asked = [call.request for call in transport.calls]
    assert asked[:5] == [
        JobQuery(consistent=True), one, ListQuery(limit=2, consistent=True),
        ListQuery(status="dead", consistent=True),
        one,
    ]  # fmt: skip
    assert asked[5:] == [None, None, ListQuery(limit=2), ListQuery(status="dead"), None]


async def test_client_on_leaving_closes_its_transport(
    transport: ScriptedTransport, runtime: Runtime
) -> None:
    async with OsqueueClient(transport=transport, runtime=runtime):
        assert transport.closed == 0
    assert transport.closed == 1


def test_client_without_url_and_transport_is_refused() -> None:
    with pytest.raises(TransportConfigError, match="URL"):
        OsqueueClient()


def test_client_with_senseless_settings_is_refused(transport: ScriptedTransport) -> None:
    with pytest.raises(ConfigError, match="retry_for_ms"):
        OsqueueClient(transport=transport, settings=ClientSettings(retry_for_ms=10**6))


def test_with_settings_leaves_the_client_as_it_was(transport: ScriptedTransport) -> None:
    client = OsqueueClient(transport=transport)

    other = client.with_settings(ClientSettings(retry_for_ms=0))

    assert other.settings.retry_for_ms == 0
    assert client.settings.retry_for_ms > 0


async def test_list_jobs_with_a_text_and_the_newest_first_says_so(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(_page(cursor=None), _page(cursor=None), _page(cursor=None))

    await client.list_jobs(text="Käse", order="newest")
    _ = [job async for job in client.iter_jobs(text="x", order="newest")]
    await client.list_jobs(text="", order="oldest")

    assert [call.request for call in transport.calls] == [
        ListQuery(text="Käse", order="newest"),
        ListQuery(text="x", order="newest"),
        ListQuery(),
    ]


async def test_lists_without_payloads_say_so(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    ended = messages.EndedPage(jobs=[])
    transport.answers(_page(cursor=None), _page(cursor=None), ended, ended)

    await client.list_jobs(payloads=False)
    _ = [job async for job in client.iter_jobs(payloads=False)]
    await client.list_ended(payloads=False)
    _ = [job async for job in client.iter_ended(payloads=False)]

    asked = [call.request for call in transport.calls]
    assert asked == [ListQuery(payloads=False)] * 2 + [EndedQuery(payloads=False)] * 2


async def test_iter_ended_follows_the_cursors_to_the_end(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    ended = [messages.JobInfo(id=each, status="completed", ended_at=5) for each in "ab"]
    transport.answers(
        messages.EndedPage(jobs=ended[:1], next_cursor="1"),
        messages.EndedPage(jobs=[], next_cursor="2", damaged=["k"]),
        messages.EndedPage(jobs=ended[1:]),
    )

    found = [job.job_id async for job in client.iter_ended(status="completed", job_type="t")]

    assert found == ["a", "b"]
    asked = [call.request for call in transport.calls]
    assert asked[0] == EndedQuery(status="completed", type="t")
    assert [each.cursor for each in asked] == [None, "1", "2"]


async def test_list_ended_tells_what_could_not_be_read(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.EndedPage(jobs=[], next_cursor="c", damaged=["k"]))

    page = await client.list_ended(limit=3, cursor="b", text="x", consistent=False)

    assert (page.jobs, page.next_cursor, page.damaged) == ((), "c", ("k",))
    assert transport.calls[0].request == EndedQuery(limit=3, cursor="b", text="x")


async def test_count_jobs_and_dead_groups_ask_for_what_is_meant(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    count = messages.JobsCount(count=3)
    groups = messages.DeadGroups(groups=[], total=0)
    transport.answers(count, groups)

    assert await client.count_jobs(status="ready", job_type="t", text="x") == count
    assert await client.list_dead_groups() == groups
    assert transport.calls[0].request == CountQuery(status="ready", type="t", text="x")
    assert transport.calls[1].request is None


async def test_act_on_jobs_sends_ids_and_filter(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    answer = messages.ActionAnswer(done=1, failed=[], left=False)
    transport.answers(answer, answer)

    assert await client.act_on_jobs("retry", iter(["a"]), text="x", max_jobs=5) == answer
    await client.act_on_jobs("setPriority", ["a"], priority=0)

    assert [call.request for call in transport.calls] == [
        messages.ActionRequest(
            action="retry", job_ids=["a"], filter=messages.JobFilter(text="x"), max=5
        ),
        messages.ActionRequest(action="setPriority", job_ids=["a"], priority=0),
    ]


async def test_act_on_jobs_on_every_job_is_refused_here(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    with pytest.raises(BrokerProtocolError, match="say which jobs"):
        await client.act_on_jobs("cancel", text="")
    assert transport.calls == []


async def test_act_on_jobs_when_the_reply_is_lost_is_not_sent_again(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    lost = TransportConnectionError("broke")
    transport.answers(lost)

    with pytest.raises(TransportConnectionError):
        await client.act_on_jobs("retry", text="x")
    assert len(transport.calls) == 1
