"""`osqueue worker` with several processes, reloading, and watched by others: real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.processes import WAIT_S, Running, broker, osqueue, running

from osqueue.cli.logs import LogFormat, LogLevel
from osqueue.cli.options import Broker
from osqueue.cli.signals import StopRequest
from osqueue.cli.workers import supervisor as supervisor_module
from osqueue.cli.workers.plan import WorkerPlan
from osqueue.cli.workers.supervisor import Supervisor
from osqueue.clock import SystemClock

HANDLERS = """
import asyncio, os, signal, time
from contextlib import suppress
from pathlib import Path
from osqueue import Jobs

jobs = Jobs()
kept = []

@jobs.job("keep")
def keep(payload: str) -> None:
    Path(payload).write_text(str(os.getpid()))

@jobs.job("nap")
async def nap(payload: str) -> None:
    print(f"napping in {os.getpid()}", flush=True)
    while not Path(payload).exists():
        await asyncio.sleep(0.001)
    print("woke up", flush=True)

@jobs.job("hang")
async def hang(payload: str) -> None:
    print(f"hanging in {os.getpid()}", flush=True)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

@jobs.job("die")
def die(payload: int) -> None:
    os.kill(os.getpid(), payload)

@jobs.job("take")
def take(payload: int) -> None:
    kept.append(b"x" * payload)

@jobs.job("slow", executor="process")
def slow(payload: str) -> None:
    Path(payload).write_text(str(os.getpid()))
    time.sleep(600)

@jobs.job("late", executor="process", timeout=3)
def late(payload: str) -> None:
    slow(payload)

@jobs.job("crunch", executor="process")
def crunch(payload: str) -> str:
    if payload == "exit":
        os._exit(7)
    if payload == "eat":
        eaten = []
        while True:
            eaten.append(bytearray(8_000_000))
    return f"{payload} done"
"""

OF_GRPC = """
import os
print("support of forks:", os.environ.get("GRPC_ENABLE_FORK_SUPPORT"), flush=True)
import grpc  # asks for it now
from osqueue import Jobs

jobs = Jobs()

@jobs.job("call")
def call(payload: None) -> None: ...
"""

_clock = SystemClock()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a broker that all tests of this module may use."""
    with broker() as (_, address):
        yield address


