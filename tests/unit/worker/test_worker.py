"""What a worker does with jobs, against a naive queue."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from tests.unit.worker.conftest import ManualTime, NaiveQueue, eventually, settled

from osqueue.client import Job, OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.errors import (
    AuthError,
    ConfigError,
    LeaseLostError,
    PayloadValidationError,
    TransportConnectionError,
    WorkerExecutionError,
)
from osqueue.worker import JobContext, Worker


class Gate:
    """A handler that notes when it begins, and ends when it is let."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.running = 0
        self.running_max = 0
        self.cancelled: list[Any] = []
        self._permits = asyncio.Semaphore(0)

    async def __call__(self, payload: Any) -> None:
        self.begun.append(payload)
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            await self._permits.acquire()
        except asyncio.CancelledError:
            self.cancelled.append(payload)
            raise
        finally:
            self.running -= 1

    def let(self, count: int) -> None:
        for _ in range(count):
            self._permits.release()


async def _ignore(_: Any) -> None:
    pass


async def test_worker_runs_the_handler_with_the_payload_and_completes_the_job(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    seen: list[Any] = []

    async def send(payload: Any) -> None:
        seen.append(payload)

    job_id = queue.push(b'{"to":"ada"}', job_type="email:send")
    async with Worker(client, handlers={"email:send": send}) as worker:
        await eventually(lambda: queue.completed == [job_id])

    assert seen == [{"to": "ada"}]
    (request,) = queue.asked("completeJobs")
    assert (request.worker_id, request.jobs[0].lease) == (worker.worker_id, "lease-1")


async def test_worker_asks_for_its_types_and_waits_at_the_broker(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    async with Worker(client, {"a": _ignore, "b": _ignore}, settings=WorkerSettings(wait_ms=777)):
        await eventually(lambda: queue.asked("claimJobs"))

    claim, _ = queue.asked("claimJobs")
    assert (claim.types, claim.max, claim.wait_ms) == (["a", "b"], 1, 777)


async def test_worker_gives_a_handler_of_two_parameters_the_context_of_its_job(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    seen: list[tuple[Any, JobContext]] = []

    async def handle(payload: Any, ctx: JobContext) -> None:
        seen.append((payload, ctx))

    queue.push(b"5")
    async with Worker(client, {"t": handle}):
        await eventually(lambda: queue.completed)

    ((payload, ctx),) = seen
    assert (payload, ctx.job_id, ctx.type, ctx.attempt, ctx.max_attempts) == (5, "job-1", "t", 1, 3)
    assert (ctx.created_at, ctx.priority, ctx.deadline) == (0, 0, None)
    assert ctx.job.payload == 5
    assert not ctx.cancelled.is_set()


async def test_worker_runs_plain_functions_in_threads_of_its_own(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    names: list[str] = []
    together = threading.Barrier(2, timeout=5)

    def handle(_: Any) -> None:
        together.wait()
        names.append(threading.current_thread().name)

    queue.push()
    queue.push()
    async with Worker(client, {"t": handle}, concurrency=2):
        await eventually(lambda: len(queue.completed) == 2)

    assert all(name.startswith("osqueue") for name in names)


async def test_worker_with_many_jobs_never_exceeds_its_concurrency(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    gate = Gate()
    for number in range(20):
        queue.push(str(number).encode())

    async with Worker(client, {"t": gate}, concurrency=3):
        for _ in range(20):
            await eventually(lambda: gate.running == min(3, 20 - len(queue.completed)))
            await settled()
            gate.let(1)
        await eventually(lambda: len(queue.completed) == 20)

    assert gate.running_max == 3
    assert sorted(gate.begun) == list(range(20))


async def test_worker_with_a_free_slot_fills_it_while_others_run(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    gate = Gate()
    for _ in range(3):
        queue.push()

    async with Worker(client, {"t": gate}, concurrency=2) as worker:
        await eventually(lambda: worker.running == 2)
        gate.let(1)
        await eventually(lambda: len(gate.begun) == 3)
        assert worker.running == 2
        gate.let(2)
        await eventually(lambda: len(queue.completed) == 3)

    assert [claim.max for claim in queue.asked("claimJobs")][:2] == [2, 1]


async def test_worker_given_more_than_it_asked_for_gives_the_surplus_back(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    gate = Gate()
    queue.generosity = 1
    queue.push()
    surplus = queue.push()

    async with Worker(client, {"t": gate}):
        await eventually(lambda: queue.released == [surplus])
        gate.let(1)

    assert gate.running_max == 1


async def test_worker_whose_handler_fails_reports_type_message_and_traceback(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    failures: list[tuple[str, BaseException]] = []

    async def handle(_: Any) -> None:
        raise ValueError("no such address")

    job_id = queue.push()
    async with Worker(
        client, {"t": handle}, on_job_failed=lambda job, error: failures.append((job.job_id, error))
    ):
        await eventually(lambda: failures)

    ((failed_id, request),) = queue.failed
    assert (failed_id, request.retry) == (job_id, True)
    assert (request.error.type, request.error.message) == ("ValueError", "no such address")
    assert "in handle" in request.error.traceback
    assert failures[0][0] == job_id
    assert isinstance(failures[0][1], ValueError)


@pytest.mark.parametrize("in_thread", [True, False])
async def test_worker_reports_tracebacks_that_begin_in_the_handler(
    client: OsqueueClient, queue: NaiveQueue, *, in_thread: bool
) -> None:
    def plain(_: Any) -> None:
        raise ValueError("x")

    async def on_loop(_: Any) -> None:
        plain(_)

    queue.push()
    async with Worker(client, {"t": plain if in_thread else on_loop}):
        await eventually(lambda: queue.failed)

    lines = queue.failed[0][1].error.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in plain" if in_thread else "in on_loop")


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError("by itself")], ids=repr)
async def test_worker_whose_handler_exits_or_cancels_itself_fails_the_job_only(
    client: OsqueueClient, queue: NaiveQueue, error: BaseException
) -> None:
    async def handle(payload: Any) -> None:
        if payload == "bad":
            raise error

    queue.push(b'"bad"')
    job_id = queue.push()
    async with Worker(client, {"t": handle}):
        await eventually(lambda: queue.completed == [job_id])

    assert queue.failed[0][1].error.type.endswith(type(error).__name__)


async def test_worker_given_a_payload_that_is_no_json_fails_the_job_for_good(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    begun: list[Any] = []
    errors: list[BaseException] = []

    queue.push(b'"\xff"')
    async with Worker(
        client, {"t": begun.append}, on_job_failed=lambda _, error: errors.append(error)
    ):
        await eventually(lambda: errors)

    ((_, request),) = queue.failed
    assert request.retry is False
    assert "not JSON" in request.error.message
    assert isinstance(errors[0], PayloadValidationError)
    assert begun == []


async def test_worker_given_a_type_without_a_handler_fails_the_job_for_good(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    errors: list[BaseException] = []

    queue.push(job_type="other")
    async with Worker(client, {"t": _ignore}, on_job_failed=lambda _, error: errors.append(error)):
        await eventually(lambda: errors)

    assert queue.failed[0][1].retry is False
    assert isinstance(errors[0], WorkerExecutionError)


@pytest.mark.parametrize("error", [PayloadValidationError("mine"), LeaseLostError("mine")])
async def test_worker_whose_handler_raises_our_own_errors_fails_the_attempt_as_any(
    client: OsqueueClient, queue: NaiveQueue, error: Exception
) -> None:
    async def handle(_: Any) -> None:
        raise error

    queue.push()
    async with Worker(client, {"t": handle}):
        await eventually(lambda: queue.failed)

    assert queue.failed[0][1].retry is True


async def test_worker_tells_its_callbacks_in_order(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    told: list[tuple[str, int]] = []

    async def on_claimed(job: Job) -> None:
        await asyncio.sleep(0)
        told.append((f"claimed {job.job_id}", len(queue.completed)))

    async def handle(_: Any) -> None:
        told.append(("handled", len(queue.completed)))

    def on_completed(job: Job) -> None:
        told.append((f"completed {job.job_id}", len(queue.completed)))

    queue.push()
    async with Worker(
        client, {"t": handle}, on_job_claimed=on_claimed, on_job_completed=on_completed
    ):
        await eventually(lambda: len(told) == 3)

    assert told == [("claimed job-1", 0), ("handled", 0), ("completed job-1", 1)]


async def test_worker_whose_callbacks_raise_logs_that_and_goes_on(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    def broken_at_once(*_: Any) -> None:
        raise ZeroDivisionError

    async def handle(payload: Any) -> None:
        if payload:
            raise ValueError

    queue.push(b"true")
    queue.push(b"false")
    async with Worker(
        client,
        {"t": handle},
        on_job_claimed=broken,
        on_job_completed=broken_at_once,
        on_job_failed=broken,
    ):
        await eventually(lambda: queue.completed and queue.failed)
        await eventually(lambda: len(caplog.records) == 4)

    assert all("a callback failed" in message for message in caplog.messages)


async def test_worker_whose_claims_fail_tries_again_with_the_same_claim(
    client: OsqueueClient,
    queue: NaiveQueue,
    time: ManualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "osqueue.worker")
    refusals = [TransportConnectionError("refused"), AuthError("who"), ZeroDivisionError()]
    queue.faults["claimJobs"] = [*refusals]
    queue.push()

    async with Worker(client, {"t": _ignore}):
        for _ in refusals:
            await time.pass_ms(2_000)
        await eventually(lambda: queue.completed)

    claims = queue.asked("claimJobs")
    assert len({claim.claim_id for claim in claims[:4]}) == 1
    assert claims[4].claim_id != claims[0].claim_id
    assert [message for message in caplog.messages if "claiming" in message] == [
        "claiming jobs: refused; trying again",
        "claiming jobs: working again",
    ]


async def test_worker_whose_broker_does_not_wait_polls_at_a_pace(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    queue.waits = False

    async with Worker(client, {"t": _ignore}, settings=WorkerSettings(poll_ms=1_000)):
        await eventually(lambda: time.pauses_ms() == [1_000])
        assert len(queue.asked("claimJobs")) == 1
        await time.pass_ms(1_000)
        assert len(queue.asked("claimJobs")) == 2


async def test_worker_whose_reports_are_not_taken_claims_no_more(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    queue.gates["completeJobs"] = asyncio.Event()
    for _ in range(5):
        queue.push()

    async with Worker(client, {"t": _ignore}, settings=WorkerSettings(finishing_max=2)):
        await eventually(lambda: len(queue.leased) == 2)
        await settled()
        assert len(queue.leased) == 2
        queue.gates["completeJobs"].set()
        await eventually(lambda: len(queue.completed) == 5)


async def test_worker_completes_the_first_at_once_and_gathers_those_after_it(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    gate = Gate()
    answers = queue.gates["completeJobs"] = asyncio.Event()
    for _ in range(6):
        queue.push()

    async with Worker(client, {"t": gate}, concurrency=6):
        await eventually(lambda: gate.running == 6)
        gate.let(1)
        await eventually(lambda: len(queue.asked("completeJobs")) == 1)
        gate.let(5)
        await eventually(lambda: gate.running == 0)
        await settled()
        answers.set()
        await eventually(lambda: len(queue.completed) == 6)

    assert [len(request.jobs) for request in queue.asked("completeJobs")] == [1, 5]


async def test_worker_whose_completion_is_not_answered_sends_it_again(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    queue.faults["completeJobs"] = [TransportConnectionError("broke")] * 2
    job_id = queue.push()

    async with Worker(client, {"t": _ignore}):
        await time.pass_ms(2_000)
        await time.pass_ms(2_000)
        await eventually(lambda: queue.completed == [job_id])

    first, *again = queue.asked("completeJobs")
    assert again == [first, first]


async def test_worker_whose_completion_is_refused_logs_that_and_goes_on(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    gate, completed = Gate(), list[str]()
    lost, kept = queue.push(), queue.push()

    async with Worker(
        client,
        {"t": gate},
        concurrency=2,
        on_job_completed=lambda job: completed.append(job.job_id),
    ):
        await eventually(lambda: gate.running == 2)
        queue.lose(lost)
        gate.let(2)
        await eventually(lambda: completed == [kept])

    assert any(f"job {lost}: done, but not completed" in message for message in caplog.messages)


async def test_worker_that_holds_a_job_again_reports_each_lease_in_its_own_request(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    gate = Gate()
    answers = queue.gates["completeJobs"] = asyncio.Event()
    for _ in range(2):
        queue.push()

    async with Worker(client, {"t": gate}, concurrency=3):
        await eventually(lambda: gate.running == 2)
        gate.let(1)
        await eventually(lambda: queue.asked("completeJobs"))
        gate.let(1)
        await eventually(lambda: gate.running == 0)
        queue.take_back(queue.lose("job-2"))
        await eventually(lambda: gate.running == 1)
        gate.let(1)
        await eventually(lambda: gate.running == 0)
        await settled()
        answers.set()
        await eventually(lambda: queue.completed == ["job-1", "job-2"])

    leases = [[ref.lease for ref in each.jobs] for each in queue.asked("completeJobs")]
    assert leases == [["lease-1"], ["lease-2"], ["lease-2-again"]]


async def test_worker_whose_completions_are_refused_altogether_goes_on(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.faults["completeJobs"] = [AuthError("who are you")]
    queue.push()
    kept = queue.push()

    async with Worker(client, {"t": _ignore}):
        await eventually(lambda: queue.completed == [kept])

    assert "who are you" in caplog.text


async def test_worker_whose_completion_breaks_inside_says_so_and_keeps_the_job_no_longer(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.faults["completeJobs"] = [RuntimeError("out of cheese")]
    queue.push()
    kept = queue.push()

    async with Worker(client, {"t": _ignore}):
        await eventually(lambda: queue.completed == [kept])

    assert "1 completions could not be sent" in caplog.text
    assert "out of cheese" in caplog.text
    assert "reports did not reach the broker" not in caplog.text


async def test_worker_whose_failure_report_is_refused_does_not_tell_of_it(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    queue.faults["failJob"] = [LeaseLostError("stale")]

    async def handle(payload: Any) -> None:
        if payload:
            raise ValueError

    queue.push(b"true")
    kept = queue.push(b"false")
    async with Worker(client, {"t": handle}, on_job_failed=lambda *both: told.append(both)):
        await eventually(lambda: queue.completed == [kept])
        await eventually(lambda: "failed, but not reported: stale" in caplog.text)

    assert told == []


async def test_workers_have_ids_of_their_own(client: OsqueueClient) -> None:
    first, second = Worker(client, {"t": _ignore}), Worker(client, {"t": _ignore})

    assert first.worker_id != second.worker_id
    assert len(first.worker_id) <= 256
    assert Worker(client, {"t": _ignore}, worker_id="mine").worker_id == "mine"


def test_worker_with_senseless_options_is_refused(queue: NaiveQueue) -> None:
    client = OsqueueClient(transport=queue)

    with pytest.raises(ConfigError, match="concurrency"):
        Worker(client, {"t": _ignore}, concurrency=0)
    with pytest.raises(ConfigError, match="handler"):
        Worker(client, {})
    with pytest.raises(ConfigError, match="heartbeat_interval_ms"):
        Worker(client, {"t": _ignore}, settings=WorkerSettings(heartbeat_interval_ms=20_000))
