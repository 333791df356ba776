from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from tests.unit.client.conftest import ScriptedTransport

from osqueue.client import NewJob, OsqueueClient
from osqueue.client.transports import Answer
from osqueue.config import BATCH_JOBS_MAX, ClientSettings
from osqueue.errors import (
    AuthError,
    CommitUnknownError,
    JobIdConflictError,
    OsqueueError,
    ParentJobError,
    TransportConnectionError,
)
from osqueue.wire import messages, operations
from osqueue.wire.operations import Operation


class Broker:
    """Takes every submit but those whose id is refused; holds its answers while ``held``."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.operations: list[Operation] = []
        self.refused: dict[str, OsqueueError] = {}
        self.cancelled = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.arrived = asyncio.Event()

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        assert (job_id, timeout_s > 0) == (None, True)
        job_ids = ids_of(request)
        self.asked.append(job_ids)
        self.operations.append(operation)
        self.arrived.set()
        try:
            await self.answering.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for each in job_ids:
            if each in self.refused:
                raise self.refused[each]
        if operation is operations.SUBMIT:
            return Answer(messages.SubmitAnswer(job_ids[0]))
        return Answer(messages.SubmitBatchAnswer(job_ids))

    async def reconnect(self) -> None:
        raise AssertionError("nobody asks for it")

    async def close(self) -> None:
        self.answering.set()


def ids_of(request: msgspec.Struct | None) -> list[str]:
    if isinstance(request, messages.SubmitRequest):
        return [str(request.job_id)]
    assert isinstance(request, messages.SubmitBatchRequest)
    return [str(job.job_id) for job in request.jobs]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def producer(broker: Broker) -> OsqueueClient:
    return OsqueueClient(transport=broker, settings=ClientSettings(retry_for_ms=0))


def submits(producer: OsqueueClient, *job_ids: str) -> list[asyncio.Task[str]]:
    return [
        asyncio.create_task(producer.submit_job("t", number, job_id=job_id))
        for number, job_id in enumerate(job_ids)
    ]


async def told(tasks: list[asyncio.Task[str]]) -> list[str | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_submit_when_alone_then_it_is_a_submit_of_one(
    producer: OsqueueClient, broker: Broker
) -> None:
    assert await producer.submit_job("t", 1, job_id="a") == "a"
    assert broker.operations == [operations.SUBMIT]


async def test_submit_when_others_do_in_the_same_turn_then_all_go_in_one_request_in_order(
    producer: OsqueueClient, broker: Broker
) -> None:
    assert await told(submits(producer, "a", "b", "c")) == ["a", "b", "c"]
    assert broker.asked == [["a", "b", "c"]]
    assert broker.operations == [operations.SUBMIT_BATCH]


async def test_submit_when_an_earlier_request_is_under_way_then_does_not_wait_for_it(
    producer: OsqueueClient, broker: Broker
) -> None:
    broker.answering.clear()
    tasks = submits(producer, "a")
    await broker.arrived.wait()
    broker.arrived.clear()
    tasks += submits(producer, "b")
    await broker.arrived.wait()
    assert broker.asked == [["a"], ["b"]]
    broker.answering.set()
    assert await told(tasks) == ["a", "b"]


@pytest.mark.parametrize("refusal", [JobIdConflictError, ParentJobError])
async def test_submit_when_one_of_several_is_refused_then_the_others_are_taken(
    producer: OsqueueClient, broker: Broker, refusal: type[OsqueueError]
) -> None:
    broker.refused["c"] = refusal("for itself")
    *taken, refused, last = await told(submits(producer, "a", "b", "c", "d"))
    assert (taken, last) == (["a", "b"], "d")
    assert isinstance(refused, refusal)
    assert broker.asked == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["d"]]


async def test_submit_when_all_are_refused_for_who_asks_then_it_is_asked_once(
    broker: Broker, producer: OsqueueClient
) -> None:
    broker.refused["b"] = AuthError("who are you")
    ends = await asyncio.gather(*submits(producer, "a", "b", "c", "d"), return_exceptions=True)

    assert [type(end) for end in ends] == [AuthError] * 4
    assert broker.asked == [["a", "b", "c", "d"]]


async def test_submit_when_the_moment_is_bad_then_each_caller_has_an_error_of_its_own(
    producer: OsqueueClient, broker: Broker
) -> None:
    cause = OSError("reset")
    broker.refused["a"] = CommitUnknownError("lost")
    broker.refused["a"].applied = "unknown"
    broker.refused["a"].__cause__ = cause
    first, second = await told(submits(producer, "a", "b"))
    assert isinstance(first, CommitUnknownError)
    assert isinstance(second, CommitUnknownError)
    assert first is not second
    assert (first.applied, second.applied) == ("unknown", "unknown")
    assert second.__cause__ is cause
    assert broker.asked == [["a", "b"]]


async def test_submit_when_it_is_tried_again_then_the_same_jobs_go_together_again(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    lost = TransportConnectionError("reset")
    transport.answers(lost, messages.SubmitBatchAnswer(["a", "b"]))
    assert await told(submits(client, "a", "b")) == ["a", "b"]
    assert [ids_of(call.request) for call in transport.calls] == [["a", "b"], ["a", "b"]]


async def test_submit_when_its_caller_goes_away_at_once_then_the_job_is_not_sent(
    producer: OsqueueClient, broker: Broker
) -> None:
    tasks = submits(producer, "a", "b")
    loop = asyncio.get_running_loop()
    # The tasks take their first step, and what they gathered leaves after the cancelling.
    loop.call_soon(tasks[0].cancel)
    first, second = await told(tasks)
    assert isinstance(first, asyncio.CancelledError)
    assert second == "b"
    assert broker.asked == [["b"]]


async def test_submit_when_one_caller_goes_away_meanwhile_then_the_other_has_its_answer(
    producer: OsqueueClient, broker: Broker
) -> None:
    broker.answering.clear()
    tasks = submits(producer, "a", "b")
    await broker.arrived.wait()
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    broker.answering.set()
    assert await tasks[1] == "b"
    assert broker.cancelled == 0


@pytest.mark.parametrize("job_ids", [("a",), ("a", "b")])
async def test_submit_when_all_callers_go_away_then_the_request_is_given_up(
    producer: OsqueueClient, broker: Broker, job_ids: tuple[str, ...]
) -> None:
    broker.answering.clear()
    tasks = submits(producer, *job_ids)
    await broker.arrived.wait()
    for task in tasks:
        task.cancel()
    results = await told(tasks)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await asyncio.sleep(0)
    assert broker.cancelled == 1


async def test_submit_when_one_goes_away_before_the_halves_then_it_is_left_out_of_them(
    producer: OsqueueClient, broker: Broker
) -> None:
    broker.refused["b"] = JobIdConflictError("taken by another")
    broker.answering.clear()
    tasks = submits(producer, "a", "b", "c", "d")
    await broker.arrived.wait()
    tasks[2].cancel()
    await asyncio.wait({tasks[2]})
    broker.answering.set()
    results = await told(tasks)
    assert [results[0], results[3]] == ["a", "d"]
    assert broker.asked == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["d"]]


async def test_submit_when_there_are_more_than_a_request_takes_then_they_go_in_several(
    producer: OsqueueClient, broker: Broker
) -> None:
    job_ids = [str(number) for number in range(BATCH_JOBS_MAX + 1)]
    assert await told(submits(producer, *job_ids)) == job_ids
    assert [len(asked) for asked in broker.asked] == [BATCH_JOBS_MAX, 1]


async def test_submit_when_the_transport_fails_inside_then_every_caller_is_told(
    producer: OsqueueClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: Any, **_options: Any) -> Answer:
        raise ZeroDivisionError

    monkeypatch.setattr(broker, "call", fail)
    results = await told(submits(producer, "a", "b"))
    assert [type(result) for result in results] == [ZeroDivisionError] * 2


async def test_submit_when_the_answer_has_too_few_ids_then_each_job_is_asked_for_by_itself(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    short, first, second = messages.SubmitBatchAnswer(["a"]), "a", "b"
    transport.answers(short, messages.SubmitAnswer(first), messages.SubmitAnswer(second))
    assert await told(submits(client, "a", "b")) == ["a", "b"]


async def test_with_settings_then_its_submits_wait_as_these_say(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    transport.answers(messages.SubmitBatchAnswer(["a", "b"]))
    hasty = client.with_settings(ClientSettings(timeout_ms=1_234))
    await told(submits(hasty, "a", "b"))
    assert [call.timeout_s for call in transport.calls] == [1.234]


async def test_submit_jobs_then_its_requests_are_as_it_was_told(
    producer: OsqueueClient, broker: Broker
) -> None:
    await producer.submit_jobs([NewJob("t", 1, job_id="a"), NewJob("t", 2, job_id="b")])
    assert broker.asked == [["a", "b"]]


def test_submit_when_many_loops_do_at_once_then_each_job_is_told_in_its_own() -> None:
    producer = OsqueueClient(transport=Broker(), settings=ClientSettings(retry_for_ms=0))

    async def several(loop: int) -> list[str | BaseException]:
        job_ids = [f"{loop}-{number}" for number in range(50)]
        for _ in range(20):
            assert await told(submits(producer, *job_ids)) == job_ids
        return list(job_ids)

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda loop: asyncio.run(several(loop)), range(4)))
    assert [len(result) for result in results] == [50] * 4