@pytest.fixture
def queue() -> Iterator[str]:
    """The URL of a broker of a test's own."""
    with broker() as (_, address):
        yield address


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A directory with a module of jobs."""
    (tmp_path / "myjobs.py").write_text(HANDLERS)
    return tmp_path


def worker(url: str, program: Path, *options: str) -> Any:
    return running("worker", "myjobs:jobs", "--broker-url", url, *options, cwd=program)


def submit(url: str, job_type: str, payload: object, *options: str) -> str:
    done = osqueue("submit", job_type, json.dumps(payload), "--broker-url", url, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ended(url: str, job_id: str) -> dict[str, Any]:
    """A job once it has ended, or is dead."""

    def look() -> dict[str, Any] | None:
        with urllib.request.urlopen(f"{url}/v1/jobs/{job_id}", timeout=30) as answer:
            job: dict[str, Any] = json.load(answer)
        return None if job["status"] in {"unclaimed", "in_progress"} else job

    job: dict[str, Any] = until(look)
    return job


def until(true: Callable[[], Any]) -> Any:
    """What ``true()`` is as soon as it is anything."""
    until_ms = _clock.mono_ms() + WAIT_S * 1_000
    while not (value := true()):
        assert _clock.mono_ms() < until_ms, "it does not become true"
        os.sched_yield()
    return value


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def members(process: Running) -> list[int]:
    return [each.pid for each in psutil.Process(process.pid).children()]


def started(process: Running, count: int) -> None:
    for _ in range(count):
        process.wait_for("^Worker .* takes jobs from")


def hurried(process: Running) -> int:
    """The exit code after a second signal, sent until it is not taken for the first once more."""
    while True:
        process.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(5)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_worker_of_jobs_when_run_then_they_are_done(url: str, program: Path) -> None:
    with worker(url, program, "--type-concurrency", "keep=1", "--prefetch", "2") as process:
        started(process, 1)
        job = submit(url, "crunch", "it")
        assert ended(url, job)["status"] == "completed"
        assert process.stop() == 0


def test_worker_when_its_jobs_use_grpc_then_that_leaves_forks_alone(
    url: str, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRPC_ENABLE_FORK_SUPPORT")  # as outside of tests
    (program / "myjobs.py").write_text(OF_GRPC)
    with worker(url, program) as process:
        process.wait_for("support of forks: 0")
        started(process, 1)
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("payload", "memory", "reason"),
    [
        ("exit", "512M", "the handler ended its process with exit code 7"),
        ("eat", "128M", "a process of handlers may take 128 MiB"),
    ],
)
def test_worker_when_a_handler_ends_its_process_then_a_dead_letter_and_it_goes_on(
    payload: str, memory: str, reason: str, queue: str, program: Path
) -> None:
    with worker(queue, program, "--memory-max", memory) as process:
        job = submit(queue, "crunch", payload, "--max-attempts", "1")
        dead = ended(queue, job)
        assert dead["status"] == "dead"
        assert reason in dead["lastError"]["message"]
        assert ended(queue, submit(queue, "crunch", "more"))["status"] == "completed"
        assert process.stop() == 0


def test_worker_when_a_handler_in_a_process_takes_too_long_then_that_is_killed(
    queue: str, program: Path, tmp_path: Path
) -> None:
    with worker(queue, program) as process:
        job = submit(queue, "late", str(tmp_path / "pid"), "--max-attempts", "1")
        dead = ended(queue, job)
        assert dead["lastError"]["type"] == "TimeoutError"
        pid = int((tmp_path / "pid").read_text())
        until(lambda: not is_running(pid))
        assert process.stop() == 0


def test_worker_when_stopped_while_a_process_works_then_its_job_is_given_back(
    queue: str, program: Path, tmp_path: Path
) -> None:
    with worker(queue, program) as process:
        job = submit(queue, "slow", str(tmp_path / "pid"))
        until((tmp_path / "pid").exists)
        pid = int(until((tmp_path / "pid").read_text))
        process.send(signal.SIGTERM)
        process.wait_for("Stopping worker")
        assert hurried(process) == 128 + signal.SIGTERM
        until(lambda: not is_running(pid))
    shown = json.loads(osqueue("jobs", "show", job, "--json", "--broker-url", queue).stdout)
    assert (shown["status"], shown["attempts"]) == ("unclaimed", 0)


def test_supervisor_when_stopped_then_all_let_their_jobs_finish(
    queue: str, program: Path, tmp_path: Path
) -> None:
    with worker(queue, program, "-p", "2") as process:
        started(process, 2)
        for _ in range(2):
            submit(queue, "nap", str(tmp_path / "wake"))
        pids = {process.wait_for(r"napping in (\d+)").group(1) for _ in range(2)}
        assert len(pids) == 2
        process.send(signal.SIGTERM)
        process.wait_for("^Stopping 2 worker processes")
        process.wait_for("letting 1 running job finish")
        process.wait_for("letting 1 running job finish")
        (tmp_path / "wake").touch()
        assert process.wait() == 0
        assert process.out.count("woke up") == 2, process.out + process.err


def test_supervisor_when_a_service_manager_signals_every_process_then_jobs_finish_all_the_same(
    queue: str, program: Path, tmp_path: Path
) -> None:
    """The worker, held still, finds the signal and its supervisor's word at once."""
    with worker(queue, program, "-p", "1") as process:
        started(process, 1)
        submit(queue, "nap", str(tmp_path / "wake"))
        pid = int(process.wait_for(r"napping in (\d+)").group(1))
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGTERM)
        process.send(signal.SIGTERM)
        process.wait_for("^Stopping 1 worker process")
        os.kill(pid, signal.SIGCONT)
        process.wait_for("letting 1 running job finish")
        (tmp_path / "wake").touch()
        assert process.wait() == 0
        assert "woke up" in process.out


def test_supervisor_when_a_process_dies_then_said_of_what_and_another_takes_its_place(
    queue: str, program: Path, tmp_path: Path
) -> None:
    with worker(queue, program, "-p", "2") as process:
        started(process, 2)
        victim = members(process)[0]
        os.kill(victim, signal.SIGKILL)
        process.wait_for(rf"worker process \d \({victim}\) was killed by SIGKILL; another one st")
        started(process, 1)
        assert len(members(process)) == 2
        submit(queue, "keep", str(tmp_path / "kept"))
        until((tmp_path / "kept").exists)
        assert process.stop() == 0


def test_supervisor_when_one_process_is_stopped_by_hand_then_another_takes_its_place(
    queue: str, program: Path
) -> None:
    with worker(queue, program, "-p", "1") as process:
        started(process, 1)
        os.kill(members(process)[0], signal.SIGTERM)
        process.wait_for(r"worker process 1 \(\d+\) ended with exit code 0; another one starts")
        started(process, 1)
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("x = 1", 2, "error: myjobs:jobs: myjobs has no 'jobs'"),
        ("import osqueue; jobs = osqueue.Jobs()", 2, "error: myjobs:jobs has no handlers"),
        ("1 / 0", 1, "error: importing myjobs failed: ZeroDivisionError"),
    ],
)
def test_supervisor_when_the_target_cannot_be_loaded_then_said_once_and_ended(
    content: str, code: int, message: str, url: str, program: Path
) -> None:
    (program / "myjobs.py").write_text(content)
    done = osqueue("worker", "myjobs:jobs", "-p", "3", "--broker-url", url, cwd=program)
    assert done.returncode == code
    assert error_of(done).startswith(message)


@pytest.mark.parametrize("options", [(), ("-p", "1")])
def test_worker_when_signalled_again_then_jobs_are_given_back_at_once(
    options: tuple[str, ...], queue: str, program: Path
) -> None:
    with worker(queue, program, *options) as process:
        started(process, 1)
        job = submit(queue, "hang", "x")
        process.wait_for("hanging in")
        process.send(signal.SIGTERM)
        process.wait_for("letting 1 running job finish")
        assert hurried(process) == 128 + signal.SIGTERM
    shown = json.loads(osqueue("jobs", "show", job, "--json", "--broker-url", queue).stdout)
    assert (shown["status"], shown["attempts"]) == ("unclaimed", 0)


