"""What every transport must do: a suite of checks for any `QueueTransportAdapter`.

Subclass `TransportContract` in a test file and say how to make a transport; pytest finds the
checks::

    class TestMyTransport(TransportContract):
        def make_transport(self, broker, settings):
            return MyTransport(broker.url)

Each check starts a real broker (so ``osqueue[broker]`` must be installed) and calls it through the
transport alone, without a client around it that would try again. The checks are coroutines:
pytest-asyncio in auto mode runs them, and so does any other runner.

What is *not* checked, because it needs a network to break: what a transport says of a connection
that breaks midway. See the protocol for what it must say. One that brings streams is held to
`osqueue.testing.StreamContract` as well, what it carries of results, retries and waiting to
`osqueue.testing.JobContract`, of pauses and priorities to `osqueue.testing.QueueContract`, of
listings and actions on many jobs to `osqueue.testing.LookContract`, of schedules to
`osqueue.testing.ScheduleContract`, and of jobs that wait for other jobs to
`osqueue.testing.WorkflowContract`.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UNSET, Raw

from osqueue.client.transports.protocol import Position
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    JobIdConflictError,
    JobNotFoundError,
    LeaseLostError,
    OverloadedError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.faults import Step
from osqueue.testing.faulty_store import ScriptedStore
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import expect_error, text_of, until
from osqueue.wire import operations as ops
from osqueue.wire.messages import (
    AnnounceRequest,
    ClaimRequest,
    HeartbeatBatchRequest,
    JobError,
    JobTypeInfo,
    ReleaseRequest,
    SubmitRequest,
    WorkerInfo,
)

__all__ = ["TransportContract"]

LARGE_BYTES = 3 * 1024 * 1024
"""Beyond what any transport sends in one piece, or a body may have that is not a payload's."""

CALLERS = 100

READS = 5
"""Of each kind: a broker looks at its store for reasons of its own, too, but not every time."""

PAYLOADS = (
    b"null",
    b"0",
    b'""',
    b"[]",
    b'{"a":1.50,"b":[true,null],"c":{"d":"\\u00e9"}}',
    '"käse 日本 🧀"'.encode(),
    b"123456789012345678901234567890",
    b'{"spaces" :  "kept"}',
)
"""JSON texts that come back as they went, byte by byte."""


class TransportContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    # What each operation brings back

    async def test_submit_then_the_job_is_there_as_it_was_described(self) -> None:
        async with self.calls() as calls:
            request = SubmitRequest(
                payload=Raw(b'{"n":1}'),
                type="email:send",
                job_id="a",
                max_attempts=5,
                priority=-3,
                run_at=4_102_444_800_000,
            )
            answer = await calls.call(ops.SUBMIT, request)
            assert answer.value.job_id == "a"
            job = await calls.job("a")
            assert (job.id, job.status, job.type) == ("a", "unclaimed", "email:send")
            assert (job.max_attempts, job.priority, job.run_at) == (5, -3, 4_102_444_800_000)
            assert (job.attempts, text_of(job.payload)) == (0, b'{"n":1}')

    async def test_submit_of_a_bare_job_then_the_broker_names_it(self) -> None:
        async with self.calls() as calls:
            job_id = (await calls.call(ops.SUBMIT, SubmitRequest())).value.job_id
            assert (await calls.job(job_id)).status == "unclaimed"

    async def test_submit_of_the_same_job_twice_then_one_job(self) -> None:
        async with self.calls() as calls:
            first, second = await calls.submit("a"), await calls.submit("a")
            assert first == second == "a"
            assert (await calls.stats()).total == 1

    async def test_submit_of_many_then_their_ids_in_order(self) -> None:
        async with self.calls() as calls:
            ids = [f"job-{number}" for number in range(50)]
            assert await calls.submit_batch(ids) == ids
            assert (await calls.stats()).unclaimed == 50

    async def test_payloads_of_every_form_then_handed_out_byte_by_byte(self) -> None:
        async with self.calls() as calls:
            for number, text in enumerate(PAYLOADS):
                await calls.submit(f"job-{number}", text)
            jobs = await calls.claim(max_jobs=len(PAYLOADS))
            assert [text_of(job.payload) for job in jobs] == list(PAYLOADS)

    async def test_get_payload_then_its_text(self) -> None:
        async with self.calls() as calls:
            await calls.submit("with", b'{"a": 1}')
            answer = await calls.call(ops.GET_PAYLOAD, job_id="with")
            assert bytes(answer.value) == b'{"a": 1}'

    async def test_large_payload_then_handed_out_whole(self) -> None:
        text = b'"' + b"x" * LARGE_BYTES + b'"'
        async with self.calls() as calls:
            request = SubmitRequest(payload=Raw(text), type="t", job_id="large", priority=7)
            answer = await calls.call(ops.SUBMIT_LARGE, request, job_id="large")
            assert answer.value.job_id == "large"
            info = await calls.job("large")
            assert (info.payload, info.payload_bytes) == (UNSET, len(text))
            assert (info.priority, info.type) == (7, "t")
            assert bytes((await calls.call(ops.GET_PAYLOAD, job_id="large")).value) == text
            (job,) = await calls.claim()
            assert text_of(job.payload) == text

    async def test_claim_then_the_job_and_its_lease(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a", b'{"n":1}', type="t")
            (job,) = await calls.claim(types=["other", "t"])
            assert (job.job_id, job.type, text_of(job.payload)) == ("a", "t", b'{"n":1}')
            assert (job.attempt, job.max_attempts, job.priority) == (1, 3, 0)
            assert job.lease
            assert job.created_at

    async def test_claim_of_other_types_then_nothing(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a", type="t")
            assert await calls.claim(types=["other"]) == []
            assert await calls.claim(wait_ms=20, types=["other"]) == []

    async def test_claim_repeated_with_its_id_then_the_same_jobs(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b"])
            first = await calls.claim(max_jobs=1, claim_id="one")
            again = await calls.claim(max_jobs=1, claim_id="one")
            assert [job.lease for job in first] == [job.lease for job in again]

    async def test_heartbeat_and_complete_then_done(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            assert (await calls.call(ops.HEARTBEAT, lease, job_id="a")).value is None
            assert (await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")).value is None
            assert (await calls.job("a")).status == "completed"
            assert (await calls.stats()).completed_total == 1

    async def test_batches_of_leases_then_an_answer_for_each(self) -> None:
        async with self.calls() as calls:
            refs = [*await calls.held_refs("a", "b"), calls.ref("none", "stale")]
            for operation, request in calls.batches(refs):
                results = (await calls.call(operation, request)).value.results
                assert [result.job_id for result in results] == ["a", "b", "none"]
                assert [result.error for result in results[:2]] == [None, None]
                assert results[2].error.tag == "JobNotFoundError"

    async def test_fail_then_kept_with_its_error_and_tried_again(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            error = JobError(type="ValueError", message="käse", traceback="at line 1")
            request = calls.failure(lease, error, retry=True)
            await calls.call(ops.FAIL, request, job_id="a")
            job = await calls.job("a")
            assert (job.status, job.attempts) == ("unclaimed", 1)
            assert job.last_error is not None
            assert job.last_error.bounded() == error

    async def test_fail_for_good_then_dead_until_retried(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            request = calls.failure(lease, JobError(type="E", message="no"), retry=False)
            await calls.call(ops.FAIL, request, job_id="a")
            page = (await calls.call(ops.LIST_JOBS, ops.ListQuery(status="dead"))).value
            assert [job.id for job in page.jobs] == ["a"]
            assert (await calls.call(ops.RETRY, job_id="a")).value is None
            assert (await calls.job("a")).status == "unclaimed"

    async def test_release_then_the_attempt_does_not_count(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            request = ReleaseRequest(worker_id=lease.worker_id, lease=lease.lease)
            await calls.call(ops.RELEASE, request, job_id="a")
            assert (await calls.job("a")).attempts == 0

    async def test_cancel_then_cancelled(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            assert (await calls.call(ops.CANCEL, job_id="a")).value is None
            assert (await calls.job("a")).status == "cancelled"

    async def test_list_then_pages_in_order_of_arrival(self) -> None:
        async with self.calls() as calls:
            ids = [f"job-{number}" for number in range(5)]
            await calls.submit_batch(ids)
            first = (await calls.call(ops.LIST_JOBS, ops.ListQuery(limit=3))).value
            query = ops.ListQuery(limit=3, cursor=first.next_cursor)
            second = (await calls.call(ops.LIST_JOBS, query)).value
            assert [job.id for page in (first, second) for job in page.jobs] == ids
            assert (first.unclaimed, second.next_cursor) == (5, None)

    async def test_status_then_the_leader_says_who_it_is(self) -> None:
        async with self.calls() as calls:
            status = (await calls.call(ops.GET_STATUS)).value
            assert (status.ready, status.role) == (True, "leader")
            assert status.address == calls.broker.address

    async def test_worker_that_tells_of_itself_then_the_broker_knows_it(self) -> None:
        async with self.calls() as calls:
            info = WorkerInfo(concurrency=3, host="höst", pid=0, version="1", types=["a", "b"])
            await calls.call(ops.CLAIM, ClaimRequest(worker_id="one", max=1, worker=info))
            beat = HeartbeatBatchRequest(worker_id="two", jobs=[], worker=WorkerInfo(pid=2))
            await calls.call(ops.HEARTBEAT_BATCH, beat)
            known = {worker.id: worker.info for worker in calls.broker.workers()}
            assert known == {"one": info, "two": WorkerInfo(pid=2)}

    async def test_types_that_are_announced_then_told_with_those_of_jobs(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a", type="queued")
            schema = Raw(b'{"title":"M\xc3\xa4il","type":"object"}')
            types = {"mail": JobTypeInfo(schema=schema), "bare": JobTypeInfo()}
            assert (await calls.call(ops.ANNOUNCE_TYPES, AnnounceRequest(types))).value is None
            told = (await calls.call(ops.GET_TYPES)).value.types
            assert told == {**types, "queued": JobTypeInfo()}
            await expect_error(
                BrokerProtocolError,
                calls.call(
                    ops.ANNOUNCE_TYPES, AnnounceRequest({"t": JobTypeInfo(schema=Raw(b"[]"))})
                ),
            )

    async def test_settings_then_those_of_the_broker(self) -> None:
        async with self.calls() as calls:
            settings = (await calls.call(ops.GET_SETTINGS)).value.settings
            values = {each.name: bytes(each.value) for each in settings}
            assert values["storage"] == b'"memory://"'
            assert values["server.port"] == calls.broker.address.rpartition(":")[2].encode()

    async def test_job_id_with_every_character_of_a_path_then_kept(self) -> None:
        async with self.calls() as calls:
            for job_id in ("a.b~c_d-e", "-", "~" * 128):
                await calls.submit(job_id)
                assert (await calls.job(job_id)).id == job_id
                await calls.call(ops.CANCEL, job_id=job_id)

    # Consistent reads, and positions

    async def test_consistent_read_then_the_broker_looks_first_whether_it_leads(self) -> None:
        store = ScriptedStore(MemoryBackend())
        async with self.calls(store) as calls:
            await calls.submit("a", b"1")
            for operation, job_id in calls.reads("a"):
                for _ in range(READS):
                    looks = len(store.log)
                    request = operation.request(consistent=True)
                    answer = await calls.call(operation, request, job_id=job_id)
                    assert answer.position is not None, operation.name
                    assert len(store.log) > looks, f"{operation.name}: not asked to be consistent"

    async def test_consistent_list_then_of_what_was_asked_for(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b", "c"])
            query = ops.ListQuery(limit=1, status="unclaimed", consistent=True)
            page = (await calls.call(ops.LIST_JOBS, query)).value
            query = msgspec.structs.replace(query, cursor=page.next_cursor)
            page = (await calls.call(ops.LIST_JOBS, query)).value
            assert [job.id for job in page.jobs] == ["b"]

    async def test_consistent_read_of_no_job_then_the_error_of_any_read(self) -> None:
        async with self.calls() as calls:
            for operation in (ops.GET_JOB, ops.GET_PAYLOAD):
                call = calls.call(operation, operation.request(consistent=True), job_id="none")
                error = await expect_error(JobNotFoundError, call)
                assert (error.status, error.method) == (404, operation.name)

    async def test_answers_then_each_rests_on_a_commit_that_is_not_older(self) -> None:
        async with self.calls() as calls:
            submitted = await calls.call(ops.SUBMIT, SubmitRequest(job_id="a"))
            read = await calls.call(ops.GET_JOB, job_id="a")
            again = await calls.call(ops.SUBMIT, SubmitRequest(job_id="b"))
            positions = [each.position for each in (submitted, read, again) if each.position]
            assert len(positions) == 3, (submitted, read, again)
            assert positions == sorted(positions)

    async def test_refusals_then_each_rests_on_a_commit_that_is_not_older(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("held")
            stale = msgspec.structs.replace(lease, lease="stale")
            since = (await calls.call(ops.SUBMIT, SubmitRequest(job_id="a"))).position
            assert since is not None
            for cls, operation, request, job_id in (
                (JobNotFoundError, ops.GET_JOB, None, "none"),
                (JobNotFoundError, ops.GET_PAYLOAD, None, "none"),
                (LeaseLostError, ops.COMPLETE, calls.done(stale), "held"),
            ):
                error = await expect_error(cls, calls.call(operation, request, job_id=job_id))
                assert error.position is not None, operation.name
                assert Position(*error.position) >= since, operation.name

    # Errors

    async def test_errors_then_of_the_class_that_the_broker_raised(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("held")
            await calls.submit("taken", b"1")
            double = calls.batch(["twice", "twice"])
            stale = msgspec.structs.replace(lease, lease="stale")
            other = SubmitRequest(payload=Raw(b"2"), job_id="taken")
            for cls, status, operation, request, job_id in (
                (JobNotFoundError, 404, ops.GET_JOB, None, "none"),
                (JobNotFoundError, 404, ops.GET_PAYLOAD, None, "none"),
                (JobNotFoundError, 404, ops.CANCEL, None, "none"),
                (JobNotFoundError, 404, ops.HEARTBEAT, lease, "none"),
                (LeaseLostError, 409, ops.HEARTBEAT, stale, "held"),
                (LeaseLostError, 409, ops.COMPLETE, calls.done(stale), "held"),
                (JobIdConflictError, 409, ops.SUBMIT, other, None),
                (BrokerProtocolError, 400, ops.SUBMIT_BATCH, double, None),
            ):
                call = calls.call(operation, request, job_id=job_id)
                error = await expect_error(cls, call)
                said = (error.remote, error.status, error.method)
                assert said == (True, status, operation.name), (operation.name, said)

    async def test_request_beyond_a_limit_then_refused_and_named(self) -> None:
        async with self.calls() as calls:
            long_type = SubmitRequest(type="t" * 1_000)
            error = await expect_error(BrokerProtocolError, calls.call(ops.SUBMIT, long_type))
            assert "type" in error.message
            assert (await calls.stats()).total == 0

    async def test_what_cannot_be_said_then_refused_here(self) -> None:
        async with self.calls() as calls:
            lone = SubmitRequest(type="\ud800")
            for call in (calls.call(ops.SUBMIT, lone), calls.call(ops.GET_JOB, job_id="")):
                error = await expect_error(BrokerProtocolError, call)
                assert not error.remote or error.status == 400

    async def test_overload_then_says_that_nothing_was_applied(self) -> None:
        full = BrokerSettings(limits=QueueLimits(state_bytes_max=1))
        async with self.calls(settings=full) as calls:
            error = await expect_error(OverloadedError, calls.submit("a"))
            assert (error.applied, error.status, error.method) == ("no", 429, "submitJob")

    async def test_standby_then_names_the_leader(self) -> None:
        store = MemoryBackend()
        async with self.calls(store) as leader, self.calls(store) as standby:
            error = await expect_error(BrokerLeadershipError, standby.submit("a"))
            assert (error.leader, error.applied) == (leader.broker.address, "no")
            assert (error.remote, error.method) == (True, "submitJob")

    # Waiting, giving up, and many at once

    async def test_claim_that_waits_then_gets_the_job_that_comes(self) -> None:
        async with self.calls() as calls:
            claim = asyncio.ensure_future(calls.claim(wait_ms=60_000, timeout_s=70))
            await until(lambda: calls.waiting == 1)
            assert (await calls.stats()).total == 0, "others are answered meanwhile"
            await calls.submit("a")
            assert [job.job_id for job in await claim] == ["a"]

    async def test_claim_that_is_given_up_then_the_job_goes_to_the_next(self) -> None:
        async with self.calls() as calls:
            claim = asyncio.ensure_future(calls.claim(wait_ms=60_000, timeout_s=70))
            await until(lambda: calls.waiting == 1)
            claim.cancel()
            await asyncio.gather(claim, return_exceptions=True)
            assert claim.cancelled()
            await until(lambda: calls.waiting == 0)
            await calls.submit("a")
            (job,) = await calls.claim(worker_id="next")
            assert (job.job_id, job.attempt) == ("a", 1)

    async def test_call_without_an_answer_in_time_then_says_so(self) -> None:
        store = ScriptedStore(MemoryBackend())
        async with self.calls(store) as calls:
            await calls.submit("a")
            store.then(Step("put", hold="request"))
            try:
                submit = calls.call(ops.SUBMIT, SubmitRequest(job_id="b"), timeout_s=0.2)
                error = await expect_error(TransportConnectionError, submit)
                assert error.applied is None, "it may have been received"
                assert not error.remote
            finally:
                store.release()

    async def test_many_calls_at_once_then_each_gets_its_own_answer(self) -> None:
        async with self.calls() as calls:
            ids = [f"job-{number}" for number in range(CALLERS)]
            assert await asyncio.gather(*map(calls.submit, ids)) == ids
            jobs = await asyncio.gather(*map(calls.job, ids))
            assert [job.id for job in jobs] == ids
            claims = await asyncio.gather(*[calls.claim() for _ in ids])
            assert sorted(job.job_id for each in claims for job in each) == sorted(ids)

    # Its own life

    async def test_nobody_there_then_surely_nothing_was_received(self) -> None:
        broker = self.make_broker(MemoryBackend(), BrokerSettings())
        async with broker:
            pass
        async with self.calls_to(broker) as calls:
            error = await expect_error(TransportConnectionError, calls.submit("a"))
            assert error.applied == "no"
            assert not error.remote

    async def test_reconnect_then_calls_go_on(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            await calls.transport.reconnect()
            await calls.transport.reconnect()
            assert (await calls.job("a")).id == "a"

    async def test_reconnect_while_calls_wait_then_they_end_or_go_on(self) -> None:
        async with self.calls() as calls:
            claim = asyncio.ensure_future(calls.claim(wait_ms=60_000, timeout_s=70))
            await until(lambda: calls.waiting == 1)
            await calls.transport.reconnect()
            await calls.submit("a")
            await calls.submit("b")
            ended = (await asyncio.gather(claim, return_exceptions=True))[0]
            if isinstance(ended, BaseException):
                assert isinstance(ended, TransportConnectionError), ended
                assert ended.applied != "no", "it was received"
            else:
                assert [job.job_id for job in ended] == ["a"]

    async def test_close_twice_then_harmless_and_calls_are_refused(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            await calls.transport.close()
            await calls.transport.close()
            await expect_error(TransportConfigError, calls.submit("b"))

    async def test_close_of_an_unused_one_then_harmless(self) -> None:
        async with self.calls() as calls:
            await calls.transport.close()
