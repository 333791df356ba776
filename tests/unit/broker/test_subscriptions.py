"""What observers are told, when, and how they are dropped."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from tests.property.follower import Replay

from osqueue.broker import subscriptions as module
from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.broker.subscription import Subscription
from osqueue.config import StreamSettings
from osqueue.engine.callers import Caller
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    EngineStateError,
    OverloadedError,
)
from osqueue.model import events as events_module
from osqueue.model.events import EventKind
from osqueue.storage.memory import MemoryBackend
from osqueue.wire.messages import (
    ClaimRequest,
    CompleteRequest,
    SubmitBatchRequest,
    SubmitRequest,
    SubscribeRequest,
    Update,
)

from .conftest import Lead, soon

Q = DEFAULT_QUEUE
EVENTS = SubscribeRequest(stats_every_ms=0)


def kinds(update: Update) -> list[str]:
    return [f"{event.kind} {event.job_id}" for event in update.events]


async def begin(service: QueueService, request: SubscribeRequest = EVENTS) -> Subscription:
    """A subscription whose first update has been read."""
    subscription = service.subscribe(Q, request)
    first = await soon(anext(subscription))
    assert first.stats is not None
    assert first.events == []
    return subscription


async def submit(service: QueueService, *job_ids: str, type_: str = "") -> None:
    jobs = [SubmitRequest(job_id=job_id, type=type_) for job_id in job_ids]
    await soon(service.submit_batch(Q, SubmitBatchRequest(jobs)))


async def claim(service: QueueService, **fields: Any) -> Any:
    request = ClaimRequest(worker_id="w", **fields)
    return (await soon(service.claim(Q, request, Caller()))).value.jobs


async def test_subscribe_when_it_begins_then_the_counts_and_their_commit_come_first(
    lead: Lead,
) -> None:
    broker = await lead()
    await submit(broker.service, "a", "b")
    reply = await broker.service.stats(Q)
    first = await soon(anext(broker.service.subscribe(Q, SubscribeRequest())))
    assert first.stats == reply.value
    assert reply.position is not None
    assert first.commit == f"{reply.position[0]}-{reply.position[1]}"


async def test_subscribe_when_jobs_live_and_end_then_each_change_is_told_in_order(
    lead: Lead,
) -> None:
    broker = await lead()
    service = broker.service
    subscription = await begin(service)
    await submit(service, "a", type_="t")
    (job,) = await claim(service)
    await soon(service.complete(Q, "a", CompleteRequest(worker_id="w", lease=job.lease)))
    updates = [await soon(anext(subscription)) for _ in range(3)]
    assert [kinds(update) for update in updates] == [
        ["submitted a"],
        ["claimed a"],
        ["completed a"],
    ]
    (claimed,) = updates[1].events
    assert (claimed.type, claimed.worker_id, claimed.attempt) == ("t", "w", 1)
    commits = [tuple(map(int, update.commit.split("-"))) for update in updates]
    assert commits == sorted(set(commits))


async def test_subscribe_when_only_some_types_are_wanted_then_others_are_not_told(
    lead: Lead,
) -> None:
    broker = await lead()
    mails = await begin(broker.service, SubscribeRequest(types=["mail"], stats_every_ms=0))
    await submit(broker.service, "a", type_="other")
    await submit(broker.service, "b", type_="mail")
    assert kinds(await soon(anext(mails))) == ["submitted b"]


async def test_subscribe_when_a_commit_changes_many_jobs_then_its_updates_are_bounded(
    lead: Lead,
) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    ids = [f"j{number}" for number in range(1_000)]
    await asyncio.gather(submit(broker.service, *ids), submit(broker.service, "last"))
    updates = [await soon(anext(subscription))]
    while sum(len(update.events) for update in updates) < 1_001:
        updates.append(await soon(anext(subscription)))
    assert [kind for update in updates for kind in kinds(update)] == [
        f"submitted {job_id}" for job_id in [*ids, "last"]
    ]
    assert max(len(update.events) for update in updates) <= 1_000


async def test_subscribe_when_two_want_the_same_then_both_get_the_same_object(lead: Lead) -> None:
    broker = await lead()
    one, other = await begin(broker.service), await begin(broker.service)
    await submit(broker.service, "a")
    assert await soon(anext(one)) is await soon(anext(other))


async def test_stats_when_they_changed_then_they_are_told_once_per_interval(lead: Lead) -> None:
    broker = await lead()
    request = SubscribeRequest(events=False, stats_every_ms=100)
    subscription = await begin(broker.service, request)
    for job_id in "abc":
        await submit(broker.service, job_id)
    update = await soon(anext(subscription))
    assert update.stats is not None
    assert update.stats.unclaimed == 3
    assert not subscription._updates


async def test_stats_when_nobody_reads_then_only_the_newest_wait(lead: Lead) -> None:
    broker = await lead()
    subscription = broker.service.subscribe(Q, SubscribeRequest(events=False, stats_every_ms=100))
    hub = broker.service.streams.subscriptions
    for number in range(600):
        await submit(broker.service, f"j{number}")
        hub._tell()
        hub._tell_counts()
        subscription.due_at = 0.0
    assert len(subscription._updates) == 1
    newest = await soon(anext(subscription))
    assert newest.stats is not None
    assert newest.stats.unclaimed >= 599


# Telling many takes its time


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telling anybody takes so long that it is put off for the length of a test."""
    monkeypatch.setattr(module, "TELL_US", 60_000_000)


