"""A broker in memory, as a test of a program uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import ANY

import msgspec
import pytest

from examples import cpu
from osqueue import Discard, Jobs, JobType, Registry, Retry
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.errors import (
    ConfigError,
    EngineStateError,
    LeaseLostError,
    OsqueueError,
    PayloadValidationError,
    TransportConfigError,
)
from osqueue.testing import MemoryBroker

jobs = Jobs()
sent: list[str] = []


class Email(msgspec.Struct):
    to: str
    copies: int = 0


@jobs.job("email:send", Email, keep_result=True)
async def send(email: Email) -> str:
    """Has one email after the other sent by a job of its own, while there are copies."""
    if email.to == "nobody":
        raise ValueError("there is nobody")
    if email.to == "later":
        raise Retry(after=60)
    if email.to == "never":
        raise Discard("no emails to them")
    if email.copies:
        await send.submit(to=email.to, copies=email.copies - 1)
    sent.append(email.to)
    return email.to


@jobs.job("email:print")
def print_out(email: Email) -> None:
    sent.append(f"paper for {email.to}")


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    sent.clear()
    with MemoryBroker() as broker, jobs.using(broker.client):
        yield broker


# What was submitted


async def test_assert_submitted_when_it_was_then_answers_the_job(broker: MemoryBroker) -> None:
    handle = await send.options(priority=3, max_attempts=7).submit(to="ada")

    job = broker.assert_submitted("email:send", to="ada")

    assert (job.job_id, job.payload) == (handle.job_id, {"to": "ada", "copies": 0})
    assert (job.priority, job.max_attempts, job.keep_result) == (3, 7, True)
    assert job.run_at is None


async def test_assert_submitted_when_asked_by_the_job_and_of_any_value_then_found(
    broker: MemoryBroker,
) -> None:
    await send.submit(to="ada")

    assert broker.assert_submitted(send, to=ANY).payload["to"] == "ada"


async def test_assert_submitted_when_a_field_differs_then_shows_the_nearest_first(
    broker: MemoryBroker,
) -> None:
    await broker.client.submit_job("report", {"month": 7})
    await send.submit(to="bob", copies=1)
    await send.submit(to="ada", copies=2)

    with pytest.raises(AssertionError) as caught:
        broker.assert_submitted("email:send", to="ada", copies=1)

    assert str(caught.value).splitlines() == [
        "no 'email:send' with to='ada', copies=1 was submitted; what was:",
        "  email:send  to='bob', copies=1  # differs in to",
        "  email:send  to='ada', copies=2  # differs in copies",
        "  report  month=7",
    ]


def test_assert_submitted_when_nothing_was_then_says_so(broker: MemoryBroker) -> None:
    with pytest.raises(AssertionError, match=r"^no 'a' was submitted, nor was any other job$"):
        broker.assert_submitted("a")


async def test_assert_submitted_when_the_submit_was_refused_then_not_found(
    broker: MemoryBroker,
) -> None:
    with pytest.raises(PayloadValidationError):
        await send.submit(to=7)  # type: ignore[call-overload]
    await broker.client.submit_job("t", 1, job_id="x")
    with pytest.raises(OsqueueError):
        await broker.client.submit_job("t", 2, job_id="x")

    assert [job.payload for job in broker.submitted()] == [1]


async def test_submitted_when_some_were_submitted_together_then_in_order_and_each_once(
    broker: MemoryBroker,
) -> None:
    await broker.client.submit_jobs([send.new(to=name) for name in ("a", "b", "c")])
    await broker.client.submit_job("email:send", {"to": "d"}, job_id="d")
    await broker.client.submit_job("email:send", {"to": "d"}, job_id="d")

    assert [job.payload["to"] for job in broker.submitted("email:send")] == ["a", "b", "c", "d"]


async def test_submitted_when_large_then_found(broker: MemoryBroker) -> None:
    await broker.client.submit_job("large", {"text": "x" * 1_000_000})

    assert len(broker.assert_submitted("large").payload["text"]) == 1_000_000


async def test_assert_not_submitted_when_it_was_then_shows_it(broker: MemoryBroker) -> None:
    await send.submit(to="ada")

    broker.assert_not_submitted(send, to="bob")
    with pytest.raises(
        AssertionError, match=r"1 such jobs were submitted:\n  email:send  to='ada'"
    ):
        broker.assert_not_submitted(send, to="ada")


async def test_forget_submitted_then_only_later_ones_are_found(broker: MemoryBroker) -> None:
    await send.submit(to="ada")
    broker.forget_submitted()
    await send.submit(to="bob")

    assert [job.payload["to"] for job in broker.submitted()] == ["bob"]


# Running


async def test_run_when_jobs_submit_others_then_runs_those_as_well(broker: MemoryBroker) -> None:
    await send.submit(to="ada", copies=2)

    runs = await broker.run_until_empty(jobs)

    assert [run.payload["copies"] for run in runs] == [2, 1, 0]
    assert (await broker.client.get_stats()).total == 0


async def test_run_when_a_handler_fails_then_raises_its_error(broker: MemoryBroker) -> None:
    await send.submit(to="nobody")

    with pytest.raises(ValueError, match="there is nobody"):
        await broker.run_until_empty(jobs)


async def test_run_when_not_fail_fast_then_tells_of_the_failure_and_keeps_the_retry(
    broker: MemoryBroker,
) -> None:
    handle = await send.submit(to="nobody")

    (run,) = await broker.run_until_empty(jobs, fail_fast=False)

    assert isinstance(run.error, ValueError)
    assert (await handle.info()).status == "unclaimed"


async def test_run_when_delayed_too_then_passes_all_retries_without_sleeping(
    broker: MemoryBroker,
) -> None:
    began = broker.now
    handle = await send.submit(to="nobody")

    runs = await broker.run_until_empty(jobs, delayed=True, fail_fast=False)

    assert [run.attempt for run in runs] == [1, 2, 3]
    assert (await handle.info()).status == "dead"
    assert broker.now - began > timedelta(seconds=2)


async def test_run_when_a_handler_raises_retry_or_discard_then_that_is_no_failure(
    broker: MemoryBroker,
) -> None:
    await send.submit(to="later")
    never = await send.submit(to="never")

    assert len(await broker.run_until_empty(jobs)) == 2
    assert (await never.info()).status == "dead"
    broker.travel(seconds=59)
    assert await broker.run_until_empty(jobs) == []
    broker.travel(seconds=2)
    assert len(await broker.run_until_empty(jobs)) == 1


async def test_run_when_the_queue_is_paused_then_fails_rather_than_wait_for_ever(
    broker: MemoryBroker,
) -> None:
    jobs = Jobs()

    @jobs.job("t")
    async def handle(payload: int) -> None: ...

    await broker.client.pause_queue()
    assert await broker.run_until_empty(jobs) == []
    await broker.client.submit_job("t", 1)
    with pytest.raises(AssertionError, match="the queue is paused"):
        await broker.run_until_empty(jobs)
    await broker.client.resume_queue()
    assert len(await broker.run_until_empty(jobs)) == 1


async def test_run_when_a_job_has_no_handler_then_fails_and_names_it(broker: MemoryBroker) -> None:
    await broker.client.submit_job("email:sned", {})

    with pytest.raises(AssertionError, match=r"1 jobs are left that nobody handles here: 'email:s"):
        await broker.run_until_empty(jobs)


async def test_run_when_only_delayed_jobs_are_left_then_ends(broker: MemoryBroker) -> None:
    await send.options(delay_ms=60_000).submit(to="ada")

    assert await broker.run_until_empty(jobs) == []
    assert len(await broker.run_until_empty(jobs, delayed=True)) == 1


async def test_run_when_jobs_run_after_others_then_in_that_order(broker: MemoryBroker) -> None:
    first = await send.submit(to="first")
    second = await send.options(after=[first]).submit(to="second")
    await send.options(after=[second], priority=-1).submit(to="third")

    runs = await broker.run_until_empty(jobs)

    assert [run.payload["to"] for run in runs] == ["first", "second", "third"]
    assert broker.submitted("email:send", to="second")[0].after == (first.job_id,)


async def test_run_when_a_job_waits_for_one_that_is_dead_then_ends(broker: MemoryBroker) -> None:
    dead = await send.options(max_attempts=1).submit(to="nobody")
    waiting = await send.options(after=[dead]).submit(to="ada")

    assert len(await broker.run_until_empty(jobs, fail_fast=False)) == 1
    assert (await waiting.info()).waits_for == (dead.job_id,)


async def test_run_when_delayed_jobs_are_of_others_then_leaves_them(broker: MemoryBroker) -> None:
    await broker.client.submit_job("other", delay_ms=60_000)

    assert await broker.run_until_empty(jobs, delayed=True) == []


async def test_run_when_jobs_never_end_to_submit_their_like_then_is_bounded(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osqueue.testing.emptying.RUNS_MAX", 5)
    await send.submit(to="ada", copies=100)

    with pytest.raises(AssertionError, match="5 jobs have run, and still there are more"):
        await broker.run_until_empty(jobs)


async def test_run_when_given_a_registry_or_a_mapping_then_runs_those(broker: MemoryBroker) -> None:
    registry = Registry({"email:send": JobType(Email, handler=send.__wrapped__)})
    await send.submit(to="ada")
    await broker.run_until_empty(registry)
    await send.submit(to="bob")
    await broker.run_until_empty({"email:send": send})

    assert sent == ["ada", "bob"]


async def test_run_when_another_worker_holds_a_job_then_waits_for_it(broker: MemoryBroker) -> None:
    await send.submit(to="ada")
    job = await broker.client.claim_job("me")
    assert job is not None

    run = asyncio.ensure_future(broker.run_until_empty(jobs))
    await broker.client.submit_job("email:print", {"to": "bob"})
    while not sent:  # noqa: ASYNC110 - the handler has no event
        await asyncio.sleep(0)
    assert not run.done()
    await broker.client.complete_job(job)

    assert [each.type for each in await run] == ["email:print"]


def test_run_in_a_plain_test_then_runs(broker: MemoryBroker) -> None:
    broker.sync_client.submit(send.new(to="ada"))

    assert [run.payload["to"] for run in broker.run_until_empty_sync(jobs)] == ["ada"]


async def test_run_in_a_plain_way_where_a_loop_runs_then_says_what_to_do(
    broker: MemoryBroker,
) -> None:
    with pytest.raises(ConfigError, match=r"await broker\.run_until_empty"):
        broker.run_until_empty_sync(jobs)


async def test_run_when_one_fails_while_another_hangs_then_fails_at_once(
    broker: MemoryBroker,
) -> None:
    hanging = asyncio.Event()

    async def hang(_: object) -> None:
        hanging.set()
        await asyncio.Event().wait()

    async def fail(_: object) -> None:
        await hanging.wait()
        raise ValueError("this one")

    hung = await broker.client.submit_job("hang")
    await broker.client.submit_job("fail")
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="this one"):
            await broker.run_until_empty({"hang": hang, "fail": fail}, concurrency=2)
    assert (await broker.client.get_job(hung)).status == "unclaimed"


async def test_run_when_a_handler_runs_in_a_process_then_its_result_is_kept(
    broker: MemoryBroker,
) -> None:
    job_id = await broker.client.submit_job("primes", {"start": 0, "stop": 100}, keep_result=True)

    await broker.run_until_empty({"primes": cpu.count_primes})

    assert await broker.client.result(job_id, timeout=5) == 25


# Eagerly


async def test_eager_then_a_submit_returns_when_its_job_has_run(broker: MemoryBroker) -> None:
    with broker.eager(jobs):
        handle = await send.submit(to="ada", copies=1)
        assert sent == ["ada", "ada"]
    assert await handle.result(timeout=5) == "ada"

    await send.submit(to="bob")
    assert "bob" not in sent


async def test_eager_when_the_handler_fails_then_the_submit_raises_that(
    broker: MemoryBroker,
) -> None:
    with broker.eager(jobs), pytest.raises(ValueError, match="there is nobody"):
        await send.submit(to="nobody")


async def test_eager_when_the_handler_raises_an_error_of_a_broker_then_not_taken_for_one(
    broker: MemoryBroker,
) -> None:
    runs = []

    async def lose(payload: object) -> None:
        runs.append(payload)
        raise LeaseLostError("of another queue")

    with broker.eager({"lose": lose}), pytest.raises(RuntimeError) as caught:
        await broker.client.submit_job("lose")

    assert isinstance(caught.value.__cause__, LeaseLostError)
    assert len(runs) == 1


def test_eager_when_submitted_by_a_plain_client_then_has_run(broker: MemoryBroker) -> None:
    with broker.eager(jobs):
        broker.sync_client.submit(print_out.new(to="ada"))

    assert sent == ["paper for ada"]


async def test_eager_when_many_are_submitted_at_once_then_each_has_run(
    broker: MemoryBroker,
) -> None:
    with broker.eager(jobs):
        await asyncio.gather(*(send.submit(to=str(number)) for number in range(20)))

    assert sorted(sent) == sorted(map(str, range(20)))


async def test_eager_when_delayed_then_not_run(broker: MemoryBroker) -> None:
    with broker.eager(jobs):
        await send.options(delay_ms=1_000).submit(to="ada")

    assert sent == []


def test_eager_when_it_is_already_then_refused(broker: MemoryBroker) -> None:
    with broker.eager(jobs), pytest.raises(ConfigError), broker.eager(jobs):
        raise AssertionError("not reached")


# Time


async def test_travel_when_a_delay_is_over_then_the_job_is_due(broker: MemoryBroker) -> None:
    await send.options(delay_ms=3_600_000).submit(to="ada")

    broker.travel(minutes=59)
    assert await broker.client.claim_job("me") is None
    broker.travel(minutes=1)
    assert await broker.client.claim_job("me") is not None


async def test_travel_when_a_claim_waits_then_brings_it_what_is_due(broker: MemoryBroker) -> None:
    await send.options(delay_ms=3_600_000).submit(to="ada")
    waiting = asyncio.ensure_future(broker.client.claim_job("me", wait_ms=30_000))
    await broker.client.get_stats()

    broker.travel(hours=1)

    assert (await waiting) is not None


async def test_travel_when_a_lease_was_not_kept_then_it_is_lost(broker: MemoryBroker) -> None:
    handle = await send.submit(to="ada")
    job = await broker.client.claim_job("me")
    assert job is not None

    broker.travel(seconds=29)
    assert (await handle.info()).status == "in_progress"
    broker.travel(seconds=2)

    assert (await handle.info()).status == "unclaimed"
    with pytest.raises(LeaseLostError):
        await broker.client.complete_job(job)


async def test_travel_when_a_lease_was_kept_meanwhile_then_it_is_held(broker: MemoryBroker) -> None:
    await send.submit(to="ada")
    job = await broker.client.claim_job("me")
    assert job is not None

    for _ in range(10):
        broker.travel(seconds=20)
        await broker.client.heartbeat(job)

    await broker.client.complete_job(job)


async def test_travel_then_what_is_submitted_is_as_of_the_new_time(broker: MemoryBroker) -> None:
    broker.travel(days=400)
    await send.options(delay_ms=60_000).submit(to="ada")

    job = broker.assert_submitted(send)

    assert job.run_at is not None
    assert timedelta(seconds=59) < job.run_at - job.submitted_at <= timedelta(minutes=1)
    assert await broker.run_until_empty(jobs) == []


async def test_travel_to_when_the_moment_has_been_then_nothing_passes(broker: MemoryBroker) -> None:
    before = broker.now
    broker.travel_to(before - timedelta(days=1))
    assert broker.now - before < timedelta(hours=1)
    broker.travel_to(before + timedelta(days=1))
    assert broker.now >= before + timedelta(days=1)


async def test_travel_when_others_submit_meanwhile_then_leases_see_all_of_it(
    broker: MemoryBroker,
) -> None:
    """However busy the broker is, a journey never passes for a pause of it."""

    async def be_busy() -> None:
        for _ in range(150):
            await broker.client.submit_job("busy")

    busy = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(be_busy())))
    for _ in range(30):
        job_id = await broker.client.submit_job("t")
        assert await broker.client.claim_job("me", ["t"]) is not None
        await asyncio.to_thread(broker.travel, seconds=31)
        assert (await broker.client.get_job(job_id)).status == "unclaimed"
        await broker.client.cancel_job(job_id)
    await busy


def test_travel_when_back_then_refused(broker: MemoryBroker) -> None:
    with pytest.raises(ConfigError, match="time does not go back"):
        broker.travel(minutes=-1)


# Its life


async def test_clients_when_used_in_two_loops_then_see_one_queue(broker: MemoryBroker) -> None:
    await send.submit(to="ada")

    there = await asyncio.to_thread(lambda: asyncio.run(broker.client.get_stats()))

    assert there.unclaimed == broker.sync_client.get_stats().unclaimed == 1


async def test_new_client_when_given_a_registry_then_checks_payloads(broker: MemoryBroker) -> None:
    with pytest.raises(PayloadValidationError):
        await broker.new_client(jobs).submit_job("email:send", {"too": "ada"})
    with pytest.raises(PayloadValidationError):
        broker.new_sync_client(jobs).submit_job("email:send", {"too": "ada"})


async def test_settings_when_given_then_hold(broker: MemoryBroker) -> None:
    settings = BrokerSettings(limits=QueueLimits(lease_timeout_ms=2_000))
    with MemoryBroker(settings) as hasty:
        await hasty.client.submit_job("t")
        await hasty.client.claim_job("me")
        hasty.travel(seconds=2)
        assert (await hasty.client.get_stats()).unclaimed == 1
    assert (await broker.client.get_stats()).total == 0


async def test_client_when_the_broker_has_ended_then_says_so() -> None:
    with MemoryBroker() as broker:
        client, sync_client = broker.client, broker.sync_client
    with pytest.raises(TransportConfigError, match="the broker of this test has ended"):
        await client.get_stats()
    with pytest.raises(TransportConfigError):
        sync_client.get_stats()
    broker.stop()


async def test_stop_when_a_call_waits_then_it_ends() -> None:
    broker = MemoryBroker()
    broker.start()
    broker.start()
    waiting = asyncio.ensure_future(broker.client.claim_job("me", wait_ms=60_000))
    await broker.client.get_stats()
    await asyncio.to_thread(broker.stop)

    with pytest.raises((OsqueueError, asyncio.CancelledError)):
        await asyncio.wait_for(waiting, 10)


def test_broker_when_not_started_then_says_how() -> None:
    with pytest.raises(EngineStateError, match="use it inside of `with`"):
        MemoryBroker().submitted()
