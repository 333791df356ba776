"""Real processes that embed their queue: killed, followed by a broker, at work at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.embedded_process import SETTINGS, Note

from osqueue import SyncOsqueueClient, SyncQueue
from osqueue.errors import BrokerLeadershipError

from .processes import Running, broker, environment

SCRIPT = Path(__file__).parents[1] / "integration" / "embedded_process.py"
QUICK = {"BROKER_HEARTBEAT_INTERVAL_MS": "100", "BROKER_HEARTBEAT_TIMEOUT_MS": "2000"}
PROCESSES, EACH = 3, 25


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/queue"


def stored(url: str) -> Any:
    return json.loads((Path(url.removeprefix("file://")) / "queue.json").read_bytes())


def start(stack: ExitStack, way: str, url: str, *more: str) -> Running:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), way, url, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(None),
        text=True,
    )
    running = Running(process)
    stack.callback(running.close)
    return running


def test_broker_when_an_embedding_process_is_killed_then_it_takes_over_all_that_is_there(
    stack: ExitStack, url: str
) -> None:
    embedding = start(stack, "lead", url)
    held = embedding.wait_for(r"holding (\S+)").group(1)
    standby, address = stack.enter_context(broker("--storage", url, env=QUICK))
    standby.wait_for(f"standing by: the embedded queue of process {embedding.pid} ")
    embedding.send(signal.SIGKILL)
    standby.wait_for("leadership is taken")
    with SyncOsqueueClient(address) as client:
        assert client.get_job(held).status == "in_progress"
        assert client.get_stats().total == 3


def test_queue_when_another_process_embeds_it_then_it_is_named_and_followed_when_killed(
    stack: ExitStack, url: str
) -> None:
    embedding = start(stack, "lead", url)
    held = embedding.wait_for(r"holding (\S+)").group(1)
    with pytest.raises(BrokerLeadershipError, match=f"process {embedding.pid} on"):
        SyncQueue(Note, storage=url, settings=SETTINGS).open()
    embedding.send(signal.SIGKILL)
    with SyncQueue(Note, storage=url, settings=SETTINGS) as q, q.consume() as jobs:
        seen = []
        for job in jobs:
            seen.append(job.job_id)
            if len(seen) == 3:
                break
    assert seen[-1] == held, "once its lease has run out"


def test_broker_when_an_embedded_queue_was_closed_then_it_leads_at_once(
    stack: ExitStack, url: str
) -> None:
    with SyncQueue(Note, storage=url, settings=SETTINGS) as q:
        dead, waiting = q.push(Note(1), max_attempts=1), q.push(Note(2))
        job = q.claim()
        assert job is not None
        q.fail(job, "no")
        leased = q.claim()
        assert leased is not None
        fresh = q.push(Note(3))
    _, address = stack.enter_context(broker("--storage", url, env=QUICK))
    with SyncOsqueueClient(address) as client:
        assert client.get_status().role == "leader", "it listens when it leads or stands by"
        states = [client.get_job(job_id).status for job_id in (dead, waiting, fresh)]
        assert states == ["dead", "in_progress", "unclaimed"]
        client.complete_job(leased.raw)
        assert client.get_job(waiting).status == "completed"


@pytest.mark.parametrize("killed", [0, 1])
def test_brokerless_queues_when_several_processes_push_and_consume_then_none_is_lost(
    stack: ExitStack, url: str, killed: int
) -> None:
    processes = [start(stack, "share", url, "brokerless") for _ in range(killed)]
    pushed = {job_id for process in processes for job_id in all_pushed(process)}
    for process in processes:
        process.wait_for("done")
        process.stop(signal.SIGKILL)
    processes += [start(stack, "share", url, "brokerless") for _ in range(PROCESSES)]
    pushed |= {job_id for process in processes[killed:] for job_id in all_pushed(process)}
    mine = [*consumed(url, len(pushed))]
    for process in processes[killed:]:
        process.stop(signal.SIGINT)
    done = Counter(mine + [job_id for process in processes for job_id in handed_out(process)])
    assert set(done) == pushed
    twice = {job_id for job_id, times in done.items() if times > 1}
    at_the_end = {job_id for process in processes[:killed] for job_id in handed_out(process)[-1:]}
    assert twice <= at_the_end, "only what a killed process was at"
    assert (stored(url)["completedTotal"], stored(url)["jobs"]) == (len(pushed), [])


def consumed(url: str, until: int) -> Iterator[str]:
    """Take part until so many jobs are completed."""
    with SyncQueue(Note, storage=url, settings=SETTINGS, brokerless=True) as q:
        while q.ask(lambda client: client.get_stats()).completed_total < until:
            job = q.claim(wait_ms=1_000)
            if job is not None:
                with job:
                    yield job.job_id


def all_pushed(process: Running) -> list[str]:
    return [process.wait_for(r"pushed (\S+)").group(1) for _ in range(EACH)]


def handed_out(process: Running) -> list[str]:
    return [line.split()[1] for line in process.out if line.startswith("done")]