@pytest.mark.usefixtures("slowly")
async def test_published_when_it_was_told_just_now_then_it_waits_and_is_told_with_others(
    lead: Lead,
) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    hub = broker.service.streams.subscriptions
    for job_id in "abc":
        await submit(broker.service, job_id)
    assert not subscription._updates
    assert hub._pause is not None
    hub._tell()
    assert [kinds(update) for update in subscription.take_ready()] == [
        ["submitted a"],
        ["submitted b"],
        ["submitted c"],
    ]
    assert hub._pause is None


@pytest.mark.usefixtures("slowly")
async def test_subscribe_when_something_waits_to_be_told_then_it_is_told_once_to_each(
    lead: Lead,
) -> None:
    broker = await lead()
    earlier = await begin(broker.service)
    await submit(broker.service, "a")
    later = broker.service.subscribe(Q, EVENTS)
    first = await soon(anext(later))
    assert first.stats is not None
    assert first.stats.unclaimed == 1
    await submit(broker.service, "b")
    broker.service.streams.subscriptions._tell()
    assert [kinds(update) for update in earlier.take_ready()] == [["submitted a"], ["submitted b"]]
    assert [kinds(update) for update in later.take_ready()] == [["submitted b"]]


@pytest.mark.usefixtures("slowly")
async def test_stop_when_something_waits_to_be_told_then_it_is_told_before_the_end(
    lead: Lead,
) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    await submit(broker.service, "a")
    await soon(broker.engine.stop())
    assert kinds(await soon(anext(subscription))) == ["submitted a"]
    with pytest.raises(EngineStateError):
        await soon(anext(subscription))


@pytest.mark.usefixtures("slowly")
async def test_aclose_when_something_waits_to_be_told_then_it_is_forgotten(lead: Lead) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    await submit(broker.service, "a")
    await subscription.aclose()
    hub = broker.service.streams.subscriptions
    assert (hub._untold, hub._pause, hub._latest) == ([], None, None)


