"""The overview of a real engine: what is told when, to whom, and at whose cost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from osqueue.broker.service import DEFAULT_QUEUE
from osqueue.config import StreamSettings
from osqueue.engine.callers import Caller
from osqueue.errors import BrokerProtocolError, EngineStateError, OverloadedError
from osqueue.model.job import Moment
from osqueue.model.tally import Tally
from osqueue.server.dashboard import documents, pace
from osqueue.server.dashboard import live as module
from osqueue.server.dashboard.watch import Watch
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.faulty_store import ScriptedStore, Step
from osqueue.wire.messages import (
    ClaimRequest,
    CompleteRequest,
    FailRequest,
    JobError,
    SubmitBatchRequest,
    SubmitRequest,
    SubscribeRequest,
)
from osqueue.wire.overview import OverviewQuery

from .conftest import Broker, Lead, soon
from .world import Reader

Q = DEFAULT_QUEUE


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for the eye of a person, or so that it costs little."""
    monkeypatch.setattr(pace, "OVERVIEW_EVERY_S", 0.001)
    monkeypatch.setattr(pace, "OVERVIEW_SHARE", 0)


async def submit(broker: Broker, *job_ids: str, type_: str = "t", **fields: Any) -> None:
    jobs = [SubmitRequest(job_id=job_id, type=type_, **fields) for job_id in job_ids]
    await soon(broker.service.submit_batch(Q, SubmitBatchRequest(jobs)))


async def claim(broker: Broker, worker: str = "w", most: int = 1) -> list[Any]:
    request = ClaimRequest(worker_id=worker, max=most)
    return list((await soon(broker.service.claim(Q, request, Caller()))).value.jobs)


async def read(watch: Watch, reader: Reader) -> dict[str, Any]:
    """The next document of a watch."""
    return reader.take((await soon(anext(watch))).value)


async def asked(broker: Broker, since: str | None = None) -> dict[str, Any]:
    reply = await soon(broker.service.overview(Q, OverviewQuery(since=since)))
    told: dict[str, Any] = json.loads(bytes(reply.value))
    return told


async def until(watch: Watch, reader: Reader, **counts: int) -> None:
    """Read on until the counts are these."""
    while any(reader.known["counts"][name] != count for name, count in counts.items()):
        await read(watch, reader)


async def ended(broker: Broker) -> None:
    """Wait until nothing is kept up to date any more."""
    async with asyncio.timeout(10):
        while broker.live._keeping is not None:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)


async def test_watch_when_opened_then_the_whole_comes_first_and_rests_on_a_commit(
    lead: Lead,
) -> None:
    broker = await lead()
    await submit(broker, "a", "b")
    watch = broker.service.watch_overview(Q, OverviewQuery())
    reply = await soon(anext(watch))
    assert reply.position == (await soon(broker.service.stats(Q))).position
    told = json.loads(bytes(reply.value))
    assert told["reset"]
    assert told["broker"]["role"] == "leader"
    assert told["broker"]["leaderSince"] <= told["now"]
    assert told["counts"] == {
        "total": 2, "ready": 2, "delayed": 0, "inProgress": 0, "dead": 0, "completedTotal": 0,
        "deadTotal": 0, "waitingClaims": 0, "paused": False,
        "oldestReadyAt": broker.state.jobs["a"].created_at,
    }  # fmt: skip
    assert told["types"] == {"t": {"ready": 2, "inProgress": 0, "dead": 0}}
    assert told["workers"] == []


async def test_watch_when_jobs_live_and_end_then_the_changes_come_to_the_whole(lead: Lead) -> None:
    broker = await lead()
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    await submit(broker, "a", "b", "c")
    held = await claim(broker, most=3)
    done = CompleteRequest(worker_id="w", lease=held[0].lease)
    await soon(broker.service.complete(Q, held[0].job_id, done))
    error = JobError(type="E", message="m")
    failed = FailRequest(worker_id="w", lease=held[1].lease, error=error, retry=False)
    await soon(broker.service.fail(Q, held[1].job_id, failed))
    await until(watch, reader, completedTotal=1, dead=1)
    assert reader.resets == 1
    (worker,) = reader.known["workers"].values()
    assert (worker["id"], worker["held"]) == ("w", 1)
    (job,) = worker["jobs"]
    assert (job["id"], job["type"]) == ("c", "t")
    assert job["since"] == broker.state.jobs["c"].heartbeat
    assert [each["kind"] for each in reader.known["activity"]] == [
        *["submitted"] * 3, *["claimed"] * 3, "completed", "dead",
    ]  # fmt: skip
    history = reader.known["history"]
    for name, number in (("submitted", 3), ("completed", 1), ("failed", 1), ("dead", 1)):
        assert sum(history[name]) == number
    fresh = Reader()
    fresh.take(json.dumps(await asked(broker)))
    assert fresh.known == reader.known


