from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.client.conftest import CountingEntropy, ManualTime, ScriptedTransport

from osqueue.client import OsqueueClient
from osqueue.client.caller import Caller, Seen
from osqueue.client.runtime import Runtime
from osqueue.client.transports import Answer, Position
from osqueue.config import ClientSettings
from osqueue.errors import (
    Applied,
    BrokerProtocolError,
    CommitUnknownError,
    DiscoveryError,
    EngineStateError,
    JobNotFoundError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.messages import (
    BatchAnswer,
    ClaimRequest,
    ErrorBody,
    JobAnswer,
    Stats,
    SubmitRequest,
)
from osqueue.wire.operations import (
    CLAIM,
    COMPLETE,
    COMPLETE_BATCH,
    COUNT_JOBS,
    GET_JOB,
    GET_PAYLOAD,
    GET_STATS,
    HEARTBEAT_BATCH,
    LIST_DEAD_GROUPS,
    LIST_ENDED,
    LIST_JOBS,
    RETRY,
    SUBMIT,
    Operation,
    ReadQuery,
)


@pytest.fixture
def caller(transport: ScriptedTransport, runtime: Runtime) -> Caller:
    settings = ClientSettings(timeout_ms=10_000, retry_for_ms=30_000)
    return Caller(transport, settings, runtime=runtime, seen=Seen())


def _at(epoch: int, number: int, value: Any = None) -> Answer:
    return Answer(value, Position(epoch, number))


def _broke() -> TransportConnectionError:
    return TransportConnectionError("broke")


async def test_call_when_answered_sends_once(caller: Caller, transport: ScriptedTransport) -> None:
    transport.answers("answer")

    assert await caller.call(GET_STATS) == "answer"
    assert len(transport.calls) == 1


async def test_call_when_the_broker_comes_back_sends_the_very_same_request_again(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_broke(), CommitUnknownError("?"), EngineStateError("starting"), "done")
    request = SubmitRequest(job_id="a")

    assert await caller.call(SUBMIT, request, job_id="x") == "done"
    assert [call.request for call in transport.calls] == [request] * 4
    assert {call.job_id for call in transport.calls} == {"x"}


async def test_call_when_refused_for_good_raises_at_once(
    caller: Caller, transport: ScriptedTransport, time: ManualTime
) -> None:
    transport.answers(BrokerProtocolError("bad"))

    with pytest.raises(BrokerProtocolError, match="bad"):
        await caller.call(SUBMIT)
    assert len(transport.calls) == 1
    assert time.slept_ms == []


async def test_call_when_nothing_ever_answers_gives_up_in_time(
    caller: Caller, transport: ScriptedTransport, time: ManualTime
) -> None:
    started_ms = time.now_ms
    transport.answers(_broke())

    with pytest.raises(TransportConnectionError, match="broke"):
        await caller.call(SUBMIT)
    assert 28_000 <= time.now_ms - started_ms <= 30_000
    assert len(transport.calls) > 10


async def test_call_pauses_longer_each_time_up_to_the_longest(
    caller: Caller, transport: ScriptedTransport, time: ManualTime
) -> None:
    transport.answers(*[_broke() for _ in range(8)], "done")

    await caller.call(SUBMIT)

    assert time.slept_ms == [25, 50, 100, 200, 400, 800, 1_000, 1_000]


async def test_call_without_retries_sends_once(
    caller: Caller, transport: ScriptedTransport, entropy: CountingEntropy
) -> None:
    entropy.spread = 0.0
    transport.answers(_broke())

    with pytest.raises(TransportConnectionError):
        await caller.with_settings(ClientSettings(retry_for_ms=0)).call(
            CLAIM, ClaimRequest(worker_id="w", wait_ms=20_000)
        )
    assert len(transport.calls) == 1


@pytest.mark.parametrize(
    ("first", "said"), [("no", "no"), ("unknown", "unknown"), (None, "unknown")]
)
async def test_call_whose_last_try_was_not_applied_says_so_only_if_none_may_have_been(
    caller: Caller, transport: ScriptedTransport, first: Applied | None, said: Applied
) -> None:
    broke, refused = _broke(), _broke()
    broke.applied, refused.applied = first, "no"
    transport.answers(broke, refused)

    with pytest.raises(TransportConnectionError) as caught:
        await caller.call(SUBMIT)
    assert caught.value.applied == said


@pytest.mark.parametrize("operation", [RETRY, HEARTBEAT_BATCH])
async def test_call_of_what_is_not_safe_to_repeat_sends_once(
    caller: Caller, transport: ScriptedTransport, operation: Operation
) -> None:
    transport.answers(_broke())

    with pytest.raises(TransportConnectionError):
        await caller.call(operation)
    assert len(transport.calls) == 1


async def test_call_of_a_claim_again_keeps_its_id_and_waits_for_the_rest_only(
    caller: Caller, transport: ScriptedTransport, entropy: CountingEntropy
) -> None:
    entropy.spread = 0.0
    transport.takes_ms = 7_000
    transport.answers(_broke(), _broke(), _broke(), "jobs")

    await caller.call(CLAIM, ClaimRequest(worker_id="w", wait_ms=20_000, claim_id="c"))

    assert [call.request.wait_ms for call in transport.calls] == [20_000, 13_000, 6_000, 0]
    assert {call.request.claim_id for call in transport.calls} == {"c"}
    assert [call.timeout_s for call in transport.calls] == [30, 23, 16, 10]


async def test_call_of_a_claim_that_broke_late_is_still_tried_again(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.takes_ms = 45_000
    transport.answers(_broke(), "jobs")

    assert await caller.call(CLAIM, ClaimRequest(worker_id="w", wait_ms=60_000)) == "jobs"


@pytest.mark.parametrize(
    "operation", [GET_JOB, GET_STATS, LIST_JOBS, LIST_ENDED, COUNT_JOBS, LIST_DEAD_GROUPS]
)
async def test_call_of_a_read_with_an_older_answer_discards_it_and_asks_again(
    caller: Caller, transport: ScriptedTransport, operation: Operation
) -> None:
    transport.answers(_at(5, 10, "first"), _at(5, 9, "old"), _at(4, 99, "older"), _at(6, 1, "new"))

    assert await caller.call(operation) == "first"
    assert await caller.call(operation) == "new"


async def test_call_of_a_read_sees_own_writes(caller: Caller, transport: ScriptedTransport) -> None:
    transport.answers(_at(5, 10), _at(5, 9, "without it"), _at(5, 10, "with it"))

    await caller.call(SUBMIT)

    assert await caller.call(GET_STATS) == "with it"


async def test_call_of_a_write_with_an_older_position_takes_its_answer(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _at(5, 9, "written"))
    await caller.call(SUBMIT)

    assert await caller.call(SUBMIT) == "written"


async def test_call_of_a_write_with_an_older_position_does_not_lower_what_was_seen(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _at(5, 8), _at(5, 9, "old"), _at(5, 10, "recent"))
    await caller.call(SUBMIT)
    await caller.call(SUBMIT)

    assert await caller.call(GET_STATS) == "recent"


async def test_call_of_a_read_without_a_position_takes_its_answer(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), "unmarked")
    await caller.call(SUBMIT)

    assert await caller.call(GET_STATS) == "unmarked"


@pytest.mark.parametrize("operation", [GET_JOB, GET_PAYLOAD, GET_STATS, LIST_JOBS])
async def test_call_of_a_consistent_read_without_a_position_is_refused_and_not_repeated(
    caller: Caller, transport: ScriptedTransport, operation: Operation
) -> None:
    transport.answers("perhaps old")

    with pytest.raises(TransportRequestError, match="knows consistent reads") as caught:
        await caller.call(operation, operation.request(consistent=True))

    assert (caught.value.method, caught.value.remote) == (operation.name, False)
    assert len(transport.calls) == 1


async def test_call_of_a_consistent_read_that_broke_is_consistent_again(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_broke(), EngineStateError("starting"), _at(5, 10, "fresh"))

    assert await caller.call(GET_STATS, ReadQuery(consistent=True)) == "fresh"
    assert [call.request for call in transport.calls] == [ReadQuery(consistent=True)] * 3


async def test_call_of_a_consistent_read_with_an_older_answer_discards_it_too(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _at(5, 9, "old"), _at(6, 1, "new"))
    await caller.call(SUBMIT)

    assert await caller.call(GET_STATS, ReadQuery(consistent=True)) == "new"


async def test_call_of_a_read_with_only_older_answers_gives_up_in_time(
    caller: Caller, transport: ScriptedTransport, time: ManualTime
) -> None:
    transport.answers(_at(5, 10), _at(5, 9))
    await caller.call(SUBMIT)
    started_ms = time.now_ms

    with pytest.raises(DiscoveryError, match="commit 9 of epoch 5"):
        await caller.call(GET_STATS)
    assert time.now_ms - started_ms <= 30_000


def _refused(epoch: int, number: int) -> JobNotFoundError:
    error = JobNotFoundError("there is no job a", status=404, method="getJob")
    error.position = (epoch, number)
    return error


def _batch(epoch: int, number: int, *errors: ErrorBody | None) -> Answer:
    results = [JobAnswer(job_id=str(at), error=error) for at, error in enumerate(errors)]
    return _at(epoch, number, BatchAnswer(results))


async def test_call_of_a_read_with_an_older_refusal_discards_it_and_asks_again(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _refused(5, 9), _refused(4, 99), _at(6, 1, "there"))
    await caller.call(SUBMIT)

    assert await caller.call(GET_JOB) == "there"


@pytest.mark.parametrize("operation", [GET_PAYLOAD, COMPLETE])
async def test_call_with_a_refusal_of_an_older_epoch_discards_it_and_asks_again(
    caller: Caller, transport: ScriptedTransport, operation: Operation
) -> None:
    transport.answers(_at(5, 10), _refused(4, 99), _at(6, 1, "there"))
    await caller.call(SUBMIT)

    assert await caller.call(operation) == "there"


async def test_call_with_a_late_refusal_of_the_same_epoch_believes_it(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _refused(5, 9))
    await caller.call(SUBMIT)

    with pytest.raises(JobNotFoundError):
        await caller.call(COMPLETE)


async def test_call_of_a_batch_refused_in_part_by_an_older_epoch_asks_again(
    caller: Caller, transport: ScriptedTransport
) -> None:
    lost = ErrorBody(tag="LeaseLostError", message="no")
    fresh, late, done = _batch(5, 11, None, None), _batch(5, 9, lost), _batch(4, 99, None)
    transport.answers(_at(5, 10), late, done, _batch(4, 99, None, lost), fresh)
    await caller.call(SUBMIT)

    assert await caller.call(COMPLETE_BATCH) == late.value
    assert await caller.call(COMPLETE_BATCH) == done.value
    assert await caller.call(COMPLETE_BATCH) == fresh.value


async def test_call_of_a_heartbeat_refused_by_an_older_epoch_fails_but_refuses_nothing(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _batch(4, 99, ErrorBody(tag="LeaseLostError", message="no")))
    await caller.call(SUBMIT)

    with pytest.raises(DiscoveryError, match="epoch 4"):
        await caller.call(HEARTBEAT_BATCH)


async def test_call_with_a_refusal_that_is_not_older_raises_it_and_remembers_where_it_was(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _refused(5, 11), _at(5, 10, "old"), _at(5, 11, "recent"))
    await caller.call(SUBMIT)

    with pytest.raises(JobNotFoundError):
        await caller.call(GET_JOB)
    assert await caller.call(GET_STATS) == "recent"


async def test_call_with_only_older_refusals_says_why_and_that_nothing_was_applied(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _refused(4, 99))
    await caller.call(SUBMIT)

    with pytest.raises(DiscoveryError, match="there is no job a") as caught:
        await caller.call(COMPLETE)
    assert caught.value.applied == "no"


async def test_call_with_other_settings_still_discards_older_answers(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(_at(5, 10), _at(5, 9))
    await caller.call(SUBMIT)

    with pytest.raises(DiscoveryError):
        await caller.with_settings(ClientSettings(retry_for_ms=0)).call(GET_STATS)


async def test_reconnect_takes_the_next_answer_as_it_is(
    client: OsqueueClient, transport: ScriptedTransport
) -> None:
    stats = Stats(total=7, unclaimed=7, in_progress=0, completed_total=0, broker_address="b")
    transport.answers(_at(5, 10), _at(1, 1, stats))
    await client.get_stats()

    await client.reconnect()

    assert await client.get_stats() == stats
    assert transport.reconnected == 1


async def test_call_when_cancelled_sends_nothing_more(
    caller: Caller, transport: ScriptedTransport
) -> None:
    transport.answers(asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError):
        await caller.call(SUBMIT)
    assert len(transport.calls) == 1
