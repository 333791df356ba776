"""The client for plain code, against a real broker that runs in a thread of its own."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from osqueue import BrokerServer, OsqueueClient, SyncOsqueueClient
from osqueue.client import NewJob
from osqueue.client.loop_thread import LoopThread
from osqueue.config import ClientSettings
from osqueue.errors import JobNotFoundError, TransportConfigError, TransportConnectionError

ONCE = ClientSettings(retry_for_ms=0)
THREADED = Path(__file__).with_name("sync_process.py")


@pytest.fixture
def broker() -> Iterator[BrokerServer]:
    thread = LoopThread()

    async def make() -> BrokerServer:
        broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
        await broker.start()
        return broker

    broker = thread.run(make)
    yield broker
    thread.run(broker.stop)
    thread.stop()


@pytest.fixture
def client(broker: BrokerServer) -> Iterator[SyncOsqueueClient]:
    with SyncOsqueueClient(broker.url) as client:
        yield client


def _public(cls: type) -> dict[str, Any]:
    return {name: each for name, each in vars(cls).items() if not name.startswith("_")}


def _plain(annotation: str) -> str:
    """What a coroutine or an asynchronous iterator is without a loop."""
    annotation = re.sub(r"AsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]", annotation)
    for name, plain in (
        ("AsyncIterator", "Iterator"),
        ("OsqueueC", "SyncOsqueueC"),
        ("JobHandle", "SyncJobHandle"),
    ):
        annotation = annotation.replace(name, plain)
    return annotation


def test_methods_and_signatures_are_those_of_the_other_client() -> None:
    theirs, ours = _public(OsqueueClient), _public(SyncOsqueueClient)
    assert list(theirs) == list(ours)
    for name in theirs:
        if isinstance(theirs[name], property):
            assert isinstance(ours[name], property)
            continue
        expected, signature = inspect.signature(theirs[name]), inspect.signature(ours[name])
        assert signature.parameters == expected.parameters, name
        assert signature.return_annotation == _plain(expected.return_annotation), name
        assert not inspect.iscoroutinefunction(ours[name])
    ours_made, theirs_made = map(inspect.signature, (SyncOsqueueClient, OsqueueClient))
    assert ours_made.parameters == theirs_made.parameters


def test_calls_one_after_another_do_what_they_say(client: SyncOsqueueClient) -> None:
    job_id = client.submit_job("t", {"n": 1}, max_attempts=1)
    assert client.submit_jobs(NewJob("t", n, job_id=f"j{n}") for n in range(3)) == [
        "j0",
        "j1",
        "j2",
    ]
    job = client.claim_job("w")
    assert job is not None
    assert (job.job_id, job.payload) == (job_id, {"n": 1})
    client.heartbeat(job)
    client.complete_job(job)
    assert client.get_job(job_id).status == "completed"
    assert [job.job_id for job in client.iter_jobs()] == ["j0", "j1", "j2"]
    assert client.get_stats().completed_total == 1


def test_error_is_raised_where_the_call_is_made(client: SyncOsqueueClient) -> None:
    with pytest.raises(JobNotFoundError) as caught:
        client.get_job("none")
    assert caught.value.method == "getJob"


def test_call_while_a_loop_runs_here_works(client: SyncOsqueueClient) -> None:
    async def in_a_notebook() -> str:
        return client.submit_job("t")

    assert client.get_job(asyncio.run(in_a_notebook())).status == "unclaimed"


def test_calls_of_many_threads_each_get_their_own_answer(client: SyncOsqueueClient) -> None:
    ids = [f"job-{number}" for number in range(200)]
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda each: client.submit_job("t", job_id=each), ids)) == ids
    assert client.get_stats().unclaimed == len(ids)


def test_iterator_of_changes_brings_them_and_ends_when_closed(client: SyncOsqueueClient) -> None:
    updates = client.subscribe()
    assert next(updates).stats is not None
    client.submit_job("t", job_id="a")
    told = next(each for each in updates if each.events)
    assert [event.job_id for event in told.events] == ["a"]
    updates.close()
    assert next(updates, None) is None


def test_stream_of_jobs_brings_them_as_they_come(client: SyncOsqueueClient) -> None:
    client.submit_jobs([("t", 1), ("t", 2)])
    seen = []
    for job in client.stream_jobs("w", credit=1):
        seen.append(job.payload)
        client.complete_job(job)
        if len(seen) == 2:
            break
    assert seen == [1, 2]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where this process was started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_while_a_claim_waits_cancels_it(
    client: SyncOsqueueClient, broker: BrokerServer
) -> None:
    def interrupt() -> None:
        while broker.waiting_claims != 1:
            pass
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        client.claim_job("w", wait_ms=60_000)
    other.join()
    while broker.waiting_claims:  # it learns of it by a connection of its own
        pass
    job_id = client.submit_job("t")
    job = client.claim_job("next")
    assert job is not None
    assert (job.job_id, job.attempt) == (job_id, 1)


def test_with_settings_shares_the_connections(client: SyncOsqueueClient) -> None:
    other = client.with_settings(ONCE)
    assert (other.settings, client.settings) == (ONCE, ClientSettings())
    assert other.submit_job("t", job_id="a") == "a"
    client.close()
    with pytest.raises(TransportConfigError, match="closed"):
        other.get_job("a")


def test_view_with_other_settings_when_only_it_is_left_then_it_goes_on(
    broker: BrokerServer,
) -> None:
    with SyncOsqueueClient(broker.url).with_settings(ONCE) as client:
        gc.collect()
        assert client.submit_job("t", job_id="a") == "a"


def test_close_twice_is_harmless_and_ends_the_thread(broker: BrokerServer) -> None:
    before = threading.active_count()
    client = SyncOsqueueClient(broker.url)
    client.submit_job("t")
    assert threading.active_count() == before + 1
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(TransportConfigError, match="closed"):
        client.get_stats()


def test_calls_of_many_threads_while_it_is_closed_end_all(broker: BrokerServer) -> None:
    for _ in range(20):
        client = SyncOsqueueClient(broker.url)
        client.get_stats()
        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(_until_closed, client) for _ in range(8)]
            client.close()
            assert {call.result(timeout=20) for call in calls} == {"closed"}


def _until_closed(client: SyncOsqueueClient) -> str:
    while True:
        try:
            client.get_stats()
        except TransportConfigError:
            return "closed"
        except TransportConnectionError:
            continue  # it was under way


def test_view_of_a_client_that_nobody_else_has_goes_on(broker: BrokerServer) -> None:
    client = SyncOsqueueClient(broker.url).with_settings(ONCE)
    gc.collect()
    client.submit_job("t", job_id="a")
    client.close()


def test_client_that_nobody_has_any_more_ends_its_thread(broker: BrokerServer) -> None:
    before = threading.active_count()
    client = SyncOsqueueClient(broker.url)
    client.get_stats()
    del client
    gc.collect()
    assert threading.active_count() == before


def test_client_that_its_own_thread_collects_ends_its_thread(broker: BrokerServer) -> None:
    client = [SyncOsqueueClient(broker.url)]
    client[0].get_stats()
    (thread,) = [each for each in threading.enumerate() if each.name == "osqueue-client"][-1:]

    async def collect() -> None:
        client.clear()

    client[0]._shared.thread.run(collect)
    thread.join(10)
    assert not thread.is_alive()


def test_close_while_another_thread_waits_for_an_answer_then_it_is_told(
    broker: BrokerServer,
) -> None:
    client = SyncOsqueueClient(broker.url)
    with ThreadPoolExecutor(1) as threads:
        claim = threads.submit(client.claim_job, "w", wait_ms=60_000)
        while broker.waiting_claims != 1:
            pass
        client.close()
        with pytest.raises(TransportConfigError, match="closed"):
            claim.result(10)


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TransportConfigError, match="needs to know its brokers"):
        SyncOsqueueClient()


def test_direct_to_a_broker_of_another_loop_is_refused(broker: BrokerServer) -> None:
    spec = {"kind": "direct", "brokers": broker}
    with (
        SyncOsqueueClient(transport=spec) as client,
        pytest.raises(TransportConfigError, match="another event loop"),
    ):
        client.get_stats()


@pytest.mark.parametrize("transport", ["connect", "rest"])
@pytest.mark.parametrize("way", ["fork", "exit", "iterate"])
def test_process_when_it_forks_or_just_ends_then_nothing_is_lost_or_said(
    broker: BrokerServer, transport: str, way: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(THREADED), way, broker.url, transport],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with SyncOsqueueClient(broker.url) as client:
        there = {job.job_id for job in client.iter_jobs()}
    assert there == {"before"} | ({"parent", "child", "parent-again"} if way == "fork" else set())


def test_grpc_after_a_fork_says_what_to_do(broker: BrokerServer) -> None:
    done = subprocess.run(
        [sys.executable, str(THREADED), "fork", broker.url, "grpc"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "make one after it" in done.stderr
