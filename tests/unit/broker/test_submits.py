"""Objects and the jobs that name them: what is left behind when things go wrong in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec import Raw
from tests.integration.flaky_payloads import FlakyPayloads

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.broker.waiting import WaitingClaims
from osqueue.clock import SystemClock, SystemEntropy
from osqueue.config import BrokerSettings, CommitSettings, LeadershipSettings, QueueLimits
from osqueue.engine.callers import Caller
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.engine.term import read_instant
from osqueue.errors import CommitUnknownError, EngineStateError
from osqueue.model.job import LargePayload
from osqueue.model.ops import Claim, Heartbeat, Op
from osqueue.model.outcomes import Claimed
from osqueue.wire.messages import (
    ClaimRequest,
    CompleteRequest,
    HeartbeatBatchRequest,
    SubmitRequest,
)
from osqueue.wire.operations import PutQuery

Q = DEFAULT_QUEUE
TEXT = b'"' + b"x" * 70_000 + b'"'


async def soon(what: Awaitable[object]) -> object:
    return await asyncio.wait_for(what, 10)


async def eventually(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)


class World:
    """A service over a real engine on a store in memory."""

    def __init__(self, *, lease_timeout_ms: int = 30_000, orphan_after_ms: int = 10_000) -> None:
        self.store = FlakyPayloads()
        self.engine = Engine(
            self.store,
            "queue.json",
            address="me:1",
            settings=BrokerSettings(
                leadership=LeadershipSettings(
                    heartbeat_interval_ms=20_000, heartbeat_timeout_ms=60_000
                ),
                commit=CommitSettings(answer_ms_max=50, backoff_first_ms=1, backoff_max_ms=2),
                limits=QueueLimits(
                    lease_timeout_ms=lease_timeout_ms, orphan_after_ms=orphan_after_ms
                ),
                drain_ms=50,
            ),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            waiting=WaitingClaims,
            probe=self._probe,
        )
        self.service = QueueService(self.engine, address="me:1", entropy=SystemEntropy())

    async def put(self, job_id: str) -> None:
        await soon(self.service.submit_text(Q, job_id, PutQuery(), TEXT))

    def written_under(self, epochs: list[int]) -> None:
        """The next objects are written under these epochs, whatever epoch leads."""
        write = self.engine.payloads.write

        async def writes(epoch: int, type_: str, text: bytes) -> LargePayload:
            return await write(epochs.pop(0) if epochs else epoch, type_, text)

        self.engine.payloads.write = writes  # type: ignore[method-assign] # a leader that changes

    def meanwhile(self, happens: Callable[[], None]) -> None:
        """Something happens between the object and its commit."""
        write = self.engine.payloads.write

        async def writes(epoch: int, type_: str, text: bytes) -> LargePayload:
            large = await write(epoch, type_, text)
            happens()
            return large

        self.engine.payloads.write = writes  # type: ignore[method-assign] # time passes in it

    async def _probe(self, _ask: Ask) -> ProbeAnswer:
        return ProbeAnswer.SILENT


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await soon(world.engine.start())
    yield world
    await soon(world.engine.stop())


async def test_submit_when_the_epoch_has_changed_then_the_object_is_written_again(
    world: World,
) -> None:
    world.written_under([1])
    await world.put("a")
    await eventually(lambda: len(world.store.payloads) == 1)
    (key,) = world.store.payloads
    assert key.startswith(f"payloads/{world.engine.epoch}/")


async def test_submit_when_the_epoch_changes_again_and_again_then_not_applied(
    world: World,
) -> None:
    world.written_under([1, 2])
    with pytest.raises(EngineStateError) as caught:
        await world.put("a")
    assert (caught.value.applied, caught.value.retryable) == ("no", True)
    await eventually(lambda: world.store.payloads == {})


async def test_submit_when_it_is_surely_not_applied_then_its_object_is_deleted(
    world: World,
) -> None:
    def stops() -> None:
        term = world.engine._term
        assert term is not None
        term.committer.stop(read_instant(SystemClock()))

    world.meanwhile(stops)
    with pytest.raises(EngineStateError) as caught:
        await world.put("a")
    assert caught.value.applied == "no"
    await eventually(lambda: world.store.payloads == {})


async def test_submit_when_its_fate_is_unknown_then_its_object_stays(world: World) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    world.store.put = hangs  # type: ignore[method-assign,assignment] # no commit is confirmed
    with pytest.raises(CommitUnknownError):
        await world.put("a")
    assert len(world.store.payloads) == 1


async def test_submit_when_the_broker_has_stopped_then_nothing_is_uploaded() -> None:
    world = World()
    with pytest.raises(EngineStateError):
        await world.put("a")
    await soon(world.engine.start())
    await soon(world.engine.stop())
    with pytest.raises(EngineStateError, match="stopping"):
        await world.put("a")
    assert world.store.payloads == {}
    world.engine.discard(["payloads/1/a"])
    assert world.engine._desk.idle


async def test_lease_when_its_payload_takes_long_to_fetch_then_it_is_kept() -> None:
    world = World(lease_timeout_ms=60, orphan_after_ms=1)
    await soon(world.engine.start())
    await world.put("a")
    world.store.held = asyncio.Event()
    beats: list[Op] = []
    ask = world.engine.ask

    async def counts(op: Op, *, size: int = 0, consistent: bool = False) -> object:
        if isinstance(op, Heartbeat):
            beats.append(op)
        return await ask(op, size=size, consistent=consistent)

    world.engine.ask = counts  # type: ignore[method-assign,assignment] # counts what it passes on
    request = ClaimRequest(worker_id="w")
    claiming = asyncio.ensure_future(world.service.claim(Q, request, Caller()))
    await eventually(lambda: len(beats) >= 6)  # two time-outs
    world.store.held.set()
    reply = await asyncio.wait_for(claiming, 10)
    (job,) = reply.value.jobs
    assert bytes(job.payload) == TEXT  # type: ignore[arg-type] # it has one
    await soon(world.service.complete(Q, "a", CompleteRequest(worker_id="w", lease=job.lease)))
    assert reply.sent is not None
    reply.sent()
    reply.sent()
    assert world.engine.payloads.outgoing.free == BrokerSettings().payloads.out_bytes_max
    await eventually(lambda: world.service._deliveries == {})
    await soon(world.engine.stop())


async def test_lease_when_its_answer_is_on_the_wire_then_it_is_no_orphan_for_a_while() -> None:
    world = World(orphan_after_ms=-1)  # every lease is old enough
    await soon(world.engine.start())
    await world.put("a")
    reply = await world.service.claim(Q, ClaimRequest(worker_id="w"), Caller())
    assert reply.sent is not None
    reply.sent()
    beat = HeartbeatBatchRequest(worker_id="w", jobs=[], all=True)  # sent before it got there
    await soon(world.service.heartbeat_batch(Q, beat))
    assert (await world.service.get_job(Q, "a")).value.status == "in_progress"
    await eventually(lambda: world.service._deliveries == {})
    await soon(world.service.heartbeat_batch(Q, beat))
    assert (await world.service.get_job(Q, "a")).value.status == "unclaimed"
    await soon(world.engine.stop())


async def test_claim_when_nothing_is_large_then_nothing_is_kept_for_it(world: World) -> None:
    await world.service.submit(Q, SubmitRequest(payload=Raw(b"1"), job_id="a"))
    reply = await world.service.claim(Q, ClaimRequest(worker_id="w"), Caller())
    assert world.service._deliveries == {}
    assert reply.sent is not None
    reply.sent()
    held = await world.engine.ask(Claim("w", "s"))
    assert held.outcome == Claimed(())
