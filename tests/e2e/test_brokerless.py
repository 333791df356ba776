"""Real processes that share a queue without a broker: at work at once, killed, met by a broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .processes import WAIT_S, Running, broker, environment, osqueue, running

SCRIPT = Path(__file__).with_name("brokerless_process.py")
PROCESSES = 4
EACH = 25


class Place:
    """A directory with a queue, and the processes at work on it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.url = f"file://{directory}/queue"
        self.notes = directory / "notes"
        self._stack = stack

    def start(self, count: int = EACH) -> Running:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), self.url, str(count), str(self.notes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(None),
            text=True,
        )
        running = Running(process)
        self._stack.callback(running.close)
        return running

    def state(self) -> Any:
        try:
            return json.loads((self.directory / "queue/queue.json").read_bytes())
        except FileNotFoundError:
            return {"jobs": [], "completedTotal": 0}

    def runs(self) -> Counter[str]:
        """How often each job was run."""
        return Counter(self.notes.read_text().split())

    def completed(self) -> list[str]:
        """Every completed job, from the state and from the archive, as often as it stands there."""
        whole = self.state()
        outbox = whole.get("outbox") or {"key": "", "ids": []}
        done = [job for job in whole["finished"] if job["id"] not in outbox["ids"]]
        for path in self.directory.glob("queue/archive/*/*.jsonl"):
            done += [json.loads(line) for line in path.read_text().splitlines()]
        return [job["id"] for job in done if job["status"] == "completed"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do."""
    deadline = time.monotonic() + WAIT_S  # noqa: TID251 - the test's own patience
    while not condition():
        assert time.monotonic() < deadline, "it took too long"  # noqa: TID251 - the same
        time.sleep(0.05)


def submitted(processes: list[Running]) -> set[str]:
    """The ids whose submit was acknowledged."""
    lines = [line.split() for process in processes for line in process.out]
    return {line[1] for line in lines if line[0] == "submitted"}


def test_processes_when_at_work_at_once_then_each_job_is_done_exactly_once(place: Place) -> None:
    processes = [place.start() for _ in range(PROCESSES)]
    until(lambda: place.state()["completedTotal"] == PROCESSES * EACH)
    for process in processes:
        process.close_stdin()
    assert [process.wait() for process in processes] == [0] * PROCESSES
    assert place.runs() == Counter(submitted(processes))
    assert sorted(place.completed()) == sorted(submitted(processes))
    assert place.state()["broker"] is None


def test_process_when_killed_then_the_others_do_its_work(place: Place) -> None:
    victim, *others = processes = [place.start() for _ in range(PROCESSES)]
    victim.wait_for("submitted")
    victim.stop(signal.SIGKILL)
    until(lambda: len(submitted(others)) == len(others) * EACH)
    until(lambda: not place.state()["jobs"])
    for process in others:
        process.close_stdin()
    assert [process.wait() for process in others] == [0] * len(others)
    completed = place.completed()
    assert submitted(processes) <= {*completed}
    assert len(completed) == len({*completed}) == place.state()["completedTotal"]


def test_broker_when_it_starts_then_the_processes_stop_with_its_address(place: Place) -> None:
    processes = [place.start(1_000) for _ in range(PROCESSES)]
    for process in processes:
        process.wait_for("submitted")
    with broker("--storage", place.url) as (_, url):
        leader = url.removeprefix("http://")
        for process in processes:
            assert process.wait_for(r"^ended (\d\S+)").group(1) == leader
            process.close_stdin()
        assert [process.wait() for process in processes] == [0] * PROCESSES
        whole = place.state()
    known = {job["id"] for job in whole["jobs"]} | {*place.completed()}
    assert submitted(processes) <= known


def test_commands_when_no_broker_runs_then_they_do_without(place: Place) -> None:
    where = ("--brokerless", "--storage", place.url)
    missing = osqueue("stats", *where)
    assert (missing.returncode, "there is no queue yet" in missing.stderr) == (1, True)
    job_id = osqueue("submit", "note", "1", *where).stdout.strip()
    assert json.loads(osqueue("stats", "--json", *where).stdout)["unclaimed"] == 1
    assert job_id in osqueue("jobs", *where).stdout
    assert osqueue("jobs", "cancel", job_id, *where).returncode == 0
    assert json.loads(osqueue("jobs", "show", job_id, "--json", *where).stdout)["status"] == (
        "cancelled"
    )


def test_commands_when_no_storage_is_named_then_that_is_asked_for() -> None:
    refused = osqueue("submit", "note", "--brokerless")
    assert refused.returncode == 2
    assert "--storage" in refused.stderr


def test_commands_when_a_broker_leads_then_its_address_is_told(place: Place) -> None:
    with broker("--storage", place.url) as (_, url):
        refused = osqueue("submit", "note", "--brokerless", "--storage", place.url)
        assert refused.returncode == 1
        assert url in refused.stderr


def test_worker_when_a_broker_starts_then_it_ends_with_its_address(place: Place) -> None:
    (place.directory / "handlers.py").write_text("handlers = {'note': print}\n")
    arguments = ("worker", "handlers:handlers", "--brokerless", "--storage", place.url)
    with running(*arguments, cwd=place.directory) as worker:
        worker.wait_for("takes jobs from")
        osqueue("submit", "note", '"seen"', "--brokerless", "--storage", place.url)
        worker.wait_for("seen")
        with broker("--storage", place.url) as (_, url):
            assert worker.wait() == 1
            assert any(url.removeprefix("http://") in line for line in worker.err)
