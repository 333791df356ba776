"""The embedded queue for plain code: threads, loops, processes that end without a word, forks."""

# ruff: noqa: PT012 - how a block is left is what is tested

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from osqueue import Queue, SyncQueue
from osqueue.client import JobInfo
from osqueue.config import BrokerSettings, LeadershipSettings, QueueLimits
from osqueue.errors import ConfigError, LeaseLostError, TransportConfigError

PROCESS = Path(__file__).with_name("embedded_process.py")
LEADERSHIP = LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=600)
SETTINGS = BrokerSettings(leadership=LEADERSHIP)
QUICK_LEASES = BrokerSettings(limits=QueueLimits(lease_timeout_ms=1_000), leadership=LEADERSHIP)


class Note(msgspec.Struct):
    number: int


class BodyError(Exception):
    pass


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/queue"


@pytest.fixture
def q(url: str) -> Iterator[SyncQueue[Note]]:
    with SyncQueue(Note, storage=url, settings=SETTINGS) as q:
        yield q


def stored(url: str) -> Any:
    return json.loads((Path(url.removeprefix("file://")) / "queue.json").read_bytes())


def settled(q: SyncQueue[Note], job_id: str) -> JobInfo:
    for _ in range(800):
        info = q.ask(lambda client: client.get_job(job_id))
        if info.status != "in_progress":
            return info
        time.sleep(0.01)
    raise AssertionError("somebody holds it still")


def assert_given_back(q: SyncQueue[Note], job_id: str) -> None:
    info = settled(q, job_id)
    assert (info.status, info.attempts, info.last_error) == ("unclaimed", 0, None)


def assert_failed(q: SyncQueue[Note], job_id: str) -> None:
    info = settled(q, job_id)
    assert info.last_error is not None
    assert "BodyError" in info.last_error.type


def test_methods_are_those_of_the_other_queue() -> None:
    theirs, ours = _public(Queue), _public(SyncQueue)
    assert theirs - ours == {"client"}
    assert ours - theirs == {"ask"}
    for name in sorted(theirs & ours - {"close", "consume", "job_type"}):
        expected = inspect.signature(getattr(Queue, name)).parameters
        assert list(inspect.signature(getattr(SyncQueue, name)).parameters) == list(expected)


def _public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")} | {"job_type"}


def test_loop_when_it_goes_on_then_each_is_completed_and_the_last_given_back(
    q: SyncQueue[Note],
) -> None:
    ids = q.push_many(Note(n) for n in range(3))
    for job in q.consume():
        if job.payload == Note(2):
            break
    assert [settled(q, job_id).status for job_id in ids[:2]] == ["completed"] * 2
    del job
    gc.collect()
    assert_given_back(q, ids[2])


def test_loop_when_an_exception_leaves_the_queue_then_its_job_has_failed(url: str) -> None:
    with pytest.raises(BodyError), SyncQueue(Note, storage=url, settings=SETTINGS) as q:
        job_id = q.push(Note(1))
        for _ in q.consume():
            raise BodyError
    with SyncQueue(Note, storage=url, settings=SETTINGS) as q:
        assert_failed(q, job_id)


def test_loop_when_an_exception_leaves_the_consumer_then_its_job_has_failed(
    q: SyncQueue[Note],
) -> None:
    job_id = q.push(Note(1))
    with pytest.raises(BodyError), q.consume() as jobs:
        for _ in jobs:
            raise BodyError
    assert_failed(q, job_id)


def test_loop_when_closed_then_its_job_is_given_back(q: SyncQueue[Note]) -> None:
    job_id = q.push(Note(1))
    jobs = q.consume()
    next(jobs)
    jobs.close()
    assert_given_back(q, job_id)
    assert list(jobs) == []


