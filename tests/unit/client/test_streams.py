"""What a client makes of streams: credit, what is given back, and whom it follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from tests.unit.client.conftest import CountingEntropy, ManualTime, ScriptedTransport

from osqueue.client import OsqueueClient, Runtime
from osqueue.client.brokers import Brokers
from osqueue.client.following import HOPS_MAX, Following
from osqueue.client.transports import Answer, StreamingTransportAdapter
from osqueue.client.watching import CHECK_EVERY_S
from osqueue.errors import (
    BrokerLeadershipError,
    OverloadedError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.testing.transport_expectations import until
from osqueue.wire.messages import ClaimAnswer, ClaimedJob, StreamRequest, SubscribeRequest, Update
from osqueue.wire.operations import ADD_CREDIT, RELEASE, STREAM_JOBS, SUBSCRIBE, Operation


def claimed(*ids: str) -> ClaimAnswer:
    return ClaimAnswer(
        [
            ClaimedJob(
                job_id=each, lease=f"l-{each}", attempt=1, max_attempts=3, created_at=1, priority=0
            )
            for each in ids
        ]
    )


class StreamingTransport(ScriptedTransport):
    """Pushes what it is told; an error among that is raised, and ``...`` waits for ever."""

    def __init__(self, time: ManualTime) -> None:
        super().__init__(time)
        self.pushes: list[Any] = []
        self.begun: list[tuple[Operation, Any]] = []
        self.ended = 0

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        assert timeout_s > 0
        self.begun.append((operation, request))
        try:
            for push in self.pushes:
                if isinstance(push, BaseException):
                    raise push
                if push is ...:
                    await asyncio.get_running_loop().create_future()
                yield push
        finally:
            self.ended += 1


@pytest.fixture
def transport(time: ManualTime) -> StreamingTransport:
    return StreamingTransport(time)


def _totals(transport: StreamingTransport) -> list[int]:
    """How many jobs may come in all, as it was said again and again."""
    return [call.request.total for call in transport.calls if call.operation is ADD_CREDIT]


async def test_credit_of_one_is_added_when_the_next_job_is_asked_for(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed("a"), claimed("b"), ...]
    transport.answers(None)
    jobs = client.stream_jobs("w", ["t"], credit=1)
    assert (await anext(jobs)).job_id == "a"
    assert _totals(transport) == []
    job = await anext(jobs)
    assert (job.job_id, job.worker_id, job.lease) == ("b", "w", "l-b")
    assert _totals(transport) == [2]
    ((operation, request),) = transport.begun
    assert operation is STREAM_JOBS
    assert (request.worker_id, request.types, request.credit) == ("w", ["t"], 1)
    assert {call.request.stream_id for call in transport.calls} == {request.stream_id}


async def test_credit_of_many_is_added_in_few_requests_and_none_is_lost(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed(*map(str, range(8))), claimed("8", "9"), ...]
    transport.answers(None)
    async with aclosing(client.stream_jobs("w", credit=8)) as jobs:
        assert [(await anext(jobs)).job_id for _ in range(10)] == [*map(str, range(10))]
        one_more = asyncio.ensure_future(anext(jobs))
        await until(lambda: _totals(transport)[-1:] == [18])
        one_more.cancel()
        await asyncio.wait({one_more})
    assert len(_totals(transport)) <= 4


async def test_jobs_that_came_before_the_end_are_brought_before_its_error(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed("a", "b"), BrokerLeadershipError("gone")]
    jobs = client.stream_jobs("w", credit=2)
    assert [(await anext(jobs)).job_id for _ in range(2)] == ["a", "b"]
    with pytest.raises(BrokerLeadershipError):
        await anext(jobs)
    assert _totals(transport) == []


async def test_jobs_that_were_not_taken_are_released_at_the_end(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed("a", "b", "c"), ...]
    transport.answers(None)
    async with aclosing(client.stream_jobs("w", credit=8)) as jobs:
        await anext(jobs)
    released = [(call.job_id, call.request.lease) for call in transport.calls]
    assert released == [("b", "l-b"), ("c", "l-c")]
    assert {call.operation for call in transport.calls} == {RELEASE}
    assert transport.ended == 1


async def test_release_that_fails_at_the_end_is_not_told(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed("a", "b", "c")]
    transport.answers(BrokerLeadershipError("gone"), None)
    settings = msgspec.structs.replace(client.settings, retry_for_ms=0)
    jobs = client.with_settings(settings).stream_jobs("w", credit=8)
    async with aclosing(jobs):
        await anext(jobs)
    assert [call.job_id for call in transport.calls] == ["b", "c"]


async def test_credit_that_is_refused_ends_the_stream(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [claimed("a"), ...]
    transport.answers(OverloadedError("full"))
    transport.takes_ms = 60_000
    jobs = client.stream_jobs("w", credit=1)
    await anext(jobs)
    with pytest.raises(OverloadedError):
        await anext(jobs)
    assert transport.ended == 1


async def test_stream_that_ends_by_an_error_raises_it_and_does_not_begin_again(
    client: OsqueueClient, transport: StreamingTransport
) -> None:
    transport.pushes = [Update(commit="1-1"), TransportConnectionError("broke")]
    updates = client.subscribe(types=["t"], stats_every_ms=0)
    assert (await anext(updates)).commit == "1-1"
    with pytest.raises(TransportConnectionError):
        await anext(updates)
    expected = SubscribeRequest(types=["t"], stats_every_ms=0)
    assert transport.begun == [(SUBSCRIBE, expected)]


async def test_stream_over_a_transport_without_any_says_which_have_them(
    runtime: Runtime, time: ManualTime
) -> None:
    async with OsqueueClient(transport=ScriptedTransport(time), runtime=runtime) as client:
        with pytest.raises(TransportConfigError, match="connect, grpc, ws or direct"):
            await anext(client.subscribe())


# Following the leader

A, B, C = "http://a:1", "http://b:1", "http://c:1"


class WatchedTime(ManualTime):
    """A watch looks when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.look = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds != CHECK_EVERY_S:
            await super().sleep(seconds)
            return
        await self.look.wait()
        self.look.clear()