def test_supervisor_when_it_is_killed_then_its_processes_stop(queue: str, program: Path) -> None:
    with worker(queue, program, "-p", "2") as process:
        started(process, 2)
        pids = members(process)
        process.send(signal.SIGKILL)
        until(lambda: not any(is_running(pid) for pid in pids))


def test_supervisor_when_supervised_itself_then_it_ends_with_its_stdin(
    url: str, program: Path
) -> None:
    with worker(url, program, "-p", "1", "--supervised") as process:
        started(process, 1)
        process.close_stdin()
        assert process.wait() == 0


def test_worker_when_it_takes_too_much_memory_then_it_is_replaced(
    queue: str, program: Path
) -> None:
    with worker(queue, program, "--memory-max", "128M") as process:
        started(process, 1)
        (pid,) = members(process)
        job = submit(queue, "take", 200_000_000)
        process.wait_for(rf"\({pid}\) takes \d+ MiB of memory, 128 are allowed")
        process.wait_for(rf"\({pid}\) ended with exit code 0; another one starts")
        started(process, 1)
        assert ended(queue, job)["status"] == "completed"
        assert process.stop() == 0


@pytest.mark.parametrize("options", [(), ("-p", "2")])
def test_heartbeat_file_when_all_is_well_then_it_is_touched(
    options: tuple[str, ...], queue: str, program: Path, tmp_path: Path
) -> None:
    file = tmp_path / "beat"
    with worker(queue, program, "--heartbeat-file", str(file), *options) as process:
        started(process, 1)
        os.utime(file, (0, 0))
        until(lambda: file.stat().st_mtime > 0)
        assert process.stop() == 0


def test_reload_when_a_file_changes_then_the_new_program_runs(
    queue: str, program: Path, tmp_path: Path
) -> None:
    with worker(queue, program, "--reload") as process:
        started(process, 1)
        submit(queue, "keep", str(tmp_path / "old"))
        until((tmp_path / "old").exists)
        (program / "myjobs.py").write_text(HANDLERS.replace("str(os.getpid())", "'new'"))
        process.wait_for("^Reloading: myjobs.py changed")
        started(process, 1)
        submit(queue, "keep", str(tmp_path / "new"))
        until((tmp_path / "new").exists)
        assert until((tmp_path / "new").read_text) == "new"
        assert process.stop() == 0


def test_reload_when_the_program_is_broken_then_it_waits_for_the_next_change(
    queue: str, program: Path
) -> None:
    (program / "myjobs.py").write_text("jobs = = 1")
    with worker(queue, program, "--reload") as process:
        process.wait_for("^error: importing myjobs failed: SyntaxError")
        process.wait_for("ended with exit code 1; waiting for a change")
        (program / "myjobs.py").write_text(HANDLERS)
        started(process, 1)
        assert process.stop(signal.SIGINT) == 0


def test_reload_when_a_handler_does_not_end_then_its_job_is_given_back(
    queue: str, program: Path
) -> None:
    with worker(queue, program, "--reload") as process:
        started(process, 1)
        submit(queue, "hang", "x")
        first = process.wait_for(r"hanging in (\d+)").group(1)
        (program / "myjobs.py").write_text(f"{HANDLERS}\n# changed\n")
        second = process.wait_for(r"hanging in (\d+)").group(1)
        assert first != second
        assert not is_running(int(first))
        os.kill(int(second), signal.SIGKILL)
        process.wait_for("was killed by SIGKILL; waiting for a change")
        assert process.stop() == 0


async def test_supervisor_when_a_process_hangs_then_it_is_killed_and_replaced(
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(program)
    monkeypatch.setattr(supervisor_module, "TICK_S", 0.1)
    plan = WorkerPlan(
        target="myjobs:jobs",
        broker=Broker(("http://127.0.0.1:1",), None, "--broker-url"),
        processes=1,
        log_format=LogFormat.TEXT,
        log_level=LogLevel.ERROR,
    )
    with StopRequest() as stop:
        supervisor = Supervisor(plan, stop)
        supervising = asyncio.create_task(supervisor.run())
        first = await working(supervisor)
        os.kill(first, signal.SIGSTOP)
        second = await working(supervisor, other_than=first)
        stop.request()
        assert await supervising == 0
    assert not is_running(first)
    assert not is_running(second)
    told = [each for each in caplog.messages if re.search(rf"\({first}\)", each)]
    assert "has not answered for 30 s: it is killed" in told[0]
    assert "was killed by SIGKILL; another one starts" in told[1]


async def working(supervisor: Supervisor, *, other_than: int = 0) -> int:
    """The id of its process, once that works."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for member in supervisor._members.values():
                if member.works and member.pid != other_than:
                    return member.pid
            await asyncio.sleep(0.001)