def test_job_when_its_body_ends_or_raises_then_it_is_completed_or_has_failed(
    q: SyncQueue[Note],
) -> None:
    good, bad = q.push(Note(1)), q.push(Note(2))
    for expected in (good, bad):
        job = q.claim(wait_ms=1_000)
        assert job is not None
        assert job.job_id == expected
        if expected == good:
            with job:
                pass
        else:
            with pytest.raises(BodyError), job:
                raise BodyError
    assert settled(q, good).status == "completed"
    assert_failed(q, bad)


def test_job_when_its_lease_is_lost_then_its_body_is_told_and_with_raises(url: str) -> None:
    with SyncQueue(Note, storage=url, settings=QUICK_LEASES) as q:
        job_id = q.push(Note(1))
        job = q.claim()
        assert job is not None
        with pytest.raises(LeaseLostError, match="stop working on it"), job:
            q.ask(lambda client: client.cancel_job(job_id))
            assert job.cancelled.wait(10)


def test_lease_when_plain_code_takes_longer_than_it_lasts_then_it_is_kept(url: str) -> None:
    with SyncQueue(Note, storage=url, settings=QUICK_LEASES) as q:
        q.push(Note(1))
        for job in q.consume():
            assert not job.cancelled.wait(2.5)
            with job:
                pass
            break
        assert q.ask(lambda client: client.get_stats()).completed_total == 1


def test_job_when_reported_by_calls_then_that_is_what_it_is(q: SyncQueue[Note]) -> None:
    ids = q.push_many([Note(n) for n in range(3)], max_attempts=1)
    done, failed, back = q.claim(), q.claim(), q.claim()
    assert done is not None
    assert failed is not None
    assert back is not None
    q.heartbeat(done)
    q.complete(done)
    q.fail(failed, "no", retry=False)
    q.release(back)
    assert [settled(q, job_id).status for job_id in ids] == ["completed", "dead", "unclaimed"]


def test_threads_when_many_share_a_queue_then_each_job_is_done_once(q: SyncQueue[Note]) -> None:
    ids = set(q.push_many([Note(n) for n in range(40)]))
    seen: list[str] = []
    lock = threading.Lock()

    def work(_: int) -> None:
        while (job := q.claim()) is not None:
            with job, lock:
                seen.append(job.job_id)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert (len(seen), set(seen)) == (40, ids)


def test_queue_when_a_loop_runs_here_then_it_works(q: SyncQueue[Note]) -> None:
    async def in_a_notebook() -> str:
        return q.push(Note(1))

    assert asyncio.run(in_a_notebook())


def test_queue_when_closed_then_its_calls_say_so_and_leadership_is_given_back(
    q: SyncQueue[Note], url: str
) -> None:
    q.push(Note(1))
    q.close()
    q.close()
    assert stored(url)["broker"] is None
    with pytest.raises(TransportConfigError, match="closed"):
        q.push(Note(2))


def test_queue_when_its_options_make_no_sense_then_no_thread_is_begun() -> None:
    threads = threading.active_count()
    with pytest.raises(ConfigError):
        SyncQueue(Note, storage="memory://", brokerless=True, wait=True)
    assert threading.active_count() == threads


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(PROCESS), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("way", ["", "brokerless"])
def test_program_when_it_ends_without_closing_then_all_is_given_back(url: str, way: str) -> None:
    done = run("forget", url, way)
    assert (done.returncode, done.stderr) == (0, "")
    (job,) = stored(url)["jobs"]
    assert stored(url)["broker"] is None
    assert (job["status"], job.get("attempts", 0)) == ("unclaimed", 0)


@pytest.mark.parametrize(("way", "left"), [("", 1), ("brokerless", 2)])
def test_fork_when_parent_and_child_go_on_then_each_is_told_the_truth(
    url: str, way: str, left: int
) -> None:
    """The child of one that leads is told who does; one that shares is one more process."""
    done = run("fork", url, way)
    assert (done.returncode, done.stdout) == (0, "child 0\n"), done.stderr
    assert (len(stored(url)["jobs"]), stored(url)["completedTotal"]) == (left, 1)