async def test_published_when_the_pause_is_over_then_it_is_told_by_itself(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_US", 2_000)
    broker = await lead()
    subscription = await begin(broker.service)
    for job_id in "abc":
        await submit(broker.service, job_id)
    told = [kind for _ in range(3) for kind in kinds(await soon(anext(subscription)))]
    assert told == ["submitted a", "submitted b", "submitted c"]


async def test_subscribe_when_nobody_does_any_more_then_nothing_is_recorded(lead: Lead) -> None:
    broker = await lead()
    recorded = [broker.intake.state.events]
    one, other = await begin(broker.service), await begin(broker.service)
    await one.aclose()
    await one.aclose()
    assert broker.intake.state.events is not None
    await other.aclose()
    recorded.append(broker.intake.state.events)
    assert recorded == [None, None]
    assert broker.service.streams.subscriptions._timer is None


async def test_aclose_when_somebody_reads_then_the_reading_ends(lead: Lead) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    reading = asyncio.create_task(_read_all(subscription))
    await asyncio.sleep(0)
    await subscription.aclose()
    assert await soon(reading) == []


async def _read_all(subscription: Subscription) -> list[Update]:
    return [update async for update in subscription]


async def test_subscription_when_its_reader_is_too_slow_then_it_is_dropped_and_told_why(
    lead: Lead,
) -> None:
    broker = await lead(streams=StreamSettings(updates_max=3))
    slow, quick = await begin(broker.service), await begin(broker.service)
    for number in range(4):
        await submit(broker.service, f"j{number}")
        assert kinds(await soon(anext(quick))) == [f"submitted j{number}"]
    with pytest.raises(OverloadedError, match="too slowly: 3 updates with 3 events"):
        await soon(anext(slow))
    assert len(broker.service.streams.subscriptions) == 1
    assert not slow._updates


async def test_subscription_when_too_many_events_wait_then_it_is_dropped(lead: Lead) -> None:
    broker = await lead(streams=StreamSettings(events_max=10))
    slow = await begin(broker.service)
    await submit(broker.service, *"abcdef")
    await submit(broker.service, *"ghijkl")
    broker.service.streams.subscriptions._tell()
    with pytest.raises(OverloadedError, match="1 updates with 6 events"):
        await soon(anext(slow))


async def test_subscription_when_one_commit_is_large_then_who_waits_for_nothing_gets_it_whole(
    lead: Lead,
) -> None:
    broker = await lead(streams=StreamSettings(events_max=10, updates_max=2))
    idle = await begin(broker.service)
    ids = [[f"j{batch}-{number}" for number in range(1_000)] for batch in range(3)]
    await asyncio.gather(*[submit(broker.service, *batch) for batch in ids])
    seen: list[str] = []
    while len(seen) < 3_000:
        seen += kinds(await soon(anext(idle)))
    assert seen == [f"submitted {job_id}" for batch in ids for job_id in batch]


async def test_subscription_when_it_was_dropped_then_nothing_is_told_after_the_gap(
    lead: Lead,
) -> None:
    broker = await lead(streams=StreamSettings(events_max=1_002))
    slow = await begin(broker.service)
    await submit(broker.service, "first")
    ids = [[f"j{batch}-{number}" for number in range(1_000)] for batch in range(2)]
    await asyncio.gather(*[submit(broker.service, *batch) for batch in [*ids, ["last"]]])
    with pytest.raises(OverloadedError, match="too slowly"):
        await soon(_read_all(slow))
    assert not slow._updates


async def test_subscription_when_a_commit_tells_counts_alone_then_it_ends_for_who_wants_events(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "COMMIT_EVENTS_MAX", 2)
    broker = await lead()
    counts = await begin(broker.service, SubscribeRequest(events=False, stats_every_ms=100))
    events = await begin(broker.service)
    await submit(broker.service, *"abc")
    with pytest.raises(OverloadedError, match="more jobs than are told of"):
        await soon(anext(events))
    update = await soon(anext(counts))
    assert update.stats is not None
    assert update.stats.unclaimed == 3


async def test_subscribe_at_the_next_leader_when_the_first_has_handed_over_then_nothing_is_missing(
    lead: Lead,
) -> None:
    store = MemoryBackend()
    first = await lead(store)
    subscription = await begin(first.service)
    await submit(first.service, "a", "b", type_="t")
    (job,) = await claim(first.service)
    await soon(
        first.service.complete(Q, job.job_id, CompleteRequest(worker_id="w", lease=job.lease))
    )
    await soon(first.engine.stop())
    told = await read_until_over(subscription)
    replay = Replay({})
    for event in [event for update in told for event in update.events]:
        replay.step(EventKind(event.kind), event.job_id)
    second = await lead(store)
    next_one = second.service.subscribe(Q, EVENTS)
    base = await soon(anext(next_one))
    assert base.stats is not None
    assert Counter(replay.statuses.values()) == {"unclaimed": base.stats.unclaimed}
    assert replay.completed == base.stats.completed_total == 1
    assert [*map(int, base.commit.split("-"))] > [*map(int, told[-1].commit.split("-"))]
    await submit(second.service, "c")
    assert kinds(await soon(anext(next_one))) == ["submitted c"]


async def read_until_over(subscription: Subscription) -> list[Update]:
    """What is told until the broker leads no more."""
    told = []
    try:
        async for update in subscription:
            told.append(update)  # noqa: PERF401 - what came before the error counts
    except EngineStateError:
        return told
    raise AssertionError("it ended without an error")


async def test_subscribe_when_too_many_do_then_it_is_refused(lead: Lead) -> None:
    broker = await lead(streams=StreamSettings(subscriptions_max=1))
    first = await begin(broker.service)
    with pytest.raises(OverloadedError, match="too many subscriptions"):
        broker.service.subscribe(Q, EVENTS)
    await first.aclose()
    await begin(broker.service)


async def test_subscribe_when_the_queue_is_unknown_then_it_is_refused(lead: Lead) -> None:
    broker = await lead()
    with pytest.raises(BrokerProtocolError, match="no queue 'x'"):
        broker.service.subscribe("x", EVENTS)


async def test_subscribe_when_the_broker_stops_then_what_was_told_is_read_and_then_the_error(
    lead: Lead,
) -> None:
    broker = await lead()
    subscription = await begin(broker.service)
    await submit(broker.service, "a")
    await soon(broker.engine.stop())
    assert kinds(await soon(anext(subscription))) == ["submitted a"]
    for _ in range(2):
        with pytest.raises(EngineStateError, match="stops leading"):
            await soon(anext(subscription))
    with pytest.raises(EngineStateError):
        broker.service.subscribe(Q, EVENTS)


async def test_subscribe_when_another_broker_takes_over_then_the_error_names_it(
    lead: Lead,
) -> None:
    store = MemoryBackend()
    broker = await lead(store)
    subscription = await begin(broker.service)
    await taken_over(store, "other:1")
    with pytest.raises(Exception, match="taken over"):
        await submit(broker.service, "a")
    with pytest.raises(BrokerLeadershipError) as caught:
        await soon(anext(subscription))
    assert caught.value.leader == "other:1"


async def taken_over(store: MemoryBackend, broker: str) -> None:
    """Another leader writes the object."""
    stored = await store.get("queue.json")
    assert stored is not None
    theirs = {**json.loads(stored.data), "epoch": 4_000_000_000, "commit": "x", "broker": broker}
    await store.put("queue.json", json.dumps(theirs).encode(), if_version=stored.version)