class Ways:
    """A transport to each broker, and one for its health."""

    def __init__(self, time: ManualTime) -> None:
        self.time = time
        self.to: dict[str, StreamingTransport] = {}
        self.health: dict[str, ScriptedTransport] = {}

    def dial(self, url: str) -> StreamingTransportAdapter:
        return self.to.setdefault(url, StreamingTransport(self.time))

    def probe(self, url: str) -> ScriptedTransport:
        return self.health.setdefault(url, ScriptedTransport(self.time))


@pytest.fixture
def time() -> WatchedTime:
    return WatchedTime()


@pytest.fixture
def ways(time: WatchedTime) -> Ways:
    ways = Ways(time)
    for url in (A, B, C):
        ways.dial(url)
        ways.probe(url).answers(Answer(None))
    return ways


def follow(ways: Ways, time: ManualTime, *urls: str) -> Following:
    runtime = Runtime(clock=time, entropy=CountingEntropy(), sleep=time.sleep)
    return Following(Brokers(urls), ways.dial, runtime, probe=ways.probe, discovery=None)


def _updates(way: Following) -> AsyncGenerator[Any, None]:
    return way.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)


@pytest.fixture
async def closing() -> AsyncIterator[list[Following]]:
    made: list[Following] = []
    yield made
    for each in made:
        await each.close()


async def test_stream_begins_at_the_leader_that_is_named(
    ways: Ways, time: WatchedTime, closing: list[Following]
) -> None:
    way = follow(ways, time, A)
    closing.append(way)
    ways.to[A].pushes = [BrokerLeadershipError("not me", leader="b:1", status=503)]
    ways.to[B].pushes = [Update(commit="1-1")]
    assert [update.commit async for update in _updates(way)] == ["1-1"]
    assert [url for url in ways.to if ways.to[url].begun] == [A, B]


async def test_stream_is_not_sent_round_in_circles(
    ways: Ways, time: WatchedTime, closing: list[Following]
) -> None:
    way = follow(ways, time, A)
    closing.append(way)
    ways.to[A].pushes = [BrokerLeadershipError("not me", leader="b:1", status=503)]
    ways.to[B].pushes = [BrokerLeadershipError("not me", leader="a:1", status=503)]
    with pytest.raises(BrokerLeadershipError):
        await anext(_updates(way))
    assert len(ways.to[A].begun) + len(ways.to[B].begun) == HOPS_MAX + 1


async def test_stream_that_has_begun_ends_when_its_broker_stops_leading(
    ways: Ways, time: WatchedTime, closing: list[Following]
) -> None:
    way = follow(ways, time, A)
    closing.append(way)
    moved = BrokerLeadershipError("no more", leader="b:1", status=503)
    ways.to[A].pushes = [Update(commit="1-1"), moved]
    ways.to[B].pushes = [Update(commit="2-1")]
    updates = _updates(way)
    await anext(updates)
    with pytest.raises(BrokerLeadershipError):
        await anext(updates)
    assert not ways.to[B].begun
    assert (await anext(_updates(way))).commit == "2-1", "the next one begins there"


@pytest.mark.parametrize("others", [(), (B,)])
async def test_stream_of_a_broker_that_is_silent_breaks(
    ways: Ways, time: WatchedTime, closing: list[Following], others: tuple[str, ...]
) -> None:
    way = follow(ways, time, A, *others)
    closing.append(way)
    ways.to[A].pushes = [Update(commit="1-1"), ...]
    updates = _updates(way)
    await anext(updates)
    waiting = asyncio.ensure_future(anext(updates))
    ways.health[A].script = [TransportConnectionError("gone")]
    time.look.set()
    with pytest.raises(TransportConnectionError, match="silent"):
        await waiting
    assert ways.to[A].ended == 1


async def test_stream_of_a_broker_that_is_there_goes_on(
    ways: Ways, time: WatchedTime, closing: list[Following]
) -> None:
    way = follow(ways, time, A)
    closing.append(way)
    ways.to[A].pushes = [Update(commit="1-1"), ...]
    updates = _updates(way)
    await anext(updates)
    waiting = asyncio.ensure_future(anext(updates))
    time.look.set()
    async with asyncio.timeout(10):
        while not ways.health[A].calls:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert ways.to[A].ended == 1


async def test_stream_request_of_jobs_is_sent_as_it_is(
    ways: Ways, time: WatchedTime, closing: list[Following]
) -> None:
    way = follow(ways, time, A)
    closing.append(way)
    request = StreamRequest(worker_id="w", credit=1, stream_id="s")
    async for _ in way.stream(STREAM_JOBS, request, timeout_s=5):
        raise AssertionError
    assert ways.to[A].begun == [(STREAM_JOBS, request)]