async def test_watch_when_a_write_is_under_way_then_what_is_in_it_is_not_told(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OVERVIEW_ASK_S", 0.01)
    store = ScriptedStore(MemoryBackend())
    broker = await lead(store)
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    store.then(Step("put", hold="request"))
    pending = asyncio.ensure_future(submit(broker, "a"))
    await soon(store.held())
    broker.live._outdated = True  # so that it looks at what is applied, and not durable
    await soon(broker.live.renew(broker.place))
    assert broker.state.totals().unclaimed == 1
    assert (await asked(broker))["counts"]["total"] == 0
    store.release()
    await soon(pending)
    await until(watch, reader, total=1)


async def test_watch_when_many_watch_then_they_get_the_same_object(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "FRESH_MS", 10**15)  # however slow this machine is
    broker = await lead()
    watches = [broker.live.watch(None) for _ in range(1_000)]
    for job_id in ("a", "b"):
        told = await soon(asyncio.gather(*[anext(watch) for watch in watches]))
        assert len({id(each.value) for each in told}) == 1
        await submit(broker, job_id)


async def test_watch_when_there_are_too_many_then_refused(lead: Lead) -> None:
    broker = await lead(streams=StreamSettings(subscriptions_max=2))
    one, _ = broker.live.watch(None), broker.live.watch(None)
    with pytest.raises(OverloadedError, match="too many"):
        broker.live.watch(None)
    await one.aclose()
    broker.live.watch(None)


async def test_watch_when_its_reader_is_slow_then_nothing_waits_for_him_but_all_is_told_at_once(
    lead: Lead,
) -> None:
    broker = await lead()
    slow, quick = broker.live.watch(None), broker.live.watch(None)
    reader, other = Reader(), Reader()
    await read(slow, reader)
    await read(quick, other)
    for number in range(200):
        await submit(broker, f"j{number}", type_=f"t{number % 3}")
        await until(quick, other, total=number + 1)
    await read(slow, reader)
    assert (reader.resets, reader.skipped) == (1, 180)
    assert reader.known == other.known


async def test_watch_when_it_comes_back_then_it_goes_on_where_it_was(lead: Lead) -> None:
    broker = await lead()
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    await watch.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    await ended(broker)
    await submit(broker, "a")
    again = broker.live.watch(reader.seq)
    told = await read(again, reader)
    assert "reset" not in told
    assert reader.known["counts"]["total"] == 1


async def test_watch_when_its_reader_waits_then_closing_ends_it(lead: Lead) -> None:
    broker = await lead()
    watch = broker.live.watch(None)
    await read(watch, Reader())
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await watch.aclose()
    with pytest.raises(StopAsyncIteration):
        await soon(waiting)


async def test_watch_when_the_broker_stops_then_its_readers_are_told(lead: Lead) -> None:
    broker = await lead()
    watch = broker.live.watch(None)
    await read(watch, Reader())
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await soon(broker.core.stop())
    with pytest.raises(EngineStateError, match="stops leading"):
        await soon(waiting)
    with pytest.raises(EngineStateError):
        broker.live.watch(None)
    assert len(broker.live) == 0


async def test_overview_when_the_broker_does_not_lead_then_it_tells_of_itself_alone(
    lead: Lead,
) -> None:
    broker = await lead()
    await submit(broker, "a")
    seq = (await asked(broker))["seq"]
    await soon(broker.core.stop())
    told = await asked(broker, seq)
    assert set(told) == {"seq", "now", "reset", "broker"}
    assert told["broker"]["role"] != "leader"
    assert "leaderSince" not in told["broker"]
    assert told["broker"]["problems"]


async def test_overview_when_there_is_no_broker_then_there_is_none(lead: Lead) -> None:
    broker = await lead()
    broker.service.overviews = None
    with pytest.raises(BrokerProtocolError, match="without a broker"):
        await broker.service.overview(Q, OverviewQuery())


async def test_overview_when_another_broker_led_then_the_whole_comes(lead: Lead) -> None:
    store = MemoryBackend()
    first = await lead(store)
    await submit(first, "a")
    seq = (await asked(first))["seq"]
    await soon(first.stop())
    second = await lead(store)
    told = await asked(second, seq)
    assert told["reset"]
    assert told["counts"]["total"] == 1
    assert (await asked(second, told["seq"])).get("reset") is None


async def test_overview_when_nobody_reads_then_nothing_is_recorded_and_nothing_asked(
    lead: Lead,
) -> None:
    store = ScriptedStore(MemoryBackend())
    broker = await lead(store)
    recorded = [broker.records]
    watch = broker.live.watch(None)
    await read(watch, Reader())
    recorded.append(broker.records)
    await watch.aclose()
    await ended(broker)
    assert [*recorded, broker.records] == [False, True, False]


async def test_overview_when_polled_then_it_is_kept_only_for_a_while(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await lead()
    seq = (await asked(broker))["seq"]
    assert broker.records
    await submit(broker, "a")
    assert "reset" not in await asked(broker, seq)
    monkeypatch.setattr(module, "OVERVIEW_LINGER_S", -1)
    await asked(broker)
    await submit(broker, "b")
    await ended(broker)
    assert not broker.records


async def test_subscribers_when_overviews_come_and_go_then_they_miss_nothing(lead: Lead) -> None:
    broker = await lead()
    subscription = broker.service.subscribe(Q, SubscribeRequest(stats_every_ms=0))
    assert (await soon(anext(subscription))).stats is not None
    heard: list[str] = []
    for number in range(20):
        submitting = asyncio.ensure_future(submit(broker, f"j{number}"))
        await asyncio.sleep(0)
        watch = broker.live.watch(None)
        await read(watch, Reader())
        await soon(submitting)
        await watch.aclose()
        heard += [each.job_id for each in (await soon(anext(subscription))).events]
    await submit(broker, "last")
    await ended(broker)
    assert broker.records  # the subscription goes on
    heard += [each.job_id for each in (await soon(anext(subscription))).events]
    assert heard == [*[f"j{number}" for number in range(20)], "last"]
    await subscription.aclose()
    assert not broker.records


async def test_overview_when_a_subscriber_leaves_then_its_activity_goes_on(lead: Lead) -> None:
    broker = await lead()
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    subscription = broker.service.subscribe(Q, SubscribeRequest(stats_every_ms=0))
    await soon(anext(subscription))
    await subscription.aclose()
    assert broker.records
    await submit(broker, "a")
    await until(watch, reader, total=1)
    assert [each["jobId"] for each in reader.known["activity"]] == ["a"]


async def test_overview_when_the_store_does_not_answer_then_it_is_told_without_the_figures(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OVERVIEW_ASK_S", 0.01)
    store = ScriptedStore(MemoryBackend())
    broker = await lead(store)
    store.then(Step("put", hold="request"))
    pending = asyncio.ensure_future(submit(broker, "a"))
    await soon(store.held())
    told = await asked(broker)
    assert told["broker"]["role"] == "leader"
    assert "counts" not in told
    store.release()
    await soon(pending)
    reader = Reader()
    reader.take(json.dumps(told))
    watch = broker.live.watch(reader.seq)
    await read(watch, reader)
    while "counts" not in reader.known:
        await read(watch, reader)
    assert reader.known["counts"]["total"] == 1


async def test_overview_when_it_fails_inside_then_its_readers_are_told_and_the_broker_goes_on(
    lead: Lead, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = await lead()
    watch = broker.live.watch(None)
    await read(watch, Reader())
    monkeypatch.setattr(module, "types_of", lambda _: 1 / 0)
    await submit(broker, "a")
    with pytest.raises(Exception, match="failed on the overview"):
        await read(watch, Reader())
    assert "the overview failed inside" in caplog.text
    monkeypatch.undo()
    assert (await asked(broker))["counts"]["total"] == 1


async def test_workers_when_they_hold_nothing_then_they_are_told_until_they_are_forgotten(
    lead: Lead,
) -> None:
    broker = await lead()
    await claim(broker, "idle")
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    assert reader.known["workers"]["idle"]["held"] == 0
    broker.clock.travel(10 * 60_000)
    await submit(broker, "a")
    while reader.known["workers"]:
        await read(watch, reader)


async def test_history_when_hours_pass_then_memory_stays(lead: Lead) -> None:
    broker = await lead()
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    for number in range(300):
        broker.clock.travel(60_000)
        await submit(broker, f"j{number}")
        await until(watch, reader, total=number + 1)
    assert len(reader.known["history"]["depth"]) == 720
    assert sum(reader.known["history"]["submitted"]) == 60
    assert reader.known["history"]["depth"][-1] == 300
    assert broker.state.tally == Tally()


async def test_event_when_it_is_progress_then_it_is_no_activity_but_of_its_job(lead: Lead) -> None:
    broker = await lead()
    await submit(broker, "a")
    (held,) = await claim(broker)
    watch, reader = broker.live.watch(None), Reader()
    await read(watch, reader)
    broker.state.note_progress(
        broker.state.jobs["a"], Raw(b'{"done":1.0,"total":4.0}'), Moment(1, 1)
    )
    await submit(broker, "b")
    await until(watch, reader, total=2)
    assert [each["kind"] for each in reader.known["activity"]] == ["submitted"]
    (job,) = reader.known["workers"]["w"]["jobs"]
    assert (job["id"], job["progress"]) == (held.job_id, {"done": 1.0, "total": 4.0})


async def test_store_when_a_write_fails_then_its_time_is_no_latency(lead: Lead) -> None:
    broker = await lead()
    broker.live.store_called("put", 9_000_000, "StoreBusyError")
    broker.live.store_called("get", 9_000_000, None)
    put = broker.live.history.since(0).put_p99
    assert all(each is None or each < 1_000 for each in put)
