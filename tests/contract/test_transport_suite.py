"""The contract finds the faults that transports have: each broken one fails its check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from osqueue.app import BrokerServer
from osqueue.client.transports import Answer, QueueTransportAdapter
from osqueue.client.transports.direct import DirectTransport
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerProtocolError,
    JobNotFoundError,
    OsqueueError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.testing import LookContract, StreamContract, TransportContract
from osqueue.wire import messages
from osqueue.wire import operations as ops
from osqueue.wire.operations import Operation


class Whole(DirectTransport):
    """Nothing is wrong with it."""

    def __init__(self, broker: BrokerServer) -> None:
        super().__init__(broker.url, [broker])


class ForgetsOptions(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if operation is ops.SUBMIT:
            request = msgspec.structs.replace(request, priority=0)
        return await super().call(operation, request, **more)


class WritesPayloadsAnew(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if operation is ops.SUBMIT and request.payload is not msgspec.UNSET:
            text = msgspec.json.encode(msgspec.json.decode(request.payload))
            request = msgspec.structs.replace(request, payload=msgspec.Raw(text))
        return await super().call(operation, request, **more)


class ForgetsConsistency(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if isinstance(request, ops.ReadQuery):
            request = msgspec.structs.replace(request, consistent=False)
        return await super().call(operation, request, **more)


class ForgetsConsistencyOfPayloads(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        request = None if operation is ops.GET_PAYLOAD else request
        return await super().call(operation, request, **more)


class ForgetsTheRestOfConsistentLists(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if isinstance(request, ops.ListQuery) and request.consistent:
            request = ops.ListQuery(consistent=True)
        return await super().call(operation, request, **more)


class ForgetsTheText(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if getattr(request, "text", None) is not None:
            request = replace(request, text=None)
        return await super().call(operation, request, **more)


class ForgetsWhatToLeaveOut(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if getattr(request, "payloads", True) is False:
            request = replace(request, payloads=True)
        return await super().call(operation, request, **more)


class ForgetsTheFilter(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if operation is ops.ACT_ON_JOBS and request.job_ids is not None:
            request = replace(request, filter=None)
        return await super().call(operation, request, **more)


class ForgetsTheBound(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if operation is ops.ACT_ON_JOBS:
            request = replace(request, max=1_000)
        return await super().call(operation, request, **more)


class LosesPlaces(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        answer = await super().call(operation, request, **more)
        match answer.value:
            case messages.JobsPage():
                return replace(answer, value=replace(answer.value, next_cursor=None))
            case messages.DeadGroups():
                return replace(answer, value=replace(answer.value, groups=[]))
            case _:
                return answer


class LosesErrorsOfConsistentReads(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except JobNotFoundError:
            return Answer(None)


class LosesPositions(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        return Answer((await super().call(operation, request, **more)).value)


class LosesPositionsOfRefusals(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except OsqueueError as error:
            error.position = None
            raise


class LosesTags(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except OsqueueError as error:
            raise TransportRequestError(error.message, status=error.status) from error


class LosesMethods(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except OsqueueError as error:
            error.method = None
            raise


class LosesApplied(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except OsqueueError as error:
            error.applied = None
            raise


class SaysApplied(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        try:
            return await super().call(operation, request, **more)
        except TransportConnectionError as error:
            error.applied = "no"
            raise


class KeepsCancelledCalls(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        call = asyncio.ensure_future(super().call(operation, request, **more))
        return await asyncio.shield(call)


class IgnoresTimes(Whole):
    async def call(
        self, operation: Operation, request: Any = None, *, timeout_s: float, **more: Any
    ) -> Answer:
        return await super().call(operation, request, timeout_s=timeout_s + 3_600, **more)


class OneAtATime(Whole):
    def __init__(self, broker: BrokerServer) -> None:
        super().__init__(broker)
        self.turn = asyncio.Lock()

    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        async with self.turn:
            return await super().call(operation, request, **more)


class MixesAnswersUp(Whole):
    def __init__(self, broker: BrokerServer) -> None:
        super().__init__(broker)
        self.last = Answer(None)

    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        self.last = await super().call(operation, request, **more)
        await asyncio.sleep(0)
        return self.last


class CannotBeClosed(Whole):
    async def close(self) -> None:
        """Goes on."""


class LosesSmallBodies(Whole):
    async def call(self, operation: Operation, request: Any = None, **more: Any) -> Answer:
        if operation is ops.SUBMIT_LARGE:
            raise BrokerProtocolError("too large", status=413)
        return await super().call(operation, request, **more)


class KeepsClosedStreams(Whole):
    kept: list[AsyncGenerator[Any, None]]

    async def stream(
        self, operation: Operation, request: Any, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        pushed = super().stream(operation, request, timeout_s=timeout_s)
        self.kept = [*getattr(self, "kept", []), pushed]
        while True:
            yield await asyncio.shield(asyncio.ensure_future(anext(pushed)))


class TellsHalf(Whole):
    async def stream(
        self, operation: Operation, request: Any, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        every = 0
        async for message in super().stream(operation, request, timeout_s=timeout_s):
            every += 1
            if every % 2:
                yield message


class EndsInSilence(Whole):
    async def stream(
        self, operation: Operation, request: Any, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        try:
            async for message in super().stream(operation, request, timeout_s=timeout_s):
                yield message
        except OsqueueError:
            return


BROKEN: list[tuple[type[Whole], str]] = [
    (ForgetsOptions, "test_submit_then_the_job_is_there_as_it_was_described"),
    (WritesPayloadsAnew, "test_payloads_of_every_form_then_handed_out_byte_by_byte"),
    (ForgetsConsistency, "test_consistent_read_then_the_broker_looks_first_whether_it_leads"),
    (
        ForgetsConsistencyOfPayloads,
        "test_consistent_read_then_the_broker_looks_first_whether_it_leads",
    ),
    (LosesPositions, "test_consistent_read_then_the_broker_looks_first_whether_it_leads"),
    (ForgetsTheRestOfConsistentLists, "test_consistent_list_then_of_what_was_asked_for"),
    (
        LosesErrorsOfConsistentReads,
        "test_consistent_read_of_no_job_then_the_error_of_any_read",
    ),
    (LosesPositions, "test_answers_then_each_rests_on_a_commit_that_is_not_older"),
    (
        LosesPositionsOfRefusals,
        "test_refusals_then_each_rests_on_a_commit_that_is_not_older",
    ),
    (LosesTags, "test_errors_then_of_the_class_that_the_broker_raised"),
    (LosesMethods, "test_errors_then_of_the_class_that_the_broker_raised"),
    (LosesApplied, "test_overload_then_says_that_nothing_was_applied"),
    (LosesApplied, "test_standby_then_names_the_leader"),
    (LosesApplied, "test_nobody_there_then_surely_nothing_was_received"),
    (SaysApplied, "test_call_without_an_answer_in_time_then_says_so"),
    (KeepsCancelledCalls, "test_claim_that_is_given_up_then_the_job_goes_to_the_next"),
    (IgnoresTimes, "test_call_without_an_answer_in_time_then_says_so"),
    (OneAtATime, "test_claim_that_waits_then_gets_the_job_that_comes"),
    (MixesAnswersUp, "test_many_calls_at_once_then_each_gets_its_own_answer"),
    (CannotBeClosed, "test_close_twice_then_harmless_and_calls_are_refused"),
    (LosesSmallBodies, "test_large_payload_then_handed_out_whole"),
]

BROKEN_LOOKS: list[tuple[type[Whole], str]] = [
    (ForgetsTheText, "test_list_by_every_filter_then_those_that_are_meant"),
    (ForgetsTheText, "test_count_then_as_many_as_are_meant"),
    (ForgetsTheText, "test_ended_then_the_last_first_from_state_and_archive"),
    (ForgetsWhatToLeaveOut, "test_list_without_payloads_then_only_those_are_left_out"),
    (ForgetsTheFilter, "test_act_on_jobs_then_done_to_each_that_is_meant"),
    (ForgetsTheBound, "test_act_on_jobs_that_are_too_many_then_some_are_left"),
    (LosesTags, "test_act_on_all_jobs_of_a_queue_then_refused"),
    (LosesPlaces, "test_list_the_newest_first_then_page_by_page"),
    (LosesPlaces, "test_dead_groups_then_by_their_errors"),
]

BROKEN_STREAMS: list[tuple[type[Whole], str]] = [
    (KeepsClosedStreams, "test_stream_that_is_given_up_then_the_broker_learns_of_it"),
    (TellsHalf, "test_subscribe_then_the_counts_and_each_change_after_them"),
    (EndsInSilence, "test_stream_when_its_broker_stops_then_ends_by_an_error_that_passes"),
    (EndsInSilence, "test_stream_at_a_standby_then_it_names_the_leader"),
]


async def _check(contract: Any, check: str, *, most_s: float = 20) -> None:
    async with asyncio.timeout(most_s):
        await getattr(contract, check)()


WAITS_S = 1.0
"""A broken transport that would keep its check waiting for ever has failed it after this."""


def _of(kind: type[Whole], contract: type) -> Any:
    class Contract(contract):  # type: ignore[misc]
        def make_transport(self, broker: BrokerServer, _: ClientSettings) -> QueueTransportAdapter:
            return kind(broker)

    return Contract()


@pytest.mark.parametrize(("broken", "check"), BROKEN)
async def test_check_of_a_broken_transport_then_fails(broken: type[Whole], check: str) -> None:
    await _check(_of(Whole, TransportContract), check)
    with pytest.raises((AssertionError, OsqueueError, TimeoutError)):
        await _check(_of(broken, TransportContract), check, most_s=WAITS_S)


@pytest.mark.parametrize(("broken", "check"), BROKEN_LOOKS)
async def test_check_of_a_broken_look_then_fails(broken: type[Whole], check: str) -> None:
    await _check(_of(Whole, LookContract), check)
    with pytest.raises((AssertionError, OsqueueError, TimeoutError)):
        await _check(_of(broken, LookContract), check, most_s=WAITS_S)


@pytest.mark.parametrize(("broken", "check"), BROKEN_STREAMS)
async def test_check_of_a_broken_stream_then_fails(broken: type[Whole], check: str) -> None:
    await _check(_of(Whole, StreamContract), check)
    with pytest.raises((AssertionError, OsqueueError, StopAsyncIteration, TimeoutError)):
        await _check(_of(broken, StreamContract), check, most_s=WAITS_S)
