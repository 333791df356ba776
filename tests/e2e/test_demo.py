"""The demo, whole and killed in all its parts."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.processes import Running, osqueue, running

KILLED_FILES = 300
FOLLOWED_FILES = 600
WAIT_S = 40


def count(data: Path) -> int:
    return len(list((data / "results").glob("[!.]*.json")))


def wait_until(true: Callable[[], object]) -> None:
    until = time.perf_counter() + WAIT_S
    while not true():
        assert time.perf_counter() < until, "it did not come to pass"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether it runs; not if it only waits to be reaped by whoever inherited it."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def crew_of(demo: Running) -> tuple[list[int], list[int]]:
    """The ids of the brokers, the leader first, and of the workers."""
    found = demo.wait_for(r"^(\S+ broker|Broker \d) \(\d+\) leads.*; workers [\d, ]+\.$")
    brokers, workers = found.group().split("; workers ")
    return ids_in(brokers, r"\((\d+)\)"), ids_in(workers, r"\d+")


def ids_in(text: str, pattern: str) -> list[int]:
    return [int(pid) for pid in re.findall(pattern, text)]


def new_leader(demo: Running) -> int:
    """The id of the broker that has taken over."""
    return int(demo.wait_for(r"^broker \d \((\d+)\) leads now, after [\d.]+ s$").group(1))


@contextmanager
def suspended(pid: int, queue: Path) -> Iterator[None]:
    """A broker is stopped, but not while it holds its store's lock: nobody could take over then."""
    try:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(pid))
        while not is_unlocked(queue):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: is_stopped(pid))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_stopped(pid: int) -> bool:
    """Whether the signal has arrived at all of its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all(") T " in (thread / "stat").read_text() for thread in threads)


def is_unlocked(directory: Path) -> bool:
    opened = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(opened)
    return True


def tries(data: Path) -> Counter[tuple[int, int]]:
    """How often jobs were handed out, and ran to their end, as the results tell."""
    results = [json.loads(path.read_bytes()) for path in (data / "results").glob("[!.]*.json")]
    return Counter((result["attempt"], result.get("runs", 1)) for result in results)


def all_done(demo: Running, files: int) -> bool:
    """Whether the demo, which has ended, is content with its results."""
    return f"{files} files, one result each; the queue is empty; no job was lost." in (
        " ".join(" ".join(demo.out).split())
    )


def test_demo_when_all_its_processes_are_killed_then_carries_on_and_loses_nothing(
    tmp_path: Path,
) -> None:
    data = tmp_path / "demo"
    with running("demo", "--data", str(data), "--limit", str(KILLED_FILES)) as demo:
        brokers, workers = crew_of(demo)
        wait_until(lambda: count(data) >= KILLED_FILES // 3)
        os.kill(brokers[0], signal.SIGKILL)
        demo.wait_for(rf"broker 1 \({brokers[0]}\) was killed by SIGKILL; started again as \d+")
        os.kill(workers[0], signal.SIGKILL)
        again = demo.wait_for(r"worker 1 \(\d+\) was killed by SIGKILL; started again as (\d+)")
        done = count(data)
        demo.send(signal.SIGKILL)
        demo.wait()
    assert done < KILLED_FILES, "it was over before all were killed: take more files"

    second = osqueue("demo", "--data", str(data))
    assert second.returncode == 0, second.stdout + second.stderr
    assert f" of {KILLED_FILES} files are done." in second.stdout
    assert f"{KILLED_FILES} files, one result each; the queue is empty; no job was lost." in (
        " ".join(second.stdout.split())
    )
    assert count(data) == KILLED_FILES
    assert not any(map(is_alive, [*brokers, *workers, int(again.group(1))]))


def test_demo_when_one_leader_after_the_other_is_killed_then_all_jobs_are_done_once(
    tmp_path: Path,
) -> None:
    data = tmp_path / "demo"
    with running("demo", "--data", str(data), "--limit", str(FOLLOWED_FILES)) as demo:
        (first, _second), _ = crew_of(demo)
        wait_until(lambda: count(data) >= FOLLOWED_FILES // 4)
        os.kill(first, signal.SIGKILL)
        demo.wait_for(rf"broker 1 \({first}\) was killed by SIGKILL; started again as \d+")
        second = new_leader(demo)
        wait_until(lambda: count(data) >= FOLLOWED_FILES // 2)
        os.kill(second, signal.SIGKILL)
        done = count(data)
        assert new_leader(demo) not in {first, second}
        assert demo.wait() == 0, demo.out + demo.err
    assert done < FOLLOWED_FILES, "it was over before both were killed: take more files"
    assert all_done(demo, FOLLOWED_FILES)
    assert tries(data) == {(1, 1): FOLLOWED_FILES}


def test_demo_when_its_leader_is_suspended_then_another_leads_and_it_stands_by_later(
    tmp_path: Path,
) -> None:
    data = tmp_path / "demo"
    with running("demo", "--data", str(data), "--limit", str(FOLLOWED_FILES)) as demo:
        brokers, _ = crew_of(demo)
        wait_until(lambda: count(data) >= FOLLOWED_FILES // 4)
        with suspended(brokers[0], data / "queue"):
            assert new_leader(demo) == brokers[1]
            done = count(data)
        demo.wait_for(rf"^broker 1 \({brokers[0]}\) stands by now$")
        assert demo.wait() == 0, demo.out + demo.err
    assert done < FOLLOWED_FILES, "it was over before the leader was suspended: take more files"
    assert all_done(demo, FOLLOWED_FILES)


def test_demo_when_it_has_one_broker_that_is_killed_then_that_leads_again(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    arguments = ("--data", str(data), "--limit", str(KILLED_FILES), "--brokers", "1")
    with running("demo", *arguments) as demo:
        (broker,), _ = crew_of(demo)
        wait_until(lambda: count(data) >= KILLED_FILES // 3)
        os.kill(broker, signal.SIGKILL)
        again = demo.wait_for(r"^the broker \(\d+\) was killed by SIGKILL; .* as (\d+)$").group(1)
        demo.wait_for(rf"^the broker \({again}\) leads now, after [\d.]+ s$")
        assert demo.wait() == 0, demo.out + demo.err
    assert all_done(demo, KILLED_FILES)


def test_demo_when_told_to_open_the_dashboard_then_a_browser_is_given_the_link(
    tmp_path: Path,
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    arguments = ("--data", str(tmp_path / "demo"), "--limit", "9", "--workers", "1", "--open")
    with running("demo", *arguments, env={"BROWSER": str(browser)}) as demo:
        link = demo.wait_for(r"^dashboard: (http://127\.0\.0\.1:\d+/)$").group(1)
        assert demo.wait() == 0, demo.out + demo.err
    assert opened.read_text() == f"{link}\n"


def test_demo_when_there_is_no_browser_then_it_says_so_and_goes_on(tmp_path: Path) -> None:
    arguments = ("--data", str(tmp_path / "demo"), "--limit", "9", "--workers", "1", "--open")
    bare = {"BROWSER": "/bin/false", "PATH": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with running("demo", *arguments, env=bare) as demo:
        demo.wait_for("^There is no browser here that could be opened.$")
        assert demo.wait() == 0, demo.out + demo.err


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The directory of a demo that came to its end."""
    data = tmp_path / "demo"
    done = osqueue("demo", "--data", str(data), "--limit", "12", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    for label in ("Files", "Most common", "Longest", "Jobs", "Commits", "To start", "Checked"):
        assert f"\n{label} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    return data


def test_demo_when_told_to_keep_its_broker_then_it_goes_on_and_the_next_says_so(
    finished: Path,
) -> None:
    old_results = set((finished / "results").iterdir())
    done = osqueue("demo", "--data", str(finished), "--limit", "9", "--keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("A new run: one job for each of 9 files")
    assert count(finished) == 9
    assert old_results.isdisjoint((finished / "results").iterdir())

    kept = json.loads((finished / "kept-broker.json").read_bytes())
    try:
        assert f"Stop it with: kill {kept['pid']}" in done.stdout
        with urllib.request.urlopen(f"{kept['address']}/v1/stats", timeout=10) as answer:
            assert json.load(answer)["completedTotal"] == 18
        third = osqueue("demo", "--data", str(finished))
        assert third.returncode == 1
        assert third.stderr.endswith(f"stop it with: kill {kept['pid']}\n")
    finally:
        os.kill(kept["pid"], signal.SIGTERM)
        wait_until(lambda: not is_alive(kept["pid"]))


def test_demo_when_interrupted_then_stops_its_processes_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    with running("demo", "--data", str(tmp_path / "demo"), "--brokers", "3") as demo:
        brokers, workers = crew_of(demo)
        assert (len(brokers), len(workers)) == (3, 2)
        os.kill(brokers[0], signal.SIGSTOP)  # as it must not hold the end up
        assert demo.stop(signal.SIGINT) == 130
        assert demo.out[-1] == "Interrupted. Started again, it carries on."
    assert not any(map(is_alive, [*brokers, *workers]))


def test_demo_when_a_result_vanishes_then_its_check_fails(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with running("demo", "--data", str(data), "--limit", "60") as demo:
        crew_of(demo)
        wait_until(lambda: count(data))
        next((data / "results").glob("[!.]*.json")).unlink()
        assert demo.wait() == 1
        shown = "\n".join(demo.out)
    assert "CHECK FAILED  1 files have no result" in shown


def test_demo_when_its_port_is_taken_then_one_line_and_1(tmp_path: Path) -> None:
    with running("broker", "--host", "127.0.0.1", "--port", "0") as other:
        port = other.wait_for(r"listening on .*:(\d+)").group(1)
        done = osqueue("demo", "--data", str(tmp_path / "demo"), "--limit", "5", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr.splitlines()[-1]
